/* The C core without Python: ``native_parity CALLS [weights|windows]``. Every implementation that this processor has
 * against the portable one, byte for byte, over random sizes, ratios, channels, strides, taps and threads, and for the
 * selective filters random read pixels and windows; for processors that CI only has an emulator of. Images end, or
 * begin, at a page that must not be touched.
 *
 * Prints how often each implementation ran and a fingerprint of all results, which is the same on every processor.
 * ``weights`` moves some weight between two taps, ``windows`` makes windows lower or higher, for one of the two sides,
 * which has to be noticed. Exit code 1 on a difference.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "native.h"
#include "select.h"

enum { MOST = 200, MAX_CHANNELS_HERE = 5, GUARD = 64 };

static uint64_t state = 1;

static uint32_t draw(uint32_t below) { /* splitmix64 */
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 32) % below;
}

static int64_t gcd(int64_t a, int64_t b) { return b == 0 ? a : gcd(b, a % b); }

typedef struct {
    AxisInput input;
    int32_t start[MOST], weights[MOST * MOST];
    double reals[MOST * MOST];
} Table;

static void area_table(Table* table, int32_t n_in, int32_t n_out) {
    int64_t big = n_in / gcd(n_in, n_out), small = n_out / gcd(n_in, n_out);
    int32_t width = 0;
    for (int32_t i = 0; i < n_out; i++) {
        int64_t first = i * big / small, last = (i * big + big + small - 1) / small;
        if (last - first > width) width = (int32_t)(last - first);
    }
    for (int32_t i = 0; i < n_out; i++) {
        int64_t left = i * big, right = left + big;
        table->start[i] = (int32_t)(left / small < n_in - width ? left / small : n_in - width);
        for (int32_t k = 0; k < width; k++) {
            int64_t pixel = (table->start[i] + k) * small;
            int64_t from = pixel > left ? pixel : left, to = pixel + small < right ? pixel + small : right;
            table->weights[i * width + k] = to > from ? (int32_t)(to - from) : 0;
        }
    }
    table->input = (AxisInput){n_in, n_out, width, (int32_t)big, table->start, table->weights, NULL};
}

/* Windows like a kernel's of that support, and weights at random, some of them negative, that sum to 1. Their integer
 * values and nothing of the mathematics library, whose last bits differ between systems. */
static void fixed_table(Table* table, int32_t n_in, int32_t n_out) {
    int32_t reach = 1 + (int32_t)draw(3), stretch = n_in > n_out ? n_in / n_out : 1, width = 2 * reach * stretch;
    if (width > n_in) width = n_in;
    for (int32_t i = 0; i < n_out; i++) {
        int32_t center = (int32_t)(((int64_t)2 * i + 1) * n_in / (2 * n_out)), start = center - width / 2;
        table->start[i] = start < 0 ? 0 : start > n_in - width ? n_in - width : start;
        int32_t *weights = table->weights + i * width, sum = 0;
        for (int32_t k = 0; k < width; k++) {
            weights[k] = (int32_t)draw((1 << 22) / (uint32_t)width);
            if (draw(4) == 0) weights[k] = -weights[k] / 8;
            if (draw(16) == 0) weights[k] = 0;
            sum += weights[k];
        }
        weights[draw((uint32_t)width)] += (1 << 22) - sum;
    }
    for (int32_t k = 0; k < n_out * width; k++) table->reals[k] = table->weights[k] * 0x1p-22;
    table->input = (AxisInput){n_in, n_out, width, 1 << 22, table->start, table->weights, NULL};
}

/* Memory that ends, or begins, at a page without access. */
typedef struct {
    uint8_t *mapped, *data;
    size_t bytes, total;
} Guarded;

static Guarded guarded(size_t bytes, bool at_end) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes + page - 1) / page * page;
    Guarded memory = {.bytes = bytes, .total = room + 2 * page};
    memory.mapped = mmap(NULL, memory.total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory.mapped == MAP_FAILED) abort();
    mprotect(memory.mapped, page, PROT_NONE);
    mprotect(memory.mapped + page + room, page, PROT_NONE);
    memory.data = memory.mapped + page + (at_end ? room - bytes : 0); /* `bytes` is a multiple of the item's size */
    return memory;
}

typedef struct {
    Kind kind;
    int32_t channels, itemsize, threads;
    bool rows_first, has_rows, has_cols;
    Format format;
    int32_t planes;
    bool backwards;
    size_t row, stride, plane, first; /* bytes; the first pixel's first channel is not always the first byte */
} Case;

/* One side: the resizer at `level`, run; bytes of the result, in `out` with GUARD bytes before and after. */
static void resize(const Case* c, const AxisInput* rows, const AxisInput* cols, Level level, const uint8_t* source,
                   uint8_t* out, size_t bytes) {
    Resizer* resizer = NULL;
    Status status = resizer_build(&resizer, c->kind, rows, cols, c->rows_first, &c->format, level);
    if (status != OK) {
        fprintf(stderr, "no resizer: %d\n", status);
        exit(1);
    }
    memset(out, 0xa5, bytes + 2 * GUARD);
    const Views views = {.source = source + c->first,
                         .row = (ptrdiff_t)c->stride,
                         .plane = (ptrdiff_t)c->plane,
                         .out = out + GUARD,
                         .images = 1,
                         .planes = c->planes,
                         .backwards = c->backwards};
    if (resizer_run(resizer, &views, c->threads) != OK) exit(1);
    resizer_free(resizer);
}

static bool untouched(const uint8_t* guard) {
    for (int i = 0; i < GUARD; i++) {
        if (guard[i] != 0xa5) return false;
    }
    return true;
}

static Table row_table, col_table;

/* How the pixels of a row lie: together, further apart, with their channels backwards, in planes within the row, which
 * are read as one picture or as many. */
static void lay_out(Case* c, int32_t width) {
    size_t item = (size_t)c->itemsize, pixel = item * (size_t)c->channels;
    uint32_t layout = draw(10);
    c->format = (Format){c->channels, c->itemsize, (ptrdiff_t)pixel, (ptrdiff_t)item};
    c->planes = 1;
    c->backwards = draw(4) == 0;
    c->row = (size_t)width * pixel;
    if (layout < 3) {
        c->format.pixel =
            (ptrdiff_t)(layout == 0 ? 4 * item > pixel ? 4 * item : pixel + item : pixel + item * draw(8));
        c->row = (size_t)(width - 1) * (size_t)c->format.pixel + pixel;
    } else if (layout == 3) {
        c->first = pixel - item;
        c->format.channel = -(ptrdiff_t)item;
    } else if (layout == 4 || layout == 5) {
        c->format.pixel = (ptrdiff_t)item;
        c->format.channel = (ptrdiff_t)item * width;
        if (layout == 5) {
            c->plane = item * (size_t)width;
            c->planes = c->channels;
            c->format.channels = 1;
        }
    }
}

static void make_axis(Table* table, Kind kind, int32_t n_in, int32_t n_out, bool there) {
    if (!there) {
        table->input = (AxisInput){.n_in = n_in};
    } else if (kind == AREA) {
        area_table(table, n_in, n_out);
    } else {
        fixed_table(table, n_in, n_out);
        if (kind == FLOAT) table->input.weights = NULL, table->input.reals = table->reals;
    }
}

static int32_t draw_out(int32_t n_in) {
    int32_t choice = (int32_t)draw(6);
    int32_t n_out = choice == 0 ? n_in : choice == 1 ? n_in / 2 : choice == 2 ? n_in / 5 : 1 + (int32_t)draw(MOST - 1);
    return n_out < 1 ? 1 : n_out;
}

static void fill(const Case* c, const Guarded* memory) {
    bool bright = draw(8) == 0;
    for (size_t i = 0; i < memory->bytes; i++) memory->data[i] = bright ? 255 : (uint8_t)draw(256);
    if (c->kind != FLOAT) return;
    for (size_t i = 0; i + 4 <= memory->bytes; i += 4) {
        float value = (float)draw(1 << 24) * 0x1p-20f - 8.0f;
        memcpy(memory->data + i, &value, sizeof value);
    }
}

/* What is made wrong for every level but the portable one. */
typedef enum { NOTHING, WEIGHTS, WINDOWS } Broken;

/* FNV-1a's. */
static void add_to(uint64_t* results, const void* data, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) *results = (*results ^ ((const uint8_t*)data)[i]) * 0x100000001b3u;
}

static int compare_resize(Broken broken, uint64_t* results) {
    static const int32_t ITEMS[] = {[AREA] = 1, [FIXED] = 1, [FLOAT] = 4};
    Kind kind = draw(8) == 0 ? FLOAT : draw(2) == 0 ? AREA : FIXED;
    Case c = {.kind = kind, .channels = 1 + (int32_t)draw(MAX_CHANNELS_HERE), .itemsize = ITEMS[kind]};
    if (c.kind != FLOAT && draw(6) == 0) c.itemsize = 2;
    c.threads = 1 + (int32_t)(draw(4) == 0) * (int32_t)draw(4);
    c.rows_first = draw(2) != 0;
    c.has_rows = c.kind != FIXED || draw(5) != 0;
    c.has_cols = c.kind != FIXED || !c.has_rows || draw(5) != 0;
    int32_t height = 1 + (int32_t)draw(MOST - 1), width = 1 + (int32_t)draw(MOST - 1);
    int32_t h_out = c.has_rows ? draw_out(height) : height, w_out = c.has_cols ? draw_out(width) : width;
    make_axis(&row_table, c.kind, height, h_out, c.has_rows);
    make_axis(&col_table, c.kind, width, w_out, c.has_cols);
    size_t item = (size_t)c.itemsize * (size_t)c.channels, bytes = (size_t)h_out * (size_t)w_out * item;
    lay_out(&c, width);
    c.stride = c.row + (draw(3) == 0 ? 8 * (size_t)draw(5) : 0);
    if (c.stride % (size_t)c.itemsize != 0) c.stride += (size_t)c.itemsize - c.stride % (size_t)c.itemsize;
    Guarded source = guarded(c.stride * (size_t)(height - 1) + c.row, draw(2) != 0);
    fill(&c, &source);
    uint8_t *expected = malloc(bytes + 2 * GUARD), *result = malloc(bytes + 2 * GUARD);
    if (expected == NULL || result == NULL) abort();
    resize(&c, &row_table.input, &col_table.input, LEVEL_PORTABLE, source.data, expected, bytes);
    add_to(results, expected + GUARD, bytes);
    int different = 0;
    for (int level = LEVEL_PORTABLE + 1; level < LEVEL_COUNT; level++) {
        if (!level_supported((Level)level)) continue;
        if (broken == WEIGHTS && c.kind == FIXED && c.has_cols && col_table.input.width > 1) {
            col_table.weights[0] += 1 << 19, col_table.weights[1] -= 1 << 19;
        }
        resize(&c, &row_table.input, &col_table.input, (Level)level, source.data, result, bytes);
        if (memcmp(expected, result, bytes + 2 * GUARD) != 0 || !untouched(result) ||
            !untouched(result + GUARD + bytes)) {
            different = 1;
            fprintf(stderr,
                    "%s: kind %d, %" PRId32 " bytes, %" PRId32 " channels, %" PRId32 "x%" PRId32 " -> %" PRId32
                    "x%" PRId32 ", rows first %d, rows %d, cols %d, %" PRId32 " threads\n",
                    level_name((Level)level), (int)c.kind, c.itemsize, c.channels, height, width, h_out, w_out,
                    c.rows_first, c.has_rows, c.has_cols, c.threads);
        }
    }
    free(expected);
    free(result);
    munmap(source.mapped, source.total);
    return different;
}

/* The selective filters. */

enum { WIDEST = 20 };
static int32_t read_rows[MOST], read_cols[MOST];

/* Any of them, or groups at a ratio, as scalers read them. */
static int32_t draw_read(int32_t* read, int32_t length) {
    int32_t count = 0, step = 1 + (int32_t)draw(9), group = 1 + (int32_t)draw(3);
    bool any = draw(2) == 0;
    for (int32_t i = 0; i < length; i++) {
        if (any ? draw(3) == 0 : i % step < group) read[count++] = i;
    }
    return count;
}

static void draw_window(Selection* selection) {
    static const int32_t COMMON[][2] = {{1, 1}, {1, 2}, {2, 1}, {1, 3}, {3, 1}, {2, 2}};
    uint32_t kind = draw(8);
    if (kind < 6) {
        selection->half_rows = COMMON[kind][0], selection->half_cols = COMMON[kind][1];
    } else {
        uint32_t most = kind == 6 ? 6 : WIDEST;
        selection->half_rows = (int32_t)draw(most), selection->half_cols = (int32_t)draw(most);
    }
}

/* Both filters and the hash at one level; the results stand in `out`, in two images with GUARD bytes around each. */
static uint64_t filter(const Selection* selection, const Guarded* source, size_t stride, Level level, uint8_t* out) {
    static uint8_t key[FINGERPRINT_BLOCK];
    size_t room = source->bytes + 2 * GUARD;
    memset(out, 0xa5, 2 * room);
    Images images = {source->data, (ptrdiff_t)stride, out + GUARD, (ptrdiff_t)stride};
    for (int i = 0; i < FINGERPRINT_BLOCK; i++) key[i] = (uint8_t)(i * i * 7 + i);
    Status status = select_median(selection, &images, level);
    images.out += room;
    if (status != OK || select_random(selection, &images, key, level) != OK) exit(1);
    uint64_t hash = 0, hashes[(MOST * MOST * (MAX_CHANNELS_HERE + 1)) / FINGERPRINT_BLOCK + 1];
    fingerprint(source->data, source->bytes, key, hashes, level);
    for (size_t i = 0; i * FINGERPRINT_BLOCK < source->bytes; i++) hash = hash * 31 + hashes[i];
    return hash;
}

static int compare_select(Broken broken, uint64_t* results) {
    uint32_t most = draw(10) == 0 ? MOST - 1 : 40;
    Selection selection = {.height = 1 + (int32_t)draw(most), .width = 1 + (int32_t)draw(most), .channels = 3};
    if (draw(2) == 0) selection.channels = 1 + (int32_t)draw(MAX_CHANNELS_HERE);
    selection.rows = read_rows, selection.row_count = draw_read(read_rows, selection.height);
    selection.cols = read_cols, selection.col_count = draw_read(read_cols, selection.width);
    draw_window(&selection);
    if (!selection_valid(&selection)) exit(1);
    size_t row = (size_t)selection.width * (size_t)selection.channels, stride = row + (draw(3) == 0) * draw(40);
    Guarded source = guarded(stride * (size_t)(selection.height - 1) + row, draw(2) != 0);
    uint32_t values = draw(4) == 0 ? 2 : 256;
    for (size_t i = 0; i < source.bytes; i++) source.data[i] = (uint8_t)(draw(values) * (values == 2 ? 255 : 1));
    size_t bytes = 2 * (source.bytes + 2 * GUARD);
    uint8_t *expected = malloc(bytes), *result = malloc(bytes);
    if (expected == NULL || result == NULL) abort();
    uint64_t hash = filter(&selection, &source, stride, LEVEL_PORTABLE, expected);
    add_to(results, expected, bytes);
    add_to(results, &hash, sizeof hash);
    int different = 0;
    if (broken == WINDOWS) selection.half_rows += selection.half_rows > 0 ? -1 : 1;
    for (int level = LEVEL_PORTABLE + 1; level < LEVEL_COUNT; level++) {
        if (!level_supported((Level)level)) continue;
        bool same_hash = filter(&selection, &source, stride, (Level)level, result) == hash;
        if (same_hash && memcmp(expected, result, bytes) == 0) continue;
        different = 1;
        fprintf(stderr, "%s: %" PRId32 "x%" PRId32 "x%" PRId32 ", windows %" PRId32 "x%" PRId32 ", hash %s\n",
                level_name((Level)level), selection.height, selection.width, selection.channels, selection.half_rows,
                selection.half_cols, same_hash ? "equal" : "different");
    }
    free(expected);
    free(result);
    munmap(source.mapped, source.total);
    return different;
}

int main(int count, char** arguments) {
    static const char* const NAMES[] = {"", "weights", "windows"};
    if (count < 2) return 2;
    Broken broken = NOTHING;
    for (int i = WEIGHTS; count > 2 && i <= WINDOWS; i++) {
        if (strcmp(arguments[2], NAMES[i]) == 0) broken = (Broken)i;
    }
    if (count > 2 && broken == NOTHING) return 2;
    long calls = atol(arguments[1]);
    uint64_t results = 0xcbf29ce484222325u;
    int different = 0;
    for (long call = 0; call < calls && different < 10; call++) {
        different += call % 3 == 2 ? compare_select(broken, &results) : compare_resize(broken, &results);
    }
    for (int i = 0; i < IMPLEMENTATION_COUNT; i++) {
        printf("%s: %lld\n", IMPLEMENTATIONS[i].name, implementation_runs(i));
    }
    printf("fingerprint %016" PRIx64 " of %ld calls\n", results, calls);
    return different > 0;
}
