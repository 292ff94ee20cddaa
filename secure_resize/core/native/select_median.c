/* The selective median: which values make up a window, and the median of them, 64 windows at a time.
 *
 * Rows are gathered once each into a ring of planes. Every window gets the same number of values, K: what is no
 * candidate counts in turn as 0 and as 255, so that the candidates' lower median has the rank (K - 1) / 2 whatever
 * their number (core/reference.py). Then a network of minima and maxima brings it to its place; large windows are
 * searched for it, bit by bit, by counting.
 */
#include <string.h>

#include "select.h"

enum { MAX_PARTS = 4 };

void gather_portable(const Lanes* lanes, const uint8_t* row, uint8_t* planes) {
    const Selection* selection = lanes->selection;
    for (int32_t offset = 0; offset < lanes->offsets; offset++) {
        uint8_t* plane = planes + (ptrdiff_t)offset * lanes->padded;
        if (selection->channels != 3) {
            gather_lanes(lanes, row, offset, 0, lanes->lanes, plane);
            continue;
        }
        int32_t end = selection->width - 1, shift = offset - selection->half_cols, count = selection->col_count;
        const int32_t* cols = selection->cols;
        int32_t first = 0, last = count; /* of the columns at which four bytes lie inside the row */
        while (first < count && cols[first] + shift < 0) first++;
        while (last > first && cols[last - 1] + shift >= end) last--;
        for (int32_t j = first; j < last; j++) {
            const uint8_t* pixel = row + 3 * (ptrdiff_t)(cols[j] + shift);
            memcpy(plane + 3 * j, pixel, 4); /* the fourth is overwritten by the next pixel, or lies in the padding */
        }
        for (int32_t j = 0; j < first; j++) memcpy(plane + 3 * j, row, 3);
        for (int32_t j = last; j < count; j++) {
            int32_t x = cols[j] + shift < end ? cols[j] + shift : end;
            memcpy(plane + 3 * j, row + 3 * (ptrdiff_t)x, 3);
        }
    }
}

/* The window's values, padded. */
static ALWAYS_INLINE void fill_slots(const Strip* strip) {
    const Lanes* lanes = strip->lanes;
    int32_t rows = 2 * lanes->selection->half_rows + 1, vectors = lanes->padded / LANES;
    uint8_t pads[LANES] = {0}, *slot = strip->slots;
    for (int32_t k = 0; k < rows; k++) {
        int kind = strip->kinds[k];
        const uint8_t* plane = strip->planes[k] + strip->vector * LANES;
        if (!lanes->excludes[kind * vectors + strip->vector]) {
            for (int32_t offset = 0; offset < lanes->offsets; offset++, slot += LANES, plane += lanes->padded) {
                memcpy(slot, plane, LANES);
            }
            continue;
        }
        const uint8_t* excluded =
            lanes->excluded + (ptrdiff_t)kind * lanes->offsets * lanes->padded + strip->vector * LANES;
        for (int32_t offset = 0; offset < lanes->offsets; offset++, slot += LANES) {
            for (int l = 0; l < LANES; l++) {
                slot[l] = (uint8_t)((plane[l] & ~excluded[l]) | (pads[l] & excluded[l]));
                pads[l] ^= excluded[l];
            }
            plane += lanes->padded;
            excluded += lanes->padded;
        }
    }
}

static ALWAYS_INLINE void run_network(const Strip* strip) {
    const Selection* selection = strip->lanes->selection;
    for (int32_t k = 0; k < selection->exchanges; k++) {
        const int32_t* exchange = selection->network + 3 * k;
        uint8_t* restrict a = strip->slots + exchange[0] * LANES, * restrict b = strip->slots + exchange[1] * LANES;
        for (int l = 0; l < LANES; l++) {
            uint8_t low = a[l] < b[l] ? a[l] : b[l], high = a[l] < b[l] ? b[l] : a[l];
            a[l] = low;
            b[l] = high;
        }
    }
}

/* The largest t that at most `rank` of the values lie below. */
static ALWAYS_INLINE void search_bits(const Strip* strip, int32_t window) {
    uint8_t found[LANES] = {0};
    for (int bit = 128; bit > 0; bit >>= 1) {
        uint16_t below[LANES] = {0};
        for (int32_t first = 0; first < window; first += 255) {
            int32_t last = window - first < 255 ? window : first + 255;
            uint8_t few[LANES] = {0};
            for (int32_t k = first; k < last; k++) {
                const uint8_t* slot = strip->slots + k * LANES;
                for (int l = 0; l < LANES; l++) few[l] = (uint8_t)(few[l] + (slot[l] < (found[l] | bit)));
            }
            for (int l = 0; l < LANES; l++) below[l] = (uint16_t)(below[l] + few[l]);
        }
        for (int l = 0; l < LANES; l++) {
            if (below[l] <= (window - 1) / 2) found[l] = (uint8_t)(found[l] | bit);
        }
    }
    memcpy(strip->result, found, LANES);
}

static ALWAYS_INLINE void find_median(const Strip* strip) {
    const Selection* selection = strip->lanes->selection;
    int32_t window = (2 * selection->half_rows + 1) * (2 * selection->half_cols + 1);
    fill_slots(strip);
    if (selection->exchanges > 0 || window == 1) {
        run_network(strip);
        memcpy(strip->result, strip->slots + (window - 1) / 2 * LANES, LANES);
    } else {
        search_bits(strip, window);
    }
}

void median_portable(const Strip* strip) { find_median(strip); }

typedef struct {
    Lanes lanes;
    uint8_t* memory; /* of all tables and scratch */
    uint8_t* read_rows;
    uint8_t* ring; /* planes of the last 2 * half_rows + 1 rows */
    uint8_t *slots, *medians;
    const uint8_t** planes; /* [row of the window], as in Strip */
    uint8_t* kinds;
} Work;

static bool take(size_t* total, size_t count, size_t size, size_t* at) {
    size_t bytes;
    if (!size_product(count, size, &bytes) || bytes > SIZE_MAX / 4 - *total) return false;
    *at = *total;
    *total += round_up(bytes);
    return true;
}

/* avx512: the lanes of a part, at every offset, come out of up to four vectors of a row. The wider apart the read
 * columns, the more parts it takes. */
static void divide_vectors(Lanes* lanes, int32_t parts) {
    const Selection* selection = lanes->selection;
    int32_t channels = selection->channels, size = LANES / parts;
    int64_t reach = (int64_t)selection->half_cols * channels;
    for (int32_t first = 0; first < lanes->lanes; first += size) {
        int32_t end = first + size < lanes->lanes ? first + size : lanes->lanes;
        int64_t base = (int64_t)selection->cols[first / channels] * channels;
        int64_t last = (int64_t)selection->cols[(end - 1) / channels] * channels + channels - 1;
        int64_t chunks = (last - base + 2 * reach) / 64 + 1;
        if (chunks > 4) return;
        lanes->base[first / size] = (int32_t)base;
        lanes->chunks[first / size] = (int32_t)chunks;
        for (int32_t l = first; l < end; l++) {
            lanes->index[l] = (uint8_t)((int64_t)selection->cols[l / channels] * channels + l % channels - base);
        }
    }
    lanes->parts = parts;
}

static void fill_tables(const Selection* selection, Lanes* lanes, const uint8_t* read_cols) {
    int32_t channels = selection->channels, vectors = lanes->padded / LANES;
    for (int kind = UNREAD; kind <= OUTSIDE; kind++) {
        for (int32_t offset = 0; offset < lanes->offsets; offset++) {
            uint8_t* excluded = lanes->excluded + ((ptrdiff_t)kind * lanes->offsets + offset) * lanes->padded;
            for (int32_t j = 0; j < selection->col_count; j++) {
                int32_t x = selection->cols[j] + offset - selection->half_cols;
                if (kind != OUTSIDE && x >= 0 && x < selection->width && !(kind == READ && read_cols[x])) continue;
                memset(excluded + j * channels, 255, (size_t)channels);
                int32_t last = (j * channels + channels - 1) / LANES;
                for (int32_t v = j * channels / LANES; v <= last; v++) lanes->excludes[kind * vectors + v] = true;
            }
        }
    }
    for (int32_t parts = 1; parts <= MAX_PARTS && lanes->parts == 0; parts *= 2) divide_vectors(lanes, parts);
}

static Status prepare(const Selection* selection, Work* work) {
    int32_t count = selection->col_count * selection->channels, offsets = 2 * selection->half_cols + 1;
    int32_t rows = 2 * selection->half_rows + 1, padded = (count + 2 * LANES - 1) / LANES * LANES,
            vectors = padded / LANES;
    size_t total = 0, read_rows, read_cols, base, chunks, index, excluded, excludes, ring, slots, medians, planes,
           kinds;
    size_t row = (size_t)offsets * (size_t)padded;
    if (!take(&total, (size_t)selection->height, 1, &read_rows) ||
        !take(&total, (size_t)selection->width, 1, &read_cols) ||
        !take(&total, (size_t)vectors * MAX_PARTS, sizeof(int32_t), &base) ||
        !take(&total, (size_t)vectors * MAX_PARTS, sizeof(int32_t), &chunks) ||
        !take(&total, (size_t)padded, 1, &index) || !take(&total, 3, row, &excluded) ||
        !take(&total, 3 * (size_t)vectors, sizeof(bool), &excludes) || !take(&total, (size_t)rows, row, &ring) ||
        !take(&total, (size_t)rows * (size_t)offsets, LANES, &slots) || !take(&total, (size_t)padded, 1, &medians) ||
        !take(&total, (size_t)rows, sizeof(uint8_t*), &planes) || !take(&total, (size_t)rows, 1, &kinds)) {
        return NO_MEMORY;
    }
    uint8_t* memory = alloc_array(total, 1);
    if (memory == NULL) return NO_MEMORY;
    *work = (Work){.lanes = {.selection = selection,
                             .lanes = count,
                             .padded = padded,
                             .offsets = offsets,
                             .base = (int32_t*)(void*)(memory + base),
                             .chunks = (int32_t*)(void*)(memory + chunks),
                             .index = memory + index,
                             .excluded = memory + excluded,
                             .excludes = (bool*)(memory + excludes)},
                   .memory = memory,
                   .read_rows = memory + read_rows,
                   .ring = memory + ring,
                   .slots = memory + slots,
                   .medians = memory + medians,
                   .planes = (const uint8_t**)(void*)(memory + planes),
                   .kinds = memory + kinds};
    for (int32_t i = 0; i < selection->row_count; i++) work->read_rows[selection->rows[i]] = 1;
    for (int32_t j = 0; j < selection->col_count; j++) memory[read_cols + (size_t)selection->cols[j]] = 1;
    fill_tables(selection, &work->lanes, memory + read_cols);
    return OK;
}

static void scatter(const Selection* selection, const uint8_t* values, uint8_t* row) {
    int32_t channels = selection->channels;
    for (int32_t j = 0; j < selection->col_count; j++) {
        uint8_t* pixel = row + (ptrdiff_t)selection->cols[j] * channels;
        if (channels == 3) {
            memcpy(pixel, values + 3 * j, 3);
        } else {
            memcpy(pixel, values + (ptrdiff_t)j * channels, (size_t)channels);
        }
    }
}

Status select_median(const Selection* selection, const Images* images, Level level) {
    Gather* gather = gather_portable;
    Median* median = median_portable;
    Step gather_step = GATHER_PORTABLE, median_step = MEDIAN_PORTABLE;
    if (selection->row_count == 0 || selection->col_count == 0) return OK;
    Work work;
    Status status = prepare(selection, &work);
    if (status != OK) return status;
#ifdef HAVE_X86
    if (level >= LEVEL_AVX2) median = median_of_avx2(selection, &median_step);
    if (level >= LEVEL_AVX512) median = median_of_avx512(selection, &median_step);
    if (level >= LEVEL_AVX512 && work.lanes.parts > 0) {
        gather = gather_avx512;
        gather_step = GATHER_AVX512;
    }
    Scatter places;
    uint8_t* table = NULL;
    if (level >= LEVEL_AVX512 && scatter_bytes(selection) > 0) {
        table = alloc_array(scatter_bytes(selection), 1);
        if (table == NULL) {
            alloc_free(work.memory);
            return NO_MEMORY;
        }
        scatter_prepare(selection, table, &places);
    }
#else
    (void)level;
#endif
    step_ran(gather_step);
    step_ran(median_step);
    const Lanes* lanes = &work.lanes;
    int32_t half = selection->half_rows, window_rows = 2 * half + 1, gathered = 0;
    size_t row_bytes = (size_t)lanes->offsets * (size_t)lanes->padded;
    for (int32_t i = 0; i < selection->row_count; i++) {
        int32_t first = selection->rows[i] - half, last = selection->rows[i] + half;
        if (gathered < first) gathered = first;
        for (; gathered <= last && gathered < selection->height; gathered++) {
            gather(lanes, images->source + gathered * images->stride,
                   work.ring + (size_t)(gathered % window_rows) * row_bytes);
        }
        for (int32_t k = 0; k < window_rows; k++) {
            int32_t y = first + k;
            bool inside = y >= 0 && y < selection->height;
            work.kinds[k] = inside ? (work.read_rows[y] ? READ : UNREAD) : OUTSIDE;
            work.planes[k] = work.ring + (inside ? (size_t)(y % window_rows) * row_bytes : 0);
        }
        for (int32_t v = 0; v * LANES < lanes->lanes; v++) {
            median(&(Strip){lanes, v, work.planes, work.kinds, work.slots, work.medians + v * LANES});
        }
        uint8_t* out = images->out + selection->rows[i] * images->out_stride;
#ifdef HAVE_X86
        if (table != NULL) {
            scatter_avx512(&places, work.medians, out);
            continue;
        }
#endif
        scatter(selection, work.medians, out);
    }
#ifdef HAVE_X86
    alloc_free(table);
#endif
    alloc_free(work.memory);
    return OK;
}
