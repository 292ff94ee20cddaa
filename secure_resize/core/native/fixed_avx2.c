/* Pillow's two passes for uint8 with AVX2.
 *
 * A 22-bit tap is split into two signed words, tap = low + 2^16 high, for vpmaddwd: two taps a dword. The two sums are
 * put together modulo 2^32; the whole sum fits int32 (fixed.c), so that is exact. Rounding, shifting and clipping
 * follow Pillow.
 *
 * The horizontal pass takes four source rows at a time, two in the halves of a register, and an output at a time: 16
 * bytes of each row hold 16 taps of one channel or four of three or four. Its rows lie in a ring in the cache until the
 * vertical pass has used them.
 */
#include "native.h"

#ifdef HAVE_X86
#include <immintrin.h>
#include <string.h>

enum { QUAD = 4, WINDOW = 16, LIMBS = 2, BLOCK = 32, SLACK = 64, MAX_TAPS = 256 };

/* 16 bytes of a row: the bytes and weights of the first and second half of their taps. */
typedef struct {
    int8_t shuffle[2][WINDOW]; /* a byte and a zero for each word */
    int16_t limb[2][LIMBS][8];
} Step;

typedef struct {
    int32_t taps;           /* a step */
    int32_t steps;          /* an output */
    int32_t outputs;        /* rounded up to 16; those past the last have no weight */
    Step* table;            /* [output][step] */
    int32_t* offsets;       /* bytes into the row, [output][step] */
    int32_t pairs;          /* of rows an output row at most */
    int32_t (*down)[LIMBS]; /* [output row][pair]: two taps' limbs in a dword each */
} Tables;

static int32_t max_count(const Axis* axis) {
    int32_t count = 1;
    for (int32_t i = 0; i < axis->n_out; i++) count = axis->count[i] > count ? axis->count[i] : count;
    return count;
}

static int16_t limb_of(int32_t weight, int number) {
    int16_t low = (int16_t)(weight & 0xffff);
    if (number == 0) return low;
    return (int16_t)((weight - low) / 65536);
}

/* Two signed words, and each limb's sum within int32. */
static bool weights_fit(const Axis* axis) {
    for (size_t k = 0; k < (size_t)axis->n_out * (size_t)axis->width; k++) {
        if (axis->weights[k] > 0x7fff7fff || axis->weights[k] < -0x7fff8000) return false;
    }
    return max_count(axis) <= MAX_TAPS;
}

static void fill_step(const Resizer* resizer, const Tables* tables, int32_t i, int32_t number, Step* step,
                      int32_t* offset) {
    const Axis* cols = &resizer->cols;
    int32_t channels = resizer->channels, row = cols->n_in * channels;
    memset(step->shuffle, -1, sizeof step->shuffle);
    int32_t first = (cols->start[i] + number * tables->taps) * channels;
    *offset = first < row - WINDOW ? first : row - WINDOW;
    for (int32_t k = 0; k < tables->taps && number * tables->taps + k < cols->count[i]; k++) {
        int32_t half = k * 2 / tables->taps, tap = number * tables->taps + k, within = k % (tables->taps / 2);
        int32_t weight = cols->weights[(size_t)i * (size_t)cols->width + (size_t)tap];
        for (int32_t c = 0; c < channels; c++) {
            int32_t word = c * 2 + within; /* of one channel eight taps follow each other, else two of each */
            step->shuffle[half][word * 2] = (int8_t)((cols->start[i] + tap) * channels + c - *offset);
            for (int limb = 0; limb < LIMBS; limb++) step->limb[half][limb][word] = limb_of(weight, limb);
        }
    }
}

static void fill_down(const Axis* rows, const Tables* tables) {
    for (int32_t i = 0; i < rows->n_out; i++) {
        for (int32_t k = 0; k < rows->count[i]; k++) {
            int32_t weight = rows->weights[(size_t)i * (size_t)rows->width + (size_t)k];
            int32_t* pair = tables->down[(size_t)i * (size_t)tables->pairs + (size_t)(k / 2)];
            for (int limb = 0; limb < LIMBS; limb++) {
                pair[limb] |= (int32_t)((uint32_t)(uint16_t)limb_of(weight, limb) << (k % 2 * 16));
            }
        }
    }
}

static size_t take(size_t* total, size_t bytes) {
    size_t at = *total;
    *total += round_up(bytes);
    return at;
}

static bool uses_ring(const Resizer* resizer) { return resizer->has_rows && resizer->has_cols && !resizer->rows_first; }

static size_t line_bytes(const Resizer* resizer) { /* of a row that either pass leaves */
    int32_t pixels = resizer->cols.n_in > resizer->cols.n_out ? resizer->cols.n_in : resizer->cols.n_out;
    return round_up(((size_t)pixels + 16) * (size_t)resizer->channels + SLACK);
}

static int32_t ring_lines(const Resizer* resizer) { return resizer->rows.width + 2 * QUAD; }

Status fixed_u8_avx2_prepare(Resizer* resizer) {
    int32_t channels = resizer->channels;
    if (channels != 1 && channels != 3 && channels != 4) return UNSUITABLE;
    if ((int64_t)resizer->cols.n_in * channels < BLOCK || (int64_t)resizer->cols.n_out * channels < BLOCK)
        return UNSUITABLE;
    if ((resizer->has_cols && !weights_fit(&resizer->cols)) || (resizer->has_rows && !weights_fit(&resizer->rows))) {
        return UNSUITABLE;
    }
    Status status = fixed_portable_prepare(resizer);
    if (status != OK) return status;
    Tables tables = {.taps = channels == 1 ? 16 : 4};
    if (resizer->has_cols) {
        tables.steps = (max_count(&resizer->cols) + tables.taps - 1) / tables.taps;
        tables.outputs = (resizer->cols.n_out + 15) / 16 * 16;
    }
    tables.pairs = resizer->has_rows ? (max_count(&resizer->rows) + 1) / 2 : 0;
    size_t steps = (size_t)tables.outputs * (size_t)tables.steps,
           rows = resizer->has_rows ? (size_t)resizer->rows.n_out : 0;
    size_t total = 0, header = take(&total, sizeof tables), table_at = take(&total, steps * sizeof(Step));
    size_t offset_at = take(&total, steps * sizeof(int32_t));
    size_t down_at = take(&total, rows * (size_t)tables.pairs * sizeof *tables.down);
    uint8_t* memory = alloc_array(total, 1);
    if (memory == NULL) return NO_MEMORY;
    tables.table = (Step*)(void*)(memory + table_at);
    tables.offsets = (int32_t*)(void*)(memory + offset_at);
    tables.down = (int32_t (*)[LIMBS])(void*)(memory + down_at);
    memcpy(memory + header, &tables, sizeof tables);
    for (int32_t i = 0; i < tables.outputs && i < resizer->cols.n_out; i++) {
        for (int32_t number = 0; number < tables.steps; number++) {
            size_t at = (size_t)i * (size_t)tables.steps + (size_t)number;
            fill_step(resizer, &tables, i, number, &tables.table[at], &tables.offsets[at]);
        }
    }
    if (resizer->has_rows) fill_down(&resizer->rows, &tables);
    resizer->tables = memory;
    resizer->scratch_bytes = line_bytes(resizer) * (size_t)(uses_ring(resizer) ? ring_lines(resizer) : 2 * QUAD);
    return OK;
}

#define VECTOR TARGET_AVX2 static ALWAYS_INLINE

VECTOR __m256i twice(const void* p) { return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)p)); }

VECTOR __m256i two_rows(const uint8_t* a, const uint8_t* b) {
    __m256i first = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i*)(const void*)a));
    return _mm256_inserti128_si256(first, _mm_loadu_si128((const __m128i*)(const void*)b), 1);
}

/* One output of four rows: rows 0 and 1 in sums[0]'s halves, 2 and 3 in sums[1]'s; limbs joined, not yet rounded. */
VECTOR void sum_output(const Tables* tables, int32_t i, const uint8_t* const* rows, __m256i* sums) {
    const Step* step = tables->table + (size_t)i * (size_t)tables->steps;
    const int32_t* offset = tables->offsets + (size_t)i * (size_t)tables->steps;
    __m256i low[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()}, high[2] = {low[0], low[0]};
    for (int32_t number = 0; number < tables->steps; number++, step++, offset++) {
        __m256i pixels[2] = {two_rows(rows[0] + *offset, rows[1] + *offset),
                             two_rows(rows[2] + *offset, rows[3] + *offset)};
        for (int half = 0; half < 2; half++) {
            const __m256i shuffle = twice(step->shuffle[half]);
            const __m256i low_weights = twice(step->limb[half][0]), high_weights = twice(step->limb[half][1]);
            for (int pair = 0; pair < 2; pair++) {
                __m256i taps = _mm256_shuffle_epi8(pixels[pair], shuffle);
                low[pair] = _mm256_add_epi32(low[pair], _mm256_madd_epi16(taps, low_weights));
                high[pair] = _mm256_add_epi32(high[pair], _mm256_madd_epi16(taps, high_weights));
            }
        }
    }
    for (int pair = 0; pair < 2; pair++) sums[pair] = _mm256_add_epi32(_mm256_slli_epi32(high[pair], 16), low[pair]);
}

VECTOR __m256i finished(__m256i sum) {
    return _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(1 << (PRECISION_BITS - 1))), PRECISION_BITS);
}

/* Four vectors of four dwords a row as 16 bytes a row; clips. */
VECTOR __m256i packed(const __m256i* four) {
    return _mm256_packus_epi16(_mm256_packs_epi32(finished(four[0]), finished(four[1])),
                               _mm256_packs_epi32(finished(four[2]), finished(four[3])));
}

/* Four outputs of one channel: the sums of their four partial sums, in order. */
VECTOR __m256i added_up(const __m256i* four) {
    return _mm256_hadd_epi32(_mm256_hadd_epi32(four[0], four[1]), _mm256_hadd_epi32(four[2], four[3]));
}

VECTOR void store_rows(uint8_t* const* lines, int pair, size_t at, __m256i bytes) {
    _mm_storeu_si128((__m128i*)(void*)(lines[2 * pair] + at), _mm256_castsi256_si128(bytes));
    _mm_storeu_si128((__m128i*)(void*)(lines[2 * pair + 1] + at), _mm256_extracti128_si256(bytes, 1));
}

/* The horizontal pass over four rows, to lines with room for whole stores. */
VECTOR void pass_along(const Tables* tables, const uint8_t* const* rows, uint8_t* const* lines, int channels) {
    const __m256i squeeze =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    for (int32_t i = 0; i < tables->outputs; i += channels == 1 ? 16 : 4) {
        __m256i sums[2][4], quarter[2][4];
        for (int k = 0; k < (channels == 1 ? 16 : 4); k++) {
            __m256i both[2];
            sum_output(tables, i + k, rows, both);
            for (int pair = 0; pair < 2; pair++) {
                quarter[pair][k % 4] = both[pair];
                if (channels == 1 && k % 4 == 3) sums[pair][k / 4] = added_up(quarter[pair]);
            }
        }
        for (int pair = 0; pair < 2; pair++) {
            __m256i bytes = packed(channels == 1 ? sums[pair] : quarter[pair]);
            if (channels == 3) bytes = _mm256_shuffle_epi8(bytes, squeeze);
            store_rows(lines, pair, (size_t)i * (size_t)channels, bytes);
        }
    }
}

TARGET_AVX2 static void pass_along_quad(const Resizer* resizer, const uint8_t* const* rows, uint8_t* const* lines) {
    switch (resizer->channels) {
        case 1: pass_along(resizer->tables, rows, lines, 1); break;
        case 3: pass_along(resizer->tables, rows, lines, 3); break;
        default: pass_along(resizer->tables, rows, lines, 4); break;
    }
}

/* Two rows' pixels side by side as words, times two taps. */
VECTOR void add_rows(__m256i low[4], __m256i high[4], __m256i a, __m256i b, const int32_t* weights) {
    const __m256i zero = _mm256_setzero_si256();
    __m256i first = _mm256_unpacklo_epi8(a, b), second = _mm256_unpackhi_epi8(a, b);
    __m256i words[4] = {_mm256_unpacklo_epi8(first, zero), _mm256_unpackhi_epi8(first, zero),
                        _mm256_unpacklo_epi8(second, zero), _mm256_unpackhi_epi8(second, zero)};
    const __m256i low_weights = _mm256_set1_epi32(weights[0]), high_weights = _mm256_set1_epi32(weights[1]);
    for (int k = 0; k < 4; k++) {
        low[k] = _mm256_add_epi32(low[k], _mm256_madd_epi16(words[k], low_weights));
        high[k] = _mm256_add_epi32(high[k], _mm256_madd_epi16(words[k], high_weights));
    }
}

/* The vertical pass of output row i, from lines `stride` apart; row r is line r % modulus. */
TARGET_AVX2 static void pass_down(const Resizer* resizer, int32_t i, const uint8_t* base, ptrdiff_t stride,
                                  int32_t modulus, uint8_t* out, size_t columns) {
    const Tables* tables = resizer->tables;
    const int32_t (*down)[LIMBS] = (const int32_t (*)[LIMBS])tables->down + (size_t)i * (size_t)tables->pairs;
    int32_t start = resizer->rows.start[i], count = resizer->rows.count[i];
    for (size_t x = 0; x < columns; x += BLOCK) {
        if (x + BLOCK > columns) x = columns - BLOCK;
        __m256i zero = _mm256_setzero_si256(), low[4] = {zero, zero, zero, zero}, high[4] = {zero, zero, zero, zero};
        for (int32_t k = 0; k < count; k += 2) {
            const uint8_t* line = base + (start + k) % modulus * stride;
            __m256i a = _mm256_loadu_si256((const __m256i*)(const void*)(line + x)), b = zero;
            if (k + 1 < count) {
                line = base + (start + k + 1) % modulus * stride;
                b = _mm256_loadu_si256((const __m256i*)(const void*)(line + x));
            }
            add_rows(low, high, a, b, down[k / 2]);
        }
        for (int k = 0; k < 4; k++) low[k] = _mm256_add_epi32(_mm256_slli_epi32(high[k], 16), low[k]);
        _mm256_storeu_si256((__m256i*)(void*)(out + x), packed(low));
    }
}

static void columns_then_rows(const Resizer* resizer, const uint8_t* source, ptrdiff_t stride, uint8_t* out,
                              int32_t first, int32_t last, uint8_t* ring) {
    const Axis* rows = &resizer->rows;
    size_t columns = (size_t)resizer->cols.n_out * (size_t)resizer->channels, line = line_bytes(resizer);
    int32_t capacity = ring_lines(resizer), done = rows->n_in;
    for (int32_t i = first; i < last; i++) done = rows->start[i] < done ? rows->start[i] : done;
    for (int32_t i = first; i < last; i++) {
        for (; done < rows->start[i] + rows->count[i]; done += QUAD) {
            const uint8_t* quad[QUAD];
            uint8_t* lines[QUAD];
            for (int32_t k = 0; k < QUAD; k++) { /* past the end: lines that are never read */
                quad[k] = source + (done + k < rows->n_in ? done + k : rows->n_in - 1) * stride;
                lines[k] = ring + (size_t)((done + k) % capacity) * line;
            }
            pass_along_quad(resizer, quad, lines);
        }
        pass_down(resizer, i, ring, (ptrdiff_t)line, capacity, out + (size_t)i * columns, columns);
    }
}

DECLARE_RUN(fixed_u8_avx2) {
    if (uses_ring(resizer)) {
        columns_then_rows(resizer, source, stride, out, first, last, scratch);
        return;
    }
    size_t columns_in = (size_t)resizer->cols.n_in * (size_t)resizer->channels, line = line_bytes(resizer);
    size_t columns = (size_t)resizer->cols.n_out * (size_t)resizer->channels;
    for (int32_t i = first; i < last; i += QUAD) {
        int32_t count = last - i < QUAD ? last - i : QUAD;
        const uint8_t* quad[QUAD];
        uint8_t* lines[QUAD];
        for (int32_t k = 0; k < QUAD; k++) {
            int32_t row = k < count ? i + k : i;
            uint8_t* between = scratch + (size_t)(row - i) * line;
            lines[k] = scratch + (size_t)(QUAD + k) * line;
            quad[k] = resizer->has_rows ? between : source + row * stride;
            if (!resizer->has_rows || k >= count) continue;
            uint8_t* target = resizer->has_cols ? between : out + (size_t)row * columns;
            pass_down(resizer, row, source, stride, INT32_MAX, target, columns_in);
        }
        if (!resizer->has_cols) continue;
        pass_along_quad(resizer, quad, lines);
        for (int32_t k = 0; k < count; k++) memcpy(out + (size_t)(i + k) * columns, lines[k], columns);
    }
}
#endif
