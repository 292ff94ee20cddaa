/* Resizes of pictures that do not lie in memory as an implementation reads or writes them.
 *
 * A band of output rows at a time: where pixels or channels are not contiguous, the source rows that the band reads are
 * gathered first, so few that they stay in the cache; where the result has other channels than what is resized, some of
 * four or planes, the band is made in scratch memory and put in order from there. */
#include <string.h>

#include "fixed.h"

enum {
    BAND_BYTES = 1 << 17, /* of gathered rows, and of results in scratch memory */
    GATHERED_SLACK = 256  /* bytes past the last gathered row that whole loads may touch */
};

/* An implementation reads its rows in pairs, or in bands, as it likes: rows beside an output's that weigh nothing. */
static int32_t rows_together(const Resizer* resizer) { return resizer->kind == AREA ? 2 : MAX_BAND; }

/* Gathered rows are stored a whole number of cache lines apart, and not in a few sets of the cache. */
static size_t gathered_line(const Resizer* resizer) {
    size_t line = round_up(row_bytes(resizer, resizer->cols.n_in));
    return (line + 128) % 2048 < 256 ? line + 256 : line;
}

/* Whether bands' rows are gathered here; a ring is filled row by row, and gathers as it goes (fixed_run.c). */
static bool gathers_bands(const Resizer* resizer) {
    return resizer->gathers && !(resizer->kind == FIXED && uses_ring(resizer));
}

static bool narrows(const Resizer* resizer) { return resizer->kept < resizer->channels && !resizer->stores_kept; }

static bool has_other_channels(const Resizer* resizer, const Views* views) {
    return views->planes > 1 || narrows(resizer);
}

bool views_are_plain(const Resizer* resizer, const Views* views) {
    return !gathers_bands(resizer) && !has_other_channels(resizer, views);
}

/* Output rows [first, last) may read source rows [*begin, *end). */
static void find_rows(const Resizer* resizer, int32_t first, int32_t last, int32_t* begin, int32_t* end) {
    const Axis* rows = &resizer->rows;
    if (!resizer->has_rows) {
        *begin = first;
        *end = last;
        return;
    }
    int32_t together = rows_together(resizer);
    *begin = rows->n_in;
    *end = 0;
    for (int32_t i = first; i < last; i++) {
        *begin = least(*begin, rows->start[i]);
        *end = most(*end, rows->start[i] + rows->count[i]);
    }
    *begin = most(*begin - 1, 0) / together * together;
    *end = least((*end + together - 1) / together * together, rows->n_in);
}

/* Output rows of a band: an even number, as they are made in pairs; all, if their source rows would be read twice. */
static int32_t band_outputs(const Resizer* resizer, const Views* views) {
    size_t made = row_bytes(resizer, resizer->cols.n_out) * (size_t)views->planes, bytes = 0;
    if (!gathers_bands(resizer) && resizer->kind == FIXED) return resizer->rows.n_out;
    if (gathers_bands(resizer)) {
        bytes = gathered_line(resizer) * (size_t)resizer->rows.n_in / (size_t)resizer->rows.n_out + 1;
    }
    if (has_other_channels(resizer, views) && made > bytes) bytes = made;
    int32_t outputs = (int32_t)(BAND_BYTES / bytes) / 2 * 2;
    return outputs < 2 ? 2 : outputs;
}

/* A row's last pixel may end at its last channel that is kept. In the row at the highest address the others may lie
 * outside of the picture, so that one is copied before it is read. */
static bool reads_edge(const Resizer* resizer, const Views* views, int32_t begin, int32_t end) {
    ptrdiff_t missing = (ptrdiff_t)(resizer->channels - resizer->kept) * resizer->itemsize;
    bool follow = views->row >= missing || views->row <= -missing; /* else each row may end at the highest address */
    return narrows(resizer) && (!follow || (views->row < 0 ? begin == 0 : end == resizer->rows.n_in));
}

/* Output rows [i, here) are a band of [i, last). One that reads the edge is short, as its rows are copied. */
static int32_t band_end(const Resizer* resizer, const Views* views, int32_t outputs, int32_t i, int32_t last) {
    int32_t begin, end, here = least(i + outputs, last);
    if (!narrows(resizer) || here - i <= 2) return here;
    if (views->row < 0 && i == 0) return 2;
    find_rows(resizer, i, here, &begin, &end);
    return end == resizer->rows.n_in ? i + (here - i - 1) / 2 * 2 : here;
}

Bands views_bands(const Resizer* resizer, const Views* views, int64_t parts) {
    Bands bands = {0, 0};
    int32_t rows = 0, most_outputs = 0, outputs = band_outputs(resizer, views);
    for (int64_t part = 0; part < parts; part++) {
        int32_t last = part_begin(resizer, part + 1, parts);
        for (int32_t i = part_begin(resizer, part, parts), here; i < last; i = here) {
            int32_t begin, end;
            here = band_end(resizer, views, outputs, i, last);
            find_rows(resizer, i, here, &begin, &end);
            if (gathers_bands(resizer) || reads_edge(resizer, views, begin, end)) rows = most(rows, end - begin);
            most_outputs = most(most_outputs, here - i);
        }
    }
    if (rows > 0) bands.gathered = round_up(gathered_line(resizer) * (size_t)rows + GATHERED_SLACK);
    if (has_other_channels(resizer, views)) {
        bands.made = round_up(row_bytes(resizer, resizer->cols.n_out) * (size_t)most_outputs * (size_t)views->planes);
    }
    return bands;
}

/* Source rows [begin, end), gathered or as they are; what the implementation takes for the image's first row. */
static const uint8_t* gathered_rows(const Resizer* resizer, const uint8_t* source, ptrdiff_t stride, int32_t begin,
                                    int32_t end, uint8_t* to) {
    ptrdiff_t line = (ptrdiff_t)gathered_line(resizer);
    if (resizer->gathers) {
        const Grid grid = {.source = source + begin * stride,
                           .row = stride,
                           .pixel = resizer->pixel,
                           .channel = resizer->channel,
                           .rows = end - begin,
                           .width = resizer->cols.n_in,
                           .channels = resizer->channels,
                           .itemsize = resizer->itemsize};
        arrange(&grid, to, line, resizer->level);
    } else {
        size_t missing = (size_t)(resizer->channels - resizer->kept) * (size_t)resizer->itemsize;
        size_t bytes = row_bytes(resizer, resizer->cols.n_in) - missing;
        for (int32_t row = begin; row < end; row++) {
            uint8_t* at = to + (row - begin) * line;
            memcpy(at, source + row * stride, bytes);
            memset(at + bytes, 0, missing);
        }
    }
    memset(to + (end - begin) * line, 0, GATHERED_SLACK);
    return to - begin * line;
}

/* A band as it was made, `count` rows of each plane, to rows of the result. */
static void put_in_order(const Resizer* resizer, const Views* views, const uint8_t* made, int32_t count, uint8_t* out) {
    int32_t item = resizer->itemsize, channels = views->planes > 1 ? views->planes : resizer->kept;
    ptrdiff_t row = (ptrdiff_t)row_bytes(resizer, resizer->cols.n_out);
    Grid grid = {.source = made,
                 .row = row,
                 .pixel = (ptrdiff_t)item * resizer->channels,
                 .channel = views->planes > 1 ? row * count : item,
                 .rows = count,
                 .width = resizer->cols.n_out,
                 .channels = channels,
                 .itemsize = item};
    if (views->backwards) {
        grid.source += (channels - 1) * grid.channel;
        grid.channel = -grid.channel;
    }
    arrange(&grid, out, (ptrdiff_t)result_bytes(resizer, views), resizer->level);
}

/* Output rows [i, end), from one plane after the other. */
static void make_band(const Resizer* resizer, const Views* views, const uint8_t* image, int32_t i, int32_t end,
                      uint8_t* to, uint8_t* gathered, uint8_t* scratch) {
    size_t row = row_bytes(resizer, resizer->cols.n_out);
    int32_t from, past;
    find_rows(resizer, i, end, &from, &past);
    bool gathers = gathers_bands(resizer) || reads_edge(resizer, views, from, past);
    for (int32_t plane = 0; plane < views->planes; plane++) {
        const uint8_t* source = image + plane * views->plane;
        ptrdiff_t stride = gathers ? (ptrdiff_t)gathered_line(resizer) : views->row;
        if (gathers) source = gathered_rows(resizer, source, views->row, from, past, gathered);
        resizer->implementation->run(resizer, source, stride, to, i, end, scratch);
        to += row * (size_t)(end - i);
    }
}

void views_run(const Resizer* resizer, const Views* views, int64_t image, int32_t first, int32_t last,
               const Bands* bands, uint8_t* scratch) {
    const bool ordered = !has_other_channels(resizer, views);
    const int32_t outputs = band_outputs(resizer, views);
    const size_t row = row_bytes(resizer, resizer->cols.n_out), out_row = result_bytes(resizer, views);
    uint8_t* out = views->out + (size_t)image * (size_t)resizer->rows.n_out * out_row;
    uint8_t *made = scratch + round_up(resizer->scratch_bytes), *gathered = made + bands->made;
    for (int32_t i = first, end; i < last; i = end) {
        end = band_end(resizer, views, outputs, i, last);
        uint8_t *rows = out + (size_t)i * out_row, *to = ordered ? out : made - (size_t)i * row;
        make_band(resizer, views, views->source + image * views->image, i, end, to, gathered, scratch);
        if (!ordered) {
            put_in_order(resizer, views, made, end - i, rows);
        } else if (views->backwards) {
            reverse_channels(rows, (int64_t)(end - i) * resizer->cols.n_out, resizer->kept, resizer->itemsize,
                             resizer->level);
        }
    }
}
