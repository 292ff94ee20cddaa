/* The selective filters in portable C: GNU C's vectors of 16 bytes, which every 64-bit processor has in some form. */
#include <string.h>

#include "select.h"

#define LEVEL(name) name##_portable
#define TARGET
enum { WIDTH = 16 };
typedef uint8_t Bytes __attribute__((vector_size(WIDTH)));
typedef uint64_t Pairs __attribute__((vector_size(WIDTH)));

static ALWAYS_INLINE Bytes choose(Bytes mask, Bytes a, Bytes b) { return (a & mask) | (b & ~mask); }
static ALWAYS_INLINE Bytes least(Bytes a, Bytes b) { return choose((Bytes)(a < b), a, b); }
static ALWAYS_INLINE Bytes most(Bytes a, Bytes b) { return choose((Bytes)(a < b), b, a); }

static ALWAYS_INLINE Pairs products(Pairs words) {
    for (int l = 0; l < WIDTH / 8; l++) words[l] = (uint64_t)(uint32_t)words[l] * (words[l] >> 32);
    return words;
}

#include "select_body.h"

/* The pieces [first, last) of one offset's plane. A piece is shorter than a chunk: what is copied too much is overwritten
 * by the next one, or lies in the padding. */
static ALWAYS_INLINE void copy_pieces(const Lanes* lanes, const uint8_t* row, int32_t shift, int32_t first,
                                      int32_t last, uint8_t* plane, size_t chunk) {
    const int32_t *from = lanes->from, *to = lanes->to;
    for (int32_t i = first; i < last; i++) memcpy(plane + to[i], row + (from[i] + shift), chunk);
}

void gather_portable(const Lanes* lanes, const uint8_t* row, uint8_t* planes) {
    const Selection* selection = lanes->selection;
    const int32_t* from = lanes->from;
    int32_t first = 0, last = lanes->pieces; /* of the pieces of which a chunk lies inside the row */
    for (int32_t offset = 0; offset < lanes->offsets; offset++, planes += lanes->padded) {
        int32_t shift = (offset - selection->half_cols) * selection->channels;
        int32_t end = selection->width * selection->channels - lanes->chunk - shift;
        while (first > 0 && from[first - 1] + shift >= 0) first--;
        while (first < lanes->pieces && from[first] + shift < 0) first++;
        while (last > first && from[last - 1] > end) last--;
        if (last < first) last = first;
        gather_lanes(lanes, row, offset, 0, first < lanes->pieces ? lanes->to[first] : lanes->lanes, planes);
        switch (lanes->chunk) {
            case 4: copy_pieces(lanes, row, shift, first, last, planes, 4); break;
            case 8: copy_pieces(lanes, row, shift, first, last, planes, 8); break;
            default: copy_pieces(lanes, row, shift, first, last, planes, 16);
        }
        if (last < lanes->pieces) gather_lanes(lanes, row, offset, lanes->to[last], lanes->lanes, planes);
    }
}

void scatter_portable(const Places* places, const uint8_t* values, uint8_t* row) {
    const Selection* selection = places->selection;
    int32_t channels = selection->channels;
    for (int32_t j = 0; j < selection->col_count; j++) {
        uint8_t* pixel = row + (ptrdiff_t)selection->cols[j] * channels;
        if (channels == 3) {
            memcpy(pixel, values + 3 * j, 3);
        } else {
            memcpy(pixel, values + (ptrdiff_t)j * channels, (size_t)channels);
        }
    }
}

/* No branch asks whether a candidate lies in a read row: the answer is random, and so would be mispredicted. */
static ALWAYS_INLINE void draw_row(const Draws* draws, const WindowRows* window, const uint32_t* words, uint8_t* out,
                                   int32_t channels) {
    /* Local copies: a store of bytes may change any object, so the compiler would load these anew after each pixel. */
    const uint8_t* source = draws->images->source;
    const Column* column = draws->columns;
    const int32_t *table = draws->table, *cols = draws->selection->cols, col_count = draws->selection->col_count;
    const int32_t unread = window->unread, read = window->read;
    const bool twice = draws->twice;
    const ptrdiff_t* at = window->at;
    uint32_t left[DRAWS]; /* of the words, for the next draws */
    for (int32_t first = 0; first < col_count; first += DRAWS) {
        int32_t end = first + DRAWS < col_count ? first + DRAWS : col_count;
        bool again = twice && first / DRAWS % 2 == 1;
        const uint32_t* word = again ? left : words + (twice ? first / 2 : first);
        for (int32_t j = first; j < end; j++, column++) {
            uint32_t apart = (uint32_t)(unread * column->width[0]);
            uint32_t count = apart + (uint32_t)(read * column->width[1]);
            uint64_t drawn = (uint64_t)word[j - first] * (count > 0 ? count : 1);
            left[j - first] = (uint32_t)drawn;
            uint8_t* pixel = out + (ptrdiff_t)cols[j] * channels;
            if (count == 0) {
                memset(pixel, 0, (size_t)channels);
                continue;
            }
            uint32_t k = (uint32_t)(drawn >> 32), in_read = k >= apart;
            k -= apart & (0 - in_read);
            uint32_t row = (uint32_t)(k * column->by_width[in_read] >> 32);
            uint32_t col = k - row * (uint32_t)column->width[in_read];
            ptrdiff_t y = at[row + ((uint32_t)unread & (0 - in_read))];
            int32_t x = table[column->first[in_read] + (int32_t)col];
            memcpy(pixel, source + y + (ptrdiff_t)x * channels, (size_t)channels);
        }
    }
}

static void draw_any_row(const Draws* draws, const WindowRows* window, const uint32_t* words, uint8_t* out) {
    if (draws->selection->channels == 3) {
        draw_row(draws, window, words, out, 3);
    } else {
        draw_row(draws, window, words, out, draws->selection->channels);
    }
}

static Status always(Draws* draws) {
    (void)draws;
    return OK;
}

const Draw draw_portable_rows = {always, draw_any_row};
