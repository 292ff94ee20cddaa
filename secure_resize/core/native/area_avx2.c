/* `area` for uint8 with AVX2: the rows of an output are added up column by column into 16-bit sums, then the sums along
 * the row, two taps a dword (vpmaddwd).
 *
 * Where rows.unit is small the column sums are weighted at once: two rows' bytes interleaved, times their two weights
 * (vpmaddubsw); vpmaddwd reads words as signed, so 2^15 is taken off each and, weighted, put back in the end. Otherwise
 * the interior rows are added unweighted, the row that straddles two outputs is kept apart, both are summed along, and
 * the vertical weights come last, in int32. All sums are exact integers.
 */
#include "native.h"

#ifdef HAVE_X86
#include <immintrin.h>
#include <string.h>

enum { COLUMNS = 64, SLACK = 64 /* elements past a row that whole loads and stores may touch */ };

typedef struct {
    bool weighted;    /* column sums carry the vertical weights */
    int32_t channels; /* 1, 3 or 4 */
    int32_t taps;     /* a step: of one channel 8, else 2 */
    int32_t steps;    /* an output */
    int32_t outputs;  /* rounded up to whole vectors */
    int32_t lanes;    /* sums an output, in 32-bit lanes: 1, or 4 for 3 and 4 channels */
    int32_t divisor;
    int32_t* start;   /* [output]: first element of the row of sums */
    int16_t* weights; /* [eight outputs][step][output][8] */
    uint32_t* rows;   /* [output row][pair]: two vertical weights in bytes, twice; weighted only */
    int32_t pairs;    /* of rows an output row */
    int32_t bias;     /* what the sums along a row lack */
} Tables;

static int32_t max_count(const Axis* axis) {
    int32_t count = 1;
    for (int32_t i = 0; i < axis->n_out; i++) count = axis->count[i] > count ? axis->count[i] : count;
    return count;
}

/* Every output is given as many steps as the one with most taps. With counts that differ by at most 2, as a footprint's
 * do, the loads of the last outputs end within the slack: (2 taps + 8 to fill a step) * 4 channels, and a load of 8. */
static bool counts_alike(const Axis* axis) {
    int32_t most = max_count(axis);
    for (int32_t i = 0; i < axis->n_out; i++) {
        if (axis->count[i] < most - 2) return false;
    }
    return true;
}

static void fill_weights(const Resizer* resizer, const Tables* tables) {
    const Axis* cols = &resizer->cols;
    for (int32_t i = 0; i < tables->outputs; i++) {
        if (i >= cols->n_out) continue; /* weights 0, at the row's beginning */
        tables->start[i] = cols->start[i] * tables->channels;
        for (int32_t k = 0; k < cols->count[i]; k++) {
            size_t step = (size_t)(i / 8) * (size_t)tables->steps + (size_t)(k / tables->taps);
            int16_t* half = tables->weights + (step * 8 + (size_t)(i % 8)) * 8;
            int16_t weight = (int16_t)cols->weights[(size_t)i * (size_t)cols->width + (size_t)k];
            if (tables->channels == 1) {
                half[k % 8] = weight;
            } else {
                for (int32_t c = 0; c < tables->channels; c++) half[c * 2 + k % 2] = weight;
            }
        }
    }
    for (int32_t i = 0; i < resizer->rows.n_out && tables->weighted; i++) {
        for (int32_t k = 0; k < resizer->rows.count[i]; k++) {
            uint32_t weight = (uint32_t)resizer->rows.weights[(size_t)i * (size_t)resizer->rows.width + (size_t)k];
            tables->rows[i * tables->pairs + k / 2] |= (weight | weight << 16) << (k % 2 * 8);
        }
    }
}

static size_t take(size_t* total, size_t bytes) {
    size_t at = *total;
    *total += round_up(bytes);
    return at;
}

static size_t sums_bytes(const Resizer* resizer) { /* a row of 16-bit column sums */
    return round_up(((size_t)resizer->cols.n_in * (size_t)resizer->channels + SLACK) * sizeof(uint16_t));
}

static size_t totals_bytes(const Tables* tables) { /* a row of 32-bit sums */
    return round_up(((size_t)tables->outputs * (size_t)tables->lanes + SLACK) * sizeof(int32_t));
}

Status area_u8_avx2_prepare(Resizer* resizer) {
    int32_t channels = resizer->channels, interior = 0;
    int64_t divisor = (int64_t)resizer->rows.unit * resizer->cols.unit;
    for (int32_t i = 0; i < resizer->rows.n_out; i++) {
        if (resizer->rows.spans[i].full > interior) interior = resizer->rows.spans[i].full;
    }
    if (channels != 1 && channels != 3 && channels != 4) return UNSUITABLE;
    if ((int64_t)resizer->cols.n_in * channels < COLUMNS || resizer->cols.whole > INT16_MAX) return UNSUITABLE;
    if (divisor >= 1 << 23 || 255 * (int64_t)interior > INT16_MAX) return UNSUITABLE; /* S + D/2 < 2^31 */
    if (!counts_alike(&resizer->cols)) return UNSUITABLE;
    Tables tables = {.channels = channels, .divisor = (int32_t)divisor};
    /* Column sums fit 16 bits, the two products that vpmaddubsw adds 15, and the sums along a row stay in int32. */
    tables.weighted = 255 * (int64_t)resizer->rows.unit <= UINT16_MAX && 255 * 2 * resizer->rows.whole <= INT16_MAX &&
                      resizer->cols.unit <= UINT16_MAX;
    tables.bias = tables.weighted ? resizer->cols.unit << 15 : 0;
    tables.taps = channels == 1 ? 8 : 2;
    tables.lanes = channels == 1 ? 1 : 4;
    tables.steps = (max_count(&resizer->cols) + tables.taps - 1) / tables.taps;
    tables.outputs = (resizer->cols.n_out + 7) / 8 * 8;
    tables.pairs = tables.weighted ? (max_count(&resizer->rows) + 1) / 2 : 0;
    size_t total = 0, header = take(&total, sizeof tables), outputs = (size_t)tables.outputs;
    size_t start_at = take(&total, outputs * sizeof(int32_t));
    size_t weights_at = take(&total, outputs * (size_t)tables.steps * 8 * sizeof(int16_t));
    size_t rows_at = take(&total, (size_t)resizer->rows.n_out * (size_t)tables.pairs * sizeof(uint32_t));
    uint8_t* memory = alloc_array(total, 1);
    if (memory == NULL) return NO_MEMORY;
    tables.start = (int32_t*)(void*)(memory + start_at);
    tables.weights = (int16_t*)(void*)(memory + weights_at);
    tables.rows = (uint32_t*)(void*)(memory + rows_at);
    memcpy(memory + header, &tables, sizeof tables);
    fill_weights(resizer, &tables);
    resizer->tables = memory;
    /* Column sums, three rows of totals (inside, above, below), and the output row with room for whole stores. */
    resizer->scratch_bytes = sums_bytes(resizer) + 3 * totals_bytes(&tables) + outputs * 4 + 2 * SLACK;
    return OK;
}

#define VECTOR TARGET_AVX2 static ALWAYS_INLINE

VECTOR __m256i load256(const void* p) { return _mm256_loadu_si256((const __m256i*)p); }
VECTOR void store256(void* p, __m256i x) { _mm256_storeu_si256((__m256i*)p, x); }

/* 32 words that unpacking left as columns (0-7, 16-23) and (8-15, 24-31). */
VECTOR void store_columns(uint16_t* sums, __m256i low, __m256i high) {
    store256(sums, _mm256_permute2x128_si256(low, high, 0x20));
    store256(sums + 16, _mm256_permute2x128_si256(low, high, 0x31));
}

/* The rows of the next output, under the columns of this one's, into the second-level cache: the processor does not
 * foresee them. Past the image's end it does nothing. */
VECTOR void prefetch_below(const uint8_t* row, ptrdiff_t distance) {
    _mm_prefetch((const char*)row + distance, _MM_HINT_T1);
}

VECTOR void add_pair(__m256i* sum, __m256i a, __m256i b, __m256i weights) {
    sum[0] = _mm256_add_epi16(sum[0], _mm256_maddubs_epi16(_mm256_unpacklo_epi8(a, b), weights));
    sum[1] = _mm256_add_epi16(sum[1], _mm256_maddubs_epi16(_mm256_unpackhi_epi8(a, b), weights));
}

/* Weighted sums of one output's rows. */
TARGET_AVX2 static void sum_weighted(const Tables* tables, const Resizer* resizer, int32_t i, const uint8_t* source,
                                     ptrdiff_t stride, uint16_t* sums, size_t columns) {
    const uint32_t* weights = tables->rows + (size_t)i * (size_t)tables->pairs;
    int32_t pairs = resizer->rows.count[i] / 2;
    bool odd = resizer->rows.count[i] % 2 != 0;
    source += resizer->rows.start[i] * stride;
    for (size_t x = 0; x < columns; x += COLUMNS) {
        if (x + COLUMNS > columns) x = columns - COLUMNS;
        const __m256i zero = _mm256_setzero_si256(), low = _mm256_set1_epi16(INT16_MIN);
        __m256i sum[4] = {low, low, low, low};
        const uint8_t* row = source + x;
        for (int32_t k = 0; k < pairs; k++, row += 2 * stride) {
            prefetch_below(row, 2 * pairs * stride);
            prefetch_below(row, (2 * pairs + 1) * stride);
            __m256i pair = _mm256_set1_epi32((int)weights[k]);
            add_pair(sum, load256(row), load256(row + stride), pair);
            add_pair(sum + 2, load256(row + 32), load256(row + stride + 32), pair);
        }
        if (odd) {
            __m256i pair = _mm256_set1_epi32((int)weights[pairs]);
            add_pair(sum, load256(row), zero, pair);
            add_pair(sum + 2, load256(row + 32), zero, pair);
        }
        store_columns(sums + x, sum[0], sum[1]);
        store_columns(sums + x + 32, sum[2], sum[3]);
    }
}

/* Unweighted sums of `count` rows. Adding words adds low + 256 high modulo 2^16; the sum of the high bytes, kept beside
 * it, tells the two apart: a third less work than widening every row. */
TARGET_AVX2 static void sum_rows(const uint8_t* source, ptrdiff_t stride, int32_t count, uint16_t* sums,
                                 size_t columns) {
    for (size_t x = 0; x < columns; x += COLUMNS) {
        if (x + COLUMNS > columns) x = columns - COLUMNS;
        __m256i both[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()}, odd[2] = {both[0], both[0]};
        const uint8_t* row = source + x;
        for (int32_t k = 0; k < count; k++, row += stride) {
            prefetch_below(row, count * stride);
            for (int half = 0; half < 2; half++) {
                __m256i bytes = load256(row + 32 * half);
                both[half] = _mm256_add_epi16(both[half], bytes);
                odd[half] = _mm256_add_epi16(odd[half], _mm256_srli_epi16(bytes, 8));
            }
        }
        for (int half = 0; half < 2; half++) {
            __m256i even = _mm256_sub_epi16(both[half], _mm256_slli_epi16(odd[half], 8));
            store_columns(sums + x + 32 * half, _mm256_unpacklo_epi16(even, odd[half]),
                          _mm256_unpackhi_epi16(even, odd[half]));
        }
    }
}

VECTOR __m256i load_pair(const uint16_t* a, const uint16_t* b) {
    __m256i low = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i*)(const void*)a));
    return _mm256_inserti128_si256(low, _mm_loadu_si128((const __m128i*)(const void*)b), 1);
}

/* vpshufb's indices that bring a channel's words of two pixels side by side. */
VECTOR __m256i taps_side_by_side(int channels) {
    return channels == 3
               ? _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, 12, 13, 14, 15))
               : _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
}

/* Eight outputs' sums along the row, a 128-bit lane each. */
VECTOR void sum_eight(const Tables* tables, int32_t i, const uint16_t* sums, int channels, __m256i order,
                      __m256i* totals) {
    const int16_t* weights = tables->weights + (size_t)i * (size_t)tables->steps * 8;
    const int32_t* start = tables->start + i;
    const uint16_t* end = sums + tables->steps * (channels == 1 ? 8 : 2 * channels);
    const __m256i bias = channels == 1 ? _mm256_setr_epi32(tables->bias, 0, 0, 0, tables->bias, 0, 0, 0)
                                       : _mm256_set1_epi32(tables->bias);
    for (int k = 0; k < 4; k++) totals[k] = bias;
    for (; sums < end; sums += channels == 1 ? 8 : 2 * channels, weights += 64) {
        for (int k = 0; k < 4; k++) {
            __m256i taps = load_pair(sums + start[2 * k], sums + start[2 * k + 1]);
            if (channels != 1) taps = _mm256_shuffle_epi8(taps, order);
            totals[k] = _mm256_add_epi32(totals[k], _mm256_madd_epi16(taps, load256(weights + 16 * k)));
        }
    }
}

/* All outputs' sums along the row: channels 0, 1, 2, (3) of an output in four lanes, or its only one in one. */
VECTOR void sum_along(const Tables* tables, const uint16_t* sums, int32_t* totals, int channels) {
    const __m256i order = taps_side_by_side(channels);
    const __m256i natural = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (int32_t i = 0; i < tables->outputs; i += 8) {
        __m256i pairs[4];
        sum_eight(tables, i, sums, channels, order, pairs);
        if (channels == 1) {
            __m256i all =
                _mm256_hadd_epi32(_mm256_hadd_epi32(pairs[0], pairs[1]), _mm256_hadd_epi32(pairs[2], pairs[3]));
            store256(totals + i, _mm256_permutevar8x32_epi32(all, natural));
        } else {
            for (int k = 0; k < 4; k++) store256(totals + 4 * i + 8 * k, pairs[k]);
        }
    }
}

TARGET_AVX2 static void sum_along_row(const Tables* tables, const uint16_t* sums, int32_t* totals) {
    switch (tables->channels) {
        case 1: sum_along(tables, sums, totals, 1); break;
        case 3: sum_along(tables, sums, totals, 3); break;
        default: sum_along(tables, sums, totals, 4); break;
    }
}

/* Add the straddling rows' sums with their vertical weights. */
TARGET_AVX2 static void weigh(const Resizer* resizer, const Span* span, int32_t* inside, const int32_t* above,
                              const int32_t* below, size_t count) {
    const __m256i whole = _mm256_set1_epi32(resizer->rows.whole), head = _mm256_set1_epi32(span->head);
    const __m256i tail = _mm256_set1_epi32(span->tail);
    for (size_t x = 0; x < count; x += 8) {
        __m256i sum = _mm256_mullo_epi32(load256(inside + x), whole);
        sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(load256(above + x), head));
        store256(inside + x, _mm256_add_epi32(sum, _mm256_mullo_epi32(load256(below + x), tail)));
    }
}

/* Eight sums as pixels, floor(t / D) with t = S + floor(D/2).
 *
 * `fast`, D < 2^13: S / D + 1/2 + 1/4D is at least 1/4D > 2^-15 away from any integer. Its error: 1/D is off by 2^-24
 * of itself, so S/D by less than 2^-16; the fused sum below 256 rounds by at most 2^-17, the constant by 2^-25. Else, t
 * < 2^31: the estimate is at most the quotient and at least one less, as its three roundings (2^-24 each) stay below
 * the 2^-21 that `reciprocal` is too small by; the remainder tells. */
typedef struct {
    __m256 reciprocal, half_float;
    __m256i half, divisor;
} Division;

VECTOR Division division_by(int32_t divisor, bool fast) {
    double inverse = 1.0 / divisor;
    return (Division){_mm256_set1_ps((float)(fast ? inverse : inverse * (1 - 0x1p-21))),
                      _mm256_set1_ps((float)(0.5 + 0.25 * inverse)), _mm256_set1_epi32(divisor / 2),
                      _mm256_set1_epi32(divisor)};
}

VECTOR __m256i quotients(__m256i sum, const Division* by, bool fast) {
    if (fast) return _mm256_cvttps_epi32(_mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), by->reciprocal, by->half_float));
    __m256i t = _mm256_add_epi32(sum, by->half);
    __m256i estimate = _mm256_cvttps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(t), by->reciprocal));
    __m256i rest = _mm256_sub_epi32(t, _mm256_mullo_epi32(estimate, by->divisor));
    __m256i below = _mm256_cmpgt_epi32(by->divisor, rest); /* -1 where the estimate is the quotient */
    return _mm256_add_epi32(_mm256_add_epi32(estimate, _mm256_set1_epi32(1)), below);
}

/* 32 sums as pixels, for three channels without every fourth; returns where the next ones go. */
VECTOR uint8_t* store_pixels(const __m256i* sums, const Division* by, uint8_t* out, int channels, bool fast) {
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m128i squeeze = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    __m256i q[4];
    for (int k = 0; k < 4; k++) q[k] = quotients(sums[k], by, fast);
    __m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    bytes = _mm256_permutevar8x32_epi32(bytes, order);
    if (channels != 3) {
        store256(out, bytes);
        return out + 32;
    }
    _mm_storeu_si128((__m128i*)(void*)out, _mm_shuffle_epi8(_mm256_castsi256_si128(bytes), squeeze));
    _mm_storeu_si128((__m128i*)(void*)(out + 12), _mm_shuffle_epi8(_mm256_extracti128_si256(bytes, 1), squeeze));
    return out + 24;
}

VECTOR void divide_row(const Tables* tables, const int32_t* sums, uint8_t* out, bool fast) {
    const Division by = division_by(tables->divisor, fast);
    int32_t count = tables->outputs * tables->lanes;
    for (int32_t x = 0; x < count; x += 32) {
        __m256i four[4];
        for (int k = 0; k < 4; k++) four[k] = load256(sums + x + 8 * k);
        out = store_pixels(four, &by, out, tables->channels, fast);
    }
}

/* From column sums that carry the vertical weights to pixels at once; three or four channels. */
VECTOR void sum_and_divide(const Tables* tables, const uint16_t* sums, uint8_t* out, int channels, bool fast) {
    const Division by = division_by(tables->divisor, fast);
    const __m256i order = taps_side_by_side(channels);
    for (int32_t i = 0; i < tables->outputs; i += 8) {
        __m256i four[4];
        sum_eight(tables, i, sums, channels, order, four);
        out = store_pixels(four, &by, out, channels, fast);
    }
}

static bool is_fast(const Tables* tables) { return tables->divisor < 1 << 13; }

TARGET_AVX2 static void finish(const Tables* tables, const int32_t* sums, uint8_t* out) {
    if (is_fast(tables)) {
        divide_row(tables, sums, out, true);
    } else {
        divide_row(tables, sums, out, false);
    }
}

TARGET_AVX2 static void finish_weighted(const Tables* tables, const uint16_t* sums, uint8_t* out) {
    if (is_fast(tables) && tables->channels == 3) {
        sum_and_divide(tables, sums, out, 3, true);
    } else if (is_fast(tables)) {
        sum_and_divide(tables, sums, out, 4, true);
    } else if (tables->channels == 3) {
        sum_and_divide(tables, sums, out, 3, false);
    } else {
        sum_and_divide(tables, sums, out, 4, false);
    }
}

/* What a task works in; `above` and `below` swap from output to output. */
typedef struct {
    uint16_t* sums;
    int32_t *inside, *above, *below;
    uint8_t* row;
} Scratch;

static void reduce_separately(const Resizer* resizer, const Tables* tables, int32_t i, const uint8_t* source,
                              ptrdiff_t stride, Scratch* scratch, int32_t* below_row) {
    size_t columns = (size_t)resizer->cols.n_in * (size_t)resizer->channels;
    const Span* span = &resizer->rows.spans[i];
    int32_t* above = scratch->below;
    scratch->below = scratch->above;
    scratch->above = above;
    if (span->head != 0 && *below_row != span->first - 1) {
        sum_rows(source + (span->first - 1) * stride, stride, 1, scratch->sums, columns);
        sum_along_row(tables, scratch->sums, scratch->above);
    }
    sum_rows(source + span->first * stride, stride, span->full, scratch->sums, columns);
    sum_along_row(tables, scratch->sums, scratch->inside);
    *below_row = -1;
    if (span->tail != 0) {
        *below_row = span->first + span->full;
        sum_rows(source + *below_row * stride, stride, 1, scratch->sums, columns);
        sum_along_row(tables, scratch->sums, scratch->below);
    }
    weigh(resizer, span, scratch->inside, scratch->above, scratch->below,
          (size_t)tables->outputs * (size_t)tables->lanes);
}

DECLARE_RUN(area_u8_avx2) {
    const Tables* tables = resizer->tables;
    size_t count = (size_t)resizer->cols.n_out * (size_t)resizer->channels, totals = totals_bytes(tables);
    size_t columns = (size_t)resizer->cols.n_in * (size_t)resizer->channels;
    memset(scratch, 0, resizer->scratch_bytes);
    Scratch parts = {.sums = (uint16_t*)(void*)scratch};
    scratch += sums_bytes(resizer);
    parts.inside = (int32_t*)(void*)scratch;
    parts.above = (int32_t*)(void*)(scratch + totals);
    parts.below = (int32_t*)(void*)(scratch + 2 * totals);
    parts.row = scratch + 3 * totals;
    int32_t below_row = -1;
    for (int32_t i = first; i < last; i++) {
        if (tables->weighted) {
            sum_weighted(tables, resizer, i, source, stride, parts.sums, columns);
        } else {
            reduce_separately(resizer, tables, i, source, stride, &parts, &below_row);
        }
        if (tables->weighted && tables->channels != 1) {
            finish_weighted(tables, parts.sums, parts.row);
        } else {
            if (tables->weighted) sum_along_row(tables, parts.sums, parts.inside);
            finish(tables, parts.inside, parts.row);
        }
        memcpy(out + (size_t)i * count, parts.row, count);
    }
}
#endif
