/* AVX2's `area`, horizontally: both rows of column sums are added up along and divided, a lane of 128 bits each.
 */
#include "area_avx2.h"

#ifdef HAVE_X86
#include <string.h>

/* What is known of a resizer when this file is compiled. */
typedef struct {
    int channels, edges, pairs; /* of an output; pairs -1: as many as the tables say */
    bool middle;                /* there are middle quads */
    bool weighted;              /* lines of column sums that may be anything in 16 bits; else of small sums */
    bool bytes;                 /* lines of source pixels */
} Shape;

/* The two lines that are added up along: words or bytes. */
typedef struct {
    const void *upper, *lower;
} Lines;

/* Four taps of one line, each channel's two of a lane side by side. A 256-bit load of words reaches two words before
 * three channels' taps, so that either lane holds two pixels; bytes are spread over both lanes. */
VECTOR __m256i load_quad(const void* line, ptrdiff_t at, Shape shape) {
    const __m256i three_words = _mm256_setr_epi8(4, 5, 10, 11, 6, 7, 12, 13, 8, 9, 14, 15, -1, -1, -1, -1,  //
                                                 0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1);
    const __m256i four_words =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
    const __m256i three_bytes = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  //
                                                 6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    const __m256i four_bytes = _mm256_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1,  //
                                                8, -1, 12, -1, 9, -1, 13, -1, 10, -1, 14, -1, 11, -1, 15, -1);
    if (shape.bytes) {
        __m256i twice = _mm256_broadcastsi128_si256(load128((const uint8_t*)line + at));
        return _mm256_shuffle_epi8(twice, shape.channels == 3 ? three_bytes : four_bytes);
    }
    const uint16_t* words = (const uint16_t*)line + at;
    return shape.channels == 3 ? _mm256_shuffle_epi8(load256(words - 2), three_words)
                               : _mm256_shuffle_epi8(load256(words), four_words);
}

/* Quads added up before they are put in order: two loads' sum shares one shuffle. Small sums only. */
VECTOR __m256i load_middle(const void* line, ptrdiff_t at, int32_t quads, Shape shape) {
    __m256i sum = load_quad(line, at, shape);
    for (int32_t k = 1; k < quads; k++) {
        sum = _mm256_add_epi16(sum, load_quad(line, at + 4 * shape.channels * k, shape));
    }
    return sum;
}

/* Half a register of taps of either line, each in its lane. */
VECTOR __m256i load_pair(Lines lines, ptrdiff_t at, Shape shape) {
    const __m256i two =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15));
    const __m256i three =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1));
    const __m256i four =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
    __m256i taps;
    if (shape.bytes) {
        __m128i upper = load64((const uint8_t*)lines.upper + at), lower = load64((const uint8_t*)lines.lower + at);
        taps = _mm256_cvtepu8_epi16(_mm_unpacklo_epi64(upper, lower));
    } else {
        taps = _mm256_castsi128_si256(load128((const uint16_t*)lines.upper + at));
        taps = _mm256_inserti128_si256(taps, load128((const uint16_t*)lines.lower + at), 1);
    }
    if (shape.channels == 1) return taps;
    return _mm256_shuffle_epi8(taps, shape.channels == 2 ? two : shape.channels == 3 ? three : four);
}

VECTOR void add_quad(__m256i totals[2], Lines lines, ptrdiff_t at, __m256i weights, Shape shape) {
    totals[0] = _mm256_add_epi32(totals[0], _mm256_madd_epi16(load_quad(lines.upper, at, shape), weights));
    totals[1] = _mm256_add_epi32(totals[1], _mm256_madd_epi16(load_quad(lines.lower, at, shape), weights));
}

/* Where a group's outputs start and what their taps weigh. */
typedef struct {
    const int32_t* start;
    const int16_t *quads, *pairs;
    __m256i whole; /* what a tap of a middle quad weighs */
    int32_t middle, pair_count;
    bool middle_fits;
} Group;

VECTOR Group first_group(const Tables* tables, int32_t whole) {
    return (Group){.start = tables->start,
                   .quads = tables->quad_weights,
                   .pairs = tables->pair_weights,
                   .whole = _mm256_set1_epi16((int16_t)whole),
                   .middle = tables->middle,
                   .pair_count = tables->pairs,
                   .middle_fits = tables->middle_fits};
}

static ALWAYS_INLINE int outputs_of(Shape shape) { return shape.channels == 3 ? 4 : 16 / shape.channels; }

VECTOR void next_group(Group* group, Shape shape) {
    int outputs = outputs_of(shape);
    group->start += outputs;
    group->quads += 16 * outputs * shape.edges;
    group->pairs += 8 * outputs * (shape.pairs < 0 ? group->pair_count : shape.pairs);
}

/* The quads of one output: the upper line's sums in the low lane, the lower one's in the high lane. */
VECTOR __m256i sum_quads(const Group* group, Lines lines, ptrdiff_t at, int k, Shape shape) {
    const ptrdiff_t step = 4 * shape.channels;
    const int16_t* weights = group->quads + 16 * shape.edges * k;
    const int32_t middle = shape.middle ? group->middle : 0;
    __m256i totals[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    add_quad(totals, lines, at, load256(weights), shape);
    if (shape.middle && !shape.weighted && group->middle_fits) {
        __m256i upper = load_middle(lines.upper, at + step, middle, shape);
        __m256i lower = load_middle(lines.lower, at + step, middle, shape);
        totals[0] = _mm256_add_epi32(totals[0], _mm256_madd_epi16(upper, group->whole));
        totals[1] = _mm256_add_epi32(totals[1], _mm256_madd_epi16(lower, group->whole));
    } else if (shape.middle) {
        for (int32_t quad = 1; quad <= middle; quad++) add_quad(totals, lines, at + quad * step, group->whole, shape);
    }
    if (shape.edges > 1) add_quad(totals, lines, at + (middle + 1) * step, load256(weights + 16), shape);
    __m256i crossed = _mm256_permute2x128_si256(totals[0], totals[1], 0x21);
    return _mm256_add_epi32(crossed, _mm256_blend_epi32(totals[0], totals[1], 0xf0));
}

VECTOR __m256i pair_products(Lines lines, ptrdiff_t at, const int16_t* weights, Shape shape) {
    return _mm256_madd_epi16(load_pair(lines, at, shape), _mm256_broadcastsi128_si256(load128(weights)));
}

/* Output k of a group: of three or four channels all sums, of two channels twice two, of one channel four parts. */
VECTOR __m256i sum_output(const Group* group, Lines lines, int k, Shape shape) {
    const ptrdiff_t step = shape.channels == 1 ? 8 : shape.channels == 2 ? 8 : 2 * shape.channels;
    const int32_t pairs = shape.pairs < 0 ? group->pair_count : shape.pairs;
    const int16_t* weights = group->pairs + 8 * k * pairs;
    ptrdiff_t at = group->start[k];
    __m256i total = _mm256_setzero_si256();
    if (shape.edges > 0) {
        total = sum_quads(group, lines, at, k, shape);
        at += 4 * shape.channels * (shape.edges + (shape.middle ? group->middle : 0));
    }
    for (int32_t pair = 0; pair < pairs; pair++) {
        total = _mm256_add_epi32(total, pair_products(lines, at + pair * step, weights + 8 * pair, shape));
    }
    return total;
}

/* Two outputs of two channels, or four of one. */
VECTOR __m256i sum_several(const Group* group, Lines lines, int k, Shape shape) {
    __m256i a = sum_output(group, lines, k, shape), b = sum_output(group, lines, k + 1, shape);
    if (shape.channels == 2) return _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    __m256i c = sum_output(group, lines, k + 2, shape), d = sum_output(group, lines, k + 3, shape);
    return _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
}

/* 16 sums a line of a group, in order within the line's lane of the four registers. Written out, as a compiler would
 * keep a loop and the registers in memory. */
typedef struct {
    __m256i sums[4];
} Totals;

VECTOR Totals sum_group(const Group* group, Lines lines, Shape shape) {
    if (shape.channels > 2) {
        return (Totals){{sum_output(group, lines, 0, shape), sum_output(group, lines, 1, shape),
                         sum_output(group, lines, 2, shape), sum_output(group, lines, 3, shape)}};
    }
    int step = shape.channels == 2 ? 2 : 4;
    return (Totals){{sum_several(group, lines, 0, shape), sum_several(group, lines, step, shape),
                     sum_several(group, lines, 2 * step, shape), sum_several(group, lines, 3 * step, shape)}};
}

/* Eight sums as pixels, floor(t / D) with t = S + floor(D/2). `lacking` is what the sums lack of S.
 *
 * `fast`, D < 2^13: S / D + 1/2 + 1/4D is at least 1/4D > 2^-15 away from any integer. Its error: 1/D is off by 2^-24
 * of itself, so S/D by less than 2^-16; the fused sum below 256 rounds by at most 2^-17, the constant by 2^-25. Where
 * the sums lack 2^15 cols.unit, which is at most 254 D as rows.unit is above 128 then, the constant makes up for it:
 * it rounds by at most 2^-17, and what is left of S/D stays below 255/2 of either sign, or is off by 2^-17.
 * Else, t < 2^31: the estimate is at most the quotient and at least one less, as its three roundings (2^-24 each) stay
 * below the 2^-21 that `reciprocal` is too small by; the remainder tells. */
typedef struct {
    __m256 reciprocal, half_float;
    __m256i half, divisor;
    bool fast;
} Division;

VECTOR Division division_by(int32_t divisor, int32_t lacking) {
    double inverse = 1.0 / divisor;
    bool fast = divisor < 1 << 13;
    return (Division){_mm256_set1_ps((float)(fast ? inverse : inverse * (1 - 0x1p-21))),
                      _mm256_set1_ps((float)(0.5 + (0.25 + lacking) * inverse)),
                      _mm256_set1_epi32(divisor / 2 + lacking), _mm256_set1_epi32(divisor), fast};
}

VECTOR __m256i quotients(__m256i sum, const Division* by, bool fast) {
    if (fast) return _mm256_cvttps_epi32(_mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), by->reciprocal, by->half_float));
    __m256i t = _mm256_add_epi32(sum, by->half);
    __m256i estimate = _mm256_cvttps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(t), by->reciprocal));
    __m256i rest = _mm256_sub_epi32(t, _mm256_mullo_epi32(estimate, by->divisor));
    __m256i below = _mm256_cmpgt_epi32(by->divisor, rest); /* -1 where the estimate is the quotient */
    return _mm256_add_epi32(_mm256_add_epi32(estimate, _mm256_set1_epi32(1)), below);
}

VECTOR __m256i pack_quotients(const __m256i sums[4], const Division* by, bool fast) {
    return _mm256_packus_epi16(_mm256_packs_epi32(quotients(sums[0], by, fast), quotients(sums[1], by, fast)),
                               _mm256_packs_epi32(quotients(sums[2], by, fast), quotients(sums[3], by, fast)));
}

/* A group's pixels: the upper row's in the low lane. `step` bytes: of three channels 12, else 16. */
VECTOR __m256i divide_group(const Totals* totals, const Division* by, size_t step) {
    const __m256i squeeze =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    __m256i bytes = by->fast ? pack_quotients(totals->sums, by, true) : pack_quotients(totals->sums, by, false);
    return step == 12 ? _mm256_shuffle_epi8(bytes, squeeze) : bytes;
}

/* `left` pixels' bytes are wanted; whole stores where they stay inside the row. */
VECTOR void store_group(uint8_t* const rows[2], size_t at, size_t left, __m256i bytes, size_t step) {
    if (left >= 16) {
        store128(rows[0] + at, _mm256_castsi256_si128(bytes));
        store128(rows[1] + at, _mm256_extracti128_si256(bytes, 1));
        return;
    }
    uint8_t both[32];
    size_t count = left > step ? step : left;
    store256(both, bytes);
    memcpy(rows[0] + at, both, count);
    memcpy(rows[1] + at, both + 16, count);
}

/* Bytes of a group's pixels; compiled in but for four channels, of which three may be stored. */
static ALWAYS_INLINE size_t bytes_of(const Tables* tables, Shape shape) {
    return shape.channels == 4 ? (size_t)tables->step : shape.channels == 3 ? 12 : 16;
}

/* A group is divided while the next one is added up. */
VECTOR void finish_weighted(const Resizer* resizer, const uint16_t* sums, uint8_t* const rows[2], Shape shape) {
    const Tables* tables = resizer->tables;
    const Division by = division_by(tables->divisor, tables->lacking);
    const Lines lines = {sums, sums + tables->sums_stride};
    const size_t count = (size_t)resizer->cols.n_out * (size_t)resizer->kept, step = bytes_of(tables, shape);
    uint8_t* const targets[2] = {rows[0], rows[1]};
    Group group = first_group(tables, resizer->cols.whole);
    Totals totals = sum_group(&group, lines, shape);
    for (size_t at = 0; at < count; at += step) {
        __m256i bytes = divide_group(&totals, &by, step);
        next_group(&group, shape);
        if (at + step < count) totals = sum_group(&group, lines, shape);
        store_group(targets, at, count - at, bytes, step);
    }
}

/* The weights of two output rows, a lane each. */
VECTOR __m256i two_lanes(int32_t upper, int32_t lower) {
    return _mm256_setr_epi32(upper, upper, upper, upper, lower, lower, lower, lower);
}

typedef struct {
    __m256i whole, head, tail;
} RowWeights;

/* The sums along a straddling row serve the output above, and the one below: in the other lane, or in the next pass. */
VECTOR __m256i weigh_rows(__m256i inside, __m256i straddling, int32_t* above, const RowWeights* weights) {
    __m256i before =
        _mm256_inserti128_si256(_mm256_castsi128_si256(load128(above)), _mm256_castsi256_si128(straddling), 1);
    store128(above, _mm256_extracti128_si256(straddling, 1));
    __m256i sum =
        _mm256_add_epi32(_mm256_mullo_epi32(before, weights->head), _mm256_mullo_epi32(straddling, weights->tail));
    return _mm256_add_epi32(sum, _mm256_mullo_epi32(inside, weights->whole));
}

VECTOR void finish_unweighted(const Resizer* resizer, const Scratch* scratch, const Straddling straddling[2],
                              uint8_t* const rows[2], Shape shape) {
    const Tables* tables = resizer->tables;
    const Division by = division_by(tables->divisor, 0);
    const Lines inside = {scratch->sums + LEAD, scratch->sums + LEAD + tables->sums_stride};
    const Lines below = {straddling[0].line, straddling[1].line};
    const RowWeights weights = {_mm256_set1_epi32(resizer->rows.whole),
                                two_lanes(straddling[0].head, straddling[1].head),
                                two_lanes(straddling[0].tail, straddling[1].tail)};
    const size_t count = (size_t)resizer->cols.n_out * (size_t)resizer->kept, step = bytes_of(tables, shape);
    uint8_t* const targets[2] = {rows[0], rows[1]};
    int32_t* above = scratch->above;
    Shape of_bytes = shape;
    of_bytes.bytes = true;
    Group group = first_group(tables, resizer->cols.whole);
    for (size_t at = 0; at < count; at += step, above += 16) {
        Totals whole = sum_group(&group, inside, shape), edge = sum_group(&group, below, of_bytes);
        Totals totals = {{weigh_rows(whole.sums[0], edge.sums[0], above, &weights),
                          weigh_rows(whole.sums[1], edge.sums[1], above + 4, &weights),
                          weigh_rows(whole.sums[2], edge.sums[2], above + 8, &weights),
                          weigh_rows(whole.sums[3], edge.sums[3], above + 12, &weights)}};
        store_group(targets, at, count - at, divide_group(&totals, &by, step), step);
        next_group(&group, shape);
    }
}

TARGET_AVX2 void area_avx2_sum_above(const Resizer* resizer, const uint8_t* line, int32_t* above) {
    const Tables* tables = resizer->tables;
    const Shape shape = {.channels = tables->channels,
                         .edges = tables->edges,
                         .pairs = tables->pairs,
                         .middle = tables->middle > 0,
                         .bytes = true};
    Group group = first_group(tables, resizer->cols.whole);
    for (int32_t i = 0; i < tables->groups; i++, above += 16) {
        Totals totals = sum_group(&group, (Lines){line, line}, shape);
        for (int k = 0; k < 4; k++) store128(above + 4 * k, _mm256_castsi256_si128(totals.sums[k]));
        next_group(&group, shape);
    }
}

/* Every shape that there is: channels, edges, pairs (any: as many as the tables say), and whether there are middle
 * quads. Two functions each. */
enum { any = -1 };
#define SHAPES(X)       \
    X(1, 0, 1, false)   \
    X(1, 0, 2, false)   \
    X(1, 0, 3, false)   \
    X(1, 0, any, false) \
    X(2, 0, 1, false)   \
    X(2, 0, 2, false)   \
    X(2, 0, 3, false)   \
    X(2, 0, any, false) \
    QUAD_SHAPES(X, 3)   \
    QUAD_SHAPES(X, 4)
#define QUAD_SHAPES(X, channels) \
    X(channels, 0, 1, false)     \
    X(channels, 1, 0, false)     \
    X(channels, 1, 1, false)     \
    X(channels, 2, 0, false)     \
    X(channels, 2, 1, false)     \
    X(channels, 1, 0, true)      \
    X(channels, 1, 1, true)      \
    X(channels, 2, 0, true)      \
    X(channels, 2, 1, true)

#define DEFINE(c, e, p, m)                                                                                             \
    TARGET_AVX2 static void weighted_##c##_##e##_##p##_##m(const Resizer* resizer, const uint16_t* sums,               \
                                                           uint8_t* const rows[2]) {                                   \
        finish_weighted(resizer, sums, rows, (Shape){c, e, p, .middle = m, .weighted = true});                         \
    }                                                                                                                  \
    TARGET_AVX2 static void unweighted_##c##_##e##_##p##_##m(const Resizer* resizer, const Scratch* scratch,           \
                                                             const Straddling straddling[2], uint8_t* const rows[2]) { \
        finish_unweighted(resizer, scratch, straddling, rows, (Shape){c, e, p, .middle = m});                          \
    }
SHAPES(DEFINE)

Finish area_avx2_finish(const Tables* tables) {
#define FIND(c, e, p, m)                                                                   \
    if (tables->channels == c && tables->edges == e && (p == any || tables->pairs == p) && \
        (tables->middle > 0) == m) {                                                       \
        return (Finish){weighted_##c##_##e##_##p##_##m, unweighted_##c##_##e##_##p##_##m}; \
    }
    SHAPES(FIND)
    return (Finish){NULL, NULL};
}
#endif
