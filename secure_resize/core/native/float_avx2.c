/* float32 with AVX2: the sums of float.c, term by term in its order, so the same bytes.
 *
 * Four output rows at a time. Their column sums are made eight columns by eight and turned at once, so that a vector
 * holds one column of all four rows: a tap of the horizontal pass is then one product and one sum for any number of
 * channels, without a shuffle and without an idle lane. Its results, four rows of a column, are turned back at the end.
 *
 * The source rows of four output rows are read side by side. Where so many of them share the sets of the first-level
 * cache that they push each other out, as at 1024 pixels of 12 bytes, a block of columns of theirs is first widened to
 * float64, to where it stays in that cache. Elsewhere that takes a quarter longer.
 */
#include "fixed.h"

#ifdef HAVE_X86
#include <immintrin.h>

#define VECTOR TARGET_AVX2 static ALWAYS_INLINE

enum { BAND = 4, STEP = 8, LINE = 16 }; /* output rows; columns of a step, and of a cache line of float32 */
enum { BLOCK_BYTES = 8192 };            /* of float64, about */
enum { MOST_STREAMS = 14 };             /* rows side by side that hardware fetches ahead; measured on a Zen 3 */
enum { AHEAD = 512 };                   /* bytes by which it is done here, where there are more */
enum { MOST_ROWS = 1024 };              /* that a band reads; more are float.c's */

/* What a task works in. */
typedef struct {
    double* block;   /* [source row][column] */
    double* columns; /* [column][output row] */
    float* results;  /* [column][output row] */
} Scratch;

static size_t find_scratch(const Resizer* resizer, Scratch* scratch, uint8_t* base) { /* returns its size */
    Arena arena = {.memory = base};
    size_t band = BAND * (size_t)resizer->channels;
    scratch->block = arena_take(&arena, (size_t)most(BLOCK_BYTES, MOST_ROWS * STEP * (int32_t)sizeof(double)), 1);
    scratch->columns = arena_take(&arena, (size_t)resizer->cols.n_in * band * sizeof(double), 1);
    scratch->results = arena_take(&arena, (size_t)resizer->cols.n_out * band * sizeof(float), 1);
    return arena.used;
}

/* The source rows [first, end) that output rows [i, last] read. */
typedef struct {
    int32_t first, end;
} Reach;

static Reach reach_of(const Axis* rows, int32_t i, int32_t last) {
    Reach reach = {rows->start[i], 0};
    for (; i <= last; i++) {
        reach.first = least(reach.first, rows->start[i]);
        reach.end = most(reach.end, rows->start[i] + rows->count[i]);
    }
    return reach;
}

Status float_avx2_prepare(Resizer* resizer) {
    if ((int64_t)resizer->cols.n_in * resizer->channels < STEP) return UNSUITABLE;
    for (int32_t i = 0; i < resizer->rows.n_out; i++) {
        const Reach reach = reach_of(&resizer->rows, i, least(i + BAND, resizer->rows.n_out) - 1);
        if (reach.end - reach.first > MOST_ROWS) return UNSUITABLE;
    }
    resizer->scratch_bytes = find_scratch(resizer, &(Scratch){0}, NULL);
    return OK;
}

/* Columns of a block of so many source rows: whole steps, at least one, and no more than there are. */
static size_t block_columns(int32_t rows, size_t columns) {
    size_t fit = BLOCK_BYTES / sizeof(double) / (size_t)rows;
    if (fit > columns) fit = columns;
    return fit < STEP ? STEP : fit / STEP * STEP;
}

/* Rows of a block, in float64. The block to the right comes next: hardware does not foresee it in so many rows. */
VECTOR void widen(const uint8_t* source, ptrdiff_t stride, int32_t rows, size_t columns, double* block) {
    for (int32_t k = 0; k < rows; k++, source += stride, block += columns) {
        const float* row = (const float*)(const void*)source;
        for (size_t x = 0; x < columns; x += LINE)
            _mm_prefetch((const char*)source + (columns + x) * sizeof(float), _MM_HINT_T0);
        for (size_t x = 0; x < columns; x += STEP) {
            _mm256_store_pd(block + x, _mm256_cvtps_pd(_mm_loadu_ps(row + x)));
            _mm256_store_pd(block + x + 4, _mm256_cvtps_pd(_mm_loadu_ps(row + x + 4)));
        }
    }
}

/* Four columns of a block, or of the source itself. */
VECTOR __m256d load_four(const uint8_t* at, bool widened) {
    if (widened) return _mm256_load_pd((const double*)(const void*)at);
    return _mm256_cvtps_pd(_mm_loadu_ps((const float*)(const void*)at));
}

/* Eight columns of one output row. With `holes` a weight between the others may be 0, and its pixel is not read. */
VECTOR void sum_rows(const double* weights, int32_t count, const uint8_t* at, ptrdiff_t stride, __m256d sums[2],
                     bool widened, bool holes) {
    const ptrdiff_t half = 4 * (ptrdiff_t)(widened ? sizeof(double) : sizeof(float));
    __m256d weight = _mm256_broadcast_sd(weights), low = _mm256_mul_pd(weight, load_four(at, widened)),
            high = _mm256_mul_pd(weight, load_four(at + half, widened));
#pragma GCC unroll 2
    for (int32_t k = 1; k < count; k++) {
        at += stride;
        if (holes && weights[k] == 0.0) continue;
        weight = _mm256_broadcast_sd(weights + k);
        low = _mm256_add_pd(low, _mm256_mul_pd(weight, load_four(at, widened)));
        high = _mm256_add_pd(high, _mm256_mul_pd(weight, load_four(at + half, widened)));
    }
    sums[0] = low;
    sums[1] = high;
}

/* Four rows of four columns, to four columns of four rows. */
VECTOR void store_turned(__m256d a, __m256d b, __m256d c, __m256d d, double* to) {
    __m256d low = _mm256_unpacklo_pd(a, b), high = _mm256_unpackhi_pd(a, b);
    __m256d low2 = _mm256_unpacklo_pd(c, d), high2 = _mm256_unpackhi_pd(c, d);
    _mm256_store_pd(to, _mm256_permute2f128_pd(low, low2, 0x20));
    _mm256_store_pd(to + BAND, _mm256_permute2f128_pd(high, high2, 0x20));
    _mm256_store_pd(to + 2 * BAND, _mm256_permute2f128_pd(low, low2, 0x31));
    _mm256_store_pd(to + 3 * BAND, _mm256_permute2f128_pd(high, high2, 0x31));
}

/* What the column sums are made of: source row `first` and those after it, or a block of columns of theirs. */
typedef struct {
    const uint8_t* base;
    ptrdiff_t stride;
    int32_t first;
} Lines;

/* A cache line of each row that is read, AHEAD of column x. Past the image's end it does nothing. */
VECTOR void fetch_rows(const Lines* lines, const Reach* reach, size_t x) {
    const uint8_t* ahead = lines->base + (reach->first - lines->first) * lines->stride + x * sizeof(float) + AHEAD;
    for (int32_t k = reach->first; k < reach->end; k++, ahead += lines->stride)
        _mm_prefetch((const char*)ahead, _MM_HINT_T0);
}

/* The sums of `width` columns of output rows `band`, a vector a column. */
VECTOR void sum_block(const Axis* rows, const int32_t band[BAND], const Lines* lines, size_t width, double* columns,
                      bool widened, bool holes) {
    const Reach reach = reach_of(rows, band[0], band[BAND - 1]);
    const bool fetches = !widened && reach.end - reach.first > MOST_STREAMS;
    for (size_t x = 0; x < width; x += STEP) {
        if (fetches && x % LINE == 0) fetch_rows(lines, &reach, x);
        if (x + STEP > width) x = width - STEP;
        __m256d sums[BAND][2];
#pragma GCC unroll 4
        for (int k = 0; k < BAND; k++) {
            const double* weights = rows->reals + (size_t)band[k] * (size_t)rows->width;
            const uint8_t* at = lines->base + (rows->start[band[k]] - lines->first) * lines->stride +
                                x * (widened ? sizeof(double) : sizeof(float));
            sum_rows(weights, rows->count[band[k]], at, lines->stride, sums[k], widened, holes);
        }
        double* to = columns + x * BAND;
        store_turned(sums[0][0], sums[1][0], sums[2][0], sums[3][0], to);
        store_turned(sums[0][1], sums[1][1], sums[2][1], sums[3][1], to + 4 * BAND);
    }
}

TARGET_AVX2 static void sum_source(const Axis* rows, const int32_t band[BAND], const Lines* lines, size_t width,
                                   double* columns) {
    if (rows->has_holes) {
        sum_block(rows, band, lines, width, columns, false, true);
    } else {
        sum_block(rows, band, lines, width, columns, false, false);
    }
}

TARGET_AVX2 static void sum_widened(const Axis* rows, const int32_t band[BAND], const Lines* lines, size_t width,
                                    double* columns) {
    if (rows->has_holes) {
        sum_block(rows, band, lines, width, columns, true, true);
    } else {
        sum_block(rows, band, lines, width, columns, true, false);
    }
}

/* Whether more than half of the eight lines of a set would be of these rows. */
static bool rows_collide(ptrdiff_t stride, int32_t rows) {
    enum { WAY = 4096, LINE_BYTES = 64, HALF = 4 };
    ptrdiff_t shared = WAY; /* the largest power of two that divides the stride */
    while (shared > LINE_BYTES && stride % shared != 0) shared /= 2;
    return rows > HALF * (WAY / shared);
}

/* The column sums of output rows `band`. */
TARGET_AVX2 static void pass_down(const Resizer* resizer, const int32_t band[BAND], const uint8_t* source,
                                  ptrdiff_t stride, const Scratch* scratch) {
    const Axis* rows = &resizer->rows;
    const Reach reach = reach_of(rows, band[0], band[BAND - 1]);
    const int32_t read = reach.end - reach.first;
    const size_t count = (size_t)resizer->cols.n_in * (size_t)resizer->channels;
    if (!rows_collide(stride, read)) {
        sum_source(rows, band, &(Lines){source, stride, 0}, count, scratch->columns);
        return;
    }
    size_t width = block_columns(read, count);
    for (size_t left = 0; left < count; left += width) {
        if (left + width > count) { /* the last, from some columns that are done already on */
            width = (count - left + STEP - 1) / STEP * STEP;
            left = count - width;
        }
        widen(source + reach.first * stride + left * sizeof(float), stride, read, width, scratch->block);
        const Lines lines = {(const uint8_t*)scratch->block, (ptrdiff_t)(width * sizeof(double)), reach.first};
        sum_widened(rows, band, &lines, width, scratch->columns + left * BAND);
    }
}

/* `channels` columns of an output, from its first tap's on; those of the next tap lie `step` columns further. */
VECTOR void sum_columns(const double* weights, int32_t count, const double* columns, int32_t step, float* results,
                        int channels, bool holes) {
    __m256d sums[4];
    for (int c = 0; c < channels; c++) sums[c] = _mm256_setzero_pd();
#pragma GCC unroll 2
    for (int32_t k = 0; k < count; k++, columns += step * BAND) {
        if (holes && weights[k] == 0.0) continue;
        __m256d weight = _mm256_broadcast_sd(weights + k);
        for (int c = 0; c < channels; c++)
            sums[c] = _mm256_add_pd(sums[c], _mm256_mul_pd(weight, _mm256_load_pd(columns + c * BAND)));
    }
    for (int c = 0; c < channels; c++) _mm_store_ps(results + c * BAND, _mm256_cvtpd_ps(sums[c]));
}

/* One channel, no weight of 0: four sums, put together in float.c's order. */
VECTOR void sum_column(const double* weights, int32_t count, const double* columns, float* results) {
    __m256d sums[4];
    int32_t k = 0;
    for (int j = 0; j < 4; j++) sums[j] = _mm256_setzero_pd();
    for (; k + 4 <= count; k += 4, columns += 4 * BAND) {
        for (int j = 0; j < 4; j++) {
            __m256d weight = _mm256_broadcast_sd(weights + k + j);
            sums[j] = _mm256_add_pd(sums[j], _mm256_mul_pd(weight, _mm256_load_pd(columns + j * BAND)));
        }
    }
    __m256d sum = _mm256_add_pd(_mm256_add_pd(sums[0], sums[1]), _mm256_add_pd(sums[2], sums[3]));
    for (; k < count; k++, columns += BAND)
        sum = _mm256_add_pd(sum, _mm256_mul_pd(_mm256_broadcast_sd(weights + k), _mm256_load_pd(columns)));
    _mm_store_ps(results, _mm256_cvtpd_ps(sum));
}

VECTOR void pass_along(const Resizer* resizer, const Scratch* scratch, int32_t channels, bool holes) {
    const Axis* cols = &resizer->cols;
    float* results = scratch->results;
    for (int32_t i = 0; i < cols->n_out; i++) {
        const double* weights = cols->reals + (size_t)i * (size_t)cols->width;
        const double* at = scratch->columns + (ptrdiff_t)cols->start[i] * channels * BAND;
        if (channels == 1 && !holes) {
            sum_column(weights, cols->count[i], at, results);
            results += BAND;
            continue;
        }
        int32_t c = 0;
        for (; channels - c >= 4; c += 4)
            sum_columns(weights, cols->count[i], at + c * BAND, channels, results + c * BAND, 4, holes);
        if (channels - c == 3)
            sum_columns(weights, cols->count[i], at + c * BAND, channels, results + c * BAND, 3, holes);
        else
            for (; c < channels; c++)
                sum_columns(weights, cols->count[i], at + c * BAND, channels, results + c * BAND, 1, holes);
        results += channels * BAND;
    }
}

/* Columns of four rows' results to the first `count` of the rows that begin at `out`. */
TARGET_AVX2 static void store_rows(const float* results, size_t columns, float* out, int32_t count) {
    size_t x = 0;
    for (; x + 4 <= columns && count == BAND; x += 4) {
        __m128 a = _mm_load_ps(results + x * BAND), b = _mm_load_ps(results + (x + 1) * BAND),
               c = _mm_load_ps(results + (x + 2) * BAND), d = _mm_load_ps(results + (x + 3) * BAND);
        _MM_TRANSPOSE4_PS(a, b, c, d);
        _mm_storeu_ps(out + x, a);
        _mm_storeu_ps(out + columns + x, b);
        _mm_storeu_ps(out + 2 * columns + x, c);
        _mm_storeu_ps(out + 3 * columns + x, d);
    }
    for (; x < columns; x++) {
        for (int32_t k = 0; k < count; k++) out[(size_t)k * columns + x] = results[x * BAND + (size_t)k];
    }
}

TARGET_AVX2 static void pass_along_band(const Resizer* resizer, const Scratch* scratch) {
    if (resizer->cols.has_holes) {
        pass_along(resizer, scratch, resizer->channels, true);
        return;
    }
    switch (resizer->channels) {
        case 1: pass_along(resizer, scratch, 1, false); break;
        case 3: pass_along(resizer, scratch, 3, false); break;
        case 4: pass_along(resizer, scratch, 4, false); break;
        default: pass_along(resizer, scratch, resizer->channels, false); break;
    }
}

DECLARE_RUN(float_avx2) {
    const size_t columns = (size_t)resizer->cols.n_out * (size_t)resizer->channels;
    Scratch parts;
    find_scratch(resizer, &parts, scratch);
    for (int32_t i = first; i < last; i += BAND) {
        int32_t band[BAND];
        for (int32_t k = 0; k < BAND; k++) band[k] = least(i + k, last - 1);
        pass_down(resizer, band, source, stride, &parts);
        pass_along_band(resizer, &parts);
        store_rows(parts.results, columns, (float*)(void*)out + (size_t)i * columns, least(last - i, BAND));
    }
}
#endif
