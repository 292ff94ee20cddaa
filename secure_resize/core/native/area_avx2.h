/* What the files of AVX2's `area` share; area_avx2.c says how it works. */
#ifndef SECURE_RESIZE_AREA_AVX2_H
#define SECURE_RESIZE_AREA_AVX2_H

#include "native.h"

#ifdef HAVE_X86
#include <immintrin.h>

enum {
    COLUMNS = 32, /* a vertical step's */
    LEAD = 16,    /* words before a row of sums that a load may touch */
    SLACK = 64    /* elements past a row that whole loads may touch; their weight is 0 */
};

/* How the rows of an output are added up. */
typedef enum {
    SHARED_PAIRS, /* weighted; source rows 2k and 2k + 1 together, so that two outputs share the pair between them */
    OWN_PAIRS,    /* weighted; each output's rows in pairs from its first on */
    UNWEIGHTED    /* the rows that lie inside; the row that two outputs share is summed along by itself */
} Vertical;

/* SHARED_PAIRS: the pair of rows that holds an output's last one, and what its rows weigh in that output and in the
 * next, in two bytes, twice. */
typedef struct {
    int32_t pair, ends, begins;
} SharedPair;

/* What a task works in. */
typedef struct {
    uint16_t* sums;   /* column sums of two outputs, `sums_stride` words apart */
    uint8_t* edge[2]; /* copies of rows at the image's end, which may be read past theirs */
    int32_t* above;   /* sums along the row that straddles into the next output, 4 a register */
    uint8_t* unused;  /* an output row that nobody wants */
} Scratch;

/* A row that straddles two outputs, and its weight in the upper one; the row above, its weight in the lower one. */
typedef struct {
    const uint8_t* line;
    int32_t tail, head;
} Straddling;

/* Pixels of two output rows: from column sums that carry the vertical weights, or from unweighted ones and the rows
 * that straddle. */
typedef struct {
    void (*weighted)(const Resizer* resizer, const uint16_t* sums, uint8_t* const rows[2]);
    void (*unweighted)(const Resizer* resizer, const Scratch* scratch, const Straddling straddling[2],
                       uint8_t* const rows[2]);
} Finish;

/* An output's taps along a row come in *quads*, four taps to a register, and in *pairs*, as many taps as half a
 * register takes: two of three or four channels, four of two, eight of one. Quads 1 to `middle` weigh `whole` in every
 * output and have no entry in `quad_weights`. */
typedef struct {
    Vertical vertical;
    Finish finish;
    int32_t channels; /* 1 to 4 */
    int32_t step;     /* bytes of a group's pixels: 16, or 12 of three channels or the first three of four */
    int32_t middle;   /* quads of whole pixels, after the first quad */
    int32_t edges;    /* the other quads: 0, 1 or 2 */
    int32_t pairs;
    int32_t group;         /* outputs that are finished together: four registers of sums */
    int32_t groups;        /* of them in a row, the last one filled up with weights of 0 */
    bool middle_fits;      /* unweighted: 16 bits hold the sum of a tap's place in all middle quads */
    int32_t divisor;       /* what all weights of an output pixel sum to */
    int32_t lacking;       /* what every sum along a row lacks of the true one */
    SharedPair* shared;    /* [output row] */
    int32_t* start;        /* [output]: element of the row of sums */
    int16_t* quad_weights; /* [output][edge][16] */
    int16_t* pair_weights; /* [output][pair][8] */
    size_t sums_stride;    /* words from one row of column sums to the other's */
} Tables;

/* Elements of a source row: its last pixel may end at the last channel that is kept. */
static inline size_t columns_of(const Resizer* resizer) {
    return (size_t)resizer->cols.n_in * (size_t)resizer->channels - (size_t)(resizer->channels - resizer->kept);
}

/* area_avx2_columns.c: column sums of outputs i and i + 1, or of i alone. */
void area_avx2_sum_columns(const Resizer* resizer, int32_t i, int32_t outputs, const uint8_t* source, ptrdiff_t stride,
                           uint16_t* sums);

/* area_avx2_along.c: the functions for the tables' channels and taps. */
Finish area_avx2_finish(const Tables* tables);
/* The sums along a straddling row into `above`, for the first output of a task. */
void area_avx2_sum_above(const Resizer* resizer, const uint8_t* line, int32_t* above);

#define VECTOR TARGET_AVX2 static ALWAYS_INLINE

VECTOR __m256i load256(const void* p) { return _mm256_loadu_si256((const __m256i*)p); }
VECTOR __m128i load128(const void* p) { return _mm_loadu_si128((const __m128i*)p); }
VECTOR __m128i load64(const void* p) { return _mm_loadl_epi64((const __m128i*)p); }
VECTOR void store256(void* p, __m256i x) { _mm256_storeu_si256((__m256i*)p, x); }
VECTOR void store128(void* p, __m128i x) { _mm_storeu_si128((__m128i*)p, x); }
#endif
#endif
