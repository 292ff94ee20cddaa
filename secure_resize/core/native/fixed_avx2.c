/* Pillow's two passes for uint8 with AVX2.
 *
 * Both passes work on *fours*: dwords that hold four pixels which follow each other along the axis that is summed, as
 * bytes 0 2 1 3. Their even bytes are the words of pixels 0 and 1, their odd ones those of 2 and 3: as vpmaddwd takes
 * them with the parts high of four taps, and vpmaddubsw takes the bytes as they are with the parts low (split.h).
 *
 * The horizontal pass takes a *band*, eight source rows at a time: a vector holds the same four pixels of one channel of
 * all of them. A tile of such vectors, as large as the first-level cache allows, is made once for all the outputs that
 * read it. What comes out, eight rows of a column, are two fours for the vertical pass: it finds its dwords in lines of
 * four rows each, which lie in a ring in the cache, and shuffles nothing.
 *
 * Where an output row has few taps, too few to be worth whole fours, or comes first, the vertical pass reads plain rows,
 * two at a time: a tap is then two signed words, low + 2^16 high, two taps a dword of vpmaddwd.
 *
 * All sums are put together modulo 2^32; the whole sum fits int32 (fixed.c), so that is exact. Rounding, shifting and
 * clipping follow Pillow.
 */
#include "fixed_avx2_tile.h"

#ifdef HAVE_X86
#include <limits.h>

/* Four taps of eight dwords. */
VECTOR void add_four(__m256i* high, __m256i* low, __m256i fours, const __m256i weights[3]) {
    __m256i first = _mm256_and_si256(fours, _mm256_set1_epi16(255)), second = _mm256_srli_epi16(fours, 8);
    add_dwords(high, _mm256_madd_epi16(first, weights[0]));
    add_dwords(high, _mm256_madd_epi16(second, weights[1]));
    add_words(low, _mm256_maddubs_epi16(fours, weights[2]));
}

VECTOR void load_taps(const Taps* taps, __m256i weights[3]) {
    weights[0] = _mm256_set1_epi32(taps->high[0]);
    weights[1] = _mm256_set1_epi32(taps->high[1]);
    weights[2] = _mm256_set1_epi32(taps->low);
}

/* The rounded result, not yet clipped. */
VECTOR __m256i rounded(__m256i sum) {
    return _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(1 << (PRECISION_BITS - 1))), PRECISION_BITS);
}

/* The half that rounds, split as the taps are. */
VECTOR void begin_sums(const Reach* reach, __m256i* high, __m256i* low, int count) {
    for (int k = 0; k < count; k++) {
        high[k] = _mm256_set1_epi32(reach->half);
        low[k] = _mm256_set1_epi32(reach->rest);
    }
}

/* The rounded result, not yet clipped. */
VECTOR __m256i joined(const Reach* reach, __m256i high, __m256i low) {
    low = _mm256_madd_epi16(low, _mm256_set1_epi16(1));
    high = _mm256_mullo_epi32(high, _mm256_set1_epi32(reach->scale));
    return _mm256_srai_epi32(_mm256_add_epi32(high, low), PRECISION_BITS);
}

/* Four vectors of dwords as bytes, in each half those of the vectors' halves; clips. */
VECTOR __m256i packed(const __m256i four[4]) {
    return _mm256_packus_epi16(_mm256_packs_epi32(four[0], four[1]), _mm256_packs_epi32(four[2], four[3]));
}

/* One output of a band, all channels. */
VECTOR void sum_output(const Tables* tables, int32_t i, const Tile* tile, const uint8_t* fours, __m256i* sums,
                       int channels) {
    const Reach reach = tables->cols.reach[i];
    const Taps* taps = tables->cols.taps + (size_t)i * (size_t)tables->cols.most;
    __m256i high[4], low[4], weights[3];
    begin_sums(&reach, high, low, channels);
    fours += (ptrdiff_t)(reach.first - tile->first) * channels * VECTOR_BYTES;
    for (int32_t k = 0; k < reach.count; k++, taps++, fours += channels * VECTOR_BYTES) {
        load_taps(taps, weights);
        for (int c = 0; c < channels; c++) add_four(&high[c], &low[c], load256(fours + c * VECTOR_BYTES), weights);
    }
    for (int c = 0; c < channels; c++) sums[c] = joined(&reach, high[c], low[c]);
}

/* The horizontal pass over a band, to a line of fours for its upper and one for its lower four rows. */
VECTOR void pass_along(const Resizer* resizer, const uint8_t* const* rows, const Scratch* scratch, uint8_t* upper,
                       uint8_t* lower, int channels, int loaded) {
    const Tables* tables = resizer->tables;
    int32_t have = 0, begin = 0, i = 0; /* fours in the tile: [begin, have) */
    for (const Tile* tile = tables->tiles; tile < tables->tiles + tables->tile_count; tile++) {
        next_tile(resizer, rows, tile, scratch, &begin, &have, channels, loaded, 1);
        for (int32_t end = i + tile->outputs; i < end; i += FOUR) {
            __m256i sums[FOUR * 4];
            for (int k = 0; k < FOUR; k++)
                sum_output(tables, i + k, tile, scratch->tile, sums + k * channels, channels);
            for (int c = 0; c < channels; c++, upper += 16, lower += 16) {
                __m256i columns = packed(sums + 4 * c);
                _mm_storeu_si128((__m128i*)(void*)upper, _mm256_castsi256_si128(columns));
                _mm_storeu_si128((__m128i*)(void*)lower, _mm256_extracti128_si256(columns, 1));
            }
        }
    }
}

TARGET_AVX2 static void pass_along_band(const Resizer* resizer, const uint8_t* const* rows, const Scratch* scratch,
                                        uint8_t* upper, uint8_t* lower) {
    int32_t loaded = ((const Tables*)resizer->tables)->loaded;
    switch (resizer->channels) {
        case 1: pass_along(resizer, rows, scratch, upper, lower, 1, 1); break;
        case 2: pass_along(resizer, rows, scratch, upper, lower, 2, 2); break;
        case 3:
            switch (loaded) {
                case 1: pass_along(resizer, rows, scratch, upper, lower, 3, 1); break;
                case 4: pass_along(resizer, rows, scratch, upper, lower, 3, 4); break;
                default: pass_along(resizer, rows, scratch, upper, lower, 3, 3); break;
            }
            break;
        default: pass_along(resizer, rows, scratch, upper, lower, 4, 4); break;
    }
}

/* 32 columns, of which the packing of four vectors of eight left 0-3, 8-11, ... in the lower half. */
VECTOR __m256i in_order(__m256i bytes) {
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* A line of fours as `count` rows of at least 32 bytes. */
TARGET_AVX2 static void store_rows(const uint8_t* line, uint8_t* const* rows, int32_t count, size_t columns) {
    const __m256i order =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15));
    for (size_t x = 0; x < columns; x += VECTOR_BYTES) {
        if (x + VECTOR_BYTES > columns) x = columns - VECTOR_BYTES;
        __m256i part[4], row[4];
        for (int k = 0; k < 4; k++)
            part[k] = _mm256_shuffle_epi8(load256(line + x * FOUR + (size_t)k * VECTOR_BYTES), order);
        turn(part, row);
        for (int32_t k = 0; k < count; k++) store256(rows[k] + x, in_order(row[k]));
    }
}

static void pass_along_rows(const Resizer* resizer, const uint8_t* const* rows, const Scratch* scratch,
                            uint8_t* const* out, int32_t count) {
    size_t columns = (size_t)resizer->cols.n_out * (size_t)resizer->channels;
    pass_along_band(resizer, rows, scratch, scratch->lines[0], scratch->lines[1]);
    store_rows(scratch->lines[0], out, least(count, FOUR), columns);
    if (count > FOUR) store_rows(scratch->lines[1], out + FOUR, count - FOUR, columns);
}

/* The vertical pass of output row i, from the ring of lines of fours. */
TARGET_AVX2 static void pass_down_fours(const Resizer* resizer, int32_t i, const uint8_t* ring, uint8_t* out,
                                        size_t columns) {
    const Tables* tables = resizer->tables;
    const Reach reach = tables->rows.reach[i];
    const Taps* taps = tables->rows.taps + (size_t)i * (size_t)tables->rows.most;
    const size_t step = fixed_avx2_ring_line(resizer), lines = (size_t)fixed_avx2_ring_lines(resizer);
    const uint8_t *start = ring + step * ((size_t)reach.first % lines), *end = ring + step * lines;
    for (size_t x = 0; x < columns; x += VECTOR_BYTES) {
        if (x + VECTOR_BYTES > columns) x = columns - VECTOR_BYTES;
        __m256i high[4], low[4], weights[3], sums[4];
        begin_sums(&reach, high, low, 4);
        const uint8_t* line = start;
        for (int32_t four = 0; four < reach.count; four++) {
            load_taps(taps + four, weights);
            for (int k = 0; k < 4; k++)
                add_four(&high[k], &low[k], load256(line + x * FOUR + k * VECTOR_BYTES), weights);
            line += step;
            if (line == end) line = ring;
        }
        for (int k = 0; k < 4; k++) sums[k] = joined(&reach, high[k], low[k]);
        store256(out + x, in_order(packed(sums)));
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

/* The vertical pass of output row i, from rows `stride` apart; row r is line r % modulus. */
TARGET_AVX2 static void pass_down_rows(const Resizer* resizer, int32_t i, const uint8_t* base, ptrdiff_t stride,
                                       int32_t modulus, uint8_t* out, size_t columns) {
    const Tables* tables = resizer->tables;
    const int32_t (*down)[LIMBS] = (const int32_t (*)[LIMBS])tables->down + (size_t)i * (size_t)tables->pairs;
    const int32_t begin = resizer->rows.start[i] % modulus, count = resizer->rows.count[i];
    for (size_t x = 0; x < columns; x += VECTOR_BYTES) {
        if (x + VECTOR_BYTES > columns) x = columns - VECTOR_BYTES;
        __m256i zero = _mm256_setzero_si256(), low[4] = {zero, zero, zero, zero}, high[4] = {zero, zero, zero, zero};
        int32_t row = begin;
        for (int32_t k = 0; k < count; k += 2) {
            __m256i a = load256(base + row * stride + x), b = zero;
            if (++row == modulus) row = 0;
            if (k + 1 < count) b = load256(base + row * stride + x);
            if (++row == modulus) row = 0;
            add_rows(low, high, a, b, down[k / 2]);
        }
        for (int k = 0; k < 4; k++) low[k] = rounded(_mm256_add_epi32(_mm256_slli_epi32(high[k], 16), low[k]));
        store256(out + x, packed(low));
    }
}

static void along_to_ring(const Resizer* resizer, const uint8_t* const* rows, int32_t first, uint8_t* scratch) {
    const Tables* tables = resizer->tables;
    size_t line = fixed_avx2_ring_line(resizer);
    int32_t capacity = fixed_avx2_ring_lines(resizer);
    Scratch parts;
    fixed_avx2_scratch(resizer, &parts, scratch);
    if (tables->ring_of_fours) {
        int32_t at = first / FOUR;
        pass_along_band(resizer, rows, &parts, parts.ring + (size_t)(at % capacity) * line,
                        parts.ring + (size_t)((at + 1) % capacity) * line);
    } else {
        uint8_t* lines[BAND];
        for (int32_t k = 0; k < BAND; k++) lines[k] = parts.ring + (size_t)((first + k) % capacity) * line;
        pass_along_rows(resizer, rows, &parts, lines, BAND);
    }
}

static void along_to_rows(const Resizer* resizer, const uint8_t* const* rows, uint8_t* const* out, int32_t count,
                          uint8_t* scratch) {
    Scratch parts;
    fixed_avx2_scratch(resizer, &parts, scratch);
    pass_along_rows(resizer, rows, &parts, out, count);
}

static void down_from_ring(const Resizer* resizer, int32_t i, uint8_t* out, uint8_t* scratch) {
    const Tables* tables = resizer->tables;
    size_t columns = row_bytes(resizer, resizer->cols.n_out);
    Scratch parts;
    fixed_avx2_scratch(resizer, &parts, scratch);
    if (tables->ring_of_fours) {
        pass_down_fours(resizer, i, parts.ring, out, columns);
    } else {
        pass_down_rows(resizer, i, parts.ring, (ptrdiff_t)fixed_avx2_ring_line(resizer), fixed_avx2_ring_lines(resizer),
                       out, columns);
    }
}

static void down_from_rows(const Resizer* resizer, int32_t i, const uint8_t* source, ptrdiff_t stride, uint8_t* out) {
    pass_down_rows(resizer, i, source, stride, INT32_MAX, out, row_bytes(resizer, resizer->cols.n_in));
}

DECLARE_RUN(fixed_u8_avx2) {
    static const Passes PASSES = {BAND, along_to_ring, along_to_rows, down_from_ring, down_from_rows};
    fixed_run(&PASSES, resizer, source, stride, out, first, last, scratch);
}
#endif
