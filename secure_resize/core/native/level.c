/* Which instruction sets there are. */
#include <string.h>

#include "native.h"

static const char* const NAMES[LEVEL_COUNT] = {"portable", "neon", "avx2", "avx512"};

const char* level_name(Level level) { return NAMES[level]; }

bool level_find(const char* name, Level* level) {
    for (int i = 0; i < LEVEL_COUNT; i++) {
        if (strcmp(name, NAMES[i]) == 0) {
            *level = (Level)i;
            return true;
        }
    }
    return false;
}

bool level_supported(Level level) {
    switch (level) {
        case LEVEL_PORTABLE: return true;
#ifdef HAVE_NEON
        case LEVEL_NEON: return true; /* part of every AArch64 */
#endif
#ifdef HAVE_X86
        /* The builtins ask cpuid and, by xgetbv, whether the operating system saves the registers. */
        case LEVEL_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
        case LEVEL_AVX512:
            return level_supported(LEVEL_AVX2) && __builtin_cpu_supports("avx512f") &&
                   __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi") &&
                   __builtin_cpu_supports("avx512vnni");
#endif
        default: return false;
    }
}

Level level_best(void) {
    for (int i = LEVEL_COUNT - 1; i > 0; i--) {
        if (level_supported((Level)i)) return (Level)i;
    }
    return LEVEL_PORTABLE;
}
