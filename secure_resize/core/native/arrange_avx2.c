/* Pixels put in another order with AVX2: byte shuffles, two lanes of 16 bytes of the result at a time.
 *
 * A lane's pixels are found in 16 source bytes, or in two times 16 that may overlap: channels backwards, some of four
 * channels, every second or third pixel. Three planes of bytes are interleaved. Everything else is left to plain C. */
#include "native.h"

#ifdef HAVE_X86
#include <immintrin.h>
#include <string.h>

#define VECTOR TARGET_AVX2 static ALWAYS_INLINE

enum { LANE = 16 };

/* How a lane comes about. */
typedef struct {
    uint8_t first[LANE], second[LANE]; /* which of the first and of the second 16 bytes go where; 128: none */
    ptrdiff_t begin;                   /* from a pixel to the lowest byte of its channels */
    ptrdiff_t extent;                  /* bytes from there to the end of the pixel */
    ptrdiff_t reach;                   /* bytes from there that are loaded; above 16: two times 16 */
    int pixels, bytes;                 /* of a lane */
} Shuffle;

static bool find_shuffle(const Grid* grid, bool in_place, Shuffle* shuffle) {
    int item = grid->itemsize;
    if (grid->channels < 1 || grid->channels * item > LANE / 2 || grid->pixel < 1 || grid->pixel > LANE * 2)
        return false;
    int channels = (int)grid->channels, size = channels * item, pixels = LANE / size;
    ptrdiff_t across = channels == 1 ? item : grid->channel, lowest = across < 0 ? (channels - 1) * across : 0;
    if (across > LANE || across < -LANE) return false;
    ptrdiff_t extent = (channels - 1) * (across < 0 ? -across : across) + item;
    while (pixels > 1 && (pixels - 1) * grid->pixel + extent > 2 * LANE) pixels--;
    if (pixels < 2) return false;
    ptrdiff_t span = (pixels - 1) * grid->pixel + extent;
    *shuffle = (Shuffle){.begin = lowest,
                         .extent = extent,
                         .reach = span > LANE ? span : LANE,
                         .pixels = pixels,
                         .bytes = pixels * size};
    for (int b = 0; b < LANE; b++) {
        /* In place, the byte past the pixels has to stay: the next ones begin there. */
        int k = b / size, c = b % size / item;
        ptrdiff_t from = k * grid->pixel + c * across - lowest + b % item;
        bool wanted = b < shuffle->bytes;
        shuffle->first[b] = wanted && from < LANE ? (uint8_t)from : in_place && !wanted ? (uint8_t)b : 128;
        shuffle->second[b] = wanted && from >= LANE ? (uint8_t)(from - (shuffle->reach - LANE)) : 128;
    }
    return true;
}

VECTOR __m256i load_lanes(const uint8_t* low, ptrdiff_t apart) {
    __m256i lanes = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i*)(const void*)low));
    return _mm256_inserti128_si256(lanes, _mm_loadu_si128((const __m128i*)(const void*)(low + apart)), 1);
}

/* `together`: lanes of 12 bytes, which whole stores may follow. */
VECTOR void store_lanes(uint8_t* out, __m256i lanes, int bytes, bool together) {
    if (together) {
        const __m256i order = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
        _mm256_storeu_si256((__m256i*)(void*)out, _mm256_permutevar8x32_epi32(lanes, order));
        return;
    }
    _mm_storeu_si128((__m128i*)(void*)out, _mm256_castsi256_si128(lanes));
    _mm_storeu_si128((__m128i*)(void*)(out + bytes), _mm256_extracti128_si256(lanes, 1));
}

/* As many pixels of a row as whole loads and stores inside it make; returns how many. */
VECTOR int64_t shuffle_row(const Grid* grid, const Shuffle* shuffle, const uint8_t* row, uint8_t* out, bool two,
                           int bytes, int pixels) {
    const __m256i first = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)(const void*)shuffle->first));
    const __m256i second = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)(const void*)shuffle->second));
    const ptrdiff_t apart = pixels * grid->pixel, rest = shuffle->reach - LANE;
    const int size = bytes / pixels;
    /* Loads end at the row's last byte at the latest, and so do stores. */
    ptrdiff_t room = (grid->width - 1 - pixels) * grid->pixel + shuffle->extent - shuffle->reach;
    int64_t by_load = room < 0 ? -1 : room / grid->pixel;
    const bool together = bytes == 12 && pixels == 4;
    int64_t by_store = grid->width - ((together ? 2 * LANE : bytes + LANE) + size - 1) / size;
    int64_t stop = by_load < by_store ? by_load : by_store, x = 0;
    if (stop < 0) return 0;
    /* The next bytes are loaded before a store, which may be to one of them: that would have to be waited for. */
    const uint8_t* low = row + shuffle->begin;
    __m256i next = load_lanes(low, apart);
    for (;; x += 2 * pixels) {
        __m256i lanes = _mm256_shuffle_epi8(next, first);
        if (two) {
            /* The next row's: past the last one that does nothing. */
            _mm_prefetch((const char*)(low + x * grid->pixel + grid->row), _MM_HINT_T0);
            __m256i others = load_lanes(low + x * grid->pixel + rest, apart);
            lanes = _mm256_or_si256(lanes, _mm256_shuffle_epi8(others, second));
        }
        bool more = x + 2 * pixels <= stop;
        if (more) next = load_lanes(low + (x + 2 * pixels) * grid->pixel, apart);
        store_lanes(out + x * size, lanes, bytes, together);
        if (!more) return x + 2 * pixels;
    }
}

TARGET_AVX2 static int64_t shuffle_some(const Grid* grid, const Shuffle* shuffle, const uint8_t* row, uint8_t* out) {
    bool two = shuffle->reach > LANE;
    int bytes = shuffle->bytes, pixels = shuffle->pixels;
    if (bytes == 12 && pixels == 4 && two) return shuffle_row(grid, shuffle, row, out, true, 12, 4);
    if (bytes == 12 && pixels == 4) return shuffle_row(grid, shuffle, row, out, false, 12, 4);
    if (bytes == 15 && pixels == 5 && !two) return shuffle_row(grid, shuffle, row, out, false, 15, 5);
    if (bytes == 16 && pixels == 4) return shuffle_row(grid, shuffle, row, out, two, 16, 4);
    return shuffle_row(grid, shuffle, row, out, two, bytes, pixels);
}

/* Which of 16 pixels' bytes go where in the three times 16 that they make: of the first plane, the second, the third. */
#define NONE -1
static const int8_t SPREAD[3][3][LANE] = {
    {{0, NONE, NONE, 1, NONE, NONE, 2, NONE, NONE, 3, NONE, NONE, 4, NONE, NONE, 5},
     {NONE, NONE, 6, NONE, NONE, 7, NONE, NONE, 8, NONE, NONE, 9, NONE, NONE, 10, NONE},
     {NONE, 11, NONE, NONE, 12, NONE, NONE, 13, NONE, NONE, 14, NONE, NONE, 15, NONE, NONE}},
    {{NONE, 0, NONE, NONE, 1, NONE, NONE, 2, NONE, NONE, 3, NONE, NONE, 4, NONE, NONE},
     {5, NONE, NONE, 6, NONE, NONE, 7, NONE, NONE, 8, NONE, NONE, 9, NONE, NONE, 10},
     {NONE, NONE, 11, NONE, NONE, 12, NONE, NONE, 13, NONE, NONE, 14, NONE, NONE, 15, NONE}},
    {{NONE, NONE, 0, NONE, NONE, 1, NONE, NONE, 2, NONE, NONE, 3, NONE, NONE, 4, NONE},
     {NONE, 5, NONE, NONE, 6, NONE, NONE, 7, NONE, NONE, 8, NONE, NONE, 9, NONE, NONE},
     {10, NONE, NONE, 11, NONE, NONE, 12, NONE, NONE, 13, NONE, NONE, 14, NONE, NONE, 15}},
};

VECTOR __m256i spread(__m256i bytes, const int8_t* to) {
    return _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)(const void*)to)));
}

/* 32 pixels at a time of three planes; returns how many pixels. */
TARGET_AVX2 static int64_t interleave_row(const uint8_t* const planes[3], uint8_t* out, int64_t width) {
    int64_t x = 0;
    for (; x + 2 * LANE <= width; x += 2 * LANE, out += 6 * LANE) {
        __m256i bytes[3], parts[3];
        for (int c = 0; c < 3; c++) bytes[c] = _mm256_loadu_si256((const __m256i*)(const void*)(planes[c] + x));
        for (int part = 0; part < 3; part++) {
            __m256i two = _mm256_or_si256(spread(bytes[0], SPREAD[0][part]), spread(bytes[1], SPREAD[1][part]));
            parts[part] = _mm256_or_si256(two, spread(bytes[2], SPREAD[2][part]));
        }
        for (int part = 0; part < 3; part++) {
            _mm_storeu_si128((__m128i*)(void*)(out + LANE * part), _mm256_castsi256_si128(parts[part]));
            _mm_storeu_si128((__m128i*)(void*)(out + LANE * (part + 3)), _mm256_extracti128_si256(parts[part], 1));
        }
    }
    return x;
}

static void copy_rest(const Grid* grid, const uint8_t* row, uint8_t* out, int64_t done, bool in_place) {
    int64_t size = grid->channels * grid->itemsize;
    Grid rest = *grid;
    rest.source = row + done * grid->pixel;
    rest.rows = 1;
    rest.width = grid->width - done;
    if (rest.width == 0) return;
    if (in_place || grid->itemsize > 1 || size > 4) {
        arrange_portable(&rest, out + done * size, 0);
        return;
    }
    for (int64_t x = done; x < grid->width; x++) {
        for (int64_t c = 0; c < size; c++) out[x * size + c] = row[x * grid->pixel + c * grid->channel];
    }
}

void arrange_avx2(const Grid* grid, uint8_t* out, ptrdiff_t out_row) {
    Shuffle shuffle;
    bool planes = grid->channels == 3 && grid->itemsize == 1 && grid->pixel == 1;
    bool in_place = grid_in_place(grid, out), shuffles = !planes && find_shuffle(grid, in_place, &shuffle);
    if (!planes && !shuffles) {
        arrange_portable(grid, out, out_row);
        return;
    }
    for (int64_t y = 0; y < grid->rows; y++, out += out_row) {
        const uint8_t* row = grid->source + y * grid->row;
        const uint8_t* const channels[3] = {row, row + grid->channel, row + 2 * grid->channel};
        int64_t done = planes ? interleave_row(channels, out, grid->width) : shuffle_some(grid, &shuffle, row, out);
        copy_rest(grid, row, out, done, in_place);
    }
}
#endif
