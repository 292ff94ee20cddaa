/* Second differences of what a scaler reads, and how far they stand out in windows of outputs: core/windows.py. Every
 * sum is rounded in the order of numpy's there. */
#include "windows.h"

#include <math.h>

static ALWAYS_INLINE void sum_squares(const int16_t* lines, int64_t pixels, int channels, float* restrict out) {
    for (int64_t x = 0; x < pixels; x++) {
        float sum = 0;
        for (int c = 0; c < channels; c++) sum += (float)lines[x * channels + c] * (float)lines[x * channels + c];
        out[x] = sum;
    }
}

void line_energy(const int16_t* lines, int64_t pixels, int channels, float* out) {
    switch (channels) {
        case 1: sum_squares(lines, pixels, 1, out); break;
        case 2: sum_squares(lines, pixels, 2, out); break;
        case 3: sum_squares(lines, pixels, 3, out); break;
        default: sum_squares(lines, pixels, channels, out);
    }
}

static ALWAYS_INLINE void choose_pixels(const int16_t* restrict across, const int16_t* restrict along, int64_t width,
                                        int channels, int16_t* restrict lines, float* restrict energy) {
    for (int64_t x = 0; x < width; x++) {
        const int16_t *a = across + x * channels, *b = along + x * channels;
        int32_t of_a = 0, of_b = 0;
        for (int c = 0; c < channels; c++) {
            of_a += a[c] * a[c];
            of_b += b[c] * b[c];
        }
        int32_t nearer = -(of_a < of_b); /* as a mask: which is nearer is as good as random */
        energy[x] = (float)((of_a & nearer) | (of_b & ~nearer));
        for (int c = 0; c < channels; c++) lines[x * channels + c] = (int16_t)((a[c] & nearer) | (b[c] & ~nearer));
    }
}

/* One row: of the two second differences that of which the energy is less. */
static void choose(const int16_t* across, const int16_t* along, int64_t width, int channels, int16_t* lines,
                   float* energy) {
    switch (channels) {
        case 1: choose_pixels(across, along, width, 1, lines, energy); break;
        case 3: choose_pixels(across, along, width, 3, lines, energy); break;
        default: choose_pixels(across, along, width, channels, lines, energy);
    }
}

static void twice_minus(const uint8_t* middle, const uint8_t* before, const uint8_t* after, int64_t count,
                        int16_t* restrict out) {
    for (int64_t i = 0; i < count; i++) out[i] = (int16_t)(2 * middle[i] - before[i] - after[i]);
}

Status second_difference(const uint8_t* const pictures[5], int64_t height, int64_t width, int channels, int16_t* lines,
                         float* energy) {
    int64_t inside = width - 2, count = inside * channels;
    int16_t* rows = alloc_array((size_t)count * 2, sizeof *rows);
    if (rows == NULL) return NO_MEMORY;
    for (int64_t y = 0; y < height - 2; y++) {
        const uint8_t* at[5];
        for (int k = 0; k < 5; k++) at[k] = pictures[k] + ((y + 1) * width + 1) * channels;
        twice_minus(at[0], at[1], at[2], count, rows);
        twice_minus(at[0], at[3], at[4], count, rows + count);
        choose(rows, rows + count, inside, channels, lines + y * count, energy + y * inside);
    }
    alloc_free(rows);
    return OK;
}

/* Sums of `side` numbers a step apart, those of 9 as sums of 3 sums of 3. */
static ALWAYS_INLINE float float_sum(const float* from, ptrdiff_t step, int side) {
    if (side == 9) {
        float parts[3];
        for (int k = 0; k < 3; k++) parts[k] = from[3 * k * step] + from[(3 * k + 1) * step] + from[(3 * k + 2) * step];
        return parts[0] + parts[1] + parts[2];
    }
    float sum = from[0] + from[step];
    for (int k = 2; k < side; k++) sum += from[k * step];
    return sum;
}

static ALWAYS_INLINE int32_t whole_sum(const int16_t* from, ptrdiff_t step, int side) {
    int32_t sum = from[0];
    for (int k = 1; k < side; k++) sum += from[k * step];
    return sum;
}

/* What one row of windows needs: sums down of the energies and of the lines, and the sums of whole windows of lines. */
typedef struct {
    float *energy, *sums;
    int16_t* lines;
} Row;

static ALWAYS_INLINE void mean_row(const Row* row, const int16_t* lines, const float* energy, const float* near,
                                   int64_t width, int channels, int side, float* restrict out) {
    const float of_windows = (float)(1.0 / (side * side)), of_means = (float)(1.0 / (side * side * side * side));
    const float pixels = (float)(side * side);
    int64_t across = width * channels, count = width - side + 1;
    for (int64_t i = 0; i < across; i++) row->lines[i] = (int16_t)whole_sum(lines + i, across, side);
    for (int64_t i = 0; i < width; i++) row->energy[i] = float_sum(energy + i, width, side);
    for (int64_t i = 0; i < count * channels; i++) row->sums[i] = (float)whole_sum(row->lines + i, channels, side);
    for (int64_t x = 0; x < count; x++) {
        float sum = 0;
        for (int c = 0; c < channels; c++) sum += row->sums[x * channels + c] * row->sums[x * channels + c];
        out[x] = sum;
    }
    for (int64_t x = 0; x < count; x++) {
        float mean = out[x] * of_means, inside = float_sum(row->energy + x, 1, side) * of_windows - mean;
        inside = (inside > 0 ? inside : 0) + near[x];
        out[x] = mean * pixels / inside;
    }
}

static ALWAYS_INLINE void each_row(const Row* row, const float* roots, const float* near, int64_t width, int side,
                                   float* restrict out) {
    const float scale = (float)(1.0 / (side * side * side));
    for (int64_t i = 0; i < width; i++) row->energy[i] = float_sum(roots + i, width, side);
    for (int64_t x = 0; x < width - side + 1; x++) {
        float sum = float_sum(row->energy + x, 1, side);
        out[x] = sum * sum * scale / near[x];
    }
}

static ALWAYS_INLINE void rows_of(const Row* row, const int16_t* lines, const float* energy, const float* near,
                                  int64_t height, int64_t width, int channels, int side, float* out) {
    int64_t count = width - side + 1;
    for (int64_t y = 0; y < height - side + 1; y++) {
        const float* around = near + (y + side / 2) * width + side / 2;
        if (lines != NULL) {
            mean_row(row, lines + y * width * channels, energy + y * width, around, width, channels, side,
                     out + y * count);
        } else {
            each_row(row, energy + y * width, around, width, side, out + y * count);
        }
    }
}

/* The compiler unrolls what it knows the number of. */
static ALWAYS_INLINE void of_channels(const Row* row, const int16_t* lines, const float* energy, const float* near,
                                      int64_t height, int64_t width, int channels, int side, float* out) {
    switch (channels) {
        case 1: rows_of(row, lines, energy, near, height, width, 1, side, out); break;
        case 3: rows_of(row, lines, energy, near, height, width, 3, side, out); break;
        default: rows_of(row, lines, energy, near, height, width, channels, side, out);
    }
}

Status stand_out(const int16_t* lines, const float* energy, const float* near, int64_t height, int64_t width,
                 int channels, int side, float* out) {
    size_t pixels = (size_t)(height * width), across = (size_t)(width * channels);
    float* floats = alloc_scratch(((size_t)width + across + (lines == NULL ? pixels : 0)) * sizeof *floats);
    int16_t* sums = alloc_scratch(across * sizeof *sums);
    Status status = floats == NULL || sums == NULL ? NO_MEMORY : OK;
    if (status == OK) {
        Row row = {floats, floats + width, sums};
        if (lines == NULL) {
            float* roots = floats + (size_t)width + across;
            for (size_t i = 0; i < pixels; i++) roots[i] = sqrtf(energy[i]);
            energy = roots;
        }
        switch (side) {
            case 3: of_channels(&row, lines, energy, near, height, width, channels, 3, out); break;
            case 5: of_channels(&row, lines, energy, near, height, width, channels, 5, out); break;
            default: of_channels(&row, lines, energy, near, height, width, channels, 9, out);
        }
    }
    alloc_free(sums);
    alloc_free(floats);
    return status;
}
