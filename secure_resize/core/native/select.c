/* What both selective filters share: the check of what they are given, and where a row's new values go. */
#include <string.h>

#include "select.h"

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
    return true;
}

/* A row of more bytes is left to memcpy: its table would be too large. */
enum { MAX_ROW = 1 << 24 };

void places_take(Places* places, const Selection* selection, Arena* arena) {
    size_t vectors = ((size_t)selection->width * (size_t)selection->channels + LANES - 1) / LANES;
    if (vectors > MAX_ROW / LANES) vectors = 0;
    *places = (Places){.selection = selection,
                       .vectors = (int32_t)vectors,
                       .read = arena_take(arena, vectors, sizeof *places->read),
                       .first = arena_take(arena, vectors, sizeof *places->first),
                       .index = arena_take(arena, vectors, LANES),
                       .begin = arena_take(arena, vectors * (LANES / PART), sizeof *places->begin),
                       .within = arena_take(arena, vectors, LANES)};
}

void places_fill(Places* places) {
    const Selection* selection = places->selection;
    int32_t channels = selection->channels, value = 0, part = -1;
    if (places->vectors == 0) return;
    memset(places->within, 128, (size_t)places->vectors * LANES);
    for (int32_t j = 0; j < selection->col_count; j++) {
        for (int32_t c = 0; c < channels; c++, value++) {
            int32_t byte = selection->cols[j] * channels + c, v = byte / LANES;
            if (places->read[v] == 0) places->first[v] = value;
            places->read[v] |= 1ull << byte % LANES;
            places->index[byte] = (uint8_t)(value - places->first[v]);
            if (byte / PART != part) {
                part = byte / PART;
                places->begin[part] = value;
            }
            places->within[byte] = (uint8_t)(value - places->begin[part]);
        }
    }
}
