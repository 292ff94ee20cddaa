/* The tables of the AVX2 implementation: taps in fours, tiles, and the pairs of taps of the vertical pass from rows. */
#include "fixed_avx2.h"

#ifdef HAVE_X86
#include <string.h>

#include "split.h"

enum { ROUNDING = 1 << (PRECISION_BITS - 1) };
enum { TILE_BYTES = 9216 }; /* a part of the first-level cache */

/* `per`: pixels of a four, that is four of uint8 and two of uint16. */
static int32_t first_four(const Axis* axis, int32_t i, int32_t phase, int32_t per) {
    return (axis->start[i] + phase) / per;
}

static int32_t count_fours(const Axis* axis, int32_t i, int32_t phase, int32_t per) {
    return (axis->start[i] + axis->count[i] - 1 + phase) / per - first_four(axis, i, phase, per) + 1;
}

static int64_t sum_fours(const Axis* axis, int32_t phase, int32_t per) {
    int64_t sum = 0;
    for (int32_t i = 0; i < axis->n_out; i++) sum += count_fours(axis, i, phase, per);
    return sum;
}

/* At whole ratios it matters where fours begin: halving, bilinear's four taps lie in one and a half or in two. */
static int32_t best_phase(const Axis* axis, int32_t per) {
    int32_t best = 0;
    for (int32_t phase = 1; phase < per; phase++) {
        if (sum_fours(axis, phase, per) < sum_fours(axis, best, per)) best = phase;
    }
    return best;
}

static Fours size_fours(const Axis* axis, int32_t phase, int32_t per) {
    Fours fours = {.phase = phase};
    for (int32_t i = 0; i < axis->n_out; i++) fours.most = most(fours.most, count_fours(axis, i, phase, per));
    return fours;
}

/* Whether the vertical pass is faster from fours than from pairs of rows; measured on a Zen 3. */
static bool fours_pay(const Axis* rows) {
    int64_t pairs = 0;
    for (int32_t i = 0; i < rows->n_out; i++) pairs += (rows->count[i] + 1) / 2;
    return 5 * sum_fours(rows, 0, FOUR) <= 4 * pairs;
}

static bool fill_fours(const Axis* axis, const Fours* fours) {
    for (int32_t i = 0; i < axis->n_out; i++) {
        const int32_t* weights = axis->weights + (size_t)i * (size_t)axis->width;
        Split split;
        if (!find_split(weights, axis->count[i], &split)) return false;
        fours->reach[i] = (Reach){first_four(axis, i, fours->phase, FOUR), count_fours(axis, i, fours->phase, FOUR),
                                  split.scale, ROUNDING / split.scale, ROUNDING % split.scale};
        Taps* taps = fours->taps + (size_t)i * (size_t)fours->most;
        for (int32_t k = 0; k < axis->count[i]; k++) {
            int32_t place = (axis->start[i] + fours->phase) % FOUR + k, low = next_low(&split, k % 2, weights[k]);
            int32_t high = (weights[k] - low) / split.scale;
            Taps* four = &taps[place / FOUR];
            four->high[place % FOUR / 2] |= (int32_t)((uint32_t)(uint16_t)high << (place % 2 * 16));
            four->low |= (int32_t)((uint32_t)(uint8_t)low << (ORDER[place % FOUR] * 8));
        }
    }
    return true;
}

/* uint16: tap = 256 * high + low with |low| <= 128. A pixel p is the signed word p - 2^15, so that, with S the sum of the
 * taps,
 *     sum of tap * p + 2^21 = 256 * (sum of high * word + 2^13 + 2^7 (S - 2^22)) + sum of low * word + 2^15 * 2^22,
 * which divided by 2^22 and rounded down is (high part + (low part >> 8) >> 14) + 2^15: all in 32 bits, if these sums
 * fit whatever the pixels are. Up to 511 taps the parts low do. */
static bool fill_pairs(const Axis* axis, const Fours* fours) {
    for (int32_t i = 0; i < axis->n_out; i++) {
        const int32_t* weights = axis->weights + (size_t)i * (size_t)axis->width;
        Taps* taps = fours->taps + (size_t)i * (size_t)fours->most;
        int64_t sum = 0, sum_high = 0, sum_low = 0;
        for (int32_t k = 0; k < axis->count[i]; k++) {
            int32_t low = (int32_t)(((uint32_t)weights[k] + 128) & 255) - 128, high = (weights[k] - low) / 256;
            int32_t place = (axis->start[i] + fours->phase) % 2 + k, shift = place % 2 * 16;
            if (abs(high) > INT16_MAX) return false;
            sum += weights[k];
            sum_high += abs(high);
            sum_low += abs(low);
            taps[place / 2].high[0] |= (int32_t)((uint32_t)(uint16_t)high << shift);
            taps[place / 2].high[1] |= (int32_t)((uint32_t)(uint16_t)low << shift);
        }
        int64_t half = ROUNDING / 256 + (sum - (1 << PRECISION_BITS)) * 128;
        int64_t high_reach = (sum_high << 15) + (half < 0 ? -half : half), low_reach = sum_low << 15;
        if (low_reach > INT32_MAX || high_reach + low_reach / 256 + 1 > INT32_MAX) return false;
        fours->reach[i] =
            (Reach){first_four(axis, i, fours->phase, 2), count_fours(axis, i, fours->phase, 2), 256, (int32_t)half, 0};
    }
    return true;
}

/* How many channels lie side by side where rows are read as they are: the resizer's, or three as the first of four or
 * each in a plane of its own. 0: they have to be gathered. */
static int32_t find_loaded(const Resizer* resizer) {
    if (!resizer->gathers) return resizer->channels;
    if (resizer->channels != 3 || (resizer->has_rows && !uses_ring(resizer))) return 0;
    const ptrdiff_t item = resizer->itemsize;
    return resizer->pixel == item ? 1 : resizer->pixel == 4 * item && resizer->channel == item ? 4 : 0;
}

/* The shuffle of 16 bytes of a row, or of twice 16, to dwords. Three channels' fours take 12 bytes of each 16, and are
 * loaded from four bytes before the first, so that the second begins with the upper half. */
static int32_t vectors_per_half(int32_t loaded) { return loaded == 3 ? 3 : 4; }
static int32_t step_fours(int32_t loaded) { return 2 * vectors_per_half(loaded) / loaded; }
static int32_t bytes_before(int32_t loaded) { return loaded == 3 ? 4 : 0; }

static void fill_order(Tables* tables, int32_t itemsize) {
    const int32_t loaded = tables->loaded, per = 4 / itemsize;
    for (int32_t at = 0; at < VECTOR_BYTES; at++) {
        int32_t four = at % 16 / 4 / loaded, channel = at % 16 / 4 % loaded;
        int32_t pixel = four * per + (itemsize == 1 ? ORDER[at % 4] : at % 4 / 2);
        int32_t byte = (pixel * loaded + channel) * itemsize + at % itemsize + (at < 16 ? bytes_before(loaded) : 0);
        tables->order[at] = (int8_t)(byte < 16 ? byte : -1);
    }
}

static void limbs_of(int32_t weight, int16_t limbs[LIMBS]) {
    limbs[0] = (int16_t)(weight & 0xffff);
    limbs[1] = (int16_t)((weight - limbs[0]) / 65536);
}

static void fill_down(const Axis* rows, const Tables* tables) {
    for (int32_t i = 0; i < rows->n_out; i++) {
        for (int32_t k = 0; k < rows->count[i]; k++) {
            int16_t limbs[LIMBS];
            limbs_of(rows->weights[(size_t)i * (size_t)rows->width + (size_t)k], limbs);
            int32_t* pair = tables->down[(size_t)i * (size_t)tables->pairs + (size_t)(k / 2)];
            for (int limb = 0; limb < LIMBS; limb++) {
                pair[limb] |= (int32_t)((uint32_t)(uint16_t)limbs[limb] << (k % 2 * 16));
            }
        }
    }
}

/* Cut the outputs into tiles, four outputs at least. */
static void fill_tiles(const Axis* cols, Tables* tables, int32_t channels) {
    int32_t step = step_fours(tables->loaded), room = TILE_BYTES / (VECTOR_BYTES * channels);
    for (int32_t i = 0; i < tables->outputs;) {
        Tile* tile = &tables->tiles[tables->tile_count++];
        *tile = (Tile){INT32_MAX, 0, 0};
        for (; i < tables->outputs; i += FOUR, tile->outputs += FOUR) {
            int32_t first = tile->first, end = tile->end;
            for (int32_t k = i; k < least(i + FOUR, cols->n_out); k++) {
                const Reach* reach = &tables->cols.reach[k];
                first = least(first, reach->first / step * step);
                end = most(end, (reach->first + reach->count + step - 1) / step * step);
            }
            if (tile->outputs > 0 && end - first > room) break;
            tile->first = first;
            tile->end = end;
        }
        tables->tile_fours = most(tables->tile_fours, tile->end - tile->first);
    }
    for (int32_t i = cols->n_out; i < tables->outputs; i++)
        tables->cols.reach[i].first = tables->tiles[tables->tile_count - 1].first;
}

/* The tables' parts in the memory at `base`; returns their size. */
static size_t place_tables(const Resizer* resizer, Tables* tables, uint8_t* base) {
    Arena arena = {.memory = base};
    size_t outputs = (size_t)tables->outputs;
    size_t rows = resizer->has_rows ? (size_t)resizer->rows.n_out : 0;
    arena_take(&arena, 1, sizeof *tables);
    tables->cols.reach = arena_take(&arena, outputs * sizeof(Reach), 1);
    tables->cols.taps = arena_take(&arena, outputs * (size_t)tables->cols.most * sizeof(Taps), 1);
    tables->tiles = arena_take(&arena, outputs / FOUR * sizeof(Tile), 1);
    if (tables->rows.most > 0) {
        tables->rows.reach = arena_take(&arena, rows * sizeof(Reach), 1);
        tables->rows.taps = arena_take(&arena, rows * (size_t)tables->rows.most * sizeof(Taps), 1);
    }
    tables->down = arena_take(&arena, rows * (size_t)tables->pairs * sizeof *tables->down, 1);
    return arena.used;
}

static size_t fours_line(const Tables* tables, const Resizer* resizer) {
    return round_up((size_t)tables->outputs * (size_t)resizer->channels * FOUR);
}

/* The ring holds what an output may read of `width` rows anywhere, and the band that is being made. */
int32_t fixed_avx2_ring_lines(const Resizer* resizer) {
    const Tables* tables = resizer->tables;
    const int32_t per = per_dword(resizer);
    return tables->ring_of_fours ? resizer->rows.width / per + 2 + BAND / per : resizer->rows.width + 2 * BAND;
}

size_t fixed_avx2_ring_line(const Resizer* resizer) {
    const Tables* tables = resizer->tables;
    return tables->ring_of_fours ? fours_line(tables, resizer) : round_up(row_bytes(resizer, resizer->cols.n_out));
}

size_t fixed_avx2_scratch(const Resizer* resizer, Scratch* scratch, uint8_t* base) {
    const Tables* tables = resizer->tables;
    Arena arena = {.memory = base};
    size_t tile = (size_t)tables->tile_fours * (size_t)resizer->channels * VECTOR_BYTES;
    size_t lines = uses_ring(resizer) ? (size_t)fixed_avx2_ring_lines(resizer) : 0;
    scratch->tile = arena_take(&arena, tile, 1);
    scratch->edge = arena_take(&arena, BAND * VECTOR_BYTES, 1);
    for (int32_t k = 0; k < BAND / per_dword(resizer); k++)
        scratch->lines[k] = arena_take(&arena, fours_line(tables, resizer), 1);
    scratch->ring = arena_take(&arena, fixed_avx2_ring_line(resizer) * lines, 1);
    return arena.used;
}

/* All of the tables; the memory is the resizer's, or freed. */
static Status fill_tables(Resizer* resizer, Tables* tables) {
    const bool bytes = resizer->itemsize == 1;
    uint8_t* memory = alloc_array(place_tables(resizer, tables, NULL), 1);
    if (memory == NULL) return NO_MEMORY;
    place_tables(resizer, tables, memory);
    bool (*fill)(const Axis*, const Fours*) = bytes ? fill_fours : fill_pairs;
    if ((resizer->has_cols && !fill(&resizer->cols, &tables->cols)) ||
        (tables->rows.most > 0 && !fill(&resizer->rows, &tables->rows))) {
        alloc_free(memory);
        return UNSUITABLE;
    }
    fill_order(tables, resizer->itemsize);
    if (resizer->has_cols) fill_tiles(&resizer->cols, tables, resizer->channels);
    if (tables->pairs > 0) fill_down(&resizer->rows, tables);
    memcpy(memory, tables, sizeof *tables);
    resizer->tables = memory;
    resizer->gathers = find_loaded(resizer) == 0;
    resizer->scratch_bytes = fixed_run_bytes(resizer, BAND) + fixed_avx2_scratch(resizer, &(Scratch){0}, NULL);
    return OK;
}

static Status prepare(Resizer* resizer) {
    const int32_t channels = resizer->channels, per = per_dword(resizer);
    const bool bytes = resizer->itemsize == 1;
    if (channels > 4 || row_bytes(resizer, resizer->cols.n_in) < VECTOR_BYTES) return UNSUITABLE;
    if (row_bytes(resizer, resizer->cols.n_out) < VECTOR_BYTES) return UNSUITABLE;
    Status status = fixed_portable_prepare(resizer);
    if (status != OK) return status;
    const int32_t loaded = find_loaded(resizer);
    Tables tables = {.ring_of_fours = uses_ring(resizer) && (!bytes || fours_pay(&resizer->rows)),
                     .loaded = loaded == 0 ? channels : loaded};
    if (resizer->has_cols) {
        tables.cols = size_fours(&resizer->cols, best_phase(&resizer->cols, per), per);
        tables.before = bytes_before(tables.loaded) + tables.cols.phase * tables.loaded * resizer->itemsize;
        tables.outputs = (resizer->cols.n_out + FOUR - 1) / FOUR * FOUR;
    }
    if (tables.ring_of_fours || (resizer->has_rows && !bytes)) {
        tables.rows = size_fours(&resizer->rows, 0, per); /* bands begin with a row's number */
    } else if (resizer->has_rows) {
        tables.pairs = (max_count(&resizer->rows) + 1) / 2;
    }
    return fill_tables(resizer, &tables);
}

Status fixed_u8_avx2_prepare(Resizer* resizer) { return prepare(resizer); }
Status fixed_u16_avx2_prepare(Resizer* resizer) { return prepare(resizer); }
#endif
