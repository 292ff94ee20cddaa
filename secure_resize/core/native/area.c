/* `area` in plain C, for every dtype, channel count and ratio; what the vector implementations leave to it.
 *
 * Rows first: one output row's source rows are added up column by column (interior rows unweighted, then once times the
 * whole weight; the two edge rows with their own), then the sums are added up along the row in the same way. All sums are
 * exact integers, so no order can be told from another by its bytes.
 *
 * With S the weighted sum and D = rows.unit * cols.unit the pixel is floor((2S + D) / 2D) = floor((S + floor(D/2)) / D).
 */
#include <string.h>

#include "native.h"

enum { BLOCK = 128 }; /* columns whose sums stay in the first-level cache, or in registers */

/* Bytes of a column sum: the narrowest unsigned type that holds the largest pixel times rows.unit. */
static int sum_size(const Plan *plan) {
    int64_t largest = (plan->itemsize == 1 ? UINT8_MAX : UINT16_MAX) * (int64_t)plan->rows.unit;
    return largest <= UINT16_MAX ? 2 : largest <= UINT32_MAX ? 4 : 8;
}

Status area_portable_prepare(Plan *plan) {
    size_t columns;
    if (!size_product((size_t)plan->cols.n_in * (size_t)plan->channels, 8, &columns)) return NO_MEMORY;
    plan->scratch_bytes = columns;
    return OK;
}

/* Interior rows of uint8 fit 257 at a time into uint16 sums. */
static ALWAYS_INLINE void add_rows_u8(uint16_t *sums, const uint8_t *source, ptrdiff_t stride, int32_t rows, int n) {
    memset(sums, 0, BLOCK * sizeof *sums);
    for (int32_t k = 0; k < rows; k++, source += stride) {
        if (n == BLOCK) {
            for (int x = 0; x < BLOCK; x++) sums[x] = (uint16_t)(sums[x] + source[x]);
        } else {
            for (int x = 0; x < n; x++) sums[x] = (uint16_t)(sums[x] + source[x]);
        }
    }
}

/* Where an edge weighs nothing its row is not read: it may not exist. Any other row serves. */
static ALWAYS_INLINE void sum_columns_u8_u16(const Plan *plan, const Span *span, const uint8_t *source,
                                             ptrdiff_t stride, uint16_t *sums, size_t columns) {
    const uint8_t *head = source + (span->first - (span->head != 0)) * stride;
    const uint8_t *tail = source + (span->first + span->full - (span->tail == 0)) * stride;
    uint16_t whole = (uint16_t)plan->rows.whole, head_weight = (uint16_t)span->head, tail_weight = (uint16_t)span->tail;
    uint16_t block[BLOCK];
    for (size_t left = 0; left < columns; left += BLOCK) {
        int n = columns - left < BLOCK ? (int)(columns - left) : BLOCK;
        add_rows_u8(block, source + span->first * stride + (ptrdiff_t)left, stride, span->full, n);
        for (int x = 0; x < n; x++) {
            sums[left + (size_t)x] = (uint16_t)(block[x] * whole + head[left + (size_t)x] * head_weight +
                                                tail[left + (size_t)x] * tail_weight);
        }
    }
}

static ALWAYS_INLINE void sum_columns_u8_u32(const Plan *plan, const Span *span, const uint8_t *source,
                                             ptrdiff_t stride, uint32_t *sums, size_t columns) {
    const uint8_t *head = source + (span->first - (span->head != 0)) * stride;
    const uint8_t *tail = source + (span->first + span->full - (span->tail == 0)) * stride;
    uint32_t whole = (uint32_t)plan->rows.whole, head_weight = (uint32_t)span->head, tail_weight = (uint32_t)span->tail;
    uint16_t block[BLOCK];
    for (size_t left = 0; left < columns; left += BLOCK) {
        int n = columns - left < BLOCK ? (int)(columns - left) : BLOCK;
        for (int x = 0; x < n; x++) {
            sums[left + (size_t)x] = head[left + (size_t)x] * head_weight + tail[left + (size_t)x] * tail_weight;
        }
        for (int32_t done = 0; done < span->full; done += 257) {
            int32_t rows = span->full - done < 257 ? span->full - done : 257;
            add_rows_u8(block, source + (span->first + done) * stride + (ptrdiff_t)left, stride, rows, n);
            for (int x = 0; x < n; x++) sums[left + (size_t)x] += block[x] * whole;
        }
    }
}

/* Sums in uint32 or uint64, whichever `size` (4 or 8) says; a constant wherever this is inlined. */
static ALWAYS_INLINE void sum_columns_u16(const Plan *plan, const Span *span, const uint8_t *source, ptrdiff_t stride,
                                          void *sums, int size, size_t columns) {
    int32_t begin = span->head != 0 ? -1 : 0, end = span->full + (span->tail != 0);
    uint32_t *narrow = sums;
    uint64_t *wide = sums;
    memset(sums, 0, columns * (size_t)size);
    for (int32_t k = begin; k < end; k++) {
        const uint16_t *row = (const uint16_t *)(const void *)(source + (span->first + k) * stride);
        uint32_t weight = (uint32_t)(k < 0 ? span->head : k < span->full ? plan->rows.whole : span->tail);
        if (size == 4) {
            for (size_t x = 0; x < columns; x++) narrow[x] += row[x] * weight;
        } else {
            for (size_t x = 0; x < columns; x++) wide[x] += (uint64_t)row[x] * weight;
        }
    }
}

static ALWAYS_INLINE uint64_t sum_at(const void *sums, int size, size_t x) {
    return size == 2 ? ((const uint16_t *)sums)[x] : size == 4 ? ((const uint32_t *)sums)[x] : ((const uint64_t *)sums)[x];
}

/* One output row from the column sums. (t + 1/2) / D with t = S + floor(D/2) an integer below 2^53 lies at least 1 / 2D
 * away from any integer; two roundings move it by at most 2^-51 times 65536, which is less as long as D < 2^34: the
 * truncated product is the exact quotient. D < 2^31 (MAX_PIXELS). */
static ALWAYS_INLINE void sum_along_row(const Plan *plan, const void *sums, int size, int32_t channels, uint8_t *out) {
    int64_t divisor = (int64_t)plan->rows.unit * plan->cols.unit;
    double reciprocal = 1.0 / (double)divisor, half = (double)(divisor / 2) + 0.5;
    uint64_t whole = (uint64_t)plan->cols.whole;
    size_t step = (size_t)channels, result = 0;
    for (int32_t i = 0; i < plan->cols.n_out; i++) {
        const Span *span = &plan->cols.spans[i];
        for (size_t c = 0; c < step; c++, result++) {
            size_t first = (size_t)span->first * step + c;
            uint64_t sum = 0;
            for (int32_t k = 0; k < span->full; k++) sum += sum_at(sums, size, first + (size_t)k * step);
            sum *= whole;
            if (span->head != 0) sum += sum_at(sums, size, first - step) * (uint64_t)span->head;
            if (span->tail != 0) sum += sum_at(sums, size, first + (size_t)span->full * step) * (uint64_t)span->tail;
            int32_t pixel = (int32_t)(((double)(int64_t)sum + half) * reciprocal);
            if (plan->itemsize == 1) {
                out[result] = (uint8_t)pixel;
            } else {
                ((uint16_t *)(void *)out)[result] = (uint16_t)pixel;
            }
        }
    }
}

static ALWAYS_INLINE void rows_of(const Plan *plan, const uint8_t *source, ptrdiff_t stride, uint8_t *out,
                                  int32_t first, int32_t last, uint8_t *scratch, int itemsize, int size) {
    size_t columns = (size_t)plan->cols.n_in * (size_t)plan->channels;
    size_t out_row = (size_t)plan->cols.n_out * (size_t)plan->channels * (size_t)itemsize;
    void *sums = scratch;
    for (int32_t i = first; i < last; i++) {
        const Span *span = &plan->rows.spans[i];
        uint8_t *row = out + (size_t)i * out_row;
        if (itemsize == 2) {
            sum_columns_u16(plan, span, source, stride, sums, size, columns);
        } else if (size == 2) {
            sum_columns_u8_u16(plan, span, source, stride, sums, columns);
        } else {
            sum_columns_u8_u32(plan, span, source, stride, sums, columns);
        }
        switch (plan->channels) {
            case 1: sum_along_row(plan, sums, size, 1, row); break;
            case 3: sum_along_row(plan, sums, size, 3, row); break;
            case 4: sum_along_row(plan, sums, size, 4, row); break;
            default: sum_along_row(plan, sums, size, plan->channels, row); break;
        }
    }
}

#define DEFINE_U8(name, target)                                                                                       \
    target DECLARE_RUN(name) {                                                                                        \
        if (sum_size(plan) == 2) {                                                                                    \
            rows_of(plan, source, stride, out, first, last, scratch, 1, 2);                                           \
        } else {                                                                                                      \
            rows_of(plan, source, stride, out, first, last, scratch, 1, 4);                                           \
        }                                                                                                             \
    }
#define DEFINE_U16(name, target)                                                                                      \
    target DECLARE_RUN(name) {                                                                                        \
        if (sum_size(plan) <= 4) {                                                                                    \
            rows_of(plan, source, stride, out, first, last, scratch, 2, 4);                                           \
        } else {                                                                                                      \
            rows_of(plan, source, stride, out, first, last, scratch, 2, 8);                                           \
        }                                                                                                             \
    }

DEFINE_U8(area_u8_portable, )
DEFINE_U16(area_u16_portable, )
#ifdef HAVE_X86
/* The same C, vectorised by the compiler for the wider registers. */
DEFINE_U8(area_u8_avx2_auto, TARGET_AVX2)
DEFINE_U16(area_u16_avx2, TARGET_AVX2)
DEFINE_U16(area_u16_avx512, TARGET_AVX512)
#endif
