/* The tables of the AVX2 implementations (fixed_avx2.c, fixed_u16_avx2.c), made in fixed_avx2_tables.c.
 *
 * Both work on dwords of pixels that follow each other along the axis that is summed: four of uint8, called a four, or
 * two of uint16. What is said of fours holds of these as well. */
#ifndef SECURE_RESIZE_FIXED_AVX2_H
#define SECURE_RESIZE_FIXED_AVX2_H

#include "fixed.h"

#ifdef HAVE_X86

enum { BAND = 8, FOUR = 4, VECTOR_BYTES = 32, LIMBS = 2 };

static const uint8_t ORDER[FOUR] = {0, 2, 1, 3}; /* of a four's bytes; ORDER[ORDER[k]] = k */

/* Four taps (split.h): the parts high as two words a dword, the parts low as the bytes of a four.
 * uint16: two taps of 256 * high + low, as two words each; high[0] are the parts high, high[1] the parts low. */
typedef struct {
    int32_t high[2], low;
} Taps;

/* An output: the fours that it reads, counted from the axis's beginning; the scale of its taps' parts high; and what
 * rounds, 2^21 = scale * half + rest. uint16: half is what the sum of the parts high begins with. */
typedef struct {
    int32_t first, count, scale, half, rest;
} Reach;

/* An axis's taps in fours. */
typedef struct {
    int32_t phase; /* pixels by which the first four begins before the axis */
    int32_t most;  /* fours an output */
    Reach* reach;  /* [output] */
    Taps* taps;    /* [output][most] */
} Fours;

/* Outputs whose fours are in the cache at the same time. */
typedef struct {
    int32_t first, end; /* fours; multiples of those that a step makes */
    int32_t outputs;
} Tile;

typedef struct {
    Fours cols, rows;
    int32_t outputs; /* of the horizontal pass, rounded up to a whole four; the last may have no taps */
    int32_t tile_count, tile_fours;
    Tile* tiles;
    int8_t order[VECTOR_BYTES]; /* the shuffle that makes fours of a row's bytes */
    int32_t loaded;             /* channels side by side in a step's bytes: all; of three, also 4, or 1: planes */
    int32_t before;             /* bytes by which the first step begins before the row */
    bool ring_of_fours;         /* else of rows; uint16's always is */
    int32_t pairs;              /* of rows that an output row reads at most */
    int32_t (*down)[LIMBS];     /* [output row][pair]: two taps' limbs in a dword each */
} Tables;

/* What a task works in. */
typedef struct {
    uint8_t* tile;
    uint8_t* edge;            /* a step's bytes at a row's beginning or end */
    uint8_t* lines[BAND / 2]; /* a band's lines of fours, where they don't go to the ring; uint8 has two */
    uint8_t* ring;
} Scratch;

/* Rows of a line of the ring, or pixels of a dword. */
static inline int32_t per_dword(const Resizer* resizer) { return 4 / resizer->itemsize; }

size_t fixed_avx2_scratch(const Resizer* resizer, Scratch* scratch, uint8_t* base); /* returns its size */
size_t fixed_avx2_ring_line(const Resizer* resizer);                                /* bytes */
int32_t fixed_avx2_ring_lines(const Resizer* resizer);

#endif
#endif
