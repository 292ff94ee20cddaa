/* Pixels put in another order: rows gathered before a resize reads them, and what it made put as it was asked for. */
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

static void copy_row(const uint8_t* source, ptrdiff_t step, ptrdiff_t channel, uint8_t* out, int64_t width,
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

static ALWAYS_INLINE void reverse_pixels(uint8_t* row, int64_t width, int64_t channels, int itemsize) {
    for (int64_t x = 0; x < width; x++, row += channels * itemsize) {
        for (int64_t c = 0; 2 * c < channels - 1; c++) {
            uint8_t left[8], *a = row + c * itemsize, *b = row + (channels - 1 - c) * itemsize;
            memcpy(left, a, (size_t)itemsize);
            memcpy(a, b, (size_t)itemsize);
            memcpy(b, left, (size_t)itemsize);
        }
    }
}

bool grid_in_place(const Grid* grid, const uint8_t* out) {
    return grid->channel == -grid->itemsize && grid->pixel == grid->channels * grid->itemsize &&
           grid->source == out + (grid->channels - 1) * grid->itemsize;
}

void arrange_portable(const Grid* grid, uint8_t* out, ptrdiff_t out_row) {
    bool in_place = grid_in_place(grid, out);
    for (int64_t y = 0; y < grid->rows; y++, out += out_row) {
        if (!in_place) {
            copy_row(grid->source + y * grid->row, grid->pixel, grid->channel, out, grid->width, grid->channels,
                     grid->itemsize);
        } else if (grid->channels == 3 && grid->itemsize == 1) {
            reverse_pixels(out, grid->width, 3, 1);
        } else {
            reverse_pixels(out, grid->width, grid->channels, grid->itemsize);
        }
    }
}

void arrange(const Grid* grid, uint8_t* out, ptrdiff_t out_row, Level level) {
    const Implementation* one = implementation_after(NULL, ARRANGE, 1, level);
    Grid rows = *grid;
    if (rows.rows > 1 && rows.row == rows.width * rows.pixel && out_row == rows.width * rows.channels * rows.itemsize) {
        rows.width *= rows.rows; /* they follow each other in both: one row */
        rows.rows = 1;
    }
    implementation_ran(one);
    one->arrange(&rows, out, out_row);
}

void reverse_channels(uint8_t* rows, int64_t pixels, int64_t channels, int itemsize, Level level) {
    const Grid grid = {.source = rows + (channels - 1) * itemsize,
                       .pixel = channels * itemsize,
                       .channel = -itemsize,
                       .rows = 1,
                       .width = pixels,
                       .channels = channels,
                       .itemsize = itemsize};
    arrange(&grid, rows, 0, level);
}

void place_row(const uint8_t* values, const int32_t* cols, int64_t count, uint8_t* row, size_t pixel) {
    switch (pixel) {
        case 1:
            for (int64_t j = 0; j < count; j++) row[cols[j]] = values[j];
            break;
        case 3:
            for (int64_t j = 0; j < count; j++) memcpy(row + (size_t)cols[j] * 3, values + 3 * j, 3);
            break;
        default:
            for (int64_t j = 0; j < count; j++) {
                memcpy(row + (size_t)cols[j] * pixel, values + (size_t)j * pixel, pixel);
            }
    }
}
