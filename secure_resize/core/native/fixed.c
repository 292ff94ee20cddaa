/* Pillow's two passes with 22-bit taps in plain C, for uint8 and uint16.
 *
 * Each pass makes (sum of weight * pixel + 2^21) >> 22, clipped to the dtype. For uint8 the sums fit int32: plan.c's
 * check is that 255 * (the sum of the absolute weights) + 2^21 stays below 2^31 for every output (Pillow's kernels reach
 * 1.5 times 2^22 * 255, 0.75 of that). uint16 is summed in int64.
 *
 * Columns first, the rows that the vertical pass needs live in a ring of rows.width lines; rows first, one line holds
 * the vertical pass's result. Either stays in the cache.
 */
#include <limits.h>
#include <string.h>

#include "native.h"

enum { BLOCK = 256 }; /* columns of a vertical sum that stay in the first-level cache */

static bool fits_int32(const Axis *axis) {
    for (int32_t i = 0; i < axis->n_out; i++) {
        int64_t sum = 0;
        for (int32_t k = 0; k < axis->count[i]; k++) {
            int64_t weight = axis->weights[(size_t)i * (size_t)axis->width + (size_t)k];
            sum += weight < 0 ? -weight : weight;
        }
        if (sum > (INT32_MAX - (1 << (PRECISION_BITS - 1))) / 255) return false;
    }
    return true;
}

Status fixed_portable_prepare(Plan *plan) {
    if (plan->itemsize == 1 && ((plan->has_rows && !fits_int32(&plan->rows)) ||
                                (plan->has_cols && !fits_int32(&plan->cols)))) {
        return BAD_TABLE;
    }
    size_t item = (size_t)plan->itemsize * (size_t)plan->channels, line, total;
    bool ring = plan->has_rows && plan->has_cols && !plan->rows_first;
    if (!size_product((size_t)(ring ? plan->cols.n_out : plan->cols.n_in), item, &line)) return NO_MEMORY;
    if (!size_product(line, (size_t)(ring ? plan->rows.width : 1), &total)) return NO_MEMORY;
    plan->scratch_bytes = total;
    return OK;
}

static ALWAYS_INLINE uint16_t round_u16(int64_t sum) {
    sum = (sum + (1 << (PRECISION_BITS - 1))) >> PRECISION_BITS;
    return (uint16_t)(sum < 0 ? 0 : sum > UINT16_MAX ? UINT16_MAX : sum);
}

static ALWAYS_INLINE uint8_t round_u8(int32_t sum) {
    sum = (sum + (1 << (PRECISION_BITS - 1))) >> PRECISION_BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > UINT8_MAX ? UINT8_MAX : sum);
}

/* The taps of `cols` along one row. */
static ALWAYS_INLINE void pass_along_row(const Axis *cols, const void *source, void *out, int32_t channels,
                                         int itemsize) {
    size_t step = (size_t)channels, result = 0;
    const uint8_t *bytes = source;
    const uint16_t *words = source;
    for (int32_t i = 0; i < cols->n_out; i++) {
        const int32_t *weights = cols->weights + (size_t)i * (size_t)cols->width;
        size_t start = (size_t)cols->start[i] * step;
        for (size_t c = 0; c < step; c++, result++) {
            if (itemsize == 1) {
                int32_t sum = 0;
                for (int32_t k = 0; k < cols->count[i]; k++) sum += weights[k] * bytes[start + c + (size_t)k * step];
                ((uint8_t *)out)[result] = round_u8(sum);
            } else {
                int64_t sum = 0;
                for (int32_t k = 0; k < cols->count[i]; k++) {
                    sum += (int64_t)weights[k] * words[start + c + (size_t)k * step];
                }
                ((uint16_t *)out)[result] = round_u16(sum);
            }
        }
    }
}

static ALWAYS_INLINE void pass_along(const Axis *cols, const void *source, void *out, int32_t channels, int itemsize) {
    switch (channels) {
        case 1: pass_along_row(cols, source, out, 1, itemsize); break;
        case 3: pass_along_row(cols, source, out, 3, itemsize); break;
        case 4: pass_along_row(cols, source, out, 4, itemsize); break;
        default: pass_along_row(cols, source, out, channels, itemsize); break;
    }
}

/* Row k of an output's taps: the source itself, or the ring of rows that the horizontal pass left. */
typedef struct {
    const uint8_t *base;
    ptrdiff_t stride;
    int32_t modulus; /* lines of the ring; INT32_MAX for the source */
} Lines;

static ALWAYS_INLINE const uint8_t *line_at(const Lines *lines, int32_t row) {
    return lines->base + (row % lines->modulus) * lines->stride;
}

/* The taps of `rows` for output row i. */
static ALWAYS_INLINE void pass_down(const Axis *rows, int32_t i, const Lines *lines, void *out, size_t columns,
                                    int itemsize) {
    const int32_t *weights = rows->weights + (size_t)i * (size_t)rows->width;
    int32_t sums[BLOCK];
    int64_t wide[BLOCK];
    for (size_t left = 0; left < columns; left += BLOCK) {
        int n = columns - left < BLOCK ? (int)(columns - left) : BLOCK;
        if (itemsize == 1) {
            memset(sums, 0, sizeof sums);
            for (int32_t k = 0; k < rows->count[i]; k++) {
                const uint8_t *line = line_at(lines, rows->start[i] + k) + left;
                for (int x = 0; x < n; x++) sums[x] += weights[k] * line[x];
            }
            for (int x = 0; x < n; x++) ((uint8_t *)out)[left + (size_t)x] = round_u8(sums[x]);
        } else {
            memset(wide, 0, sizeof wide);
            for (int32_t k = 0; k < rows->count[i]; k++) {
                const uint16_t *line = (const uint16_t *)(const void *)line_at(lines, rows->start[i] + k) + left;
                for (int x = 0; x < n; x++) wide[x] += (int64_t)weights[k] * line[x];
            }
            for (int x = 0; x < n; x++) ((uint16_t *)out)[left + (size_t)x] = round_u16(wide[x]);
        }
    }
}

static ALWAYS_INLINE void columns_then_rows(const Plan *plan, const uint8_t *source, ptrdiff_t stride, uint8_t *out,
                                            int32_t first, int32_t last, uint8_t *scratch, int itemsize) {
    const Axis *rows = &plan->rows;
    size_t columns = (size_t)plan->cols.n_out * (size_t)plan->channels, line = columns * (size_t)itemsize;
    Lines ring = {scratch, (ptrdiff_t)line, rows->width};
    int32_t done = rows->n_in;
    for (int32_t i = first; i < last; i++) done = rows->start[i] < done ? rows->start[i] : done;
    for (int32_t i = first; i < last; i++) {
        for (; done < rows->start[i] + rows->count[i]; done++) {
            pass_along(&plan->cols, source + done * stride, scratch + (size_t)(done % rows->width) * line,
                       plan->channels, itemsize);
        }
        pass_down(rows, i, &ring, out + (size_t)i * line, columns, itemsize);
    }
}

static ALWAYS_INLINE void rows_of(const Plan *plan, const uint8_t *source, ptrdiff_t stride, uint8_t *out,
                                  int32_t first, int32_t last, uint8_t *scratch, int itemsize) {
    if (plan->has_rows && plan->has_cols && !plan->rows_first) {
        columns_then_rows(plan, source, stride, out, first, last, scratch, itemsize);
        return;
    }
    size_t line = (size_t)plan->cols.n_out * (size_t)plan->channels * (size_t)itemsize;
    size_t columns = (size_t)plan->cols.n_in * (size_t)plan->channels;
    Lines lines = {source, stride, INT32_MAX};
    for (int32_t i = first; i < last; i++) {
        uint8_t *row = out + (size_t)i * line;
        if (!plan->has_rows) {
            pass_along(&plan->cols, source + i * stride, row, plan->channels, itemsize);
        } else if (!plan->has_cols) {
            pass_down(&plan->rows, i, &lines, row, columns, itemsize);
        } else {
            pass_down(&plan->rows, i, &lines, scratch, columns, itemsize);
            pass_along(&plan->cols, scratch, row, plan->channels, itemsize);
        }
    }
}

DECLARE_RUN(fixed_u8_portable) { rows_of(plan, source, stride, out, first, last, scratch, 1); }
DECLARE_RUN(fixed_u16_portable) { rows_of(plan, source, stride, out, first, last, scratch, 2); }
#ifdef HAVE_X86
/* The same C, vectorised by the compiler for the wider registers. */
TARGET_AVX2 DECLARE_RUN(fixed_u8_avx2_auto) { rows_of(plan, source, stride, out, first, last, scratch, 1); }
TARGET_AVX2 DECLARE_RUN(fixed_u16_avx2) { rows_of(plan, source, stride, out, first, last, scratch, 2); }
TARGET_AVX512 DECLARE_RUN(fixed_u16_avx512) { rows_of(plan, source, stride, out, first, last, scratch, 2); }
#endif
