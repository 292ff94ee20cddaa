/* Allocations, all of them; with test hooks, any of them can be made to fail and what is left is counted. */
#include <stdlib.h>
#include <string.h>

#include "native.h"

#ifdef SECURE_RESIZE_TEST_HOOKS
long alloc_fail_after = -1;
long alloc_live = 0;
#endif

bool size_product(size_t a, size_t b, size_t* product) { return !__builtin_mul_overflow(a, b, product); }

void* alloc_scratch(size_t bytes) {
#ifdef SECURE_RESIZE_TEST_HOOKS
    if (alloc_fail_after == 0) return NULL;
    if (alloc_fail_after > 0) alloc_fail_after--;
#endif
    void* memory = NULL;
    if (bytes > SIZE_MAX - 2 * ALIGNMENT || posix_memalign(&memory, ALIGNMENT, round_up(bytes + 1)) != 0) return NULL;
#ifdef SECURE_RESIZE_TEST_HOOKS
    alloc_live++;
#endif
    return memory;
}

void* alloc_array(size_t count, size_t size) {
    size_t bytes;
    if (!size_product(count, size, &bytes)) return NULL;
    void* memory = alloc_scratch(bytes);
    if (memory != NULL) memset(memory, 0, bytes);
    return memory;
}

void alloc_free(void* memory) {
#ifdef SECURE_RESIZE_TEST_HOOKS
    if (memory != NULL) alloc_live--;
#endif
    free(memory);
}

void* arena_take(Arena* arena, size_t count, size_t size) {
    size_t bytes, at = arena->used;
    if (!size_product(count, size, &bytes) || bytes > SIZE_MAX / 4 - at) {
        arena->overflow = true;
        return NULL;
    }
    arena->used += round_up(bytes);
    return arena->memory != NULL ? arena->memory + at : NULL;
}

Status arena_fill(Arena* arena) {
    if (!arena->overflow) arena->memory = alloc_array(arena->used, 1);
    arena->used = 0;
    return arena->memory != NULL ? OK : NO_MEMORY;
}
