/* Which instruction sets there are. */
#include <string.h>

#include "native.h"

static const char* const NAMES[LEVEL_COUNT] = {
#define LEVEL_NAME(constant, name, supported) [constant] = name,
    LEVELS(LEVEL_NAME)};

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

#ifdef HAVE_X86
#define PROCESSOR_HAS(feature) (__builtin_cpu_supports(feature) != 0)
#else
#define PROCESSOR_HAS(feature) false
#endif
#ifdef HAVE_NEON
#define COMPILED_FOR_NEON true
#else
#define COMPILED_FOR_NEON false
#endif

bool level_supported(Level level) {
    switch (level) {
#define LEVEL_CASE(constant, name, supported) \
    case constant: return supported;
        LEVELS(LEVEL_CASE)
        default: return false;
    }
}

Level level_best(void) {
    for (int i = LEVEL_COUNT - 1; i > 0; i--) {
        if (level_supported((Level)i)) return (Level)i;
    }
    return LEVEL_PORTABLE;
}
