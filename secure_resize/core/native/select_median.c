/* The selective median: which values make up a window, and the median of them, 64 windows at a time.
 *
 * Rows are gathered once each into a ring of planes. Every window gets the same number of values, K: what is no
 * candidate counts in turn as 0 and as 255, so that the candidates' lower median has the rank (K - 1) / 2 whatever
 * their number (core/reference.py). In common windows a network of minima and maxima brings it to its place, in registers;
 * others are searched for it, bit by bit, by counting, which takes fewer instructions than a network in memory.
 */
#include <string.h>

#include "select.h"

enum { MAX_PARTS = 4 };

typedef struct {
    Lanes lanes;
    Places places;
    Arena arena; /* of all tables and scratch */
    uint8_t *read_rows, *read_cols;
    uint8_t* ring; /* planes of the last 2 * half_rows + 1 rows */
    uint8_t *slots, *medians;
    const uint8_t** planes; /* [row of the window], as in Strip */
    uint8_t* kinds;
} Work;

/* avx512: the lanes of a part, at every offset, come out of up to four vectors of a row. The wider apart the read
 * columns, the more parts it takes. */
static void divide_vectors(Lanes* lanes, int32_t parts) {
    const Selection* selection = lanes->selection;
    int32_t channels = selection->channels, size = LANES / parts;
    int64_t reach = (int64_t)selection->half_cols * channels;
    for (int32_t first = 0; first < lanes->lanes; first += size) {
        int32_t end = first + size < lanes->lanes ? first + size : lanes->lanes;
        int64_t base = (int64_t)selection->cols[first / channels] * channels;
        int64_t last = (int64_t)selection->cols[(end - 1) / channels] * channels + channels - 1;
        int64_t chunks = (last - base + 2 * reach) / 64 + 1;
        if (chunks > 4) return;
        lanes->base[first / size] = (int32_t)base;
        lanes->chunks[first / size] = (int32_t)chunks;
        for (int32_t l = first; l < end; l++) {
            lanes->index[l] = (uint8_t)((int64_t)selection->cols[l / channels] * channels + l % channels - base);
        }
    }
    lanes->parts = parts;
}

/* Read columns next to each other, up to as many as a copy of 16 bytes holds, are one piece. */
static void divide_columns(Lanes* lanes) {
    enum { MOST = 16 };
    const Selection* selection = lanes->selection;
    const int32_t* cols = selection->cols;
    int32_t channels = selection->channels, at_once = MOST / channels, longest = 0;
    if (at_once == 0) return; /* no pieces */
    for (int32_t j = 0, begin = 0; j < selection->col_count; j++) {
        bool goes_on = j > begin && cols[j] == cols[j - 1] + 1 && j - begin < at_once;
        if (!goes_on) {
            begin = j;
            lanes->from[lanes->pieces] = cols[j] * channels;
            lanes->to[lanes->pieces++] = j * channels;
        }
        if (j - begin + 1 > longest) longest = j - begin + 1;
    }
    lanes->chunk = longest * channels <= 4 ? 4 : longest * channels <= 8 ? 8 : MOST;
}

static void fill_tables(const Selection* selection, Lanes* lanes, const uint8_t* read_cols) {
    int32_t channels = selection->channels, vectors = lanes->padded / LANES;
    for (int kind = UNREAD; kind <= OUTSIDE; kind++) {
        for (int32_t offset = 0; offset < lanes->offsets; offset++) {
            uint8_t* excluded = lanes->excluded + ((ptrdiff_t)kind * lanes->offsets + offset) * lanes->padded;
            for (int32_t j = 0; j < selection->col_count; j++) {
                int32_t x = selection->cols[j] + offset - selection->half_cols;
                if (kind != OUTSIDE && x >= 0 && x < selection->width && !(kind == READ && read_cols[x])) continue;
                memset(excluded + j * channels, 255, (size_t)channels);
                int32_t last = (j * channels + channels - 1) / LANES;
                for (int32_t v = j * channels / LANES; v <= last; v++) lanes->excludes[kind * vectors + v] = true;
            }
        }
    }
    divide_columns(lanes);
    for (int32_t parts = 1; parts <= MAX_PARTS && lanes->parts == 0; parts *= 2) divide_vectors(lanes, parts);
}

static void take_arrays(Work* work, const Selection* selection) {
    Arena* arena = &work->arena;
    size_t offsets = 2 * (size_t)selection->half_cols + 1, rows = 2 * (size_t)selection->half_rows + 1;
    size_t lanes = (size_t)selection->col_count * (size_t)selection->channels;
    size_t vectors = (lanes + 2 * LANES - 1) / LANES, padded = vectors * LANES;
    work->lanes = (Lanes){.selection = selection,
                          .lanes = (int32_t)lanes,
                          .padded = (int32_t)padded,
                          .offsets = (int32_t)offsets,
                          .from = arena_take(arena, (size_t)selection->col_count, sizeof(int32_t)),
                          .to = arena_take(arena, (size_t)selection->col_count, sizeof(int32_t)),
                          .base = arena_take(arena, vectors * MAX_PARTS, sizeof(int32_t)),
                          .chunks = arena_take(arena, vectors * MAX_PARTS, sizeof(int32_t)),
                          .index = arena_take(arena, padded, 1),
                          .excluded = arena_take(arena, 3 * offsets, padded),
                          .excludes = arena_take(arena, 3 * vectors, sizeof(bool))};
    places_take(&work->places, selection, arena);
    work->read_rows = arena_take(arena, (size_t)selection->height, 1);
    work->read_cols = arena_take(arena, (size_t)selection->width, 1);
    work->ring = arena_take(arena, rows * offsets, padded);
    work->slots = arena_take(arena, rows * offsets, LANES);
    work->medians = arena_take(arena, padded, 1);
    work->planes = arena_take(arena, rows, sizeof *work->planes);
    work->kinds = arena_take(arena, rows, 1);
}

static Status prepare(Work* work, const Selection* selection) {
    take_arrays(work, selection);
    Status status = arena_fill(&work->arena);
    if (status != OK) return status;
    take_arrays(work, selection);
    for (int32_t i = 0; i < selection->row_count; i++) work->read_rows[selection->rows[i]] = 1;
    for (int32_t j = 0; j < selection->col_count; j++) work->read_cols[selection->cols[j]] = 1;
    fill_tables(selection, &work->lanes, work->read_cols);
    places_fill(&work->places);
    return OK;
}

static bool is_common(const Selection* selection) {
    int32_t rows = 2 * selection->half_rows + 1, columns = 2 * selection->half_cols + 1;
#define WINDOW(ROWS, COLUMNS, PIXELS) || (rows == (ROWS) && columns == (COLUMNS))
    return false COMMON_WINDOWS(WINDOW);
#undef WINDOW
}

/* The medians of one read row, whose window's rows the ring holds. */
static void find_medians(const Work* work, int32_t row, Median* median) {
    const Lanes* lanes = &work->lanes;
    const Selection* selection = lanes->selection;
    int32_t window_rows = 2 * selection->half_rows + 1;
    size_t row_bytes = (size_t)lanes->offsets * (size_t)lanes->padded;
    for (int32_t k = 0; k < window_rows; k++) {
        int32_t y = row - selection->half_rows + k;
        bool inside = y >= 0 && y < selection->height;
        work->kinds[k] = inside ? (work->read_rows[y] ? READ : UNREAD) : OUTSIDE;
        work->planes[k] = work->ring + (inside ? (size_t)(y % window_rows) * row_bytes : 0);
    }
    for (int32_t v = 0; v * LANES < lanes->lanes; v++) {
        median(&(Strip){lanes, v, work->planes, work->kinds, work->slots, work->medians + v * LANES});
    }
}

Status select_median(const Selection* selection, const Images* images, Level level) {
    if (selection->row_count == 0 || selection->col_count == 0) return OK;
    Work work = {0};
    Status status = prepare(&work, selection);
    if (status != OK) return status;
    const Lanes* lanes = &work.lanes;
    Kind kind = is_common(selection) ? MEDIAN_IN_REGISTERS : MEDIAN;
    const Implementation* median = implementation_after(NULL, kind, 1, level);
    const Implementation* gather = implementation_after(NULL, GATHER, 1, lanes->parts > 0 ? level : LEVEL_PORTABLE);
    Level with_table = work.places.vectors > 0 ? level : LEVEL_PORTABLE;
    const Implementation* scatter = implementation_after(NULL, SCATTER, 1, with_table);
    implementation_ran(gather);
    implementation_ran(median);
    implementation_ran(scatter);
    int32_t half = selection->half_rows, window_rows = 2 * half + 1, gathered = 0;
    size_t row_bytes = (size_t)lanes->offsets * (size_t)lanes->padded;
    for (int32_t i = 0; i < selection->row_count; i++) {
        int32_t row = selection->rows[i];
        if (gathered < row - half) gathered = row - half;
        for (; gathered <= row + half && gathered < selection->height; gathered++) {
            gather->gather(lanes, images->source + gathered * images->stride,
                           work.ring + (size_t)(gathered % window_rows) * row_bytes);
        }
        find_medians(&work, row, median->median);
        scatter->scatter(&work.places, work.medians, images->out + row * images->out_stride);
    }
    alloc_free(work.arena.memory);
    return OK;
}
