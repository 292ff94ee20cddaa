/* The selective median with AVX-512 VBMI: a row's lanes are gathered by vpermi2b, 64 windows to a register. */
#include "networks.h"
#include "select.h"

#ifdef HAVE_X86
#include <immintrin.h>

/* The four vectors of a row from `begin` on. Bytes outside the row come as 0: a masked load does not touch them, and the
 * windows exclude them. */
TARGET_AVX512 static ALWAYS_INLINE void load_chunks(const uint8_t* row, int64_t row_bytes, int64_t begin,
                                                    int32_t chunks, __m512i source[4]) {
    for (int c = 0; c < 4; c++) {
        int64_t left = begin + 64 * c, before = left < 0 ? -left : 0, after = left + 64 - row_bytes;
        __mmask64 inside = c < chunks ? ~0ull : 0;
        if (before > 0) inside = before < 64 ? inside << before : 0;
        if (after > 0) inside = after < 64 ? inside & ~0ull >> after : 0;
        const void* at = (const void*)((uintptr_t)row + (uintptr_t)left);
        source[c] = inside ? _mm512_maskz_loadu_epi8(inside, at) : _mm512_setzero_si512();
    }
}

TARGET_AVX512 void gather_avx512(const Lanes* lanes, const uint8_t* row, uint8_t* planes) {
    const Selection* selection = lanes->selection;
    int32_t parts = lanes->parts, size = LANES / parts;
    int64_t row_bytes = (int64_t)selection->width * selection->channels;
    int64_t reach = (int64_t)selection->half_cols * selection->channels;
    const __m512i step = _mm512_set1_epi8((char)selection->channels);
    for (int32_t first = 0, part = 0; first < lanes->lanes; first += size, part++) {
        __m512i source[4], index = _mm512_loadu_si512(lanes->index + first / LANES * LANES);
        __mmask64 mine = parts == 1 ? ~0ull : ((1ull << size) - 1) << first % LANES;
        load_chunks(row, row_bytes, lanes->base[part] - reach, lanes->chunks[part], source);
        uint8_t* plane = planes + first / LANES * LANES;
        for (int32_t offset = 0; offset < lanes->offsets; offset++, plane += lanes->padded) {
            __m512i values = _mm512_permutex2var_epi8(source[0], index, source[1]);
            if (lanes->chunks[part] > 2) {
                __m512i far = _mm512_permutex2var_epi8(source[2], index, source[3]);
                values = _mm512_mask_mov_epi8(values, _mm512_movepi8_mask(index), far);
            }
            _mm512_mask_storeu_epi8(plane, mine, values);
            index = _mm512_add_epi8(index, step);
        }
    }
}

TARGET_AVX512 static ALWAYS_INLINE void fill_slots(const Strip* strip) {
    const Lanes* lanes = strip->lanes;
    int32_t rows = 2 * lanes->selection->half_rows + 1, vectors = lanes->padded / LANES;
    __m512i pads = _mm512_setzero_si512();
    uint8_t* slot = strip->slots;
    for (int32_t k = 0; k < rows; k++) {
        int kind = strip->kinds[k];
        const uint8_t* plane = strip->planes[k] + strip->vector * LANES;
        if (!lanes->excludes[kind * vectors + strip->vector]) {
            for (int32_t offset = 0; offset < lanes->offsets; offset++, slot += LANES, plane += lanes->padded) {
                _mm512_store_si512(slot, _mm512_load_si512(plane));
            }
            continue;
        }
        const uint8_t* excluded =
            lanes->excluded + (ptrdiff_t)kind * lanes->offsets * lanes->padded + strip->vector * LANES;
        for (int32_t offset = 0; offset < lanes->offsets; offset++, slot += LANES) {
            __m512i mask = _mm512_load_si512(excluded), value = _mm512_load_si512(plane);
            _mm512_store_si512(slot, _mm512_ternarylogic_epi32(mask, pads, value, 0xCA)); /* mask ? pads : value */
            pads = _mm512_xor_si512(pads, mask);
            plane += lanes->padded;
            excluded += lanes->padded;
        }
    }
}

TARGET_AVX512 static void run_network(const Strip* strip) {
    const Selection* selection = strip->lanes->selection;
    const int32_t *exchange = selection->network, *end = exchange + 3 * (ptrdiff_t)selection->exchanges;
    for (; exchange < end; exchange += 3) {
        uint8_t *first = strip->slots + exchange[0] * LANES, *second = strip->slots + exchange[1] * LANES;
        __m512i a = _mm512_load_si512(first), b = _mm512_load_si512(second);
        _mm512_store_si512(first, _mm512_min_epu8(a, b));
        _mm512_store_si512(second, _mm512_max_epu8(a, b));
    }
}

/* The largest t that at most (window - 1) / 2 of the values lie below. */
TARGET_AVX512 static __m512i search_bits(const Strip* strip, int32_t window) {
    const __m512i one = _mm512_set1_epi8(1), rank = _mm512_set1_epi16((short)((window - 1) / 2));
    __m512i found = _mm512_setzero_si512();
    for (int bit = 128; bit > 0; bit >>= 1) {
        __m512i tried = _mm512_or_si512(found, _mm512_set1_epi8((char)bit));
        __m512i below_low = _mm512_setzero_si512(), below_high = below_low;
        for (int32_t k = 0; k < window;) {
            int32_t last = window - k < 255 ? window : k + 255;
            __m512i few = _mm512_setzero_si512();
            for (; k < last; k++) {
                /* 1 where the value lies below: the saturated difference is not 0. */
                __m512i under = _mm512_subs_epu8(tried, _mm512_load_si512(strip->slots + (ptrdiff_t)k * LANES));
                few = _mm512_add_epi8(few, _mm512_min_epu8(under, one));
            }
            below_low = _mm512_add_epi16(below_low, _mm512_cvtepu8_epi16(_mm512_castsi512_si256(few)));
            below_high = _mm512_add_epi16(below_high, _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(few, 1)));
        }
        __mmask64 keep = (uint64_t)_mm512_cmple_epu16_mask(below_low, rank) |
                         (uint64_t)_mm512_cmple_epu16_mask(below_high, rank) << 32;
        found = _mm512_mask_mov_epi8(found, keep, tried);
    }
    return found;
}

TARGET_AVX512 static void median_avx512(const Strip* strip) {
    const Selection* selection = strip->lanes->selection;
    int32_t window = (2 * selection->half_rows + 1) * (2 * selection->half_cols + 1);
    fill_slots(strip);
    __m512i median;
    if (selection->exchanges > 0 || window == 1) {
        run_network(strip);
        median = _mm512_load_si512(strip->slots + (ptrdiff_t)(window - 1) / 2 * LANES);
    } else {
        median = search_bits(strip, window);
    }
    _mm512_storeu_si512(strip->result, median);
}
/* The common windows stay in registers from the planes to the median: ROWS x OFFSETS of them. */
#define E(i, j)                                      \
    {                                                \
        __m512i least = _mm512_min_epu8(s[i], s[j]); \
        s[j] = _mm512_max_epu8(s[i], s[j]);          \
        s[i] = least;                                \
    }
#define IN_REGISTERS(name, ROWS, OFFSETS, NETWORK)                                                       \
    TARGET_AVX512 static void name(const Strip* strip) {                                                 \
        const Lanes* lanes = strip->lanes;                                                               \
        ptrdiff_t step = lanes->padded;                                                                  \
        __m512i s[(ROWS) * (OFFSETS)], pads = _mm512_setzero_si512();                                    \
        _Pragma("GCC unroll 8") for (int k = 0; k < (ROWS); k++) {                                       \
            int kind = strip->kinds[k];                                                                  \
            /* What lies outside the image is all excluded, whatever plane is read in its place. */      \
            const uint8_t* plane = strip->planes[k] + strip->vector * LANES;                             \
            const uint8_t* excluded = lanes->excluded + kind * (OFFSETS) * step + strip->vector * LANES; \
            if (!lanes->excludes[kind * (lanes->padded / LANES) + strip->vector]) {                      \
                _Pragma("GCC unroll 8") for (int d = 0; d < (OFFSETS); d++) {                            \
                    s[k * (OFFSETS) + d] = _mm512_load_si512(plane + d * step);                          \
                }                                                                                        \
                continue;                                                                                \
            }                                                                                            \
            _Pragma("GCC unroll 8") for (int d = 0; d < (OFFSETS); d++) {                                \
                __m512i mask = _mm512_load_si512(excluded + d * step);                                   \
                __m512i value = _mm512_load_si512(plane + d * step);                                     \
                s[k * (OFFSETS) + d] = _mm512_ternarylogic_epi32(mask, pads, value, 0xCA);               \
                pads = _mm512_xor_si512(pads, mask);                                                     \
            }                                                                                            \
        }                                                                                                \
        NETWORK _mm512_storeu_si512(strip->result, s[((ROWS) * (OFFSETS) - 1) / 2]);                     \
    }
IN_REGISTERS(median_3x3, 3, 3, NETWORK_9)
IN_REGISTERS(median_3x5, 3, 5, NETWORK_15)
IN_REGISTERS(median_5x3, 5, 3, NETWORK_15)
IN_REGISTERS(median_3x7, 3, 7, NETWORK_21)
IN_REGISTERS(median_7x3, 7, 3, NETWORK_21)
IN_REGISTERS(median_5x5, 5, 5, NETWORK_25)

static const struct {
    int32_t half_rows, half_cols;
    Median* median;
} COMMON[] = {{1, 1, median_3x3}, {1, 2, median_3x5}, {2, 1, median_5x3},
              {1, 3, median_3x7}, {3, 1, median_7x3}, {2, 2, median_5x5}};

Median* median_of_avx512(const Selection* selection, Step* step) {
    *step = MEDIAN_AVX512_REGISTERS;
    for (size_t i = 0; i < sizeof COMMON / sizeof *COMMON; i++) {
        if (selection->half_rows == COMMON[i].half_rows && selection->half_cols == COMMON[i].half_cols) {
            return COMMON[i].median;
        }
    }
    *step = MEDIAN_AVX512;
    return median_avx512;
}

#endif
