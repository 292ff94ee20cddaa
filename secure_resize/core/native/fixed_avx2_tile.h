/* What uint8 and uint16 share of Pillow's horizontal pass with AVX2: tiles of dwords, made of eight rows at a time. */
#ifndef SECURE_RESIZE_FIXED_AVX2_TILE_H
#define SECURE_RESIZE_FIXED_AVX2_TILE_H

#include "fixed_avx2.h"

#ifdef HAVE_X86
#include <immintrin.h>
#include <string.h>

#define VECTOR TARGET_AVX2 static ALWAYS_INLINE

VECTOR __m256i load256(const void* p) { return _mm256_loadu_si256((const __m256i*)p); }
VECTOR void store256(void* p, __m256i x) { _mm256_storeu_si256((__m256i*)p, x); }

/* Four vectors of four dwords in each half, turned: vector d gets dword d of each. */
VECTOR void turn(const __m256i row[4], __m256i turned[4]) {
    __m256i low = _mm256_unpacklo_epi32(row[0], row[1]), low2 = _mm256_unpacklo_epi32(row[2], row[3]);
    __m256i high = _mm256_unpackhi_epi32(row[0], row[1]), high2 = _mm256_unpackhi_epi32(row[2], row[3]);
    turned[0] = _mm256_unpacklo_epi64(low, low2);
    turned[1] = _mm256_unpackhi_epi64(low, low2);
    turned[2] = _mm256_unpacklo_epi64(high, high2);
    turned[3] = _mm256_unpackhi_epi64(high, high2);
}

/* A step: 32 bytes of each row of a band, in which `loaded` channels lie side by side, to vectors of eight rows' dwords,
 * [dword][channel], of the first `channels` of them; uint16 becomes signed. The rows of uint8 come in the order that
 * makes fours of them in turn. */
VECTOR uint8_t* make_dwords(const uint8_t* const* rows, ptrdiff_t at, __m256i order, uint8_t* to, int channels,
                            int loaded, int itemsize) {
    const int vectors = loaded == 3 ? 3 : 4, dwords = vectors / loaded;
    __m256i row[4], upper[4], lower[4];
    for (int half = 0; half < 2; half++) {
        for (int k = 0; k < 4; k++) {
            __m256i pixels = load256(rows[4 * half + (itemsize == 1 ? ORDER[k] : k)] + at);
            if (itemsize == 2) pixels = _mm256_xor_si256(pixels, _mm256_set1_epi16(INT16_MIN));
            row[k] = _mm256_shuffle_epi8(pixels, order);
        }
        turn(row, half == 0 ? upper : lower);
    }
    for (int k = 0; k < vectors; k++) {
        if (k % loaded >= channels) continue;
        uint8_t* vector = to + (k / loaded * channels + k % loaded) * VECTOR_BYTES;
        store256(vector, _mm256_permute2x128_si256(upper[k], lower[k], 0x20));
        store256(vector + dwords * channels * VECTOR_BYTES, _mm256_permute2x128_si256(upper[k], lower[k], 0x31));
    }
    return to + 2 * dwords * channels * VECTOR_BYTES;
}

/* A step's bytes where they are not all in the row: what there is of them, the rest anything. */
static inline void copy_edge(const uint8_t* const* rows, ptrdiff_t at, ptrdiff_t bytes, uint8_t* edge) {
    ptrdiff_t from = at < 0 ? 0 : at, to = at + VECTOR_BYTES < bytes ? at + VECTOR_BYTES : bytes;
    for (int k = 0; k < BAND; k++) memcpy(edge + k * VECTOR_BYTES + (from - at), rows[k] + from, (size_t)(to - from));
}

/* Dwords [first, end) of rows, or of one plane of theirs. */
VECTOR void fill_part(const Resizer* resizer, const uint8_t* const* rows, int32_t first, int32_t end, uint8_t* edge,
                      uint8_t* to, int channels, int loaded, int itemsize) {
    const Tables* tables = resizer->tables;
    const __m256i order = load256(tables->order);
    const uint8_t* const row[BAND] = {rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7]};
    const int step = loaded == 3 ? 24 : 32, missing = loaded > channels ? loaded - channels : 0;
    const ptrdiff_t bytes = ((ptrdiff_t)resizer->cols.n_in * loaded - missing) * itemsize,
                    stop = (ptrdiff_t)end * 4 * loaded - tables->before; /* a dword of each channel: four bytes */
    ptrdiff_t at = (ptrdiff_t)first * 4 * loaded - tables->before;
    while (at < stop) {
        if (at < 0 || at + VECTOR_BYTES > bytes) {
            copy_edge(rows, at, bytes, edge);
            const uint8_t* parts[BAND];
            for (int k = 0; k < BAND; k++) parts[k] = edge + k * VECTOR_BYTES;
            to = make_dwords(parts, 0, order, to, channels, loaded, itemsize);
            at += step;
        }
        for (; at < stop && at + VECTOR_BYTES <= bytes; at += step) {
            to = make_dwords(row, at, order, to, channels, loaded, itemsize);
        }
    }
}

VECTOR void fill_tile(const Resizer* resizer, const uint8_t* const* rows, int32_t first, int32_t end, uint8_t* edge,
                      uint8_t* to, int channels, int loaded, int itemsize) {
    if (loaded >= channels) {
        fill_part(resizer, rows, first, end, edge, to, channels, loaded, itemsize);
        return;
    }
    for (int plane = 0; plane < channels; plane++) {
        const uint8_t* parts[BAND];
        for (int k = 0; k < BAND; k++) parts[k] = rows[k] + plane * resizer->channel;
        fill_part(resizer, parts, first, end, edge, to + plane * VECTOR_BYTES, channels, loaded, itemsize);
    }
}

/* The tile's dwords into `scratch`, those kept that the tile before, [*begin, *have), has of them. */
VECTOR void next_tile(const Resizer* resizer, const uint8_t* const* rows, const Tile* tile, const Scratch* scratch,
                      int32_t* begin, int32_t* have, int channels, int loaded, int itemsize) {
    size_t kept = 0, size = (size_t)channels * VECTOR_BYTES;
    if (tile->first >= *begin && tile->first < *have) {
        kept = (size_t)(*have - tile->first) * size;
        memmove(scratch->tile, scratch->tile + (size_t)(tile->first - *begin) * size, kept);
    }
    *begin = tile->first;
    int32_t from = kept > 0 ? *have : *begin;
    *have = most(from, tile->end);
    fill_tile(resizer, rows, from, tile->end, scratch->edge, scratch->tile + kept, channels, loaded, itemsize);
}

/* sum += x, where sum is: compilers let the sums wander from register to register, and out of them. */
VECTOR void add_dwords(__m256i* sum, __m256i x) { __asm__("vpaddd %1, %0, %0" : "+x"(*sum) : "x"(x)); }
VECTOR void add_words(__m256i* sum, __m256i x) { __asm__("vpaddw %1, %0, %0" : "+x"(*sum) : "x"(x)); }

#endif
#endif
