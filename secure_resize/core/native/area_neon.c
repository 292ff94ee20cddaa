/* `area` for uint8 with NEON: the rows of an output are added up column by column, then the sums along the row.
 *
 * Where rows.unit is small the weighted column sums fit 16 bits, half the bytes to store and load again. Along the row
 * every output takes the same number of steps, with weights of 0 for the rest of them. All sums are exact integers, and
 * the quotients those of area_avx2_along.c.
 */
#include "native.h"

#ifdef HAVE_NEON
#include <arm_neon.h>
#include <string.h>

enum { COLUMNS = 64, SLACK = 32 /* elements past a row that whole loads and stores may touch */ };

typedef struct {
    bool narrow;    /* column sums and weights are 16 bits wide, otherwise 32 */
    int32_t steps;  /* an output */
    int32_t window; /* taps of all the steps: 8 each of one channel, else 4 */
    int32_t* start; /* [output]: element of the row of sums */
    void* weights;  /* [output][window] */
} Tables;

static size_t sums_bytes(const Resizer* resizer, const Tables* tables) { /* a row of column sums */
    size_t pixels = (size_t)resizer->cols.n_in + (size_t)tables->window;
    return round_up((pixels * (size_t)resizer->channels + SLACK) * sizeof(uint32_t));
}

static size_t totals_bytes(const Resizer* resizer) { /* a row of sums along it */
    return round_up(((size_t)resizer->cols.n_out * (size_t)resizer->channels + SLACK) * sizeof(uint32_t));
}

static int32_t max_of(const int32_t* numbers, int32_t count) {
    int32_t most = 1;
    for (int32_t i = 0; i < count; i++) most = numbers[i] > most ? numbers[i] : most;
    return most;
}

static void fill(const Resizer* resizer, const Tables* tables) {
    const Axis* cols = &resizer->cols;
    for (int32_t i = 0; i < cols->n_out; i++) {
        tables->start[i] = cols->start[i] * resizer->channels;
        for (int32_t k = 0; k < cols->count[i]; k++) {
            size_t at = (size_t)i * (size_t)tables->window + (size_t)k;
            int32_t weight = cols->weights[(size_t)i * (size_t)cols->width + (size_t)k];
            if (tables->narrow) {
                ((uint16_t*)tables->weights)[at] = (uint16_t)weight;
            } else {
                ((uint32_t*)tables->weights)[at] = (uint32_t)weight;
            }
        }
    }
}

Status area_u8_neon_prepare(Resizer* resizer) {
    int32_t channels = resizer->channels;
    int64_t divisor = (int64_t)resizer->rows.unit * resizer->cols.unit;
    int64_t rows = max_of(resizer->rows.count, resizer->rows.n_out);
    if (channels != 1 && channels != 3 && channels != 4) return UNSUITABLE;
    if ((int64_t)resizer->cols.n_in * channels < COLUMNS) return UNSUITABLE;
    if (divisor >= 1 << 23 || resizer->rows.whole > UINT16_MAX) return UNSUITABLE; /* S + D/2 < 2^31 */
    if (UINT8_MAX * rows > UINT16_MAX) return UNSUITABLE;
    int32_t taps = channels == 1 ? 8 : 4;
    Tables tables = {.steps = (max_of(resizer->cols.count, resizer->cols.n_out) + taps - 1) / taps};
    tables.narrow = UINT8_MAX * (int64_t)resizer->rows.unit <= UINT16_MAX && resizer->cols.whole <= UINT16_MAX;
    tables.window = tables.steps * taps;
    size_t outputs = (size_t)resizer->cols.n_out, header = round_up(sizeof tables);
    size_t starts = round_up(outputs * sizeof(int32_t)), weights = outputs * (size_t)tables.window * sizeof(uint32_t);
    uint8_t* memory = alloc_array(header + starts + weights, 1);
    if (memory == NULL) return NO_MEMORY;
    tables.start = (int32_t*)(void*)(memory + header);
    tables.weights = memory + header + starts;
    memcpy(memory, &tables, sizeof tables);
    fill(resizer, &tables);
    resizer->tables = memory;
    resizer->scratch_bytes = sums_bytes(resizer, &tables) + totals_bytes(resizer);
    return OK;
}

/* One output's rows. Where an edge weighs nothing its row is not read: another row of the output stands in. */
typedef struct {
    const uint8_t *inside, *head, *tail;
    ptrdiff_t stride;
    int32_t full;
    uint16_t whole, head_weight, tail_weight;
} Band;

static Band band_of(const Resizer* resizer, int32_t i, const uint8_t* source, ptrdiff_t stride) {
    const Span* span = &resizer->rows.spans[i];
    return (Band){.inside = source + span->first * stride,
                  .head = source + (span->first - (span->head != 0)) * stride,
                  .tail = source + (span->first + span->full - (span->tail == 0)) * stride,
                  .stride = stride,
                  .full = span->full,
                  .whole = (uint16_t)resizer->rows.whole,
                  .head_weight = (uint16_t)span->head,
                  .tail_weight = (uint16_t)span->tail};
}

/* COLUMNS columns of the interior rows. */
static ALWAYS_INLINE void add_rows(const uint8_t* row, ptrdiff_t stride, int32_t count, uint16x8_t sums[COLUMNS / 8]) {
    for (int k = 0; k < COLUMNS / 8; k++) sums[k] = vdupq_n_u16(0);
    for (; count > 0; count--, row += stride) {
        for (int k = 0; k < COLUMNS / 16; k++) {
            uint8x16_t pixels = vld1q_u8(row + 16 * k);
            sums[2 * k] = vaddw_u8(sums[2 * k], vget_low_u8(pixels));
            sums[2 * k + 1] = vaddw_high_u8(sums[2 * k + 1], pixels);
        }
    }
}

/* Eight columns' weighted sums. */
static ALWAYS_INLINE void weigh(const Band* band, uint16x8_t inside, size_t x, void* sums, bool narrow) {
    uint16x8_t head = vmovl_u8(vld1_u8(band->head + x)), tail = vmovl_u8(vld1_u8(band->tail + x));
    if (narrow) {
        uint16x8_t sum = vmulq_n_u16(inside, band->whole);
        sum = vmlaq_n_u16(sum, head, band->head_weight);
        vst1q_u16((uint16_t*)sums + x, vmlaq_n_u16(sum, tail, band->tail_weight));
        return;
    }
    const uint16x8_t whole = vdupq_n_u16(band->whole), head_weight = vdupq_n_u16(band->head_weight);
    const uint16x8_t tail_weight = vdupq_n_u16(band->tail_weight);
    uint32x4_t low = vmull_u16(vget_low_u16(inside), vget_low_u16(whole)), high = vmull_high_u16(inside, whole);
    low = vmlal_u16(low, vget_low_u16(head), vget_low_u16(head_weight));
    high = vmlal_high_u16(high, head, head_weight);
    vst1q_u32((uint32_t*)sums + x, vmlal_u16(low, vget_low_u16(tail), vget_low_u16(tail_weight)));
    vst1q_u32((uint32_t*)sums + x + 4, vmlal_high_u16(high, tail, tail_weight));
}

static ALWAYS_INLINE void sum_columns(const Band* band, void* sums, size_t columns, bool narrow) {
    for (size_t x = 0; x < columns; x += COLUMNS) {
        if (x + COLUMNS > columns) x = columns - COLUMNS;
        uint16x8_t inside[COLUMNS / 8];
        add_rows(band->inside + x, band->stride, band->full, inside);
        for (size_t k = 0; k < COLUMNS / 8; k++) weigh(band, inside[k], x + 8 * k, sums, narrow);
    }
}

/* All channels of an output at once. The fourth lane of three belongs to the next output, or to the slack. */
static ALWAYS_INLINE void sum_along_lanes(const Resizer* resizer, const void* sums, uint32_t* totals, int channels,
                                          bool narrow) {
    const Tables* tables = resizer->tables;
    const uint16_t* narrow_weights = tables->weights;
    const uint32_t* wide_weights = tables->weights;
    const int32_t steps = tables->steps;
    for (int32_t i = 0; i < resizer->cols.n_out; i++, totals += channels) {
        uint32x4_t even = vdupq_n_u32(0), odd = vdupq_n_u32(0);
        const uint16_t* narrow_at = (const uint16_t*)sums + tables->start[i];
        const uint32_t* wide_at = (const uint32_t*)sums + tables->start[i];
        for (int32_t step = 0; step < steps; step++) {
            if (narrow) {
                uint16x4_t taps = vld1_u16(narrow_weights);
                even = vmlal_lane_u16(even, vld1_u16(narrow_at), taps, 0);
                odd = vmlal_lane_u16(odd, vld1_u16(narrow_at + channels), taps, 1);
                even = vmlal_lane_u16(even, vld1_u16(narrow_at + 2 * channels), taps, 2);
                odd = vmlal_lane_u16(odd, vld1_u16(narrow_at + 3 * channels), taps, 3);
                narrow_at += 4 * channels, narrow_weights += 4;
            } else {
                uint32x4_t taps = vld1q_u32(wide_weights);
                even = vmlaq_laneq_u32(even, vld1q_u32(wide_at), taps, 0);
                odd = vmlaq_laneq_u32(odd, vld1q_u32(wide_at + channels), taps, 1);
                even = vmlaq_laneq_u32(even, vld1q_u32(wide_at + 2 * channels), taps, 2);
                odd = vmlaq_laneq_u32(odd, vld1q_u32(wide_at + 3 * channels), taps, 3);
                wide_at += 4 * channels, wide_weights += 4;
            }
        }
        vst1q_u32(totals, vaddq_u32(even, odd));
    }
}

/* One channel: eight pixels a step. */
static ALWAYS_INLINE void sum_along_one(const Resizer* resizer, const void* sums, uint32_t* totals, bool narrow) {
    const Tables* tables = resizer->tables;
    const uint16_t* narrow_weights = tables->weights;
    const uint32_t* wide_weights = tables->weights;
    const int32_t steps = tables->steps;
    for (int32_t i = 0; i < resizer->cols.n_out; i++) {
        uint32x4_t low = vdupq_n_u32(0), high = vdupq_n_u32(0);
        const uint16_t* narrow_at = (const uint16_t*)sums + tables->start[i];
        const uint32_t* wide_at = (const uint32_t*)sums + tables->start[i];
        for (int32_t step = 0; step < steps; step++) {
            if (narrow) {
                uint16x8_t pixels = vld1q_u16(narrow_at), taps = vld1q_u16(narrow_weights);
                low = vmlal_u16(low, vget_low_u16(pixels), vget_low_u16(taps));
                high = vmlal_high_u16(high, pixels, taps);
                narrow_at += 8, narrow_weights += 8;
            } else {
                low = vmlaq_u32(low, vld1q_u32(wide_at), vld1q_u32(wide_weights));
                high = vmlaq_u32(high, vld1q_u32(wide_at + 4), vld1q_u32(wide_weights + 4));
                wide_at += 8, wide_weights += 8;
            }
        }
        totals[i] = vaddvq_u32(vaddq_u32(low, high));
    }
}

static ALWAYS_INLINE void sum_along(const Resizer* resizer, const void* sums, uint32_t* totals, bool narrow) {
    switch (resizer->channels) {
        case 1: sum_along_one(resizer, sums, totals, narrow); break;
        case 3: sum_along_lanes(resizer, sums, totals, 3, narrow); break;
        default: sum_along_lanes(resizer, sums, totals, 4, narrow); break;
    }
}

/* floor(t / D) with t = S + floor(D/2); see `Division` of area_avx2_along.c for why either is exact. */
static ALWAYS_INLINE uint32x4_t quotients(uint32x4_t sum, uint32_t d, float32x4_t reciprocal, float32x4_t half,
                                          bool fast) {
    if (fast) return vcvtq_u32_f32(vfmaq_f32(half, vcvtq_f32_u32(sum), reciprocal));
    uint32x4_t t = vaddq_u32(sum, vdupq_n_u32(d / 2));
    uint32x4_t estimate = vcvtq_u32_f32(vmulq_f32(vcvtq_f32_u32(t), reciprocal));
    uint32x4_t rest = vmlsq_n_u32(t, estimate, d);
    return vsubq_u32(estimate, vcgeq_u32(rest, vdupq_n_u32(d))); /* minus all ones: one more */
}

static ALWAYS_INLINE void divide(uint32_t d, const uint32_t* totals, uint8_t* out, size_t count, bool fast) {
    double inverse = 1.0 / d;
    const float32x4_t reciprocal = vdupq_n_f32((float)(fast ? inverse : inverse * (1 - 0x1p-21)));
    const float32x4_t half = vdupq_n_f32((float)(0.5 + 0.25 * inverse));
    for (size_t x = 0; x < count; x += 16) {
        uint16x4_t words[4];
        for (int k = 0; k < 4; k++) {
            words[k] = vmovn_u32(quotients(vld1q_u32(totals + x + 4 * k), d, reciprocal, half, fast));
        }
        uint8x16_t pixels =
            vcombine_u8(vmovn_u16(vcombine_u16(words[0], words[1])), vmovn_u16(vcombine_u16(words[2], words[3])));
        if (count - x >= 16) {
            vst1q_u8(out + x, pixels);
        } else {
            uint8_t tail[16];
            vst1q_u8(tail, pixels);
            memcpy(out + x, tail, count - x);
        }
    }
}

static ALWAYS_INLINE void rows_of(const Resizer* resizer, const uint8_t* source, ptrdiff_t stride, uint8_t* out,
                                  int32_t first, int32_t last, uint8_t* scratch, bool narrow) {
    size_t columns = (size_t)resizer->cols.n_in * (size_t)resizer->channels;
    size_t count = (size_t)resizer->cols.n_out * (size_t)resizer->channels;
    void* sums = scratch;
    uint32_t* totals = (uint32_t*)(void*)(scratch + sums_bytes(resizer, resizer->tables));
    uint32_t divisor = (uint32_t)resizer->rows.unit * (uint32_t)resizer->cols.unit;
    memset(scratch, 0, resizer->scratch_bytes); /* the slack past a line is read too; its results are not used */
    for (int32_t i = first; i < last; i++) {
        Band band = band_of(resizer, i, source, stride);
        sum_columns(&band, sums, columns, narrow);
        sum_along(resizer, sums, totals, narrow);
        if (divisor < 1 << 13) {
            divide(divisor, totals, out + (size_t)i * count, count, true);
        } else {
            divide(divisor, totals, out + (size_t)i * count, count, false);
        }
    }
}

DECLARE_RUN(area_u8_neon) {
    if (((const Tables*)resizer->tables)->narrow) {
        rows_of(resizer, source, stride, out, first, last, scratch, true);
    } else {
        rows_of(resizer, source, stride, out, first, last, scratch, false);
    }
}
#endif
