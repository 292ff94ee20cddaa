/* A copy of a small picture whose pixels or channels lie in another order. */
#include <string.h>

#include "native.h"

#define ORDER_IS_KNOWN (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

/* Pixels of three or four bytes that lie together, as they are or backwards: a whole word each. The first and the last
 * one of three bytes are copied one by one, as a word of theirs would reach out of the row. */
static ALWAYS_INLINE void copy_words(const uint8_t* source, ptrdiff_t step, bool backwards, uint8_t* out, int64_t width,
                                     int channels) {
    const uint8_t* low = backwards ? source - (channels - 1) : source;
    int64_t edge = channels == 3 ? 1 : 0;
    for (int64_t x = edge; x < width - edge; x++) {
        uint32_t pixel;
        memcpy(&pixel, low + x * step, sizeof pixel);
        if (backwards) pixel = __builtin_bswap32(pixel) >> (channels == 3 ? 8 : 0);
        memcpy(out + x * channels, &pixel, sizeof pixel);
    }
    for (int64_t x = 0; edge && x < width; x += width > 1 ? width - 1 : 1) {
        for (int c = 0; c < channels; c++) out[x * channels + c] = source[x * step + (backwards ? -c : c)];
    }
}

static ALWAYS_INLINE void copy_items(const uint8_t* source, ptrdiff_t step, ptrdiff_t channel, uint8_t* out,
                                     int64_t width, int64_t channels, int itemsize) {
    for (int64_t x = 0; x < width; x++, source += step) {
        for (int64_t c = 0; c < channels; c++, out += itemsize) memcpy(out, source + c * channel, (size_t)itemsize);
    }
}

void arrange_row(const uint8_t* source, ptrdiff_t step, ptrdiff_t channel, uint8_t* out, int64_t width,
                 int64_t channels, int itemsize) {
    bool apart = step >= channels || step <= -channels; /* so that a word ends inside a neighbour */
    bool together = ORDER_IS_KNOWN && itemsize == 1 && (channel == 1 || channel == -1) && apart;
    if (together && channels == 3 && channel == 1) {
        copy_words(source, step, false, out, width, 3);
    } else if (together && channels == 3) {
        copy_words(source, step, true, out, width, 3);
    } else if (together && channels == 4 && channel == 1) {
        copy_words(source, step, false, out, width, 4);
    } else if (together && channels == 4) {
        copy_words(source, step, true, out, width, 4);
    } else if (itemsize == 1 && channels == 3) {
        copy_items(source, step, channel, out, width, 3, 1);
    } else if (itemsize == 1) {
        copy_items(source, step, channel, out, width, channels, 1);
    } else if (itemsize == 2) {
        copy_items(source, step, channel, out, width, channels, 2);
    } else {
        copy_items(source, step, channel, out, width, channels, itemsize);
    }
}
