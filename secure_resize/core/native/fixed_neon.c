/* Pillow's two passes for uint8 with NEON.
 *
 * A table look-up widens four bytes to the lanes of a vector, which is multiplied by a tap as it is; the sums fit int32
 * (fixed.c). The horizontal pass makes an output at a time, each from as many steps as the one with most taps; weights
 * of 0 fill the rest. Its rows lie in a ring in the cache until the vertical pass has used them.
 */
#include "fixed.h"

#ifdef HAVE_NEON
#include <arm_neon.h>
#include <limits.h>
#include <string.h>

enum { BLOCK = 32, SLACK = 64 };

/* A step of three or four channels loads 16 bytes for its four taps. Of three channels that is EXCESS more than it
 * needs: where the row ends too early, a `late` output loads as many bytes before its window instead. */
enum { EXCESS = 4 };

typedef struct {
    int32_t byte; /* of the row */
    bool late;
} Start;

typedef struct {
    int32_t steps;    /* an output */
    int32_t window;   /* taps of all the steps: 8 each of one channel, else 4 */
    Start* start;     /* [output] */
    int32_t* weights; /* [output][window] */
} Tables;

static size_t line_bytes(const Resizer* resizer) { /* of a row that the horizontal pass leaves */
    return round_up(row_bytes(resizer, resizer->cols.n_out) + SLACK);
}

static int32_t excess(const Resizer* resizer) { return resizer->channels == 3 ? EXCESS : 0; }

static void fill(const Resizer* resizer, const Tables* tables) {
    const Axis* cols = &resizer->cols;
    int32_t window = tables->window, channels = resizer->channels;
    for (int32_t i = 0; i < cols->n_out; i++) {
        int32_t start = cols->start[i];
        bool late = (start + window) * channels + excess(resizer) > cols->n_in * channels;
        if (start > cols->n_in - window) start = cols->n_in - window;
        tables->start[i] = (Start){start * channels - (late ? excess(resizer) : 0), late};
        memcpy(tables->weights + (size_t)i * (size_t)window + (cols->start[i] - start),
               cols->weights + (size_t)i * (size_t)cols->width, (size_t)cols->count[i] * sizeof(int32_t));
    }
}

static size_t place(const Resizer* resizer, Tables* tables, uint8_t* base) {
    Arena arena = {.memory = base};
    size_t outputs = resizer->has_cols ? (size_t)resizer->cols.n_out : 0;
    arena_take(&arena, 1, sizeof *tables);
    tables->start = arena_take(&arena, outputs * sizeof(Start), 1);
    tables->weights = arena_take(&arena, outputs * (size_t)tables->window * sizeof(int32_t), 1);
    return arena.used;
}

Status fixed_u8_neon_prepare(Resizer* resizer) {
    int32_t channels = resizer->channels;
    if (channels != 1 && channels != 3 && channels != 4) return UNSUITABLE;
    if ((int64_t)resizer->cols.n_in * channels < BLOCK || (int64_t)resizer->cols.n_out * channels < BLOCK)
        return UNSUITABLE;
    Tables tables = {0};
    if (resizer->has_cols) {
        int32_t taps = channels == 1 ? 8 : 4;
        tables.steps = (max_count(&resizer->cols) + taps - 1) / taps;
        tables.window = tables.steps * taps;
        if (tables.window + excess(resizer) > resizer->cols.n_in) return UNSUITABLE;
    }
    Status status = fixed_portable_prepare(resizer);
    if (status != OK) return status;
    uint8_t* memory = alloc_array(place(resizer, &tables, NULL), 1);
    if (memory == NULL) return NO_MEMORY;
    place(resizer, &tables, memory);
    memcpy(memory, &tables, sizeof tables);
    if (resizer->has_cols) fill(resizer, &tables);
    resizer->tables = memory;
    size_t lines = uses_ring(resizer) ? (size_t)resizer->rows.width : 1;
    resizer->scratch_bytes = fixed_run_bytes(resizer, 1) + line_bytes(resizer) * lines;
    return OK;
}

/* Where the four bytes of tap k lie, `at` bytes into the vector and `step` after those of tap k - 1; bytes past the
 * vector become 0. */
static ALWAYS_INLINE void make_index(uint8x16_t index[4], uint8_t at, uint8_t step) {
    static const uint8_t LANES[16] = {0, 128, 128, 128, 1, 128, 128, 128, 2, 128, 128, 128, 3, 128, 128, 128};
    for (uint8_t k = 0; k < 4; k++) index[k] = vaddq_u8(vld1q_u8(LANES), vdupq_n_u8((uint8_t)(at + step * k)));
}

static ALWAYS_INLINE int32x4_t widened(uint8x16_t bytes, uint8x16_t index) {
    return vreinterpretq_s32_u8(vqtbl1q_u8(bytes, index));
}

/* All channels of an output; with three of them the fourth lane is not used. */
static ALWAYS_INLINE int32x4_t sum_lanes(const uint8_t* row, const int32_t* weights, int32_t steps,
                                         const uint8x16_t index[4], int channels) {
    int32x4_t even = vdupq_n_s32(0), odd = vdupq_n_s32(0);
    for (; steps > 0; steps--, row += 4 * channels, weights += 4) {
        uint8x16_t bytes = vld1q_u8(row);
        int32x4_t taps = vld1q_s32(weights);
        even = vmlaq_laneq_s32(even, widened(bytes, index[0]), taps, 0);
        odd = vmlaq_laneq_s32(odd, widened(bytes, index[1]), taps, 1);
        even = vmlaq_laneq_s32(even, widened(bytes, index[2]), taps, 2);
        odd = vmlaq_laneq_s32(odd, widened(bytes, index[3]), taps, 3);
    }
    return vaddq_s32(even, odd);
}

static ALWAYS_INLINE int32x4_t sum_one(const uint8_t* row, const int32_t* weights, int32_t steps) {
    int32x4_t low = vdupq_n_s32(0), high = vdupq_n_s32(0);
    for (; steps > 0; steps--, row += 8, weights += 8) {
        int16x8_t words = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(row)));
        low = vmlaq_s32(low, vmovl_s16(vget_low_s16(words)), vld1q_s32(weights));
        high = vmlaq_s32(high, vmovl_high_s16(words), vld1q_s32(weights + 4));
    }
    return vaddq_s32(low, high);
}

/* Rounded, shifted and clipped. */
static ALWAYS_INLINE uint16x4_t finished(int32x4_t sums) { return vqmovun_s32(vrshrq_n_s32(sums, PRECISION_BITS)); }

static ALWAYS_INLINE void pass_along_lanes(const Resizer* resizer, const uint8_t* row, uint8_t* line, int channels) {
    const Tables* tables = resizer->tables;
    const int32_t* weights = tables->weights;
    uint8x16_t index[2][4];
    make_index(index[false], 0, (uint8_t)channels);
    make_index(index[true], EXCESS, (uint8_t)channels);
    for (int32_t i = 0; i < resizer->cols.n_out; i++, line += channels, weights += tables->window) {
        const Start* start = &tables->start[i];
        int32x4_t sums =
            sum_lanes(row + start->byte, weights, tables->steps, index[channels == 3 && start->late], channels);
        uint16x4_t words = finished(sums);
        uint32_t bytes = vget_lane_u32(vreinterpret_u32_u8(vqmovn_u16(vcombine_u16(words, words))), 0);
        memcpy(line, &bytes, sizeof bytes);
    }
}

/* The horizontal pass over one row, to a line with room for whole stores. */
static void pass_along(const Resizer* resizer, const uint8_t* row, uint8_t* line) {
    const Tables* tables = resizer->tables;
    if (resizer->channels == 3) {
        pass_along_lanes(resizer, row, line, 3);
    } else if (resizer->channels == 4) {
        pass_along_lanes(resizer, row, line, 4);
    } else {
        for (int32_t i = 0; i < resizer->cols.n_out; i++) {
            const int32_t* weights = tables->weights + (size_t)i * (size_t)tables->window;
            int32_t sum = vaddvq_s32(sum_one(row + tables->start[i].byte, weights, tables->steps));
            uint16x4_t words = finished(vdupq_n_s32(sum));
            line[i] = vget_lane_u8(vqmovn_u16(vcombine_u16(words, words)), 0);
        }
    }
}

/* The vertical pass of output row i, from lines `stride` apart; row r is line r % modulus. */
static void pass_down(const Resizer* resizer, int32_t i, const uint8_t* base, ptrdiff_t stride, int32_t modulus,
                      uint8_t* out, size_t columns) {
    const int32_t* weights = resizer->rows.weights + (size_t)i * (size_t)resizer->rows.width;
    int32_t start = resizer->rows.start[i], count = resizer->rows.count[i];
    uint8x16_t index[4];
    make_index(index, 0, 4);
    for (size_t x = 0; x < columns; x += BLOCK) {
        if (x + BLOCK > columns) x = columns - BLOCK;
        int32x4_t sums[8];
        for (int k = 0; k < 8; k++) sums[k] = vdupq_n_s32(0);
        for (int32_t tap = 0; tap < count; tap++) {
            const uint8_t* line = base + (start + tap) % modulus * stride + x;
            uint8x16_t bytes[2] = {vld1q_u8(line), vld1q_u8(line + 16)};
            for (int k = 0; k < 8; k++) {
                sums[k] = vmlaq_n_s32(sums[k], widened(bytes[k / 4], index[k % 4]), weights[tap]);
            }
        }
        for (int k = 0; k < 8; k += 4) {
            uint16x8_t low = vcombine_u16(finished(sums[k]), finished(sums[k + 1]));
            uint16x8_t high = vcombine_u16(finished(sums[k + 2]), finished(sums[k + 3]));
            vst1q_u8(out + x + 4 * (size_t)k, vcombine_u8(vqmovn_u16(low), vqmovn_u16(high)));
        }
    }
}

static void along_to_ring(const Resizer* resizer, const uint8_t* const* rows, int32_t first, uint8_t* scratch) {
    pass_along(resizer, rows[0], scratch + (size_t)(first % resizer->rows.width) * line_bytes(resizer));
}

static void along_to_rows(const Resizer* resizer, const uint8_t* const* rows, uint8_t* const* out, int32_t count,
                          uint8_t* scratch) {
    (void)count; /* of a band of one */
    pass_along(resizer, rows[0], scratch);
    memcpy(out[0], scratch, row_bytes(resizer, resizer->cols.n_out));
}

static void down_from_ring(const Resizer* resizer, int32_t i, uint8_t* out, uint8_t* scratch) {
    pass_down(resizer, i, scratch, (ptrdiff_t)line_bytes(resizer), resizer->rows.width, out,
              row_bytes(resizer, resizer->cols.n_out));
}

static void down_from_rows(const Resizer* resizer, int32_t i, const uint8_t* source, ptrdiff_t stride, uint8_t* out) {
    pass_down(resizer, i, source, stride, INT32_MAX, out, row_bytes(resizer, resizer->cols.n_in));
}

DECLARE_RUN(fixed_u8_neon) {
    static const Passes PASSES = {1, along_to_ring, along_to_rows, down_from_ring, down_from_rows};
    fixed_run(&PASSES, resizer, source, stride, out, first, last, scratch);
}
#endif
