/* What the implementations of Pillow's two passes share. */
#ifndef SECURE_RESIZE_FIXED_H
#define SECURE_RESIZE_FIXED_H

#include "native.h"

enum { MAX_BAND = 8 };

/* An implementation's two passes, for fixed_run to drive. Horizontally it takes a *band* of source rows at a time. If
 * the horizontal pass comes first, what it makes goes to a ring that lies in the cache until the vertical pass has used
 * it. `scratch` is the task's, without what fixed_run takes of it. */
typedef struct {
    int32_t band; /* rows; at most MAX_BAND */
    /* The band that begins with source row `first`, a multiple of `band`, to the ring. */
    void (*along_to_ring)(const Resizer* resizer, const uint8_t* const* rows, int32_t first, uint8_t* scratch);
    /* The band's first `count` rows to rows of the output. */
    void (*along_to_rows)(const Resizer* resizer, const uint8_t* const* rows, uint8_t* const* out, int32_t count,
                          uint8_t* scratch);
    /* Output row i from the ring. */
    void (*down_from_ring)(const Resizer* resizer, int32_t i, uint8_t* out, uint8_t* scratch);
    /* Output row i from the source, whose rows lie `stride` bytes apart. */
    void (*down_from_rows)(const Resizer* resizer, int32_t i, const uint8_t* source, ptrdiff_t stride, uint8_t* out);
} Passes;

void fixed_run(const Passes* passes, const Resizer* resizer, const uint8_t* source, ptrdiff_t stride, uint8_t* out,
               int32_t first, int32_t last, uint8_t* scratch);
size_t fixed_run_bytes(const Resizer* resizer, int32_t band); /* what fixed_run takes of the scratch memory */

static inline int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t most(int32_t a, int32_t b) { return a > b ? a : b; }

static inline int32_t max_count(const Axis* axis) {
    int32_t count = 1;
    for (int32_t i = 0; i < axis->n_out; i++) count = most(count, axis->count[i]);
    return count;
}

static inline bool uses_ring(const Resizer* resizer) {
    return resizer->has_rows && resizer->has_cols && !resizer->rows_first;
}

static inline size_t row_bytes(const Resizer* resizer, int32_t pixels) {
    return (size_t)pixels * (size_t)resizer->channels * (size_t)resizer->itemsize;
}

#endif
