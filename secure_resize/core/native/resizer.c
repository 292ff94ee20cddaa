/* Resizers: checked copies of the weights, the choice of the implementation, and the split of an image into tasks. */
#include <string.h>

#include "native.h"

/* Every index that a kernel will ever use is checked here, once. */
static Status check_input(const AxisInput* input) {
    if (input->n_in < 1 || input->n_in > MAX_AXIS || input->n_out < 1 || input->n_out > MAX_AXIS) return BAD_TABLE;
    if (input->width < 1 || input->width > input->n_in) return BAD_TABLE;
    for (int32_t i = 0; i < input->n_out; i++) {
        if (input->start[i] < 0 || input->start[i] > input->n_in - input->width) return BAD_TABLE;
        if (i > 0 && input->start[i] < input->start[i - 1]) return BAD_TABLE; /* the rolling window counts on it */
    }
    return OK;
}

static Status copy_axis(Axis* axis, const AxisInput* input) {
    Status status = check_input(input);
    if (status != OK) return status;
    axis->n_in = input->n_in;
    axis->n_out = input->n_out;
    axis->width = input->width;
    axis->unit = input->unit;
    size_t outputs = (size_t)input->n_out, taps;
    if (!size_product(outputs, (size_t)input->width, &taps)) return NO_MEMORY;
    axis->start = alloc_array(outputs, sizeof *axis->start);
    axis->count = alloc_array(outputs, sizeof *axis->count);
    if (axis->start == NULL || axis->count == NULL) return NO_MEMORY;
    memcpy(axis->start, input->start, outputs * sizeof *axis->start);
    if (input->weights != NULL) {
        axis->weights = alloc_array(taps, sizeof *axis->weights);
        if (axis->weights == NULL) return NO_MEMORY;
        memcpy(axis->weights, input->weights, taps * sizeof *axis->weights);
    } else {
        axis->reals = alloc_array(taps, sizeof *axis->reals);
        if (axis->reals == NULL) return NO_MEMORY;
        memcpy(axis->reals, input->reals, taps * sizeof *axis->reals);
    }
    return OK;
}

static bool is_zero(const Axis* axis, size_t tap) {
    return axis->weights != NULL ? axis->weights[tap] == 0 : axis->reals[tap] == 0.0;
}

/* Trim the zeros at both ends of each row of weights, so that start and count name the pixels that are read. Leading
 * zeros are skipped by moving the row's weights to its front. */
static Status trim(Axis* axis) {
    for (int32_t i = 0; i < axis->n_out; i++) {
        size_t row = (size_t)i * (size_t)axis->width;
        int32_t begin = 0, end = axis->width;
        while (end > 0 && is_zero(axis, row + (size_t)end - 1)) end--;
        while (begin < end && is_zero(axis, row + (size_t)begin)) begin++;
        if (end == 0) return BAD_TABLE;
        int32_t count = end - begin;
        for (int32_t k = 0; k < axis->width; k++) {
            if (axis->weights != NULL) {
                axis->weights[row + (size_t)k] = k < count ? axis->weights[row + (size_t)(begin + k)] : 0;
            } else {
                axis->reals[row + (size_t)k] = k < count ? axis->reals[row + (size_t)(begin + k)] : 0.0;
            }
        }
        axis->start[i] += begin;
        axis->count[i] = count;
    }
    return OK;
}

/* area: rows of the form (head, whole, ..., whole, tail) that sum to unit. */
static Status find_spans(Axis* axis) {
    axis->spans = alloc_array((size_t)axis->n_out, sizeof *axis->spans);
    if (axis->spans == NULL) return NO_MEMORY;
    size_t taps = (size_t)axis->n_out * (size_t)axis->width;
    axis->whole = 1;
    for (size_t k = 0; k < taps; k++) {
        if (axis->weights[k] < 0) return BAD_TABLE;
        if (axis->weights[k] > axis->whole) axis->whole = axis->weights[k];
    }
    for (int32_t i = 0; i < axis->n_out; i++) {
        const int32_t* weights = axis->weights + (size_t)i * (size_t)axis->width;
        int32_t count = axis->count[i];
        int64_t sum = 0;
        for (int32_t k = 0; k < count; k++) {
            sum += weights[k];
            if (k > 0 && k < count - 1 && weights[k] != axis->whole) return BAD_TABLE;
        }
        if (sum != axis->unit) return BAD_TABLE;
        Span span = {axis->start[i], count, 0, 0};
        if (weights[0] != axis->whole) {
            span.head = weights[0];
            span.first++;
            span.full--;
        }
        if (span.full > 0 && weights[count - 1] != axis->whole) {
            span.tail = weights[count - 1];
            span.full--;
        }
        axis->spans[i] = span;
    }
    return OK;
}

/* float64 copies of integer weights, in which uint16 is summed. */
static Status add_reals(Axis* axis) {
    size_t taps = (size_t)axis->n_out * (size_t)axis->width;
    axis->reals = alloc_array(taps, sizeof *axis->reals);
    if (axis->reals == NULL) return NO_MEMORY;
    for (size_t k = 0; k < taps; k++) axis->reals[k] = axis->weights[k];
    return OK;
}

static void find_holes(Axis* axis) {
    for (int32_t i = 0; i < axis->n_out; i++) {
        for (int32_t k = 0; k < axis->count[i]; k++) {
            if (is_zero(axis, (size_t)i * (size_t)axis->width + (size_t)k)) axis->has_holes = true;
        }
    }
}

static Status build_axis(Axis* axis, const AxisInput* input, Kind kind, int32_t itemsize) {
    Status status = copy_axis(axis, input);
    if (status == OK) status = trim(axis);
    if (status == OK && kind == AREA) status = find_spans(axis);
    if (status == OK && kind == FIXED && itemsize == 2) status = add_reals(axis);
    if (status == OK) find_holes(axis);
    return status;
}

static Status choose(Resizer* resizer) {
    const Implementation* one = NULL;
    while ((one = implementation_after(one, resizer->kind, resizer->itemsize, resizer->level)) != NULL) {
        Status status = one->prepare(resizer);
        if (status == UNSUITABLE) continue;
        resizer->implementation = one;
        return status;
    }
    return BAD_TABLE;
}

/* Of area, all of up to four channels are resized where some are wanted: that takes no longer than gathering those. */
static void set_format(Resizer* resizer, const Format* format) {
    ptrdiff_t item = format->itemsize, whole = format->pixel / item, size = format->channels * item;
    bool together = format->channels == 1 || format->channel == item;
    resizer->itemsize = format->itemsize;
    resizer->channels = resizer->kept = format->channels;
    resizer->pixel = format->pixel;
    resizer->channel = format->channel;
    resizer->gathers = !together || format->pixel != size;
    if (resizer->kind == AREA && together && format->pixel % item == 0 && whole > format->channels && whole <= 4) {
        resizer->channels = (int32_t)whole;
        resizer->gathers = false;
    }
}

Status resizer_build(Resizer** result, Kind kind, const AxisInput* rows, const AxisInput* cols, bool rows_first,
                     const Format* format, Level level) {
    if (format->channels < 1 || format->channels > MAX_CHANNELS) return BAD_TABLE;
    Resizer* resizer = alloc_array(1, sizeof *resizer);
    if (resizer == NULL) return NO_MEMORY;
    resizer->kind = kind;
    resizer->level = level;
    set_format(resizer, format);
    resizer->rows_first = rows_first;
    resizer->has_rows = rows->start != NULL;
    resizer->has_cols = cols->start != NULL;
    resizer->rows.n_in = resizer->rows.n_out = rows->n_in;
    resizer->cols.n_in = resizer->cols.n_out = cols->n_in;
    Status status = OK;
    if (resizer->has_rows) status = build_axis(&resizer->rows, rows, kind, format->itemsize);
    if (status == OK && resizer->has_cols) status = build_axis(&resizer->cols, cols, kind, format->itemsize);
    if (status == OK) status = choose(resizer);
    if (status != OK) {
        resizer_free(resizer);
        return status;
    }
    *result = resizer;
    return OK;
}

static void free_axis(Axis* axis) {
    alloc_free(axis->start);
    alloc_free(axis->count);
    alloc_free(axis->weights);
    alloc_free(axis->reals);
    alloc_free(axis->spans);
}

void resizer_free(Resizer* resizer) {
    if (resizer == NULL) return;
    free_axis(&resizer->rows);
    free_axis(&resizer->cols);
    alloc_free(resizer->tables);
    alloc_free(resizer);
}

typedef struct {
    const Resizer* resizer;
    const Views* views;
    uint8_t* scratch;
    size_t scratch_step; /* bytes of scratch per worker */
    int64_t parts;       /* an image's rows are split in so many tasks */
    bool plain;
    Bands bands; /* unless plain */
} Split;

static void run_part(void* context, int64_t index, int worker) {
    const Split* split = context;
    const Resizer* resizer = split->resizer;
    const Views* views = split->views;
    int64_t image = index / split->parts, part = index % split->parts;
    int32_t first = part_begin(resizer, part, split->parts), last = part_begin(resizer, part + 1, split->parts);
    uint8_t* scratch = split->scratch + (size_t)worker * split->scratch_step;
    if (first == last) return;
    if (!split->plain) {
        views_run(resizer, views, image, first, last, &split->bands, scratch);
        return;
    }
    size_t out_row = result_bytes(resizer, views);
    uint8_t* out = views->out + (size_t)image * (size_t)resizer->rows.n_out * out_row;
    resizer->implementation->run(resizer, views->source + image * views->image, views->row, out, first, last, scratch);
    if (views->backwards) {
        reverse_channels(out + (size_t)first * out_row, (int64_t)(last - first) * resizer->cols.n_out, resizer->kept,
                         resizer->itemsize, resizer->level);
    }
}

/* Source bytes below which a second thread costs more than it brings: waking it takes as long as reading so much. */
#define BYTES_PER_THREAD (1 << 17)

Status resizer_run(const Resizer* resizer, const Views* views, int num_threads) {
    int64_t rows = resizer->rows.n_out, images = views->images;
    implementation_ran(resizer->implementation);
    if (images == 0) return OK;
    double bytes = (double)images * resizer->rows.n_in * resizer->cols.n_in * resizer->channels * resizer->itemsize;
    bytes *= views->planes;
    if (bytes < (double)BYTES_PER_THREAD * num_threads) num_threads = (int)(bytes / BYTES_PER_THREAD) + 1;
    /* A few tasks a thread even out their speeds; each repeats the rows that it shares with its neighbour, of which area
     * has one. */
    int64_t tasks = num_threads * (resizer->kind == AREA ? 8 : 4);
    int64_t parts = num_threads == 1 ? 1 : (tasks + images - 1) / images;
    if (parts > rows) parts = rows;
    if (num_threads > parts * images) num_threads = (int)(parts * images);
    bool plain = views_are_plain(resizer, views);
    size_t step = round_up(resizer->scratch_bytes) + ALIGNMENT, total;
    Bands bands = plain ? (Bands){0, 0} : views_bands(resizer, views, parts);
    step += bands.gathered + bands.made;
    if (!size_product(step, (size_t)num_threads, &total)) return NO_MEMORY;
    uint8_t* scratch = alloc_scratch(total);
    if (scratch == NULL) return NO_MEMORY;
    Split split = {resizer, views, scratch, step, parts, plain, bands};
    pool_run(run_part, &split, parts * images, num_threads);
    alloc_free(scratch);
    return OK;
}
