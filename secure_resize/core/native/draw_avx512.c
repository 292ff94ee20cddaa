/* The selective random filter's draws with AVX-512 VBMI, 16 pixels at a time. */
#include <string.h>

#include "select.h"

#ifdef HAVE_X86
#include <immintrin.h>

/* The tables of 16 columns stand together: one stream for the prefetcher. `near` holds the columns' four-bit distances
 * from `left` of a window's unread columns. Products that change with the window's rows are kept while those are as
 * many. */
typedef struct {
    _Alignas(ALIGNMENT) int32_t count[16]; /* 1 where there is no candidate */
    int32_t apart[16], width[2][16], left[16], first[2][16];
    float by_width[2][16];
    uint32_t near[16];
    __mmask16 some; /* there are candidates */
} Columns;

typedef struct {
    Columns* columns;
    int32_t groups;
    int32_t* at; /* where the window's rows begin */
    uint8_t* values;
    Places places;
    bool near;
    int32_t unread, read; /* that count and apart were made for */
} Lanes16;

static void fill_columns(const Draws* draws, Lanes16* made) {
    const Selection* selection = draws->selection;
    made->near = 2 * selection->half_rows + 1 <= 16 && 2 * selection->half_cols + 1 <= 16;
    for (int32_t j = 0; j < selection->col_count; j++) {
        Columns* group = &made->columns[j / 16];
        const Column* column = &draws->columns[j];
        int l = j % 16;
        group->left[l] = column->first[0];
        for (int k = 0; k < 2; k++) {
            group->width[k][l] = column->width[k];
            group->first[k][l] = column->first[k];
            group->by_width[k][l] = column->width[k] > 0 ? 1.0f / (float)column->width[k] : 0.0f;
        }
        if (column->width[1] > 8) made->near = false;
        for (int32_t k = 0; k < column->width[1] && k < 8; k++) {
            uint32_t distance = (uint32_t)(draws->table[column->first[1] + k] - column->first[0]);
            group->near[l] |= (distance & 15) << 4 * k;
        }
    }
}

/* The tables, and before them what says where they are. */
static Lanes16 take_tables(const Draws* draws, Arena* arena) {
    const Selection* selection = draws->selection;
    size_t groups = ((size_t)selection->col_count + 2 * DRAWS - 1) / (2 * DRAWS) * 2;
    arena_take(arena, 1, sizeof(Lanes16));
    Lanes16 made = {.groups = (int32_t)groups, .unread = -1};
    made.columns = arena_take(arena, groups, sizeof *made.columns);
    made.values = arena_take(arena, 48 * groups + 64, 1);
    made.at = arena_take(arena, 2 * (size_t)selection->half_rows + 1, sizeof *made.at);
    places_take(&made.places, selection, arena);
    return made;
}

static Status prepare(Draws* draws) {
    const Selection* selection = draws->selection;
    const Images* images = draws->images;
    ptrdiff_t bytes = (selection->height - 1) * images->stride + 3 * (ptrdiff_t)selection->width;
    if (selection->channels != 3 || images->stride < 0 || bytes > INT32_MAX || bytes < 4) return UNSUITABLE;
    Arena arena = {0};
    if (take_tables(draws, &arena).places.vectors == 0) return UNSUITABLE;
    if (arena_fill(&arena) != OK) return NO_MEMORY;
    Lanes16* made = draws->lanes = arena.memory;
    *made = take_tables(draws, &arena);
    places_fill(&made->places);
    fill_columns(draws, made);
    return OK;
}

/* The upper halves of a * b in each of 16 lanes, and the lower ones. */
TARGET_AVX512 static ALWAYS_INLINE __m512i multiply(__m512i a, __m512i b, __m512i* low) {
    __m512i even = _mm512_mul_epu32(a, b), odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
    *low = _mm512_mask_mov_epi32(even, 0xAAAA, _mm512_slli_epi64(odd, 32));
    return _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xAAAA, odd);
}

/* Leaves in `words` what is left of them. Reads four bytes a pixel; with `last`, the last pixel's one earlier. */
TARGET_AVX512 static ALWAYS_INLINE void draw_columns(const Draws* draws, const Columns* group, const WindowRows* window,
                                                     const int32_t* at, __m512i rows, __m512i* words, uint8_t* values,
                                                     bool near, bool last) {
    const __m512i zero = _mm512_setzero_si512();
    __m512i apart = _mm512_load_si512(group->apart), k = multiply(*words, _mm512_load_si512(group->count), words);
    __mmask16 some = group->some, in_read = _mm512_mask_cmpge_epu32_mask(some, k, apart);
    k = _mm512_mask_sub_epi32(k, in_read, k, apart);
    __m512i width = _mm512_mask_load_epi32(_mm512_load_si512(group->width[0]), in_read, group->width[1]);
    __m512 by_width = _mm512_mask_load_ps(_mm512_load_ps(group->by_width[0]), in_read, group->by_width[1]);
    /* k and width are below 2^14: (k + 1/2) / width lies 2^-15 and more from a whole number, rounding moves it less. */
    __m512 middle = _mm512_add_ps(_mm512_cvtepi32_ps(k), _mm512_set1_ps(0.5f));
    __m512i row = _mm512_cvttps_epi32(_mm512_mul_ps(middle, by_width));
    __m512i col = _mm512_sub_epi32(k, _mm512_mullo_epi16(row, width)); /* the product is at most k */
    row = _mm512_mask_add_epi32(row, in_read, row, _mm512_set1_epi32(window->unread));
    __m512i x, y;
    if (near) {
        __m512i shift = _mm512_slli_epi32(col, 2), fifteen = _mm512_set1_epi32(15);
        __m512i far = _mm512_and_si512(_mm512_srlv_epi32(_mm512_load_si512(group->near), shift), fifteen);
        x = _mm512_add_epi32(_mm512_load_si512(group->left), _mm512_mask_mov_epi32(col, in_read, far));
        y = _mm512_permutexvar_epi32(row, rows);
    } else {
        __m512i first = _mm512_mask_load_epi32(_mm512_load_si512(group->first[0]), in_read, group->first[1]);
        x = _mm512_mask_i32gather_epi32(zero, some, _mm512_add_epi32(first, col), draws->table, 4);
        y = _mm512_mask_i32gather_epi32(zero, some, row, at, 4);
    }
    __m512i from = _mm512_add_epi32(y, _mm512_add_epi32(x, _mm512_slli_epi32(x, 1))), pixel;
    const uint8_t* source = draws->images->source;
    if (last) {
        const Selection* selection = draws->selection;
        ptrdiff_t end = (selection->height - 1) * draws->images->stride + 3 * (ptrdiff_t)selection->width;
        __m512i earlier = _mm512_min_epi32(from, _mm512_set1_epi32((int32_t)(end - 4)));
        pixel = _mm512_mask_i32gather_epi32(zero, some, earlier, source, 1);
        pixel = _mm512_srlv_epi32(pixel, _mm512_slli_epi32(_mm512_sub_epi32(from, earlier), 3));
    } else {
        pixel = _mm512_mask_i32gather_epi32(zero, some, from, source, 1);
    }
    static const uint8_t PACK[64] = {0,  1,  2,  4,  5,  6,  8,  9,  10, 12, 13, 14, 16, 17, 18, 20,
                                     21, 22, 24, 25, 26, 28, 29, 30, 32, 33, 34, 36, 37, 38, 40, 41,
                                     42, 44, 45, 46, 48, 49, 50, 52, 53, 54, 56, 57, 58, 60, 61, 62};
    _mm512_storeu_si512(values, _mm512_permutexvar_epi8(_mm512_loadu_si512(PACK), pixel));
}

/* What depends on how many rows of a window are read. */
TARGET_AVX512 static void count_candidates(Lanes16* made, const WindowRows* window) {
    made->unread = window->unread;
    made->read = window->read;
    for (int32_t g = 0; g < made->groups; g++) {
        Columns* group = &made->columns[g];
        for (int l = 0; l < 16; l++) {
            group->apart[l] = window->unread * group->width[0][l];
            group->count[l] = group->apart[l] + window->read * group->width[1][l];
        }
        const __m512i counts = _mm512_load_si512(group->count);
        group->some = _mm512_test_epi32_mask(counts, counts);
        _mm512_store_si512(group->count, _mm512_max_epi32(counts, _mm512_set1_epi32(1)));
    }
}

TARGET_AVX512 static void draw_row(const Draws* draws, const WindowRows* window, const uint32_t* words, uint8_t* out) {
    Lanes16* made = draws->lanes;
    int32_t groups = made->groups, rows_in_window = window->unread + window->read, *at = made->at;
    if (window->unread != made->unread || window->read != made->read) count_candidates(made, window);
    for (int32_t k = 0; k < rows_in_window; k++) at[k] = (int32_t)window->at[k];
    __mmask16 inside = (__mmask16)(rows_in_window < 16 ? (1u << rows_in_window) - 1 : 0xFFFF);
    __m512i rows = _mm512_maskz_loadu_epi32(inside, at);
    bool near = made->near && !window->last;
    __m512i left = _mm512_setzero_si512();
    int32_t lines = (made->places.vectors + groups - 1) / groups; /* of the row that is written to in the end */
    for (int32_t g = 0; g < groups; g++) {
        if (!draws->twice || g % 2 == 0) left = _mm512_loadu_si512(words + DRAWS * (draws->twice ? g / 2 : g));
        uint8_t* values = made->values + 48 * g;
        for (int32_t v = g * lines; v < (g + 1) * lines; v++)
            _mm_prefetch((const char*)out + 64 * (ptrdiff_t)v, _MM_HINT_T0);
        if (near) {
            draw_columns(draws, &made->columns[g], window, at, rows, &left, values, true, false);
        } else {
            draw_columns(draws, &made->columns[g], window, at, rows, &left, values, false, true);
        }
    }
    scatter_avx512(&made->places, made->values, out);
}

const Draw draw_avx512_rows = {prepare, draw_row};

#endif
