/* The selective filters with AVX-512 VBMI: a row's lanes are gathered, and put back, by permutations of bytes. */
#include <string.h>

#include "select.h"

#ifdef HAVE_X86
#include <immintrin.h>

#define LEVEL(name) name##_avx512
#define TARGET TARGET_AVX512
enum { WIDTH = 64 };
typedef uint8_t Bytes __attribute__((vector_size(WIDTH)));
typedef uint64_t Pairs __attribute__((vector_size(WIDTH)));

TARGET static ALWAYS_INLINE Bytes least(Bytes a, Bytes b) { return (Bytes)_mm512_min_epu8((__m512i)a, (__m512i)b); }
TARGET static ALWAYS_INLINE Bytes most(Bytes a, Bytes b) { return (Bytes)_mm512_max_epu8((__m512i)a, (__m512i)b); }
TARGET static ALWAYS_INLINE Bytes choose(Bytes mask, Bytes a, Bytes b) {
    return (Bytes)_mm512_ternarylogic_epi32((__m512i)mask, (__m512i)a, (__m512i)b, 0xCA);
}
TARGET static ALWAYS_INLINE Pairs products(Pairs words) {
    return (Pairs)_mm512_mul_epu32((__m512i)words, (__m512i)(words >> 32));
}

#include "select_body.h"

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

TARGET_AVX512 void scatter_avx512(const Places* places, const uint8_t* values, uint8_t* row) {
    for (int32_t v = 0; v < places->vectors; v++) {
        __m512i bytes = _mm512_permutexvar_epi8(_mm512_load_si512(places->index + 64 * (ptrdiff_t)v),
                                                _mm512_loadu_si512(values + places->first[v]));
        _mm512_mask_storeu_epi8(row + 64 * (ptrdiff_t)v, places->read[v], bytes);
    }
}

#endif
