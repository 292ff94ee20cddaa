/* Weighted sums along a row in float64, which float32 images and, exactly, uint16 images share. */
#ifndef SECURE_RESIZE_TAPS_H
#define SECURE_RESIZE_TAPS_H

#include <string.h>

#include "native.h"

enum { TAPS_SLACK = 4 }; /* elements past a line, and past its sums, that whole loads and stores may touch */

/* GNU C's vector: two registers of SSE2 or NEON, one of AVX2. */
typedef double Reals __attribute__((vector_size(32)));

/* Three or more channels: four of an output's at once. Lanes past its last channel belong to the next output. */
static ALWAYS_INLINE void sum_taps_lanes(const Axis* cols, const double* line, double* sums, int32_t channels) {
    for (int32_t i = 0; i < cols->n_out; i++, sums += channels) {
        const double* weights = cols->reals + (size_t)i * (size_t)cols->width;
        for (int32_t c = 0; c < channels; c += 4) {
            const double* at = line + (size_t)cols->start[i] * (size_t)channels + c;
            Reals total = {0, 0, 0, 0}, pixel;
            for (int32_t k = 0; k < cols->count[i]; k++, at += channels) {
                if (weights[k] == 0.0) continue;
                memcpy(&pixel, at, sizeof pixel);
                total += pixel * weights[k];
            }
            memcpy(sums + c, &total, sizeof total);
        }
    }
}

/* One channel: four taps at once, unless one of an axis's inner weights is 0 and must not be read. */
static ALWAYS_INLINE void sum_taps_dense(const Axis* cols, const double* line, double* sums) {
    for (int32_t i = 0; i < cols->n_out; i++) {
        const double *weights = cols->reals + (size_t)i * (size_t)cols->width, *at = line + cols->start[i];
        Reals total = {0, 0, 0, 0}, pixel, weight;
        int32_t k = 0;
        for (; k + 4 <= cols->count[i]; k += 4) {
            memcpy(&pixel, at + k, sizeof pixel);
            memcpy(&weight, weights + k, sizeof weight);
            total += pixel * weight;
        }
        double sum = (total[0] + total[1]) + (total[2] + total[3]);
        for (; k < cols->count[i]; k++) sum += at[k] * weights[k];
        sums[i] = sum;
    }
}

static ALWAYS_INLINE void sum_taps_any(const Axis* cols, const double* line, double* sums, int32_t channels) {
    size_t step = (size_t)channels, result = 0;
    for (int32_t i = 0; i < cols->n_out; i++) {
        const double* weights = cols->reals + (size_t)i * (size_t)cols->width;
        const double* at = line + (size_t)cols->start[i] * step;
        for (size_t c = 0; c < step; c++, result++) {
            double sum = 0.0;
            for (int32_t k = 0; k < cols->count[i]; k++) {
                if (weights[k] != 0.0) sum += weights[k] * at[c + (size_t)k * step];
            }
            sums[result] = sum;
        }
    }
}

/* The taps of `cols` (its reals) along a line of n_in pixels; sums (n_out * channels). Both have TAPS_SLACK. */
static ALWAYS_INLINE void sum_taps(const Axis* cols, const double* line, double* sums, int32_t channels) {
    if (channels == 3) {
        sum_taps_lanes(cols, line, sums, 3);
    } else if (channels == 4) {
        sum_taps_lanes(cols, line, sums, 4);
    } else if (channels > 4) {
        sum_taps_lanes(cols, line, sums, channels);
    } else if (channels == 1 && !cols->has_holes) {
        sum_taps_dense(cols, line, sums);
    } else {
        sum_taps_any(cols, line, sums, channels);
    }
}

#endif
