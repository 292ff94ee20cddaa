/* What a JPEG file's samples show before and after they are cut off: core/dct.py. */
#ifndef SECURE_RESIZE_CUT_OFF_H
#define SECURE_RESIZE_CUT_OFF_H

#include "native.h"

#define COMPONENTS_MOST 4
#define BLOCK 64 /* coefficients, samples or pixels of 8 x 8 */

/* A component: blocks of coefficients (rows, columns, 8, 8) and by how much each is multiplied. A sample stands for
 * 2^down x 2^across pixels, at most 8 x 8. */
typedef struct {
    const int16_t* blocks;
    float table[BLOCK];
    int64_t rows, columns;
    int down, across;
} Component;

typedef struct {
    Component components[COMPONENTS_MOST];
    int count;
    int64_t height, width; /* pixels of the picture */
    const float* to_rgb;   /* 3 x 3, row by row, where components are Y, Cb and Cr; else NULL */
    const float* inverse;  /* the inverse DCT of a column: 8 x 8, its sample by row */
} Coefficients;

/* The squares, averaged over the colours, of the means before and after cutting off, apart: of groups of 2, 4 and 8
 * pixels a side, each (height / side, width / side). Returns through `beyond` the most by which a sample lies beyond
 * black or white. */
Status cut_off(const Coefficients* file, float* const apart[3], float* beyond);

/* The largest mean of a window of side x side values of (height, width), and where; windows are no larger than that. */
Status worst_window(const float* values, int64_t height, int64_t width, int side, float* mean, int64_t* row,
                    int64_t* column);

#endif
