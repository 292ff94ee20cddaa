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

#endif
