/* The selective random filter: candidates drawn by the ChaCha8 keystream of the image's key, and the hash that the key is
 * made from (core/reference.py).
 */
#include <string.h>

#include "select.h"

#ifdef HAVE_X86
#include <immintrin.h>
#endif

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie in memory");

enum { BLOCKS = 16 /* at a time, one a vector lane */, BLOCK_WORDS = 16, BATCH = BLOCKS * BLOCK_WORDS };

typedef uint32_t Words __attribute__((vector_size(4 * BLOCKS))); /* GNU C: as many registers as it takes */

#define ADD_XOR_ROTATE(to, add, into, shift)                         \
    state[to] += state[add];                                         \
    state[into] ^= state[to];                                        \
    state[into] = state[into] << (shift) | state[into] >> (32 - (shift));
#define QUARTER_ROUND(a, b, c, d) \
    ADD_XOR_ROTATE(a, b, d, 16) ADD_XOR_ROTATE(c, d, b, 12) ADD_XOR_ROTATE(a, b, d, 8) ADD_XOR_ROTATE(c, d, b, 7)

/* The words of blocks first .. first + 15, one block after the other. */
static ALWAYS_INLINE void keystream(const uint32_t key[8], uint32_t first, uint32_t words[BATCH]) {
    static const uint32_t CONSTANTS[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}; /* expand 32-byte k */
    Words state[BLOCK_WORDS], start[BLOCK_WORDS];
    const Words lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, zero = {0};
    for (int w = 0; w < 4; w++) start[w] = zero + CONSTANTS[w];
    for (int w = 0; w < 8; w++) start[4 + w] = zero + key[w];
    start[12] = lane + first; /* an image has fewer than 2^32 blocks */
    start[13] = start[14] = start[15] = zero;
    for (int w = 0; w < BLOCK_WORDS; w++) state[w] = start[w];
    for (int round = 0; round < 4; round++) {
        QUARTER_ROUND(0, 4, 8, 12)
        QUARTER_ROUND(1, 5, 9, 13)
        QUARTER_ROUND(2, 6, 10, 14)
        QUARTER_ROUND(3, 7, 11, 15)
        QUARTER_ROUND(0, 5, 10, 15)
        QUARTER_ROUND(1, 6, 11, 12)
        QUARTER_ROUND(2, 7, 8, 13)
        QUARTER_ROUND(3, 4, 9, 14)
    }
    uint32_t by_word[BLOCK_WORDS][BLOCKS];
    for (int w = 0; w < BLOCK_WORDS; w++) {
        state[w] += start[w];
        memcpy(by_word[w], &state[w], sizeof by_word[w]);
    }
    for (int l = 0; l < BLOCKS; l++) {
        for (int w = 0; w < BLOCK_WORDS; w++) words[l * BLOCK_WORDS + w] = by_word[w][l];
    }
}

typedef void Keystream(const uint32_t key[8], uint32_t first, uint32_t words[BATCH]);
static void keystream_portable(const uint32_t key[8], uint32_t first, uint32_t words[BATCH]) {
    keystream(key, first, words);
}
#ifdef HAVE_X86
TARGET_AVX2 static void keystream_avx2(const uint32_t key[8], uint32_t first, uint32_t words[BATCH]) {
    keystream(key, first, words);
}
TARGET_AVX512 static void keystream_avx512(const uint32_t key[8], uint32_t first, uint32_t words[BATCH]) {
    keystream(key, first, words);
}
#endif

/* A read column's window, for [0] its unread and [1] its read rows: how many candidates a row has, where in `table` their
 * columns begin, and ceil(2^32 / n), which times k < 2^32 / n, shifted down, is k / n rounded down. */
typedef struct {
    int32_t width[2], first[2];
    uint64_t by_width[2];
} Column;

static ALWAYS_INLINE uint64_t reciprocal(int32_t n) { return n > 0 ? ((1ull << 32) + (uint64_t)n - 1) / (uint64_t)n : 0; }

/* Whether a candidate lies in a read row is as good as a coin: no branches on it. */
static ALWAYS_INLINE void draw_row(const Selection *selection, const Images *images, const Column *columns,
                                   const int32_t *table, const ptrdiff_t *window, int32_t unread_rows, int32_t read_rows,
                                   const uint32_t *words, uint8_t *out, int32_t channels) {
    for (int32_t j = 0; j < selection->col_count; j++) {
        const Column *column = &columns[j];
        uint32_t apart = (uint32_t)(unread_rows * column->width[0]);
        uint32_t count = apart + (uint32_t)(read_rows * column->width[1]);
        uint8_t *pixel = out + (ptrdiff_t)selection->cols[j] * channels;
        if (count == 0) {
            memset(pixel, 0, (size_t)channels);
            continue;
        }
        uint32_t k = (uint32_t)((uint64_t)words[j] * count >> 32), in_read = k >= apart;
        k -= apart & (0 - in_read);
        uint32_t row = (uint32_t)(k * column->by_width[in_read] >> 32), col = k - row * (uint32_t)column->width[in_read];
        ptrdiff_t y = window[row + ((uint32_t)unread_rows & (0 - in_read))];
        int32_t x = table[column->first[in_read] + (int32_t)col];
        memcpy(pixel, images->source + y + (ptrdiff_t)x * channels, (size_t)channels);
    }
}

#ifdef HAVE_X86
/* a * b / 2^32 in each of 16 lanes. */
TARGET_AVX512 static ALWAYS_INLINE __m512i multiply_high(__m512i a, __m512i b) {
    __m512i even = _mm512_srli_epi64(_mm512_mul_epu32(a, b), 32);
    __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
    return _mm512_mask_mov_epi32(even, 0xAAAA, odd);
}

/* Three channels, 16 columns at a time, where 32 bits hold every offset into the image. `columns` as arrays: widths[0],
 * widths[1], firsts[0], firsts[1], each padded to 16 with widths of 0. Reads four bytes a pixel, the last pixel's one
 * earlier; writes the row's pixels to `values`. */
TARGET_AVX512 static void draw_row_avx512(const Selection *selection, const Images *images, const int32_t *columns,
                                          const int32_t *table, const int32_t *window, int32_t unread_rows,
                                          int32_t read_rows, const uint32_t *words, uint8_t *values) {
    int32_t padded = (selection->col_count + 15) / 16 * 16;
    const __m512i unread = _mm512_set1_epi32(unread_rows), read = _mm512_set1_epi32(read_rows);
    const __m512i three = _mm512_set1_epi32(3);
    const __m512i last = _mm512_set1_epi32((int32_t)((selection->height - 1) * images->stride + 3 * selection->width - 4));
    uint8_t order[64] = {0};
    for (int i = 0; i < 48; i++) order[i] = (uint8_t)(i / 3 * 4 + i % 3);
    const __m512i pack = _mm512_loadu_si512(order);
    for (int32_t j = 0; j < padded; j += 16) {
        __m512i width_unread = _mm512_loadu_si512(columns + j), width_read = _mm512_loadu_si512(columns + padded + j);
        __m512i apart = _mm512_mullo_epi32(unread, width_unread);
        __m512i count = _mm512_add_epi32(apart, _mm512_mullo_epi32(read, width_read));
        __mmask16 some = _mm512_test_epi32_mask(count, count);
        __m512i k = multiply_high(_mm512_loadu_si512(words + j), count);
        __mmask16 in_read = _mm512_cmpge_epu32_mask(k, apart) & some;
        k = _mm512_mask_sub_epi32(k, in_read, k, apart);
        __m512i width = _mm512_mask_mov_epi32(width_unread, in_read, width_read);
        __m512i first = _mm512_mask_mov_epi32(_mm512_loadu_si512(columns + 2 * padded + j), in_read,
                                              _mm512_loadu_si512(columns + 3 * padded + j));
        /* k and width are below 2^14: (k + 1/2) / width lies 2^-15 and more from a whole number, rounding moves it less. */
        __m512 middle = _mm512_add_ps(_mm512_cvtepi32_ps(k), _mm512_set1_ps(0.5f));
        __m512i row = _mm512_cvttps_epi32(_mm512_div_ps(middle, _mm512_cvtepi32_ps(width)));
        __m512i col = _mm512_sub_epi32(k, _mm512_mullo_epi32(row, width));
        row = _mm512_mask_add_epi32(row, in_read, row, unread);
        const __m512i zero = _mm512_setzero_si512();
        __m512i y = _mm512_mask_i32gather_epi32(zero, some, row, window, 4);
        __m512i x = _mm512_mask_i32gather_epi32(zero, some, _mm512_add_epi32(first, col), table, 4);
        __m512i at = _mm512_add_epi32(y, _mm512_mullo_epi32(x, three)), from = _mm512_min_epi32(at, last);
        __m512i pixel = _mm512_mask_i32gather_epi32(zero, some, from, images->source, 1);
        pixel = _mm512_srlv_epi32(pixel, _mm512_slli_epi32(_mm512_sub_epi32(at, from), 3));
        _mm512_storeu_si512(values + 3 * (ptrdiff_t)j, _mm512_permutexvar_epi8(pack, pixel));
    }
}
#endif

Status select_random(const Selection *selection, const Images *images, const uint8_t key_bytes[32], Level level) {
    Keystream *next = keystream_portable;
#ifdef HAVE_X86
    if (level >= LEVEL_AVX2) next = keystream_avx2;
    if (level >= LEVEL_AVX512) next = keystream_avx512;
#else
    (void)level;
#endif
    int32_t count = selection->col_count, width = selection->width, height = selection->height, free_count = 0;
    if (count == 0 || selection->row_count == 0) return OK;
    uint32_t key[8];
    memcpy(key, key_bytes, sizeof key);
    Status status = NO_MEMORY;
    Column *columns = alloc_array((size_t)count, sizeof *columns);
    int32_t *table = alloc_array(2 * (size_t)width, sizeof *table); /* all columns, then those not read */
    uint8_t *read_rows = alloc_array((size_t)height, 1);
    ptrdiff_t *window = alloc_array(2 * (size_t)selection->half_rows + 1, sizeof *window); /* where its rows begin */
    /* A row's words, after what is left of the batch before, and up to a batch more. */
    uint32_t *words = alloc_array((size_t)count + 2 * BATCH, sizeof *words);
    size_t padded = ((size_t)count + 15) / 16 * 16;
    int32_t *by_lane = alloc_array(4 * padded, sizeof *by_lane);
    int32_t *window_32 = alloc_array(2 * (size_t)selection->half_rows + 1, sizeof *window_32);
    uint8_t *values = alloc_array(3 * padded + 64, 1);
    bool in_lanes = level >= LEVEL_AVX512 && selection->channels == 3 && images->stride >= 0 &&
                    (height - 1) * images->stride + 3 * (ptrdiff_t)width <= INT32_MAX && (int64_t)height * width >= 2;
    if (by_lane == NULL || window_32 == NULL || values == NULL) goto done;
    if (columns == NULL || table == NULL || read_rows == NULL || window == NULL || words == NULL) goto done;
    status = OK;
    for (int32_t i = 0; i < selection->row_count; i++) read_rows[selection->rows[i]] = 1;
    const int32_t *free_cols = table + width;
    for (int32_t x = 0, j = 0; x < width; x++) {
        table[x] = x;
        if (j < count && selection->cols[j] == x) {
            j++;
        } else {
            table[width + free_count++] = x;
        }
    }
    for (int32_t j = 0, begin = 0, end = 0; j < count; j++) {
        int32_t left = selection->cols[j] - selection->half_cols, right = selection->cols[j] + selection->half_cols + 1;
        left = left < 0 ? 0 : left;
        right = right > width ? width : right;
        while (begin < free_count && free_cols[begin] < left) begin++;
        while (end < free_count && free_cols[end] < right) end++;
        columns[j] = (Column){{right - left, end - begin},
                              {left, width + begin},
                              {reciprocal(right - left), reciprocal(end - begin)}};
        by_lane[j] = columns[j].width[0];
        by_lane[padded + (size_t)j] = columns[j].width[1];
        by_lane[2 * padded + (size_t)j] = columns[j].first[0];
        by_lane[3 * padded + (size_t)j] = columns[j].first[1];
    }
    uint32_t block = 0;
    size_t have = 0, used = 0;
    for (int32_t i = 0; i < selection->row_count; i++) {
        int32_t first = selection->rows[i] - selection->half_rows, last = selection->rows[i] + selection->half_rows;
        int32_t unread = 0, rows = 0;
        for (int pass = 0; pass < 2; pass++) {
            for (int32_t y = first < 0 ? 0 : first; y <= last && y < height; y++) {
                if (read_rows[y] == pass) window[rows++] = y * images->stride;
            }
            if (pass == 0) unread = rows;
        }
        memmove(words, words + used, (have - used) * sizeof *words);
        have -= used;
        for (used = 0; have < (size_t)count; have += BATCH, block += BLOCKS) next(key, block, words + have);
        uint8_t *out = images->out + selection->rows[i] * images->out_stride;
        if (in_lanes) {
#ifdef HAVE_X86
            for (int32_t k = 0; k < rows; k++) window_32[k] = (int32_t)window[k];
            draw_row_avx512(selection, images, by_lane, table, window_32, unread, rows - unread, words, values);
            for (int32_t j = 0; j < count; j++) memcpy(out + 3 * (ptrdiff_t)selection->cols[j], values + 3 * j, 3);
#endif
        } else if (selection->channels == 3) {
            draw_row(selection, images, columns, table, window, unread, rows - unread, words, out, 3);
        } else {
            draw_row(selection, images, columns, table, window, unread, rows - unread, words, out, selection->channels);
        }
        used = (size_t)count;
    }
done:
    alloc_free(columns);
    alloc_free(table);
    alloc_free(read_rows);
    alloc_free(window);
    alloc_free(words);
    alloc_free(by_lane);
    alloc_free(window_32);
    alloc_free(values);
    return status;
}

static uint64_t hash_portable(const uint8_t *block, const uint8_t *key) {
    uint64_t sum = 0;
    for (int k = 0; k < FINGERPRINT_BLOCK; k += 8) {
        uint32_t m[2], n[2];
        memcpy(m, block + k, 8);
        memcpy(n, key + k, 8);
        sum += (uint64_t)(m[0] + n[0]) * (uint32_t)(m[1] + n[1]);
    }
    return sum;
}

#ifdef HAVE_X86
TARGET_AVX2 static uint64_t hash_avx2(const uint8_t *block, const uint8_t *key) {
    __m256i sum = _mm256_setzero_si256();
    for (int k = 0; k < FINGERPRINT_BLOCK; k += 32) {
        __m256i words = _mm256_add_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(block + k)),
                                         _mm256_loadu_si256((const __m256i *)(const void *)(key + k)));
        sum = _mm256_add_epi64(sum, _mm256_mul_epu32(words, _mm256_srli_epi64(words, 32)));
    }
    uint64_t parts[4];
    memcpy(parts, &sum, sizeof parts);
    return parts[0] + parts[1] + parts[2] + parts[3];
}

TARGET_AVX512 static uint64_t hash_avx512(const uint8_t *block, const uint8_t *key) {
    __m512i sum = _mm512_setzero_si512();
    for (int k = 0; k < FINGERPRINT_BLOCK; k += 64) {
        __m512i words = _mm512_add_epi32(_mm512_loadu_si512(block + k), _mm512_loadu_si512(key + k));
        sum = _mm512_add_epi64(sum, _mm512_mul_epu32(words, _mm512_srli_epi64(words, 32)));
    }
    uint64_t parts[8], total = 0; /* _mm512_reduce_add_epi64 adds signed numbers, which must not overflow */
    memcpy(parts, &sum, sizeof parts);
    for (int l = 0; l < 8; l++) total += parts[l];
    return total;
}
#endif

void fingerprint(const uint8_t *data, size_t bytes, const uint8_t *key, uint64_t *hashes, Level level) {
    uint64_t (*hash)(const uint8_t *, const uint8_t *) = hash_portable;
#ifdef HAVE_X86
    if (level >= LEVEL_AVX2) hash = hash_avx2;
    if (level >= LEVEL_AVX512) hash = hash_avx512;
#else
    (void)level;
#endif
    size_t whole = bytes / FINGERPRINT_BLOCK;
    for (size_t k = 0; k < whole; k++) hashes[k] = hash(data + k * FINGERPRINT_BLOCK, key);
    if (bytes % FINGERPRINT_BLOCK != 0) {
        uint8_t last[FINGERPRINT_BLOCK] = {0};
        memcpy(last, data + whole * FINGERPRINT_BLOCK, bytes % FINGERPRINT_BLOCK);
        hashes[whole] = hash(last, key);
    }
}
