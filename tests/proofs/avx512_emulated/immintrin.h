/* The selective filters' AVX-512 intrinsics in plain C, for machines without AVX-512: SIMDe's, and those that its 0.7.4
 * lacks. tests/test_native_select.py compiles the filters with this in place of the compiler's <immintrin.h>. */
#ifndef EMULATED_IMMINTRIN_H
#define EMULATED_IMMINTRIN_H
#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <stdint.h>
#include <string.h>
#undef _mm512_mask_cmpge_epu32_mask

typedef simde__mmask64 __mmask64;
typedef simde__mmask16 __mmask16;

#define EMULATED static inline __attribute__((unused))
#define LANES_OF(type, count, name, from) \
    type name[count];                     \
    memcpy(name, &(from), sizeof name);
#define RESULT(type, name)              \
    type result;                        \
    memcpy(&result, name, sizeof name); \
    return result;

EMULATED __m512 _mm512_cvtepi32_ps(__m512i a) {
    LANES_OF(int32_t, 16, x, a)
    float y[16];
    for (int i = 0; i < 16; i++) y[i] = (float)x[i];
    RESULT(__m512, y)
}

EMULATED __m512i _mm512_cvttps_epi32(__m512 a) {
    LANES_OF(float, 16, x, a)
    int32_t y[16];
    for (int i = 0; i < 16; i++) y[i] = (int32_t)x[i];
    RESULT(__m512i, y)
}

EMULATED __m512i _mm512_cvtepu8_epi16(__m256i a) {
    LANES_OF(uint8_t, 32, x, a)
    uint16_t y[32];
    for (int i = 0; i < 32; i++) y[i] = x[i];
    RESULT(__m512i, y)
}

EMULATED __m512i _mm512_maskz_loadu_epi8(__mmask64 mask, const void* from) {
    uint8_t y[64] = {0};
    for (int i = 0; i < 64; i++) {
        if (mask >> i & 1) y[i] = ((const uint8_t*)from)[i];
    }
    RESULT(__m512i, y)
}

EMULATED void _mm512_mask_storeu_epi8(void* to, __mmask64 mask, __m512i a) {
    LANES_OF(uint8_t, 64, x, a)
    for (int i = 0; i < 64; i++) {
        if (mask >> i & 1) ((uint8_t*)to)[i] = x[i];
    }
}

EMULATED __m512i _mm512_mask_i32gather_epi32(__m512i source, __mmask16 mask, __m512i at, const void* from, int scale) {
    LANES_OF(int32_t, 16, x, at)
    LANES_OF(int32_t, 16, y, source)
    for (int i = 0; i < 16; i++) {
        if (mask >> i & 1) memcpy(y + i, (const char*)from + (int64_t)x[i] * scale, 4);
    }
    RESULT(__m512i, y)
}

EMULATED __m512i _mm512_mask_load_epi32(__m512i source, __mmask16 mask, const void* from) {
    LANES_OF(int32_t, 16, y, source)
    for (int i = 0; i < 16; i++) {
        if (mask >> i & 1) memcpy(y + i, (const char*)from + 4 * i, 4);
    }
    RESULT(__m512i, y)
}

EMULATED __m512i _mm512_maskz_loadu_epi32(__mmask16 mask, const void* from) {
    return _mm512_mask_load_epi32(_mm512_setzero_si512(), mask, from);
}

EMULATED __m512 _mm512_mask_load_ps(__m512 source, __mmask16 mask, const void* from) {
    LANES_OF(float, 16, y, source)
    for (int i = 0; i < 16; i++) {
        if (mask >> i & 1) memcpy(y + i, (const char*)from + 4 * i, 4);
    }
    RESULT(__m512, y)
}

EMULATED __mmask16 _mm512_mask_cmpge_epu32_mask(__mmask16 mask, __m512i a, __m512i b) {
    LANES_OF(uint32_t, 16, x, a)
    LANES_OF(uint32_t, 16, y, b)
    unsigned result = 0;
    for (int i = 0; i < 16; i++) result |= (unsigned)(x[i] >= y[i]) << i;
    return (__mmask16)(mask & result);
}

#endif
