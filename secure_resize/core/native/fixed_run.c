/* The order in which Pillow's two passes are made; what they are is their implementations' (fixed.h). */
#include "fixed.h"

/* Rows between the passes where the vertical one comes first. */
static size_t between_line(const Resizer* resizer) { return round_up(row_bytes(resizer, resizer->cols.n_in)); }

size_t fixed_run_bytes(const Resizer* resizer, int32_t band) {
    bool between = resizer->has_rows && resizer->has_cols && resizer->rows_first;
    bool gathered = resizer->gathers && uses_ring(resizer); /* as long as a row between the passes */
    return between || gathered ? between_line(resizer) * (size_t)band : 0;
}

/* The band's rows gathered; `rows` told so. Those past the image's last are that one. */
static void gather_band(const Resizer* resizer, const uint8_t** rows, ptrdiff_t stride, int32_t band, int32_t there,
                        uint8_t* to) {
    ptrdiff_t line = (ptrdiff_t)between_line(resizer);
    const Grid grid = {rows[0],           stride,           resizer->pixel, resizer->channel, there, resizer->cols.n_in,
                       resizer->channels, resizer->itemsize};
    arrange(&grid, to, line, resizer->level);
    for (int32_t k = 0; k < band; k++) rows[k] = to + least(k, there - 1) * line;
}

/* Rows from `first` on; past the last, the last, for sums that nothing reads or weighs. */
static void find_band(const uint8_t* source, ptrdiff_t stride, int32_t first, int32_t last, int32_t band,
                      const uint8_t** rows) {
    for (int32_t k = 0; k < band; k++) rows[k] = source + least(first + k, last) * stride;
}

static void columns_then_rows(const Passes* passes, const Resizer* resizer, const uint8_t* source, ptrdiff_t stride,
                              uint8_t* out, int32_t first, int32_t last, uint8_t* scratch) {
    const Axis* rows = &resizer->rows;
    int32_t done = rows->n_in;
    for (int32_t i = first; i < last; i++) done = least(done, rows->start[i]);
    done = done / passes->band * passes->band;
    uint8_t* own = scratch + fixed_run_bytes(resizer, passes->band);
    for (int32_t i = first; i < last; i++) {
        for (; done < rows->start[i] + rows->count[i]; done += passes->band) {
            const uint8_t* band[MAX_BAND];
            find_band(source, stride, done, rows->n_in - 1, passes->band, band);
            if (resizer->gathers) {
                gather_band(resizer, band, stride, passes->band, least(passes->band, rows->n_in - done), scratch);
            }
            passes->along_to_ring(resizer, band, done, own);
        }
        passes->down_from_ring(resizer, i, out + (size_t)i * row_bytes(resizer, resizer->cols.n_out), own);
    }
}

/* Rows first, or one of the passes alone: output rows [i, i + count), which make a band. */
static void make_band(const Passes* passes, const Resizer* resizer, const uint8_t* source, ptrdiff_t stride,
                      uint8_t* const* rows, int32_t i, int32_t count, uint8_t* scratch) {
    ptrdiff_t step = (ptrdiff_t)between_line(resizer);
    const uint8_t* band[MAX_BAND];
    if (resizer->has_rows) {
        for (int32_t k = 0; k < count; k++) {
            uint8_t* row = resizer->has_cols ? scratch + k * step : rows[k];
            passes->down_from_rows(resizer, i + k, source, stride, row);
        }
        if (!resizer->has_cols) return;
        find_band(scratch, step, 0, count - 1, passes->band, band);
    } else {
        find_band(source, stride, i, i + count - 1, passes->band, band);
    }
    passes->along_to_rows(resizer, band, rows, count, scratch + fixed_run_bytes(resizer, passes->band));
}

void fixed_run(const Passes* passes, const Resizer* resizer, const uint8_t* source, ptrdiff_t stride, uint8_t* out,
               int32_t first, int32_t last, uint8_t* scratch) {
    if (uses_ring(resizer)) {
        columns_then_rows(passes, resizer, source, stride, out, first, last, scratch);
        return;
    }
    for (int32_t i = first; i < last; i += passes->band) {
        int32_t count = least(last - i, passes->band);
        uint8_t* rows[MAX_BAND];
        for (int32_t k = 0; k < count; k++) rows[k] = out + (size_t)(i + k) * row_bytes(resizer, resizer->cols.n_out);
        make_band(passes, resizer, source, stride, rows, i, count, scratch);
    }
}
