/* `area` for uint8 with AVX2, two output rows at a time: their source rows are added up column by column into 16-bit
 * sums (area_avx2_columns.c), then both rows of sums along, two taps a dword (vpmaddwd; area_avx2_along.c). Two rows
 * share the weights along them, and each lane of 128 bits holds one row's results.
 *
 * Where rows.unit is small the column sums are weighted at once: two rows' bytes interleaved, times their two weights
 * (vpmaddubsw); vpmaddwd reads words as signed, so 2^15 is taken off each and, weighted, put back in the end. Otherwise
 * the interior rows are added unweighted, the row that straddles two outputs is summed along by itself, once for both,
 * and the vertical weights come last, in int32. All sums are exact integers.
 *
 * Nothing is prefetched: six to fourteen source rows read side by side keep the processor's own prefetchers busy.
 */
#include "area_avx2.h"

#ifdef HAVE_X86
#include <string.h>

enum { MOST_SHARED = 7 }; /* rows inside an output: of more, two outputs' side by side are too many to foresee */

static int32_t row_weight(const Axis* rows, int32_t i, int32_t row) {
    int32_t k = row - rows->start[i];
    return k < 0 || k >= rows->count[i] ? 0 : rows->weights[(size_t)i * (size_t)rows->width + (size_t)k];
}

static int32_t last_row(const Axis* rows, int32_t i) { return rows->start[i] + rows->count[i] - 1; }

/* Output i reads from the pair of rows that holds the last of output i - 1 to the one that holds its own last, and the
 * pairs between them are whole. */
static bool pairs_are_shared(const Axis* rows) {
    for (int32_t i = 0, above = -1; i < rows->n_out; i++) {
        int32_t last = last_row(rows, i) / 2;
        if (last <= above || rows->start[i] < 2 * above) return false;
        for (int32_t row = 2 * above + 2; row < 2 * last; row++) {
            if (row_weight(rows, i, row) != rows->whole) return false;
        }
        above = last;
    }
    return true;
}

/* A row that output i shares with the one above is that one's last. */
static bool rows_follow(const Axis* rows) {
    for (int32_t i = 0; i < rows->n_out; i++) {
        bool begins_inside = rows->count[i] > 1 && row_weight(rows, i, rows->start[i]) != rows->whole;
        if (begins_inside && (i == 0 || last_row(rows, i - 1) != rows->start[i])) return false;
    }
    return true;
}

/* Every output is given as many taps as the one with most. With counts that differ by at most 2, as a footprint's do,
 * the loads of the last outputs end within the slack: (2 taps + 7 to fill a pair) * 4 channels, and a load of 16. */
static bool count_taps(const Axis* cols, int32_t* least, int32_t* most) {
    *least = *most = cols->count[0];
    for (int32_t i = 0; i < cols->n_out; i++) {
        *most = cols->count[i] > *most ? cols->count[i] : *most;
        *least = cols->count[i] < *least ? cols->count[i] : *least;
    }
    return *least >= *most - 2;
}

/* Where tap k of channel c stands among the words of a quad or, below 8, of a pair: two taps side by side. */
static int32_t word_of(int32_t k, int32_t c, int32_t channels) {
    switch (channels) {
        case 1: return k;
        case 2: return k / 2 * 4 + 2 * c + k % 2;
        default: return k / 2 * 8 + 2 * c + k % 2;
    }
}

static void fill_weights(const Resizer* resizer, const Tables* tables) {
    const Axis* cols = &resizer->cols;
    int32_t outputs = tables->groups * tables->group, pair_taps = 8 / (tables->channels == 3 ? 4 : tables->channels);
    for (int32_t i = 0; i < outputs; i++) {
        int32_t real = i < cols->n_out ? i : cols->n_out - 1;
        tables->start[i] = cols->start[real] * tables->channels;
        for (int32_t k = 0; k < cols->count[real] && i < cols->n_out; k++) {
            int32_t quad = k / 4, edge = quad == 0 ? 0 : quad - tables->middle;
            bool in_quad = quad < tables->middle + tables->edges;
            if (in_quad && quad > 0 && quad <= tables->middle) continue;
            int32_t rest = k - 4 * (tables->middle + tables->edges);
            size_t entry =
                in_quad ? (size_t)(i * tables->edges + edge) * 16 : (size_t)(i * tables->pairs + rest / pair_taps) * 8;
            int16_t* weights = (in_quad ? tables->quad_weights : tables->pair_weights) + entry;
            for (int32_t c = 0; c < tables->channels; c++) {
                weights[word_of(in_quad ? k % 4 : rest % pair_taps, c, tables->channels)] =
                    (int16_t)cols->weights[(size_t)i * (size_t)cols->width + (size_t)k];
            }
        }
    }
}

/* What rows 2 * pair and 2 * pair + 1 weigh in output i. */
static int32_t pair_weights(const Axis* rows, int32_t i, int32_t pair) {
    return (row_weight(rows, i, 2 * pair) | row_weight(rows, i, 2 * pair + 1) << 8) * 0x10001;
}

static void fill_shared(const Axis* rows, SharedPair* shared) {
    for (int32_t i = 0; i < rows->n_out; i++) {
        int32_t pair = last_row(rows, i) / 2;
        shared[i] =
            (SharedPair){pair, pair_weights(rows, i, pair), i + 1 < rows->n_out ? pair_weights(rows, i + 1, pair) : 0};
    }
}

/* How `least` to `most` taps an output are cut into quads and pairs. */
static void cut_taps(Tables* tables, int32_t least, int32_t most) {
    if (tables->channels < 3) {
        int32_t taps = 8 / tables->channels;
        tables->pairs = (most + taps - 1) / taps;
        return;
    }
    tables->pairs = most % 4 == 1 || most % 4 == 2;
    int32_t quads = (most + 1) / 4;
    tables->middle = least > 8 ? (least - 1) / 4 - 1 : 0; /* the first and the last tap may not be whole */
    tables->edges = quads - tables->middle;
}

static int32_t most_inside(const Axis* rows) {
    int32_t most = 0;
    for (int32_t i = 0; i < rows->n_out; i++) most = rows->spans[i].full > most ? rows->spans[i].full : most;
    return most;
}

/* Whether the column sums may carry the vertical weights: they fit 16 bits, the two products that vpmaddubsw adds 15,
 * and the sums along a row int32. */
static Vertical choose_vertical(const Resizer* resizer) {
    const Axis* rows = &resizer->rows;
    bool fits = UINT8_MAX * (int64_t)rows->unit <= UINT16_MAX && UINT8_MAX * 2 * (int64_t)rows->whole <= INT16_MAX &&
                resizer->cols.unit <= UINT16_MAX;
    if (!fits) return UNWEIGHTED;
    return most_inside(rows) <= MOST_SHARED && pairs_are_shared(rows) ? SHARED_PAIRS : OWN_PAIRS;
}

static bool is_suitable(const Resizer* resizer, const Tables* tables) {
    int64_t divisor = (int64_t)resizer->rows.unit * resizer->cols.unit;
    if (resizer->channels > 4 || resizer->cols.whole > INT16_MAX) return false;
    if (columns_of(resizer) < COLUMNS) return false;
    if (resizer->kept < resizer->channels && (resizer->channels != 4 || resizer->kept != 3)) return false;
    if (divisor >= 1 << 23 || UINT8_MAX * most_inside(&resizer->rows) > INT16_MAX) return false; /* S + D/2 < 2^31 */
    return tables->vertical != UNWEIGHTED || rows_follow(&resizer->rows);
}

/* Where the parts of a task's memory begin; returns their size. */
static size_t divide_scratch(const Resizer* resizer, const Tables* tables, uint8_t* memory, Scratch* scratch) {
    Arena arena = {.memory = memory};
    size_t columns = columns_of(resizer);
    scratch->sums = arena_take(&arena, 2 * tables->sums_stride, sizeof(uint16_t));
    for (int row = 0; row < 2; row++) scratch->edge[row] = arena_take(&arena, columns + SLACK, 1);
    scratch->above = arena_take(&arena, (size_t)tables->groups * 16, sizeof(int32_t));
    scratch->unused = arena_take(&arena, (size_t)resizer->cols.n_out * (size_t)resizer->kept, 1);
    return arena.used;
}

/* The tables' parts in the memory at `base`; returns their size. */
static size_t place_tables(const Resizer* resizer, Tables* tables, uint8_t* base) {
    Arena arena = {.memory = base};
    size_t outputs = (size_t)tables->groups * (size_t)tables->group;
    arena_take(&arena, 1, sizeof *tables);
    tables->start = arena_take(&arena, outputs, sizeof(int32_t));
    tables->quad_weights = arena_take(&arena, outputs * (size_t)tables->edges * 16, sizeof(int16_t));
    tables->pair_weights = arena_take(&arena, outputs * (size_t)tables->pairs * 8, sizeof(int16_t));
    tables->shared = arena_take(&arena, (size_t)resizer->rows.n_out, sizeof(SharedPair));
    return arena.used;
}

Status area_u8_avx2_prepare(Resizer* resizer) {
    int32_t least, most, channels = resizer->channels;
    Tables tables = {.vertical = choose_vertical(resizer), .channels = channels};
    if (!is_suitable(resizer, &tables) || !count_taps(&resizer->cols, &least, &most)) return UNSUITABLE;
    tables.divisor = resizer->rows.unit * resizer->cols.unit;
    bool above_int16 = tables.vertical != UNWEIGHTED && UINT8_MAX * resizer->rows.unit > INT16_MAX;
    tables.lacking = above_int16 ? resizer->cols.unit << 15 : 0;
    cut_taps(&tables, least, most);
    tables.finish = area_avx2_finish(&tables);
    if (tables.finish.weighted == NULL) return UNSUITABLE;
    int64_t largest = UINT8_MAX * ((int64_t)resizer->rows.unit / resizer->rows.whole);
    tables.middle_fits = tables.middle * largest <= INT16_MAX;
    tables.group = 16 / (channels == 3 ? 4 : channels);
    tables.step = tables.group * resizer->kept;
    tables.groups = (resizer->cols.n_out + tables.group - 1) / tables.group;
    size_t columns = columns_of(resizer);
    tables.sums_stride = round_up((LEAD + columns + SLACK) * sizeof(uint16_t)) / sizeof(uint16_t);
    uint8_t* memory = alloc_array(place_tables(resizer, &tables, NULL), 1);
    if (memory == NULL) return NO_MEMORY;
    place_tables(resizer, &tables, memory);
    fill_weights(resizer, &tables);
    if (tables.vertical == SHARED_PAIRS) fill_shared(&resizer->rows, tables.shared);
    memcpy(memory, &tables, sizeof tables);
    resizer->tables = memory;
    resizer->stores_kept = true;
    resizer->scratch_bytes = divide_scratch(resizer, &tables, NULL, &(Scratch){0});
    return OK;
}

/* The last row of output i, which may straddle into the next one: a copy where loads past its end would leave the
 * image, which is in the row at the highest address. */
static Straddling straddling_row(const Resizer* resizer, int32_t i, const uint8_t* source, ptrdiff_t stride,
                                 uint8_t* edge) {
    const Axis* rows = &resizer->rows;
    int32_t weight = row_weight(rows, i, last_row(rows, i)), whole = rows->whole;
    bool begins_inside = rows->count[i] > 1 && row_weight(rows, i, rows->start[i]) != whole;
    Straddling row = {.line = source + last_row(rows, i) * stride,
                      .tail = weight == whole ? 0 : weight,
                      .head = begins_inside ? row_weight(rows, i, rows->start[i]) : 0};
    const uint8_t* highest = stride < 0 ? source : source + (rows->n_in - 1) * stride;
    if (row.line + SLACK > highest) {
        row.line = memcpy(edge, row.line, columns_of(resizer));
    }
    return row;
}

static void clear_around(const Resizer* resizer, const Tables* tables, const Scratch* scratch) {
    size_t columns = columns_of(resizer);
    for (int row = 0; row < 2; row++) {
        uint16_t* line = scratch->sums + (size_t)row * tables->sums_stride;
        memset(line, 0, LEAD * sizeof *line);
        memset(line + LEAD + columns, 0, SLACK * sizeof *line);
        memset(scratch->edge[row] + columns, 0, SLACK);
    }
}

DECLARE_RUN(area_u8_avx2) {
    const Tables* tables = resizer->tables;
    size_t count = (size_t)resizer->cols.n_out * (size_t)resizer->kept;
    Scratch parts = {0};
    divide_scratch(resizer, tables, scratch, &parts);
    clear_around(resizer, tables, &parts);
    uint16_t* sums = parts.sums + LEAD;
    memset(parts.above, 0, (size_t)tables->groups * 16 * sizeof(int32_t));
    if (tables->vertical == UNWEIGHTED && first > 0) {
        area_avx2_sum_above(resizer, straddling_row(resizer, first - 1, source, stride, parts.edge[0]).line,
                            parts.above);
    }
    for (int32_t i = first; i < last; i += 2) {
        int32_t outputs = last - i < 2 ? 1 : 2, second = i + outputs - 1;
        uint8_t* const rows[2] = {out + (size_t)i * count, outputs == 2 ? out + (size_t)second * count : parts.unused};
        area_avx2_sum_columns(resizer, i, outputs, source, stride, sums);
        if (tables->vertical == UNWEIGHTED) {
            const Straddling straddling[2] = {straddling_row(resizer, i, source, stride, parts.edge[0]),
                                              straddling_row(resizer, second, source, stride, parts.edge[1])};
            tables->finish.unweighted(resizer, &parts, straddling, rows);
        } else {
            tables->finish.weighted(resizer, sums, rows);
        }
    }
}
#endif
