/* The selective median with AVX2: a vector's lanes in two halves of 32. */
#include "networks.h"
#include "select.h"

#ifdef HAVE_X86
#include <immintrin.h>

TARGET_AVX2 static ALWAYS_INLINE __m256i load(const uint8_t* at) {
    return _mm256_load_si256((const __m256i*)(const void*)at);
}

TARGET_AVX2 static ALWAYS_INLINE void store(uint8_t* at, __m256i value) {
    _mm256_store_si256((__m256i*)(void*)at, value);
}

TARGET_AVX2 static void fill_slots(const Strip* strip) {
    const Lanes* lanes = strip->lanes;
    int32_t rows = 2 * lanes->selection->half_rows + 1, vectors = lanes->padded / LANES;
    for (int half = 0; half < LANES; half += 32) {
        __m256i pads = _mm256_setzero_si256();
        uint8_t* slot = strip->slots + half;
        for (int32_t k = 0; k < rows; k++) {
            int kind = strip->kinds[k];
            const uint8_t* plane = strip->planes[k] + strip->vector * LANES + half;
            if (!lanes->excludes[kind * vectors + strip->vector]) {
                for (int32_t offset = 0; offset < lanes->offsets; offset++, slot += LANES, plane += lanes->padded) {
                    store(slot, load(plane));
                }
                continue;
            }
            const uint8_t* excluded = lanes->excluded + (ptrdiff_t)kind * lanes->offsets * lanes->padded;
            excluded += strip->vector * LANES + half;
            for (int32_t offset = 0; offset < lanes->offsets; offset++, slot += LANES) {
                __m256i mask = load(excluded);
                store(slot, _mm256_blendv_epi8(load(plane), pads, mask));
                pads = _mm256_xor_si256(pads, mask);
                plane += lanes->padded;
                excluded += lanes->padded;
            }
        }
    }
}

TARGET_AVX2 static void run_network(const Strip* strip) {
    const Selection* selection = strip->lanes->selection;
    const int32_t *exchange = selection->network, *end = exchange + 3 * (ptrdiff_t)selection->exchanges;
    for (; exchange < end; exchange += 3) {
        uint8_t *first = strip->slots + exchange[0] * LANES, *second = strip->slots + exchange[1] * LANES;
        for (int half = 0; half < LANES; half += 32) {
            __m256i a = load(first + half), b = load(second + half);
            store(first + half, _mm256_min_epu8(a, b));
            store(second + half, _mm256_max_epu8(a, b));
        }
    }
}

/* The largest t that at most (window - 1) / 2 of the values lie below. */
TARGET_AVX2 static __m256i search_bits(const uint8_t* slots, int32_t window) {
    const __m256i zero = _mm256_setzero_si256(), rank = _mm256_set1_epi16((short)((window - 1) / 2));
    __m256i found = zero;
    for (int bit = 128; bit > 0; bit >>= 1) {
        __m256i tried = _mm256_or_si256(found, _mm256_set1_epi8((char)bit));
        __m256i below_low = zero, below_high = zero; /* of each half of 128 bits its lower and its upper bytes */
        for (int32_t k = 0; k < window;) {
            int32_t last = window - k < 255 ? window : k + 255;
            __m256i others = _mm256_set1_epi8((char)(last - k));
            for (; k < last; k++) { /* -1 where the value does not lie below */
                __m256i value = load(slots + (ptrdiff_t)k * LANES);
                others = _mm256_add_epi8(others, _mm256_cmpeq_epi8(_mm256_max_epu8(tried, value), value));
            }
            below_low = _mm256_add_epi16(below_low, _mm256_unpacklo_epi8(others, zero));
            below_high = _mm256_add_epi16(below_high, _mm256_unpackhi_epi8(others, zero));
        }
        /* At most 2^14 values: 16 bits hold their number with its sign. */
        __m256i many = _mm256_packs_epi16(_mm256_cmpgt_epi16(below_low, rank), _mm256_cmpgt_epi16(below_high, rank));
        found = _mm256_blendv_epi8(tried, found, many);
    }
    return found;
}

TARGET_AVX2 static void median_avx2(const Strip* strip) {
    const Selection* selection = strip->lanes->selection;
    int32_t window = (2 * selection->half_rows + 1) * (2 * selection->half_cols + 1);
    fill_slots(strip);
    if (selection->exchanges > 0 || window == 1) run_network(strip);
    const uint8_t* middle = strip->slots + (ptrdiff_t)(window - 1) / 2 * LANES;
    for (int half = 0; half < LANES; half += 32) {
        bool ready = selection->exchanges > 0 || window == 1;
        __m256i median = ready ? load(middle + half) : search_bits(strip->slots + half, window);
        _mm256_storeu_si256((__m256i*)(void*)(strip->result + half), median);
    }
}

/* The common windows: from the planes to the median without a store in between, but for what 16 registers do not hold:
 * ROWS x OFFSETS values. */
#define E(i, j)                                      \
    {                                                \
        __m256i least = _mm256_min_epu8(s[i], s[j]); \
        s[j] = _mm256_max_epu8(s[i], s[j]);          \
        s[i] = least;                                \
    }
#define IN_REGISTERS(name, ROWS, OFFSETS, NETWORK)                                                                  \
    TARGET_AVX2 static void name(const Strip* strip) {                                                              \
        const Lanes* lanes = strip->lanes;                                                                          \
        ptrdiff_t step = lanes->padded;                                                                             \
        for (int half = 0; half < LANES; half += 32) {                                                              \
            __m256i s[(ROWS) * (OFFSETS)], pads = _mm256_setzero_si256();                                           \
            _Pragma("GCC unroll 8") for (int k = 0; k < (ROWS); k++) {                                              \
                int kind = strip->kinds[k];                                                                         \
                /* What lies outside the image is all excluded, whatever plane is read in its place. */             \
                const uint8_t* plane = strip->planes[k] + strip->vector * LANES + half;                             \
                const uint8_t* excluded = lanes->excluded + kind * (OFFSETS) * step + strip->vector * LANES + half; \
                if (!lanes->excludes[kind * (lanes->padded / LANES) + strip->vector]) {                             \
                    _Pragma("GCC unroll 8") for (int d = 0; d < (OFFSETS); d++) {                                   \
                        s[k * (OFFSETS) + d] = load(plane + d * step);                                              \
                    }                                                                                               \
                    continue;                                                                                       \
                }                                                                                                   \
                _Pragma("GCC unroll 8") for (int d = 0; d < (OFFSETS); d++) {                                       \
                    __m256i mask = load(excluded + d * step);                                                       \
                    s[k * (OFFSETS) + d] = _mm256_blendv_epi8(load(plane + d * step), pads, mask);                  \
                    pads = _mm256_xor_si256(pads, mask);                                                            \
                }                                                                                                   \
            }                                                                                                       \
            NETWORK _mm256_storeu_si256((__m256i*)(void*)(strip->result + half), s[((ROWS) * (OFFSETS) - 1) / 2]);  \
        }                                                                                                           \
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

Median* median_of_avx2(const Selection* selection, Step* step) {
    *step = MEDIAN_AVX2_REGISTERS;
    for (size_t i = 0; i < sizeof COMMON / sizeof *COMMON; i++) {
        if (selection->half_rows == COMMON[i].half_rows && selection->half_cols == COMMON[i].half_cols) {
            return COMMON[i].median;
        }
    }
    *step = MEDIAN_AVX2;
    return median_avx2;
}

#endif
