/* `area` in plain C, for every dtype, channel count and ratio; what the vector implementations leave to it.
 *
 * Rows first: one output row's source rows are added up column by column (interior rows unweighted, then once times the
 * whole weight; the two edge rows with their own), then the sums are added up along the row in the same way. All sums
 * are exact integers, so no order can be told from another by its bytes.
 *
 * With S the weighted sum and D = rows.unit * cols.unit the pixel is floor((2S + D) / 2D) = floor((S + floor(D/2)) /
 * D).
 */
#include <string.h>

#include "native.h"

enum { BLOCK = 128 }; /* columns whose sums stay in the first-level cache, or in registers */
enum { SLACK = 4 };   /* elements past a row's sums that whole loads and stores may touch */

/* GNU C's vectors, which become SSE2's or NEON's. */
typedef int32_t Lanes __attribute__((vector_size(16)));
typedef uint16_t Words __attribute__((vector_size(16)));

/* int32 holds S + floor(D/2), and every sum on the way to it; otherwise int64 does. */
static bool is_narrow(const Resizer* resizer) {
    int64_t divisor = (int64_t)resizer->rows.unit * resizer->cols.unit;
    return (resizer->itemsize == 1 ? UINT8_MAX : UINT16_MAX) * divisor + divisor / 2 <= INT32_MAX;
}

static size_t line_bytes(const Resizer* resizer, int32_t pixels) { /* a row of sums */
    return round_up(((size_t)pixels * (size_t)resizer->channels + SLACK) * (is_narrow(resizer) ? 4 : 8));
}

Status area_portable_prepare(Resizer* resizer) {
    resizer->scratch_bytes = line_bytes(resizer, resizer->cols.n_in) + line_bytes(resizer, resizer->cols.n_out);
    return OK;
}

/* An output row's source rows and their weights. Where an edge weighs nothing its row is not read, as it may not exist:
 * another row of the output stands in. */
typedef struct {
    const uint8_t *inside, *head, *tail;
    ptrdiff_t stride;
    int32_t full, whole, head_weight, tail_weight;
} Band;

static Band band_of(const Resizer* resizer, int32_t i, const uint8_t* source, ptrdiff_t stride) {
    const Span* span = &resizer->rows.spans[i];
    return (Band){.inside = source + span->first * stride,
                  .head = source + (span->first - (span->head != 0)) * stride,
                  .tail = source + (span->first + span->full - (span->tail == 0)) * stride,
                  .stride = stride,
                  .full = span->full,
                  .whole = resizer->rows.whole,
                  .head_weight = span->head,
                  .tail_weight = span->tail};
}

/* Sums of up to 257 rows of 64 columns. Adding 16-bit words adds low + 256 high modulo 2^16; the sum of the high bytes,
 * kept beside it, tells the two apart: a third of the work of widening every row. */
static ALWAYS_INLINE void add_rows_of_64(uint16_t* sums, const uint8_t* source, ptrdiff_t stride, int32_t rows) {
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low byte of a word is the first of two columns");
    Words both[4] = {{0}, {0}, {0}, {0}}, odd[4] = {{0}, {0}, {0}, {0}};
    for (int32_t k = 0; k < rows; k++, source += stride) {
        __builtin_prefetch(source + rows * stride, 0, 2); /* the next output's; past the image's end it does nothing */
        for (int quarter = 0; quarter < 4; quarter++) {
            Words pixels;
            memcpy(&pixels, source + 16 * quarter, sizeof pixels);
            both[quarter] += pixels;
            odd[quarter] += pixels >> 8;
        }
    }
    for (int quarter = 0; quarter < 4; quarter++) {
        Words even = both[quarter] - (odd[quarter] << 8);
        Words low = __builtin_shufflevector(even, odd[quarter], 0, 8, 1, 9, 2, 10, 3, 11);
        Words high = __builtin_shufflevector(even, odd[quarter], 4, 12, 5, 13, 6, 14, 7, 15);
        memcpy(sums + 16 * quarter, &low, sizeof low);
        memcpy(sums + 16 * quarter + 8, &high, sizeof high);
    }
}

static ALWAYS_INLINE void add_rows_u8(uint16_t* sums, const uint8_t* source, ptrdiff_t stride, int32_t rows, int n) {
    if (n == BLOCK) {
        for (int x = 0; x < BLOCK; x += 64) add_rows_of_64(sums + x, source + x, stride, rows);
        return;
    }
    memset(sums, 0, BLOCK * sizeof *sums);
    for (int32_t k = 0; k < rows; k++, source += stride) {
        for (int x = 0; x < n; x++) sums[x] = (uint16_t)(sums[x] + source[x]);
    }
}

/* The column sums of `n` columns. In 16 bits, which a multiplication takes far less time for, where they fit. */
static ALWAYS_INLINE void sum_block_u8(const Band* band, size_t left, int n, bool in_16_bits, int32_t* sums) {
    uint16_t block[BLOCK];
    const uint8_t *head = band->head + left, *tail = band->tail + left;
    if (in_16_bits) {
        uint16_t whole = (uint16_t)band->whole, h = (uint16_t)band->head_weight, t = (uint16_t)band->tail_weight;
        add_rows_u8(block, band->inside + left, band->stride, band->full, n);
        for (int x = 0; x < n; x++) sums[x] = (uint16_t)(block[x] * (uint32_t)whole + head[x] * h + tail[x] * t);
        return;
    }
    for (int x = 0; x < n; x++) sums[x] = head[x] * band->head_weight + tail[x] * band->tail_weight;
    for (int32_t done = 0; done < band->full; done += 257) {
        int32_t rows = band->full - done < 257 ? band->full - done : 257;
        add_rows_u8(block, band->inside + done * band->stride + left, band->stride, rows, n);
        for (int x = 0; x < n; x++) sums[x] += block[x] * band->whole;
    }
}

static ALWAYS_INLINE const uint16_t* words(const uint8_t* row) { return (const uint16_t*)(const void*)row; }

static ALWAYS_INLINE void sum_block_u16(const Band* band, size_t left, int n, int32_t* sums) {
    const uint16_t *head = words(band->head) + left, *tail = words(band->tail) + left;
    int32_t block[BLOCK] = {0};
    for (int32_t k = 0; k < band->full; k++) {
        const uint16_t* row = words(band->inside + k * band->stride) + left;
        for (int x = 0; x < n; x++) block[x] += row[x];
    }
    for (int x = 0; x < n; x++) {
        sums[x] = block[x] * band->whole + head[x] * band->head_weight + tail[x] * band->tail_weight;
    }
}

/* Any dtype, in int64. */
static void sum_block_wide(const Band* band, size_t left, int n, int itemsize, int64_t* sums) {
    memset(sums, 0, (size_t)n * sizeof *sums);
    for (int32_t k = -1; k <= band->full; k++) {
        int64_t weight = k < 0 ? band->head_weight : k < band->full ? band->whole : band->tail_weight;
        const uint8_t* row = k < 0 ? band->head : k < band->full ? band->inside + k * band->stride : band->tail;
        if (itemsize == 1) {
            for (int x = 0; x < n; x++) sums[x] += row[left + (size_t)x] * weight;
        } else {
            for (int x = 0; x < n; x++) sums[x] += words(row)[left + (size_t)x] * weight;
        }
    }
}

/* The sums along the row of outputs of three or four channels: all of an output's at once. The fourth lane of three
 * channels belongs to the next output, or to the slack. */
static ALWAYS_INLINE void sum_along_lanes(const Axis* cols, const int32_t* sums, int32_t* totals, int channels) {
    for (int32_t i = 0; i < cols->n_out; i++) {
        const Span* span = &cols->spans[i];
        Lanes total = {0, 0, 0, 0}, pixel;
        const int32_t* at = sums + span->first * channels;
        for (int32_t k = 0; k < span->full; k++, at += channels) {
            memcpy(&pixel, at, sizeof pixel);
            total += pixel;
        }
        total *= cols->whole;
        if (span->tail != 0) {
            memcpy(&pixel, at, sizeof pixel);
            total += pixel * span->tail;
        }
        if (span->head != 0) {
            memcpy(&pixel, sums + (span->first - 1) * channels, sizeof pixel);
            total += pixel * span->head;
        }
        memcpy(totals + i * channels, &total, sizeof total);
    }
}

static ALWAYS_INLINE int64_t sum_at(const void* sums, bool narrow, size_t x) {
    return narrow ? ((const int32_t*)sums)[x] : ((const int64_t*)sums)[x];
}

static ALWAYS_INLINE void sum_along_any(const Resizer* resizer, const void* sums, void* totals, bool narrow,
                                        int32_t channels) {
    size_t step = (size_t)channels, result = 0;
    for (int32_t i = 0; i < resizer->cols.n_out; i++) {
        const Span* span = &resizer->cols.spans[i];
        for (size_t c = 0; c < step; c++, result++) {
            size_t first = (size_t)span->first * step + c;
            int64_t sum = 0;
            for (int32_t k = 0; k < span->full; k++) sum += sum_at(sums, narrow, first + (size_t)k * step);
            sum *= resizer->cols.whole;
            if (span->head != 0) sum += sum_at(sums, narrow, first - step) * span->head;
            if (span->tail != 0) sum += sum_at(sums, narrow, first + (size_t)span->full * step) * span->tail;
            if (narrow) {
                ((int32_t*)totals)[result] = (int32_t)sum;
            } else {
                ((int64_t*)totals)[result] = sum;
            }
        }
    }
}

static ALWAYS_INLINE void sum_along(const Resizer* resizer, const void* sums, void* totals, bool narrow) {
    if (narrow && resizer->channels == 3) {
        sum_along_lanes(&resizer->cols, sums, totals, 3);
    } else if (narrow && resizer->channels == 4) {
        sum_along_lanes(&resizer->cols, sums, totals, 4);
    } else if (resizer->channels == 1) {
        sum_along_any(resizer, sums, totals, narrow, 1);
    } else {
        sum_along_any(resizer, sums, totals, narrow, resizer->channels);
    }
}

/* (S + floor(D/2) + 1/2) / D with an integer S below 2^53 lies at least 1 / 2D away from any integer; two roundings
 * move it by at most 2^-51 times 65536, which is less as long as D < 2^34: the truncated product is the exact quotient.
 * D < 2^31 (MAX_PIXELS of resize.py). */
static ALWAYS_INLINE void divide(const Resizer* resizer, const void* totals, uint8_t* out, int itemsize, bool narrow) {
    int64_t divisor = (int64_t)resizer->rows.unit * resizer->cols.unit;
    double reciprocal = 1.0 / (double)divisor, half = (double)(divisor / 2) + 0.5;
    size_t count = (size_t)resizer->cols.n_out * (size_t)resizer->channels;
    for (size_t x = 0; x < count; x++) {
        double total = narrow ? (double)((const int32_t*)totals)[x] : (double)((const int64_t*)totals)[x];
        int32_t pixel = (int32_t)((total + half) * reciprocal);
        if (itemsize == 1) {
            out[x] = (uint8_t)pixel;
        } else {
            ((uint16_t*)(void*)out)[x] = (uint16_t)pixel;
        }
    }
}

static ALWAYS_INLINE void rows_of(const Resizer* resizer, const uint8_t* source, ptrdiff_t stride, uint8_t* out,
                                  int32_t first, int32_t last, uint8_t* scratch, int itemsize, bool narrow) {
    size_t columns = (size_t)resizer->cols.n_in * (size_t)resizer->channels;
    size_t out_row = (size_t)resizer->cols.n_out * (size_t)resizer->channels * (size_t)itemsize;
    void *sums = scratch, *totals = scratch + line_bytes(resizer, resizer->cols.n_in);
    bool in_16_bits = UINT8_MAX * (int64_t)resizer->rows.unit <= UINT16_MAX;
    memset(scratch, 0, resizer->scratch_bytes); /* the slack past a line is read too; its sums are not used */
    for (int32_t i = first; i < last; i++) {
        Band band = band_of(resizer, i, source, stride);
        for (size_t left = 0; left < columns; left += BLOCK) {
            int n = columns - left < BLOCK ? (int)(columns - left) : BLOCK;
            if (!narrow) {
                sum_block_wide(&band, left, n, itemsize, (int64_t*)sums + left);
            } else if (itemsize == 2) {
                sum_block_u16(&band, left, n, (int32_t*)sums + left);
            } else if (in_16_bits) {
                sum_block_u8(&band, left, n, true, (int32_t*)sums + left);
            } else {
                sum_block_u8(&band, left, n, false, (int32_t*)sums + left);
            }
        }
        sum_along(resizer, sums, totals, narrow);
        divide(resizer, totals, out + (size_t)i * out_row, itemsize, narrow);
    }
}

static ALWAYS_INLINE void rows_of_any(const Resizer* resizer, const uint8_t* source, ptrdiff_t stride, uint8_t* out,
                                      int32_t first, int32_t last, uint8_t* scratch, int itemsize) {
    if (is_narrow(resizer)) {
        rows_of(resizer, source, stride, out, first, last, scratch, itemsize, true);
    } else {
        rows_of(resizer, source, stride, out, first, last, scratch, itemsize, false);
    }
}

DECLARE_RUN(area_u8_portable) { rows_of_any(resizer, source, stride, out, first, last, scratch, 1); }
DECLARE_RUN(area_u16_portable) { rows_of_any(resizer, source, stride, out, first, last, scratch, 2); }
#ifdef HAVE_X86
/* The same C, vectorised by the compiler for the wider registers. */
TARGET_AVX2 DECLARE_RUN(area_u8_avx2_auto) { rows_of_any(resizer, source, stride, out, first, last, scratch, 1); }
TARGET_AVX2 DECLARE_RUN(area_u16_avx2) { rows_of_any(resizer, source, stride, out, first, last, scratch, 2); }
TARGET_AVX512 DECLARE_RUN(area_u16_avx512) { rows_of_any(resizer, source, stride, out, first, last, scratch, 2); }
#endif
