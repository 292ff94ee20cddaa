/* Pillow's two passes with 22-bit taps in plain C, for uint8 and uint16; what the vector implementations leave to it.
 *
 * Each pass makes (sum of weight * pixel + 2^21) >> 22, clipped to the dtype. For uint8 the sums fit int32: a resizer is
 * refused unless 255 * (the sum of the absolute weights) + 2^21 stays below 2^31 for every output (Pillow's kernels
 * reach 0.75 of that). uint16 is summed in float64, which holds every integer below 2^53 and which processors multiply
 * faster than int64; a resizer's sums stay below 65535 * 2^36.
 *
 * Columns first, the rows that the vertical pass needs live in a ring of rows.width lines; rows first, one line holds
 * the vertical pass's result. Either stays in the cache.
 */
#include <limits.h>
#include <string.h>

#include "fixed.h"
#include "taps.h"

enum { BLOCK = 256 }; /* columns of a vertical sum that stay in the first-level cache */

static bool sums_fit(const Axis* axis, int64_t largest) {
    for (int32_t i = 0; i < axis->n_out; i++) {
        int64_t sum = 0;
        for (int32_t k = 0; k < axis->count[i]; k++) {
            int64_t weight = axis->weights[(size_t)i * (size_t)axis->width + (size_t)k];
            sum += weight < 0 ? -weight : weight;
        }
        if (sum > largest) return false;
    }
    return true;
}

/* uint16: one row as float64, and its sums. */
static size_t reals_bytes(const Resizer* resizer) {
    return ((size_t)(resizer->cols.n_in + resizer->cols.n_out) * (size_t)resizer->channels + 2 * TAPS_SLACK) *
           sizeof(double);
}

/* Bytes of the ring, whose lines are as many as an output row's taps. */
static size_t ring_bytes(const Resizer* resizer) {
    size_t line = row_bytes(resizer, resizer->cols.n_out);
    return uses_ring(resizer) ? round_up(line * (size_t)resizer->rows.width) : 0;
}

Status fixed_portable_prepare(Resizer* resizer) {
    int64_t largest = resizer->itemsize == 1 ? (INT32_MAX - (1 << (PRECISION_BITS - 1))) / 255 : (int64_t)1 << 36;
    if (resizer->has_rows && !sums_fit(&resizer->rows, largest)) return BAD_TABLE;
    if (resizer->has_cols && !sums_fit(&resizer->cols, largest)) return BAD_TABLE;
    size_t item = (size_t)resizer->itemsize * (size_t)resizer->channels, line, total;
    if (!size_product((size_t)most(resizer->cols.n_in, resizer->cols.n_out), item, &line)) return NO_MEMORY;
    if (!size_product(line, (size_t)(resizer->has_rows ? resizer->rows.width : 1), &total)) return NO_MEMORY;
    resizer->scratch_bytes = fixed_run_bytes(resizer, 1) + ring_bytes(resizer);
    if (resizer->itemsize == 2) resizer->scratch_bytes += reals_bytes(resizer);
    return OK;
}

/* Exact but for the floor that the cast is, once the range is that of the dtype: the factor is a power of two. */
static ALWAYS_INLINE uint16_t round_u16(double sum) {
    sum = (sum + (1 << (PRECISION_BITS - 1))) * (1.0 / (1 << PRECISION_BITS));
    return (uint16_t)(int32_t)(sum < 0 ? 0 : sum > UINT16_MAX ? UINT16_MAX : sum);
}

static ALWAYS_INLINE uint8_t round_u8(int32_t sum) {
    sum = (sum + (1 << (PRECISION_BITS - 1))) >> PRECISION_BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > UINT8_MAX ? UINT8_MAX : sum);
}

static ALWAYS_INLINE void pass_along_u16(const Resizer* resizer, const uint16_t* source, uint16_t* out, double* reals) {
    size_t count_in = (size_t)resizer->cols.n_in * (size_t)resizer->channels;
    size_t count = (size_t)resizer->cols.n_out * (size_t)resizer->channels;
    double* sums = reals + count_in + TAPS_SLACK;
    for (size_t x = 0; x < count_in; x++) reals[x] = source[x];
    for (size_t x = count_in; x < count_in + TAPS_SLACK; x++) reals[x] = 0.0;
    sum_taps(&resizer->cols, reals, sums, resizer->channels);
    for (size_t x = 0; x < count; x++) out[x] = round_u16(sums[x]);
}

static ALWAYS_INLINE void pass_along_u8(const Axis* cols, const uint8_t* source, uint8_t* out, int32_t channels) {
    size_t step = (size_t)channels, result = 0;
    for (int32_t i = 0; i < cols->n_out; i++) {
        const int32_t* weights = cols->weights + (size_t)i * (size_t)cols->width;
        size_t start = (size_t)cols->start[i] * step;
        for (size_t c = 0; c < step; c++, result++) {
            int32_t sum = 0;
            for (int32_t k = 0; k < cols->count[i]; k++) sum += weights[k] * source[start + c + (size_t)k * step];
            out[result] = round_u8(sum);
        }
    }
}

/* The taps of resizer->cols along one row. `reals` is a uint16 resizer's scratch memory. */
static ALWAYS_INLINE void pass_along(const Resizer* resizer, const void* source, void* out, int itemsize,
                                     double* reals) {
    if (itemsize == 2) {
        pass_along_u16(resizer, source, out, reals);
        return;
    }
    switch (resizer->channels) {
        case 1: pass_along_u8(&resizer->cols, source, out, 1); break;
        case 3: pass_along_u8(&resizer->cols, source, out, 3); break;
        case 4: pass_along_u8(&resizer->cols, source, out, 4); break;
        default: pass_along_u8(&resizer->cols, source, out, resizer->channels); break;
    }
}

/* Row k of an output's taps: the source itself, or the ring of rows that the horizontal pass left. */
typedef struct {
    const uint8_t* base;
    ptrdiff_t stride;
    int32_t modulus; /* lines of the ring; INT32_MAX for the source */
} Lines;

static ALWAYS_INLINE const uint8_t* line_at(const Lines* lines, int32_t row) {
    return lines->base + (row % lines->modulus) * lines->stride;
}

/* The taps of `rows` for output row i. */
static ALWAYS_INLINE void pass_down(const Axis* rows, int32_t i, const Lines* lines, void* out, size_t columns,
                                    int itemsize) {
    const int32_t* weights = rows->weights + (size_t)i * (size_t)rows->width;
    int32_t sums[BLOCK];
    double wide[BLOCK];
    for (size_t left = 0; left < columns; left += BLOCK) {
        int n = columns - left < BLOCK ? (int)(columns - left) : BLOCK;
        if (itemsize == 1) {
            memset(sums, 0, sizeof sums);
            for (int32_t k = 0; k < rows->count[i]; k++) {
                const uint8_t* line = line_at(lines, rows->start[i] + k) + left;
                for (int x = 0; x < n; x++) sums[x] += weights[k] * line[x];
            }
            for (int x = 0; x < n; x++) ((uint8_t*)out)[left + (size_t)x] = round_u8(sums[x]);
        } else {
            for (int x = 0; x < BLOCK; x++) wide[x] = 0;
            for (int32_t k = 0; k < rows->count[i]; k++) {
                const uint16_t* line = (const uint16_t*)(const void*)line_at(lines, rows->start[i] + k) + left;
                for (int x = 0; x < n; x++) wide[x] += (double)weights[k] * line[x];
            }
            for (int x = 0; x < n; x++) ((uint16_t*)out)[left + (size_t)x] = round_u16(wide[x]);
        }
    }
}

/* The passes as fixed_run wants them, compiled for a target; scratch: the ring, then what uint16 is summed in. */
#define PASSES(name, target, itemsize)                                                                               \
    target static void name##_to_ring(const Resizer* resizer, const uint8_t* const* rows, int32_t first,             \
                                      uint8_t* scratch) {                                                            \
        uint8_t* line = scratch + (size_t)(first % resizer->rows.width) * row_bytes(resizer, resizer->cols.n_out);   \
        pass_along(resizer, rows[0], line, itemsize, (double*)(void*)(scratch + ring_bytes(resizer)));               \
    }                                                                                                                \
    target static void name##_to_rows(const Resizer* resizer, const uint8_t* const* rows, uint8_t* const* out,       \
                                      int32_t count, uint8_t* scratch) {                                             \
        (void)count; /* of a band of one */                                                                          \
        pass_along(resizer, rows[0], out[0], itemsize, (double*)(void*)scratch);                                     \
    }                                                                                                                \
    target static void name##_from_ring(const Resizer* resizer, int32_t i, uint8_t* out, uint8_t* scratch) {         \
        const Lines ring = {scratch, (ptrdiff_t)row_bytes(resizer, resizer->cols.n_out), resizer->rows.width};       \
        pass_down(&resizer->rows, i, &ring, out, (size_t)resizer->cols.n_out * (size_t)resizer->channels, itemsize); \
    }                                                                                                                \
    target static void name##_from_rows(const Resizer* resizer, int32_t i, const uint8_t* source, ptrdiff_t stride,  \
                                        uint8_t* out) {                                                              \
        const Lines lines = {source, stride, INT32_MAX};                                                             \
        pass_down(&resizer->rows, i, &lines, out, (size_t)resizer->cols.n_in * (size_t)resizer->channels, itemsize); \
    }                                                                                                                \
    DECLARE_RUN(name) {                                                                                              \
        static const Passes OWN = {1, name##_to_ring, name##_to_rows, name##_from_ring, name##_from_rows};           \
        fixed_run(&OWN, resizer, source, stride, out, first, last, scratch);                                         \
    }

PASSES(fixed_u8_portable, , 1)
PASSES(fixed_u16_portable, , 2)
#ifdef HAVE_X86
/* The same C, vectorised by the compiler for the wider registers. */
PASSES(fixed_u8_avx2_auto, TARGET_AVX2, 1)
PASSES(fixed_u16_avx2_auto, TARGET_AVX2, 2)
#endif
