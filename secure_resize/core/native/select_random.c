/* The selective random filter: candidates drawn by the ChaCha8 keystream of the image's key, and the hash that the key
 * is made from (core/reference.py).
 */
#include <string.h>

#include "select.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie in memory");

enum { BATCH = BLOCKS * BLOCK_WORDS };

static ALWAYS_INLINE uint64_t reciprocal(int32_t n) {
    return n > 0 ? ((1ull << 32) + (uint64_t)n - 1) / (uint64_t)n : 0;
}

/* The columns' windows. */
static void fill_columns(Draws* draws) {
    const Selection* selection = draws->selection;
    int32_t count = selection->col_count, width = selection->width, free_count = 0;
    int32_t* free_cols = draws->table + width;
    for (int32_t x = 0, j = 0; x < width; x++) {
        draws->table[x] = x;
        if (j < count && selection->cols[j] == x) {
            j++;
        } else {
            free_cols[free_count++] = x;
        }
    }
    for (int32_t j = 0, begin = 0, end = 0; j < count; j++) {
        int32_t left = selection->cols[j] - selection->half_cols, right = selection->cols[j] + selection->half_cols + 1;
        left = left < 0 ? 0 : left;
        right = right > width ? width : right;
        while (begin < free_count && free_cols[begin] < left) begin++;
        while (end < free_count && free_cols[end] < right) end++;
        draws->columns[j] = (Column){
            {right - left, end - begin}, {left, width + begin}, {reciprocal(right - left), reciprocal(end - begin)}};
    }
}

/* The rows of read row i's window, unread ones first. */
static void find_rows(const Draws* draws, const uint8_t* read_rows, int32_t i, WindowRows* window) {
    const Selection* selection = draws->selection;
    int32_t first = selection->rows[i] - selection->half_rows, last = selection->rows[i] + selection->half_rows,
            rows = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int32_t y = first < 0 ? 0 : first; y <= last && y < selection->height; y++) {
            if (read_rows[y] == pass) window->at[rows++] = y * draws->images->stride;
        }
        if (pass == 0) window->unread = rows;
    }
    window->read = rows - window->unread;
    window->last = last >= selection->height - 1;
}

/* What draws the rows: the best that can, which has then prepared. */
static const Implementation* choose_draw(Draws* draws, Level level, Status* status) {
    const Implementation* one = NULL;
    while ((one = implementation_after(one, DRAW, 1, level)) != NULL) {
        *status = one->draw->prepare(draws);
        if (*status != UNSUITABLE) break;
    }
    return one;
}

/* The keystream's words, of which a row takes `count`. */
typedef struct {
    const uint32_t* key;
    Keystream* next;
    uint32_t* words; /* a row's, after what is left of the batch before, and up to a batch more */
    size_t have, used, count;
    uint32_t block;
} Stream;

static const uint32_t* next_words(Stream* stream) {
    uint32_t* words = stream->words;
    stream->have -= stream->used;
    memmove(words, words + stream->used, stream->have * sizeof *words);
    for (; stream->have < stream->count; stream->have += BATCH, stream->block += BLOCKS) {
        stream->next(stream->key, stream->block, words + stream->have);
    }
    stream->used = stream->count;
    return words;
}

static void draw_rows(const Draws* draws, const Draw* draw, Stream* stream, uint8_t* read_rows, ptrdiff_t* at) {
    const Selection* selection = draws->selection;
    const Images* images = draws->images;
    WindowRows window = {.at = at};
    for (int32_t i = 0; i < selection->row_count; i++) read_rows[selection->rows[i]] = 1;
    for (int32_t i = 0; i < selection->row_count; i++) {
        find_rows(draws, read_rows, i, &window);
        draw->row(draws, &window, next_words(stream), images->out + selection->rows[i] * images->out_stride);
    }
}

Status select_random(const Selection* selection, const Images* images, const uint8_t key_bytes[32], Level level) {
    if (selection->col_count == 0 || selection->row_count == 0) return OK;
    uint32_t key[8];
    memcpy(key, key_bytes, sizeof key);
    const Implementation *keystream = implementation_after(NULL, KEYSTREAM, 1, level), *draw = NULL;
    bool twice = (2 * selection->half_rows + 1) * (2 * selection->half_cols + 1) <= TWICE_LIMIT;
    Draws draws = {.selection = selection, .images = images, .twice = twice};
    size_t groups = ((size_t)selection->col_count + DRAWS - 1) / DRAWS;
    Stream stream = {.key = key, .next = keystream->keystream, .count = (twice ? (groups + 1) / 2 : groups) * DRAWS};
    Arena arena = {0};
    uint8_t* read_rows = NULL;
    ptrdiff_t* at = NULL;
    Status status = OK;
    for (int pass = 0; pass < 2 && status == OK; pass++) { /* adds up, then takes */
        if (pass == 1) status = arena_fill(&arena);
        draws.table = arena_take(&arena, 2 * (size_t)selection->width, sizeof *draws.table);
        draws.columns = arena_take(&arena, (size_t)selection->col_count, sizeof *draws.columns);
        stream.words = arena_take(&arena, stream.count + 2 * BATCH, sizeof *stream.words);
        read_rows = arena_take(&arena, (size_t)selection->height, 1);
        at = arena_take(&arena, 2 * (size_t)selection->half_rows + 1, sizeof *at);
    }
    if (status == OK) {
        fill_columns(&draws);
        draw = choose_draw(&draws, level, &status);
    }
    if (status == OK) {
        implementation_ran(keystream);
        implementation_ran(draw);
        draw_rows(&draws, draw->draw, &stream, read_rows, at);
    }
    alloc_free(draws.lanes);
    alloc_free(arena.memory);
    return status;
}

void fingerprint(const uint8_t* data, size_t bytes, const uint8_t* key, uint64_t* hashes, Level level) {
    const Implementation* implementation = implementation_after(NULL, HASH, 1, level);
    Hash* hash = implementation->hash;
    implementation_ran(implementation);
    size_t whole = bytes / FINGERPRINT_BLOCK;
    /* From the end, so that the image's beginning, where the draws begin, is what the caches hold. */
    for (size_t k = whole; k-- > 0;) hashes[k] = hash(data + k * FINGERPRINT_BLOCK, key);
    if (bytes % FINGERPRINT_BLOCK != 0) {
        uint8_t last[FINGERPRINT_BLOCK] = {0};
        memcpy(last, data + whole * FINGERPRINT_BLOCK, bytes % FINGERPRINT_BLOCK);
        hashes[whole] = hash(last, key);
    }
}
