/* What a JPEG file's samples show before and after they are cut off to [0, 255]: core/dct.py.
 *
 * Most cells of 8 x 8 pixels cannot be cut off, which the sizes of their coefficients tell; no inverse DCT is computed
 * of those. */
#include "cut_off.h"

#include <math.h>
#include <string.h>

static const float WHITE = 255, MIDDLE = 128;
static const float ROUNDING = 0.01f; /* levels, of float */
/* The most that one coefficient changes a sample by: of both frequencies 0, of one, of neither. */
static const float OF_MEAN = 0.125f, OF_EDGE = 0.1734f, OF_OTHERS = 0.2406f;

/* The blocks of one component that a row of cells lies in. */
typedef struct {
    int64_t at; /* the row of blocks; -1: none yet */
    float* samples;
    float *low, *high; /* of each block: no sample lies beyond */
    bool* exact;       /* whether the block's samples and range are computed */
} Band;

/* The inverse DCT of eight numbers. */
typedef struct {
    float by_sample[8][8], by_frequency[8][8];
} Inverse;

typedef struct {
    const Coefficients* file;
    const Inverse* inverse;
    Band bands[COMPONENTS_MOST];
    float beyond;
} Work;

static float least(float a, float b) { return a < b ? a : b; }
static float most(float a, float b) { return a > b ? a : b; }

/* 8 x 8 samples in levels of a block. */
static void inverse_dct(const int16_t* block, const float* table, const Inverse* inverse, float* samples) {
    float columns[8][8] = {{0}}; /* of every sample's row, by horizontal frequency */
    for (int u = 0; u < 8; u++) {
        float scaled[8];
        for (int v = 0; v < 8; v++) scaled[v] = (float)block[8 * u + v] * table[8 * u + v];
        for (int y = 0; y < 8; y++) {
            for (int v = 0; v < 8; v++) columns[y][v] += inverse->by_sample[y][u] * scaled[v];
        }
    }
    for (int y = 0; y < 8; y++) {
        float row[8];
        for (int x = 0; x < 8; x++) row[x] = MIDDLE;
        for (int v = 0; v < 8; v++) {
            for (int x = 0; x < 8; x++) row[x] += columns[y][v] * inverse->by_frequency[v][x];
        }
        memcpy(samples + 8 * y, row, sizeof row);
    }
}

/* A range that holds every sample of a block, from the sizes of its coefficients. */
static void bound(const int16_t* block, const float* table, float* low, float* high) {
    float rows[8] = {0};
    for (int u = 1; u < 8; u++) {
        for (int v = 0; v < 8; v++) rows[v] += fabsf((float)block[8 * u + v]) * table[8 * u + v];
    }
    float others = 0, edge = rows[0];
    for (int v = 1; v < 8; v++) {
        others += rows[v];
        edge += fabsf((float)block[v]) * table[v];
    }
    float mean = (float)block[0] * table[0] * OF_MEAN + MIDDLE, reach = edge * OF_EDGE + others * OF_OTHERS + ROUNDING;
    *low = mean - reach;
    *high = mean + reach;
}

/* The least and the most of rows x 8 samples; lanes first, which processors do eight at a time. */
static void range_of(const float* samples, int rows, int columns, float* low, float* high) {
    float lows[8], highs[8];
    memcpy(lows, samples, sizeof lows);
    memcpy(highs, samples, sizeof highs);
    for (int y = 1; y < rows; y++) {
        for (int x = 0; x < 8; x++) {
            lows[x] = least(samples[8 * y + x], lows[x]);
            highs[x] = most(samples[8 * y + x], highs[x]);
        }
    }
    *low = lows[0];
    *high = highs[0];
    for (int x = 1; x < columns; x++) {
        *low = least(*low, lows[x]);
        *high = most(*high, highs[x]);
    }
}

static int up_to_8(int64_t count) { return count < 8 ? (int)count : 8; }

/* Its samples, its range, and how far it reaches beyond black or white where it is shown. */
static void compute(Work* work, int index, int64_t column) {
    const Coefficients* file = work->file;
    const Component* component = &file->components[index];
    Band* band = &work->bands[index];
    float *samples = band->samples + column * BLOCK, low, high;
    const int16_t* block = component->blocks + (band->at * component->columns + column) * BLOCK;
    inverse_dct(block, component->table, work->inverse, samples);
    range_of(samples, 8, 8, &band->low[column], &band->high[column]);
    band->exact[column] = true;
    int64_t rows = ((file->height - 1) >> component->down) + 1 - band->at * 8;
    int64_t columns = ((file->width - 1) >> component->across) + 1 - column * 8;
    if (rows <= 0 || columns <= 0) return; /* padding */
    range_of(samples, up_to_8(rows), up_to_8(columns), &low, &high);
    work->beyond = most(work->beyond, most(high - WHITE, -low));
}

static void next_band(Work* work, int index, int64_t at) {
    Band* band = &work->bands[index];
    const Component* component = &work->file->components[index];
    band->at = at;
    for (int64_t column = 0; column < component->columns; column++) {
        const int16_t* block = component->blocks + (at * component->columns + column) * BLOCK;
        band->exact[column] = false;
        bound(block, component->table, &band->low[column], &band->high[column]);
        if (band->low[column] < 0 || band->high[column] > WHITE) compute(work, index, column);
    }
}

/* Whether anything may be cut off in the cell, by the ranges of its blocks as they are known. */
static bool may_cut(const Work* work, int64_t cell) {
    const Coefficients* file = work->file;
    float middle[COMPONENTS_MOST], reach[COMPONENTS_MOST];
    for (int k = 0; k < file->count; k++) {
        int64_t column = cell >> file->components[k].across;
        float low = work->bands[k].low[column], high = work->bands[k].high[column];
        if (low < 0 || high > WHITE) return true;
        middle[k] = (low + high) / 2 - (k == 0 ? 0 : MIDDLE);
        reach[k] = (high - low) / 2;
    }
    for (int colour = 0; file->to_rgb != NULL && colour < 3; colour++) {
        float at = 0, around = ROUNDING;
        for (int k = 0; k < 3; k++) {
            float weight = file->to_rgb[3 * colour + k];
            at += weight * middle[k];
            around += fabsf(weight) * reach[k];
        }
        if (at - around < 0 || at + around > WHITE) return true;
    }
    return false;
}

/* All components' samples for the 64 pixels of a cell. */
static void fill_cell(const Work* work, int64_t row, int64_t cell, float values[][BLOCK]) {
    for (int k = 0; k < work->file->count; k++) {
        const Component* component = &work->file->components[k];
        int down = component->down, across = component->across;
        int top = (int)(row & ((1 << down) - 1)) * (8 >> down),
            left = (int)(cell & ((1 << across) - 1)) * (8 >> across);
        const float* samples = work->bands[k].samples + (cell >> across) * BLOCK + 8 * top + left;
        if (down == 0 && across == 0) {
            memcpy(values[k], samples, sizeof values[k]);
            continue;
        }
        for (int y = 0; y < 8; y++) {
            for (int x = 0; x < 8; x++) values[k][8 * y + x] = samples[8 * (y >> down) + (x >> across)];
        }
    }
}

static void clip(float* values, int count) {
    for (int i = 0; i < count; i++) {
        float positive = values[i] > 0 ? values[i] : 0;
        values[i] = positive < WHITE ? positive : WHITE;
    }
}

/* What is shown of `pixels` samples of each component, cut off and again as colours, in place. */
static void show(const Coefficients* file, float values[][BLOCK], int pixels) {
    for (int k = 0; k < file->count; k++) clip(values[k], pixels);
    if (file->to_rgb == NULL) return;
    float w[9], *restrict first = values[0], *restrict second = values[1], *restrict third = values[2];
    memcpy(w, file->to_rgb, sizeof w);
    for (int i = 0; i < pixels; i++) {
        float y = first[i], cb = second[i] - MIDDLE, cr = third[i] - MIDDLE;
        first[i] = w[0] * y + w[1] * cb + w[2] * cr;
        second[i] = w[3] * y + w[4] * cb + w[5] * cr;
        third[i] = w[6] * y + w[7] * cb + w[8] * cr;
    }
    for (int k = 0; k < 3; k++) clip(values[k], pixels);
}

/* From means of groups to those of groups twice as large: side x side of them a cell from 2 side x 2 side. */
static void halve(const float* from, int side, float* to) {
    for (int y = 0; y < side; y++) {
        for (int x = 0; x < side; x++) {
            const float* at = from + 4 * side * y + 2 * x;
            to[side * y + x] = (at[0] + at[1] + at[2 * side] + at[2 * side + 1]) * 0.25f;
        }
    }
}

/* One cell, into the three planes. */
static void measure(Work* work, int64_t row, int64_t cell, float* const apart[3]) {
    const Coefficients* file = work->file;
    float before[COMPONENTS_MOST][BLOCK], after[COMPONENTS_MOST][BLOCK], shown[COMPONENTS_MOST][BLOCK];
    fill_cell(work, row, cell, before);
    memcpy(after, before, sizeof before[0] * (size_t)file->count);
    show(file, after, BLOCK);
    for (int scale = 0; scale < 3; scale++) {
        int side = 4 >> scale, group = 2 << scale;
        for (int k = 0; k < file->count; k++) {
            halve(before[k], side, before[k]);
            halve(after[k], side, after[k]);
            memcpy(shown[k], before[k], (size_t)(side * side) * sizeof(float));
        }
        show(file, shown, side * side);
        int64_t height = file->height / group, width = file->width / group;
        for (int64_t y = 0; y < side && row * side + y < height; y++) {
            for (int64_t x = 0; x < side && cell * side + x < width; x++) {
                float sum = 0;
                for (int k = 0; k < file->count; k++) {
                    float difference = shown[k][side * y + x] - after[k][side * y + x];
                    sum += difference * difference;
                }
                apart[scale][(row * side + y) * width + cell * side + x] = sum / (float)file->count;
            }
        }
    }
}

static Status bands_alloc(Work* work, Arena* arena) {
    for (int turn = 0; turn < 2; turn++) {
        for (int k = 0; k < work->file->count; k++) {
            size_t columns = (size_t)work->file->components[k].columns;
            work->bands[k] = (Band){.at = -1,
                                    .samples = arena_take(arena, columns * BLOCK, sizeof(float)),
                                    .low = arena_take(arena, columns, sizeof(float)),
                                    .high = arena_take(arena, columns, sizeof(float)),
                                    .exact = arena_take(arena, columns, sizeof(bool))};
        }
        if (turn == 0 && arena_fill(arena) != OK) return NO_MEMORY;
    }
    return OK;
}

Status cut_off(const Coefficients* file, float* const apart[3], float* beyond) {
    Inverse inverse;
    for (int y = 0; y < 8; y++) {
        for (int u = 0; u < 8; u++) inverse.by_sample[y][u] = inverse.by_frequency[u][y] = file->inverse[8 * y + u];
    }
    Work work = {.file = file, .inverse = &inverse};
    Arena arena = {0};
    if (bands_alloc(&work, &arena) != OK) return NO_MEMORY;
    for (int scale = 0; scale < 3; scale++) {
        int group = 2 << scale;
        memset(apart[scale], 0, (size_t)((file->height / group) * (file->width / group)) * sizeof(float));
    }
    for (int64_t row = 0; row < (file->height + 7) / 8; row++) {
        for (int k = 0; k < file->count; k++) {
            int64_t at = row >> file->components[k].down;
            if (at != work.bands[k].at) next_band(&work, k, at);
        }
        for (int64_t cell = 0; cell < (file->width + 7) / 8; cell++) {
            if (!may_cut(&work, cell)) continue;
            for (int k = 0; k < file->count; k++) {
                int64_t column = cell >> file->components[k].across;
                if (!work.bands[k].exact[column]) compute(&work, k, column);
            }
            if (may_cut(&work, cell)) measure(&work, row, cell, apart);
        }
    }
    *beyond = work.beyond;
    alloc_free(arena.memory);
    return OK;
}

static ALWAYS_INLINE void sums_across(const float* from, int64_t count, int side, float* restrict out) {
    for (int64_t x = 0; x < count; x++) {
        float sum = from[x];
        for (int k = 1; k < side; k++) sum += from[x + k];
        out[x] = sum;
    }
}

Status worst_window(const float* values, int64_t height, int64_t width, int side, float* mean, int64_t* row,
                    int64_t* column) {
    int64_t down = height < side ? height : side, across = width < side ? width : side, count = width - across + 1;
    float *sums = alloc_scratch((size_t)width * 2 * sizeof *sums), *windows = sums + width, worst = -1;
    if (sums == NULL) return NO_MEMORY;
    for (int64_t y = 0; y <= height - down; y++) {
        memcpy(sums, values + y * width, (size_t)width * sizeof *sums);
        for (int64_t k = 1; k < down; k++) {
            for (int64_t x = 0; x < width; x++) sums[x] += values[(y + k) * width + x];
        }
        if (across == 5) {
            sums_across(sums, count, 5, windows);
        } else {
            sums_across(sums, count, (int)across, windows);
        }
        for (int64_t x = 0; x < count; x++) {
            if (windows[x] > worst) {
                worst = windows[x];
                *row = y;
                *column = x;
            }
        }
    }
    *mean = worst / (float)(down * across);
    alloc_free(sums);
    return OK;
}
