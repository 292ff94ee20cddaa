/* The selective filters with AVX2. */
#include <string.h>

#include "select.h"

#ifdef HAVE_X86
#include <immintrin.h>

#define LEVEL(name) name##_avx2
#define TARGET TARGET_AVX2
enum { WIDTH = 32 };
typedef uint8_t Bytes __attribute__((vector_size(WIDTH)));
typedef uint64_t Pairs __attribute__((vector_size(WIDTH)));

TARGET static ALWAYS_INLINE Bytes least(Bytes a, Bytes b) { return (Bytes)_mm256_min_epu8((__m256i)a, (__m256i)b); }
TARGET static ALWAYS_INLINE Bytes most(Bytes a, Bytes b) { return (Bytes)_mm256_max_epu8((__m256i)a, (__m256i)b); }
TARGET static ALWAYS_INLINE Bytes choose(Bytes mask, Bytes a, Bytes b) {
    return (Bytes)_mm256_blendv_epi8((__m256i)b, (__m256i)a, (__m256i)mask);
}
TARGET static ALWAYS_INLINE Pairs products(Pairs words) {
    return (Pairs)_mm256_mul_epu32((__m256i)words, (__m256i)(words >> 32));
}

#include "select_body.h"

/* 16 bytes of the row at a time: its own where nothing is read. */
TARGET void scatter_avx2(const Places* places, const uint8_t* values, uint8_t* row) {
    const Selection* selection = places->selection;
    const int32_t bytes = selection->width * selection->channels, whole = bytes / PART;
    for (int32_t part = 0; part < whole; part++) {
        __m128i* at = (__m128i*)(void*)(row + (ptrdiff_t)part * PART);
        __m128i within = _mm_load_si128((const __m128i*)(const void*)(places->within + (ptrdiff_t)part * PART));
        __m128i read = _mm_loadu_si128((const __m128i*)(const void*)(values + places->begin[part]));
        _mm_storeu_si128(at, _mm_blendv_epi8(_mm_shuffle_epi8(read, within), _mm_loadu_si128(at), within));
    }
    for (int32_t byte = whole * PART; byte < bytes; byte++) {
        if (places->within[byte] < PART) row[byte] = values[places->begin[whole] + places->within[byte]];
    }
}

#endif
