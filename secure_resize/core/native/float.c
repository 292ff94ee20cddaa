/* float32 images: both passes in float64, rounded to float32 once.
 *
 * The error: each product and sum rounds by at most 2^-53, so an output is off its exact value by less than
 * (taps + 2) * 2^-52 * (largest magnitude read) * (sum of the absolute weights) before the one rounding to float32,
 * 2^-24 of it: 10^-6 of that product holds for up to 2^31 taps.
 *
 * A tap of weight 0 is not read, so that a NaN or an infinity outside an output's support cannot reach it.
 */
#include "native.h"
#include "taps.h"

enum { BLOCK = 128 }; /* columns of a vertical sum that stay in the first-level cache */

static size_t line_bytes(const Resizer* resizer, int32_t pixels) {
    return round_up(((size_t)pixels * (size_t)resizer->channels + TAPS_SLACK) * sizeof(double));
}

Status float_portable_prepare(Resizer* resizer) {
    resizer->scratch_bytes = line_bytes(resizer, resizer->cols.n_in) + line_bytes(resizer, resizer->cols.n_out);
    return OK;
}

static ALWAYS_INLINE void sum_columns(const Axis* rows, int32_t i, const uint8_t* source, ptrdiff_t stride,
                                      double* sums, size_t columns) {
    const double* weights = rows->reals + (size_t)i * (size_t)rows->width;
    for (size_t left = 0; left < columns; left += BLOCK) {
        size_t n = columns - left < BLOCK ? columns - left : BLOCK;
        double* block = sums + left;
        for (size_t x = 0; x < n; x++) block[x] = 0.0;
        for (int32_t k = 0; k < rows->count[i]; k++) {
            const float* row = (const float*)(const void*)(source + (rows->start[i] + k) * stride) + left;
            double weight = weights[k];
            if (weight == 0.0) continue;
            for (size_t x = 0; x < n; x++) block[x] += weight * (double)row[x];
        }
    }
}

static ALWAYS_INLINE void rows_of(const Resizer* resizer, const uint8_t* source, ptrdiff_t stride, uint8_t* out,
                                  int32_t first, int32_t last, uint8_t* scratch) {
    size_t columns = (size_t)resizer->cols.n_in * (size_t)resizer->channels;
    size_t count = (size_t)resizer->cols.n_out * (size_t)resizer->channels;
    double* columns_sums = (double*)(void*)scratch;
    double* sums = (double*)(void*)(scratch + line_bytes(resizer, resizer->cols.n_in));
    memset(scratch, 0, resizer->scratch_bytes); /* the slack past a line is read too; its sums are not used */
    for (int32_t i = first; i < last; i++) {
        float* row = (float*)(void*)out + (size_t)i * count;
        sum_columns(&resizer->rows, i, source, stride, columns_sums, columns);
        sum_taps(&resizer->cols, columns_sums, sums, resizer->channels);
        for (size_t x = 0; x < count; x++) row[x] = (float)sums[x];
    }
}

DECLARE_RUN(float_portable) { rows_of(resizer, source, stride, out, first, last, scratch); }
#ifdef HAVE_X86
/* The same C, vectorised by the compiler for the wider registers. */
TARGET_AVX2 DECLARE_RUN(float_avx2_auto) { rows_of(resizer, source, stride, out, first, last, scratch); }
#endif
