/* AVX2's `area`, vertically: the 16-bit column sums of one or two output rows. The numbers of source rows are compiled
 * in for the usual ratios: a loop over two to eight rows would be mispredicted as often as it ends.
 */
#include "area_avx2.h"

#ifdef HAVE_X86

/* Sums of COLUMNS columns: of 0-7 and 16-23, and of the others, as unpacking bytes leaves them. */
typedef struct {
    __m256i low, high;
} Sums;

VECTOR void store_sums(uint16_t* out, Sums sums) {
    store256(out, _mm256_permute2x128_si256(sums.low, sums.high, 0x20));
    store256(out + 16, _mm256_permute2x128_si256(sums.low, sums.high, 0x31));
}

/* Bytes of two rows side by side, and what they weigh. */
VECTOR Sums interleave(const uint8_t* row, ptrdiff_t next) {
    __m256i a = load256(row), b = load256(row + next);
    return (Sums){_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b)};
}

VECTOR Sums weigh(Sums pair, __m256i weights) {
    return (Sums){_mm256_maddubs_epi16(pair.low, weights), _mm256_maddubs_epi16(pair.high, weights)};
}

VECTOR Sums add(Sums a, Sums b) { return (Sums){_mm256_add_epi16(a.low, b.low), _mm256_add_epi16(a.high, b.high)}; }

/* Two outputs whose rows come in shared pairs: the pair above, which the output before shares, `inside[0]` whole pairs,
 * the pair between both, `inside[1]` whole pairs, and the pair below. */
typedef struct {
    const uint8_t *above, *between, *below;
    ptrdiff_t stride, below_stride; /* 0 where the lower row of the last pair does not exist: it weighs nothing */
    int32_t inside[2];
    int32_t above_weight, between_weight[2], below_weight, whole; /* a byte a row, twice */
    bool lacks;                                                   /* 2^15 is taken off every sum */
} SharedPairs;

static SharedPairs shared_pairs(const Resizer* resizer, int32_t i, const uint8_t* source, ptrdiff_t stride) {
    const Tables* tables = resizer->tables;
    const SharedPair *upper = &tables->shared[i], *lower = upper + 1;
    /* Above the first output there is no pair: the topmost one stands in, and weighs nothing. */
    const SharedPair* before = i > 0 ? upper - 1 : &(const SharedPair){-1, 0, 0};
    return (SharedPairs){.above = source + (i > 0 ? 2 * before->pair * stride : 0),
                         .between = source + 2 * upper->pair * stride,
                         .below = source + 2 * lower->pair * stride,
                         .stride = stride,
                         .below_stride = 2 * lower->pair + 1 < resizer->rows.n_in ? stride : 0,
                         .inside = {upper->pair - before->pair - 1, lower->pair - upper->pair - 1},
                         .above_weight = before->begins,
                         .between_weight = {upper->ends, upper->begins},
                         .below_weight = lower->ends,
                         .whole = resizer->rows.whole * 0x1010101,
                         .lacks = tables->lacking != 0};
}

VECTOR Sums add_whole_pairs(Sums sums, const uint8_t* row, ptrdiff_t stride, int32_t pairs, __m256i whole) {
    for (int32_t k = 0; k < pairs; k++, row += 2 * stride) sums = add(sums, weigh(interleave(row, stride), whole));
    return sums;
}

/* `first` and `second`: whole pairs inside the outputs. */
VECTOR void sum_shared(const SharedPairs* pairs, int32_t first, int32_t second, bool lacks, uint16_t* sums,
                       size_t sums_stride, size_t columns) {
    const __m256i above = _mm256_set1_epi32(pairs->above_weight), below = _mm256_set1_epi32(pairs->below_weight);
    const __m256i ends = _mm256_set1_epi32(pairs->between_weight[0]);
    const __m256i begins = _mm256_set1_epi32(pairs->between_weight[1]), whole = _mm256_set1_epi32(pairs->whole);
    const __m256i lacking = _mm256_set1_epi16(INT16_MIN);
    const ptrdiff_t stride = pairs->stride, below_stride = pairs->below_stride;
    const uint8_t *above_row = pairs->above, *between_row = pairs->between, *below_row = pairs->below;
    for (size_t x = 0;; x += COLUMNS) {
        if (x + COLUMNS > columns) x = columns - COLUMNS;
        Sums upper = weigh(interleave(above_row + x, stride), above);
        if (lacks) upper = add(upper, (Sums){lacking, lacking});
        upper = add_whole_pairs(upper, between_row + x - 2 * first * stride, stride, first, whole);
        Sums shared = interleave(between_row + x, stride);
        store_sums(sums + x, add(upper, weigh(shared, ends)));
        Sums lower = weigh(shared, begins);
        if (lacks) lower = add(lower, (Sums){lacking, lacking});
        lower = add_whole_pairs(lower, below_row + x - 2 * second * stride, stride, second, whole);
        lower = add(lower, weigh(interleave(below_row + x, below_stride), below));
        store_sums(sums + sums_stride + x, lower);
        if (x + COLUMNS == columns) return;
    }
}

TARGET_AVX2 static void sum_shared_pairs(const SharedPairs* pairs, uint16_t* sums, size_t sums_stride, size_t columns) {
    int32_t first = pairs->inside[0], second = pairs->inside[1];
#define CASE(a, b)                                                      \
    case 4 * a + b:                                                     \
        if (pairs->lacks) {                                             \
            sum_shared(pairs, a, b, true, sums, sums_stride, columns);  \
        } else {                                                        \
            sum_shared(pairs, a, b, false, sums, sums_stride, columns); \
        }                                                               \
        return
#define CASES(a) \
    CASE(a, 0);  \
    CASE(a, 1);  \
    CASE(a, 2);  \
    CASE(a, 3)
    switch (first < 4 && second < 4 ? 4 * first + second : -1) {
        CASES(0);
        CASES(1);
        CASES(2);
        CASES(3);
        default: sum_shared(pairs, first, second, pairs->lacks, sums, sums_stride, columns); return;
    }
#undef CASES
#undef CASE
}

enum { MOST_OWN_PAIRS = 129 }; /* rows.unit is at most 257 where sums are weighted */

/* One output, its rows in pairs from its first on; an odd last row is read twice, the second time for nothing. */
VECTOR void sum_own(const Axis* rows, int32_t i, const uint8_t* source, ptrdiff_t stride, int32_t pairs, bool lacks,
                    uint16_t* sums, size_t columns) {
    const uint8_t* top = source + rows->start[i] * stride;
    const int32_t* taps = rows->weights + (size_t)i * (size_t)rows->width;
    const __m256i lacking = _mm256_set1_epi16(lacks ? INT16_MIN : 0);
    const ptrdiff_t last_stride = rows->count[i] % 2 == 0 ? stride : 0;
    int16_t weights[MOST_OWN_PAIRS];
    for (int32_t k = 0; k < pairs; k++) {
        weights[k] = (int16_t)(taps[2 * k] | (2 * k + 1 < rows->count[i] ? taps[2 * k + 1] << 8 : 0));
    }
    for (size_t x = 0;; x += COLUMNS) {
        if (x + COLUMNS > columns) x = columns - COLUMNS;
        Sums total = {lacking, lacking};
        const uint8_t* row = top + x;
        for (int32_t k = 0; k < pairs; k++, row += 2 * stride) {
            Sums pair = interleave(row, k == pairs - 1 ? last_stride : stride);
            total = add(total, weigh(pair, _mm256_set1_epi16(weights[k])));
        }
        store_sums(sums + x, total);
        if (x + COLUMNS == columns) return;
    }
}

TARGET_AVX2 static void sum_own_pairs(const Axis* rows, int32_t i, const uint8_t* source, ptrdiff_t stride, bool lacks,
                                      uint16_t* sums, size_t columns) {
    int32_t pairs = (rows->count[i] + 1) / 2;
    switch (pairs) {
        case 1: sum_own(rows, i, source, stride, 1, lacks, sums, columns); break;
        case 2: sum_own(rows, i, source, stride, 2, lacks, sums, columns); break;
        case 3: sum_own(rows, i, source, stride, 3, lacks, sums, columns); break;
        case 4: sum_own(rows, i, source, stride, 4, lacks, sums, columns); break;
        case 5: sum_own(rows, i, source, stride, 5, lacks, sums, columns); break;
        case 6: sum_own(rows, i, source, stride, 6, lacks, sums, columns); break;
        case 7: sum_own(rows, i, source, stride, 7, lacks, sums, columns); break;
        case 8: sum_own(rows, i, source, stride, 8, lacks, sums, columns); break;
        default: sum_own(rows, i, source, stride, pairs, lacks, sums, columns); break;
    }
}

/* Unweighted sums of `count` rows. Adding words adds low + 256 high modulo 2^16; the sum of the high bytes, kept beside
 * it, tells the two apart: a third less work than widening every row. */
VECTOR Sums sum_rows(const uint8_t* row, ptrdiff_t stride, int32_t count) {
    __m256i both = _mm256_setzero_si256(), odd = both;
    for (int32_t k = 0; k < count; k++, row += stride) {
        __m256i bytes = load256(row);
        both = _mm256_add_epi16(both, bytes);
        odd = _mm256_add_epi16(odd, _mm256_srli_epi16(bytes, 8));
    }
    __m256i even = _mm256_sub_epi16(both, _mm256_slli_epi16(odd, 8));
    return (Sums){_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd)};
}

enum { FEW_ROWS = 8 };

VECTOR void sum_one(const uint8_t* rows, ptrdiff_t stride, int32_t count, uint16_t* sums, size_t columns) {
    for (size_t x = 0;; x += COLUMNS) {
        if (x + COLUMNS > columns) x = columns - COLUMNS;
        store_sums(sums + x, sum_rows(rows + x, stride, count));
        if (x + COLUMNS == columns) return;
    }
}

VECTOR void sum_two(const uint8_t* const rows[2], ptrdiff_t stride, int32_t first, int32_t second, uint16_t* sums,
                    size_t sums_stride, size_t columns) {
    const uint8_t *upper = rows[0], *lower = rows[1];
    for (size_t x = 0;; x += COLUMNS) {
        if (x + COLUMNS > columns) x = columns - COLUMNS;
        store_sums(sums + x, sum_rows(upper + x, stride, first));
        store_sums(sums + sums_stride + x, sum_rows(lower + x, stride, second));
        if (x + COLUMNS == columns) return;
    }
}

/* Two outputs of few rows at a time, so that the processor has enough rows to foresee. */
TARGET_AVX2 static void sum_few(const uint8_t* const rows[2], ptrdiff_t stride, const int32_t counts[2], uint16_t* sums,
                                size_t sums_stride, size_t columns) {
#define CASE(a, b) \
    case 16 * (a) + (b): sum_two(rows, stride, a, b, sums, sums_stride, columns); return
#define CASES(n)    \
    CASE(n, n);     \
    CASE(n, n + 1); \
    CASE(n + 1, n)
    switch (16 * counts[0] + counts[1]) {
        CASES(0);
        CASES(1);
        CASES(2);
        CASES(3);
        CASES(4);
        CASES(5);
        CASES(6);
        CASES(7);
        CASE(8, 8);
        default: sum_two(rows, stride, counts[0], counts[1], sums, sums_stride, columns); return;
    }
#undef CASES
#undef CASE
}

/* One output of many rows: of more than some 16 at a time the processor would lose sight. */
TARGET_AVX2 static void sum_many(const uint8_t* rows, ptrdiff_t stride, int32_t count, uint16_t* sums, size_t columns) {
    switch (count) {
#define CASE(n) \
    case n: sum_one(rows, stride, n, sums, columns); return
        CASE(8);
        CASE(9);
        CASE(10);
        CASE(11);
        CASE(12);
        CASE(13);
        CASE(14);
        CASE(15);
        CASE(16);
#undef CASE
        default: sum_one(rows, stride, count, sums, columns); return;
    }
}

/* Rows a multiple of 4096 bytes apart, or nearly, lie in the same few sets of the first-level cache, which holds eight
 * of them: two outputs' rows would drive each other out. */
static bool share_sets(ptrdiff_t stride) { return (stride + 128) % 2048 < 256; }

void area_avx2_sum_columns(const Resizer* resizer, int32_t i, int32_t outputs, const uint8_t* source, ptrdiff_t stride,
                           uint16_t* sums) {
    const Tables* tables = resizer->tables;
    const Axis* rows = &resizer->rows;
    size_t columns = columns_of(resizer);
    if (tables->vertical == SHARED_PAIRS && outputs == 2 && !share_sets(stride)) {
        const SharedPairs pairs = shared_pairs(resizer, i, source, stride);
        sum_shared_pairs(&pairs, sums, tables->sums_stride, columns);
    } else if (tables->vertical != UNWEIGHTED) {
        for (int32_t k = 0; k < outputs; k++) {
            sum_own_pairs(rows, i + k, source, stride, tables->lacking != 0, sums + (size_t)k * tables->sums_stride,
                          columns);
        }
    } else {
        const Span *upper = &rows->spans[i], *lower = &rows->spans[i + outputs - 1];
        const uint8_t* const inside[2] = {source + upper->first * stride, source + lower->first * stride};
        const int32_t counts[2] = {upper->full, lower->full};
        bool few = counts[0] <= FEW_ROWS && counts[1] <= FEW_ROWS;
        if (few && (counts[0] + counts[1] <= 8 || !share_sets(stride))) {
            sum_few(inside, stride, counts, sums, tables->sums_stride, columns);
        } else {
            for (int32_t k = 0; k < outputs; k++) {
                sum_many(inside[k], stride, counts[k], sums + (size_t)k * tables->sums_stride, columns);
            }
        }
    }
}
#endif
