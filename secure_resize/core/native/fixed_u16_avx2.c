/* Pillow's two passes for uint16 with AVX2, in 32-bit integers.
 *
 * Both passes work on *pairs*: dwords that hold two pixels which follow each other along the axis that is summed, as
 * signed words, pixel - 2^15. A tap is 256 * high + low; two vpmaddwd a pair of taps make the two sums, whose join is
 * exact in 32 bits (fixed_avx2_tables.c). Saturating that to a signed word clips it, as pixel - 2^15, to uint16.
 *
 * The horizontal pass takes eight source rows at a time from a tile, as uint8's does (fixed_avx2.c). Eight rows of a
 * column are four pairs for the vertical pass, which finds its dwords in lines of two rows each, in a ring in the cache.
 */
#include "fixed_avx2_tile.h"

#ifdef HAVE_X86

enum { TWO = 2, LINES = BAND / TWO, WORDS = VECTOR_BYTES / 2 };

/* The two sums of eight dwords. */
typedef struct {
    __m256i high, low;
} Sums;

VECTOR Sums begin_sums(const Reach* reach) { return (Sums){_mm256_set1_epi32(reach->half), _mm256_setzero_si256()}; }

VECTOR void add_pair(Sums* sums, __m256i pairs, __m256i high, __m256i low) {
    add_dwords(&sums->high, _mm256_madd_epi16(pairs, high));
    add_dwords(&sums->low, _mm256_madd_epi16(pairs, low));
}

/* The rounded result less 2^15, not yet clipped. */
VECTOR __m256i joined(const Sums* sums) {
    __m256i sum = _mm256_add_epi32(sums->high, _mm256_srai_epi32(sums->low, 8));
    return _mm256_srai_epi32(sum, PRECISION_BITS - 8);
}

/* Signed words from and to uint16. */
VECTOR __m256i flipped(__m256i words) { return _mm256_xor_si256(words, _mm256_set1_epi16(INT16_MIN)); }

/* 16 columns, of which a packing or unpacking in halves left 0-3, 8-11 in the lower half. */
VECTOR __m256i in_order(__m256i words) { return _mm256_permute4x64_epi64(words, 0xd8); }

/* One output of a band, all channels. */
VECTOR void sum_output(const Tables* tables, int32_t i, const Tile* tile, const uint8_t* pairs, __m256i* results,
                       int channels) {
    const Reach* reach = &tables->cols.reach[i];
    const Taps* taps = tables->cols.taps + (size_t)i * (size_t)tables->cols.most;
    Sums sums[4];
    for (int c = 0; c < channels; c++) sums[c] = begin_sums(reach);
    pairs += (ptrdiff_t)(reach->first - tile->first) * channels * VECTOR_BYTES;
    for (int32_t k = 0; k < reach->count; k++, pairs += channels * VECTOR_BYTES) {
        __m256i high = _mm256_set1_epi32(taps[k].high[0]), low = _mm256_set1_epi32(taps[k].high[1]);
        for (int c = 0; c < channels; c++) add_pair(&sums[c], load256(pairs + c * VECTOR_BYTES), high, low);
    }
    for (int c = 0; c < channels; c++) results[c] = joined(&sums[c]);
}

/* Four columns of eight rows, to four columns of each line of two. */
VECTOR void store_lines(const __m256i columns[4], uint8_t* const lines[LINES], size_t at) {
    __m256 a = _mm256_castsi256_ps(_mm256_packs_epi32(columns[0], columns[1])),
           b = _mm256_castsi256_ps(_mm256_packs_epi32(columns[2], columns[3]));
    __m256i even = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88)),
            odd = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd));
    _mm_store_si128((__m128i*)(void*)(lines[0] + at), _mm256_castsi256_si128(even));
    _mm_store_si128((__m128i*)(void*)(lines[1] + at), _mm256_castsi256_si128(odd));
    _mm_store_si128((__m128i*)(void*)(lines[2] + at), _mm256_extracti128_si256(even, 1));
    _mm_store_si128((__m128i*)(void*)(lines[3] + at), _mm256_extracti128_si256(odd, 1));
}

VECTOR void pass_along(const Resizer* resizer, const uint8_t* const* rows, const Scratch* scratch,
                       uint8_t* const lines[LINES], int channels, int loaded) {
    const Tables* tables = resizer->tables;
    int32_t have = 0, begin = 0, i = 0; /* pairs in the tile: [begin, have) */
    size_t at = 0;
    for (const Tile* tile = tables->tiles; tile < tables->tiles + tables->tile_count; tile++) {
        next_tile(resizer, rows, tile, scratch, &begin, &have, channels, loaded, 2);
        for (int32_t end = i + tile->outputs; i < end; i += FOUR) {
            __m256i results[FOUR * 4];
            for (int k = 0; k < FOUR; k++)
                sum_output(tables, i + k, tile, scratch->tile, results + k * channels, channels);
            for (int c = 0; c < channels; c++, at += 16) store_lines(results + 4 * c, lines, at);
        }
    }
}

TARGET_AVX2 static void pass_along_band(const Resizer* resizer, const uint8_t* const* rows, const Scratch* scratch,
                                        uint8_t* const lines[LINES]) {
    const int32_t loaded = ((const Tables*)resizer->tables)->loaded;
    switch (resizer->channels) {
        case 1: pass_along(resizer, rows, scratch, lines, 1, 1); break;
        case 2: pass_along(resizer, rows, scratch, lines, 2, 2); break;
        case 3:
            switch (loaded) {
                case 1: pass_along(resizer, rows, scratch, lines, 3, 1); break;
                case 4: pass_along(resizer, rows, scratch, lines, 3, 4); break;
                default: pass_along(resizer, rows, scratch, lines, 3, 3); break;
            }
            break;
        default: pass_along(resizer, rows, scratch, lines, 4, 4); break;
    }
}

/* A line of pairs as two rows, of which the second may be none. */
TARGET_AVX2 static void store_rows(const uint8_t* line, uint16_t* first, uint16_t* second, size_t columns) {
    const __m256i order =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
    for (size_t x = 0; x < columns; x += WORDS) {
        if (x + WORDS > columns) x = columns - WORDS;
        __m256i a = _mm256_shuffle_epi8(load256(line + x * 4), order);
        __m256i b = _mm256_shuffle_epi8(load256(line + x * 4 + VECTOR_BYTES), order);
        store256(first + x, flipped(in_order(_mm256_unpacklo_epi64(a, b))));
        if (second != NULL) store256(second + x, flipped(in_order(_mm256_unpackhi_epi64(a, b))));
    }
}

/* The vertical pass of `vectors` / 2 times 16 columns, from the ring. */
VECTOR void sum_lines(const Reach* reach, const Taps* taps, const uint8_t* line, const uint8_t* ring,
                      const uint8_t* end, size_t step, size_t x, uint8_t* out, int vectors) {
    Sums sums[4];
    for (int k = 0; k < vectors; k++) sums[k] = begin_sums(reach);
    for (int32_t pair = 0; pair < reach->count; pair++) {
        __m256i high = _mm256_set1_epi32(taps[pair].high[0]), low = _mm256_set1_epi32(taps[pair].high[1]);
        for (int k = 0; k < vectors; k++) add_pair(&sums[k], load256(line + x * 4 + k * VECTOR_BYTES), high, low);
        line += step;
        if (line == end) line = ring;
    }
    for (int k = 0; k < vectors; k += 2) {
        __m256i words = _mm256_packs_epi32(joined(&sums[k]), joined(&sums[k + 1]));
        store256(out + x * 2 + k / 2 * VECTOR_BYTES, flipped(in_order(words)));
    }
}

/* The vertical pass of output row i, from the ring of lines of pairs. */
TARGET_AVX2 static void pass_down_ring(const Resizer* resizer, int32_t i, const uint8_t* ring, uint8_t* out,
                                       size_t columns) {
    const Tables* tables = resizer->tables;
    const Reach* reach = &tables->rows.reach[i];
    const Taps* taps = tables->rows.taps + (size_t)i * (size_t)tables->rows.most;
    const size_t step = fixed_avx2_ring_line(resizer), lines = (size_t)fixed_avx2_ring_lines(resizer);
    const uint8_t *start = ring + step * ((size_t)reach->first % lines), *end = ring + step * lines;
    size_t x = 0;
    for (; x + 2 * WORDS <= columns; x += 2 * WORDS) sum_lines(reach, taps, start, ring, end, step, x, out, 4);
    for (; x < columns; x += WORDS) {
        if (x + WORDS > columns) x = columns - WORDS;
        sum_lines(reach, taps, start, ring, end, step, x, out, 2);
    }
}

/* The vertical pass of output row i, from rows `stride` apart. A pair's row that there is not weighs 0. */
TARGET_AVX2 static void pass_down_rows(const Resizer* resizer, int32_t i, const uint8_t* source, ptrdiff_t stride,
                                       uint8_t* out, size_t columns) {
    const Tables* tables = resizer->tables;
    const Reach* reach = &tables->rows.reach[i];
    const Taps* taps = tables->rows.taps + (size_t)i * (size_t)tables->rows.most;
    for (size_t x = 0; x < columns; x += WORDS) {
        if (x + WORDS > columns) x = columns - WORDS;
        Sums sums[2] = {begin_sums(reach), begin_sums(reach)};
        for (int32_t pair = 0; pair < reach->count; pair++) {
            int32_t row = (reach->first + pair) * TWO, next = least(row + 1, resizer->rows.n_in - 1);
            __m256i a = flipped(load256(source + row * stride + (ptrdiff_t)x * 2));
            __m256i b = flipped(load256(source + next * stride + (ptrdiff_t)x * 2));
            __m256i high = _mm256_set1_epi32(taps[pair].high[0]), low = _mm256_set1_epi32(taps[pair].high[1]);
            add_pair(&sums[0], _mm256_unpacklo_epi16(a, b), high, low);
            add_pair(&sums[1], _mm256_unpackhi_epi16(a, b), high, low);
        }
        store256(out + x * 2, flipped(_mm256_packs_epi32(joined(&sums[0]), joined(&sums[1]))));
    }
}

static void along_to_ring(const Resizer* resizer, const uint8_t* const* rows, int32_t first, uint8_t* scratch) {
    const size_t step = fixed_avx2_ring_line(resizer);
    const int32_t capacity = fixed_avx2_ring_lines(resizer);
    Scratch parts;
    fixed_avx2_scratch(resizer, &parts, scratch);
    uint8_t* lines[LINES];
    for (int32_t k = 0; k < LINES; k++) lines[k] = parts.ring + (size_t)((first / TWO + k) % capacity) * step;
    pass_along_band(resizer, rows, &parts, lines);
}

static void along_to_rows(const Resizer* resizer, const uint8_t* const* rows, uint8_t* const* out, int32_t count,
                          uint8_t* scratch) {
    const size_t columns = (size_t)resizer->cols.n_out * (size_t)resizer->channels;
    Scratch parts;
    fixed_avx2_scratch(resizer, &parts, scratch);
    pass_along_band(resizer, rows, &parts, parts.lines);
    for (int32_t k = 0; k < count; k += TWO) {
        void *first = out[k], *second = k + 1 < count ? out[k + 1] : NULL;
        store_rows(parts.lines[k / TWO], first, second, columns);
    }
}

static void down_from_ring(const Resizer* resizer, int32_t i, uint8_t* out, uint8_t* scratch) {
    Scratch parts;
    fixed_avx2_scratch(resizer, &parts, scratch);
    pass_down_ring(resizer, i, parts.ring, out, (size_t)resizer->cols.n_out * (size_t)resizer->channels);
}

static void down_from_rows(const Resizer* resizer, int32_t i, const uint8_t* source, ptrdiff_t stride, uint8_t* out) {
    pass_down_rows(resizer, i, source, stride, out, (size_t)resizer->cols.n_in * (size_t)resizer->channels);
}

DECLARE_RUN(fixed_u16_avx2) {
    static const Passes PASSES = {BAND, along_to_ring, along_to_rows, down_from_ring, down_from_rows};
    fixed_run(&PASSES, resizer, source, stride, out, first, last, scratch);
}
#endif
