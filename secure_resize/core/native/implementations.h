/* The one list of what is implemented. A new level is its files, a row in LEVELS and a row here for each function.
 *
 *   RESIZE(function, level, kind, item size, prepare)   makes output rows of a resize (native.h)
 *   SELECT(function, level, kind, type)                 a step of a selective filter (select.h), or arrange (native.h)
 *
 * Of those of a kind the first one that the level allows and that suits is taken: better ones stand before. Declarations,
 * the table IMPLEMENTATIONS, the choice and the count of what ran all come from here. */
#ifndef SECURE_RESIZE_IMPLEMENTATIONS_H
#define SECURE_RESIZE_IMPLEMENTATIONS_H

#if defined(__x86_64__)
#define HAVE_X86 1
#define TARGET_AVX2 __attribute__((target("avx2,fma")))
#define TARGET_AVX512 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vnni")))
#endif
#if defined(__aarch64__) && defined(__ARM_NEON) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HAVE_NEON 1
#endif

/* Instruction sets, from the least to the most demanding: LEVEL(constant, name, whether this processor and its operating
 * system have it). The builtins ask cpuid and, by xgetbv, whether the operating system saves the registers. */
#define LEVELS(LEVEL)                                                                                  \
    LEVEL(LEVEL_PORTABLE, "portable", true)                                                            \
    LEVEL(LEVEL_NEON, "neon", COMPILED_FOR_NEON) /* part of every AArch64 */                           \
    LEVEL(LEVEL_AVX2, "avx2", PROCESSOR_HAS("avx2") && PROCESSOR_HAS("fma"))                           \
    LEVEL(LEVEL_AVX512, "avx512",                                                                      \
          level_supported(LEVEL_AVX2) && PROCESSOR_HAS("avx512f") && PROCESSOR_HAS("avx512bw") &&      \
              PROCESSOR_HAS("avx512vl") && PROCESSOR_HAS("avx512dq") && PROCESSOR_HAS("avx512vbmi") && \
              PROCESSOR_HAS("avx512vnni"))

#ifdef HAVE_X86
#define IMPLEMENTATIONS_X86(RESIZE, SELECT)                                       \
    RESIZE(area_u8_avx512, LEVEL_AVX512, AREA, 1, area_u8_avx512_prepare)         \
    RESIZE(area_u8_avx2, LEVEL_AVX2, AREA, 1, area_u8_avx2_prepare)               \
    RESIZE(area_u8_avx2_auto, LEVEL_AVX2, AREA, 1, area_portable_prepare)         \
    RESIZE(area_u16_avx512, LEVEL_AVX512, AREA, 2, area_portable_prepare)         \
    RESIZE(area_u16_avx2, LEVEL_AVX2, AREA, 2, area_portable_prepare)             \
    RESIZE(fixed_u8_avx512, LEVEL_AVX512, FIXED, 1, fixed_u8_avx512_prepare)      \
    RESIZE(fixed_u8_avx2, LEVEL_AVX2, FIXED, 1, fixed_u8_avx2_prepare)            \
    RESIZE(fixed_u8_avx2_auto, LEVEL_AVX2, FIXED, 1, fixed_portable_prepare)      \
    RESIZE(fixed_u16_avx2, LEVEL_AVX2, FIXED, 2, fixed_u16_avx2_prepare)          \
    RESIZE(fixed_u16_avx2_auto, LEVEL_AVX2, FIXED, 2, fixed_portable_prepare)     \
    RESIZE(float_avx2, LEVEL_AVX2, FLOAT, 4, float_avx2_prepare)                  \
    RESIZE(float_avx2_auto, LEVEL_AVX2, FLOAT, 4, float_portable_prepare)         \
    SELECT(gather_avx512, LEVEL_AVX512, GATHER, gather)                           \
    SELECT(scatter_avx512, LEVEL_AVX512, SCATTER, scatter)                        \
    SELECT(median_in_registers_avx512, LEVEL_AVX512, MEDIAN_IN_REGISTERS, median) \
    SELECT(median_avx512, LEVEL_AVX512, MEDIAN, median)                           \
    SELECT(scatter_avx2, LEVEL_AVX2, SCATTER, scatter)                            \
    SELECT(median_in_registers_avx2, LEVEL_AVX2, MEDIAN_IN_REGISTERS, median)     \
    SELECT(median_avx2, LEVEL_AVX2, MEDIAN, median)                               \
    SELECT(keystream_avx512, LEVEL_AVX512, KEYSTREAM, keystream)                  \
    SELECT(keystream_avx2, LEVEL_AVX2, KEYSTREAM, keystream)                      \
    SELECT(draw_avx512, LEVEL_AVX512, DRAW, draw)                                 \
    SELECT(hash_avx512, LEVEL_AVX512, HASH, hash)                                 \
    SELECT(hash_avx2, LEVEL_AVX2, HASH, hash)                                     \
    SELECT(arrange_avx2, LEVEL_AVX2, ARRANGE, arrange)
#else
#define IMPLEMENTATIONS_X86(RESIZE, SELECT)
#endif

#ifdef HAVE_NEON
#define IMPLEMENTATIONS_NEON(RESIZE, SELECT)                                  \
    RESIZE(area_u8_neon, LEVEL_NEON, AREA, 1, area_u8_neon_prepare)           \
    RESIZE(fixed_u8_neon, LEVEL_NEON, FIXED, 1, fixed_u8_neon_prepare)        \
    SELECT(median_in_registers_neon, LEVEL_NEON, MEDIAN_IN_REGISTERS, median) \
    SELECT(median_neon, LEVEL_NEON, MEDIAN, median)                           \
    SELECT(keystream_neon, LEVEL_NEON, KEYSTREAM, keystream)                  \
    SELECT(hash_neon, LEVEL_NEON, HASH, hash)
#else
#define IMPLEMENTATIONS_NEON(RESIZE, SELECT)
#endif

#define IMPLEMENTATIONS_PORTABLE(RESIZE, SELECT)                                      \
    RESIZE(area_u8_portable, LEVEL_PORTABLE, AREA, 1, area_portable_prepare)          \
    RESIZE(area_u16_portable, LEVEL_PORTABLE, AREA, 2, area_portable_prepare)         \
    RESIZE(fixed_u8_portable, LEVEL_PORTABLE, FIXED, 1, fixed_portable_prepare)       \
    RESIZE(fixed_u16_portable, LEVEL_PORTABLE, FIXED, 2, fixed_portable_prepare)      \
    RESIZE(float_portable, LEVEL_PORTABLE, FLOAT, 4, float_portable_prepare)          \
    SELECT(gather_portable, LEVEL_PORTABLE, GATHER, gather)                           \
    SELECT(scatter_portable, LEVEL_PORTABLE, SCATTER, scatter)                        \
    SELECT(median_in_registers_portable, LEVEL_PORTABLE, MEDIAN_IN_REGISTERS, median) \
    SELECT(median_portable, LEVEL_PORTABLE, MEDIAN, median)                           \
    SELECT(keystream_portable, LEVEL_PORTABLE, KEYSTREAM, keystream)                  \
    SELECT(draw_portable, LEVEL_PORTABLE, DRAW, draw)                                 \
    SELECT(hash_portable, LEVEL_PORTABLE, HASH, hash)                                 \
    SELECT(arrange_portable, LEVEL_PORTABLE, ARRANGE, arrange)

#define ALL_IMPLEMENTATIONS(RESIZE, SELECT) \
    IMPLEMENTATIONS_X86(RESIZE, SELECT)     \
    IMPLEMENTATIONS_NEON(RESIZE, SELECT)    \
    IMPLEMENTATIONS_PORTABLE(RESIZE, SELECT)

#endif
