/* What the detectors ask of a picture, whose pixels a scaler reads: core/windows.py, the same bytes. */
#ifndef SECURE_RESIZE_WINDOWS_H
#define SECURE_RESIZE_WINDOWS_H

#include "native.h"

#define WINDOW_MOST 9 /* outputs, the side of the largest window */

/* Five pictures (height, width, channels): the middle, left, right, above, below. Into lines
 * (height - 2, (width - 2) * channels) and energy (height - 2, width - 2). */
Status second_difference(const uint8_t* const pictures[5], int64_t height, int64_t width, int channels, int16_t* lines,
                         float* energy);

/* The sums of the squares of `channels` numbers each, pixels of them. */
void line_energy(const int16_t* lines, int64_t pixels, int channels, float* out);

/* lines NULL: outputs one by one. height and width are energy's; the others' follow from it. */
Status stand_out(const int16_t* lines, const float* energy, const float* near, int64_t height, int64_t width,
                 int channels, int side, float* out);

#endif
