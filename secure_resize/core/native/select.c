/* What both selective filters share: the check of what they are given, and the count of what ran. */
#include "select.h"

#include <stdatomic.h>

bool selection_valid(const Selection* selection) {
    const int32_t* indices[2] = {selection->rows, selection->cols};
    const int32_t counts[2] = {selection->row_count, selection->col_count};
    const int32_t lengths[2] = {selection->height, selection->width};
    for (int axis = 0; axis < 2; axis++) {
        if (lengths[axis] < 1 || lengths[axis] > MAX_AXIS || counts[axis] < 0 || counts[axis] > lengths[axis])
            return false;
        for (int32_t i = 0; i < counts[axis]; i++) {
            if (indices[axis][i] < 0 || indices[axis][i] >= lengths[axis]) return false;
            if (i > 0 && indices[axis][i] <= indices[axis][i - 1]) return false;
        }
    }
    if (selection->channels < 1 || selection->channels > MAX_CHANNELS) return false;
    if (selection->half_rows < 0 || selection->half_cols < 0) return false;
    if (selection->half_rows >= MAX_WINDOW || selection->half_cols >= MAX_WINDOW) return false;
    int64_t window = (2 * (int64_t)selection->half_rows + 1) * (2 * (int64_t)selection->half_cols + 1);
    if (window > MAX_WINDOW || (int64_t)selection->col_count * selection->channels > INT32_MAX / 4) return false;
    for (int32_t k = 0; k < selection->exchanges; k++) {
        const int32_t* exchange = selection->network + 3 * k;
        if (exchange[0] < 0 || exchange[0] >= exchange[1] || exchange[1] >= window) return false;
        if (exchange[2] < 1 || exchange[2] > 3) return false;
    }
    return true;
}

static const char* const STEP_NAMES[STEP_COUNT] = {
    [GATHER_PORTABLE] = "gather_portable",
    [GATHER_AVX512] = "gather_avx512",
    [MEDIAN_PORTABLE] = "median_portable",
    [MEDIAN_AVX2] = "median_avx2",
    [MEDIAN_AVX2_REGISTERS] = "median_avx2_registers",
    [MEDIAN_AVX512] = "median_avx512",
    [MEDIAN_AVX512_REGISTERS] = "median_avx512_registers",
    [KEYSTREAM_PORTABLE] = "keystream_portable",
    [KEYSTREAM_AVX2] = "keystream_avx2",
    [KEYSTREAM_AVX512] = "keystream_avx512",
    [DRAW_PORTABLE] = "draw_portable",
    [DRAW_AVX512] = "draw_avx512",
    [HASH_PORTABLE] = "hash_portable",
    [HASH_AVX2] = "hash_avx2",
    [HASH_AVX512] = "hash_avx512",
};
static atomic_llong step_counts[STEP_COUNT];

const char* step_name(Step step) { return STEP_NAMES[step]; }

void step_ran(Step step) { atomic_fetch_add_explicit(&step_counts[step], 1, memory_order_relaxed); }

long long step_runs(Step step) { return atomic_load_explicit(&step_counts[step], memory_order_relaxed); }
