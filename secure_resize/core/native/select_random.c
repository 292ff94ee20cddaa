/* The selective random filter: candidates drawn by the ChaCha8 keystream of the image's key, and the hash that the key
 * is made from (core/reference.py).
 */
#include <string.h>

#include "select.h"

#ifdef HAVE_X86
#include <immintrin.h>
#endif

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie in memory");

enum { BLOCKS = DRAWS /* side by side */, BLOCK_WORDS = 16, BATCH = BLOCKS * BLOCK_WORDS };

#define ADD_XOR_ROTATE(to, add, into, shift) \
    state[to] += state[add];                 \
    state[into] ^= state[to];                \
    state[into] = state[into] << (shift) | state[into] >> (32 - (shift));
#define QUARTER_ROUND(a, b, c, d) \
    ADD_XOR_ROTATE(a, b, d, 16) ADD_XOR_ROTATE(c, d, b, 12) ADD_XOR_ROTATE(a, b, d, 8) ADD_XOR_ROTATE(c, d, b, 7)

/* The words of blocks first .. first + 15: word 0 of each of them, then word 1 of each, and so on. LANES_AT_ONCE of the
 * blocks fill a vector (GNU C's). */
#define KEYSTREAM(name, target, LANES_AT_ONCE)                                                                        \
    target static void name(const uint32_t key[8], uint32_t first, uint32_t words[BATCH]) {                           \
        typedef uint32_t Words __attribute__((vector_size(4 * LANES_AT_ONCE)));                                       \
        static const uint32_t CONSTANTS[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}; /* expand 32-byte k */ \
        const Words zero = {0};                                                                                       \
        for (uint32_t from = 0; from < BLOCKS; from += LANES_AT_ONCE) {                                               \
            Words state[BLOCK_WORDS];                                                                                 \
            uint32_t numbers[LANES_AT_ONCE]; /* an image has fewer than 2^32 blocks */                                \
            for (uint32_t l = 0; l < LANES_AT_ONCE; l++) numbers[l] = first + from + l;                               \
            for (int w = 0; w < 4; w++) state[w] = zero + CONSTANTS[w];                                               \
            for (int w = 0; w < 8; w++) state[4 + w] = zero + key[w];                                                 \
            memcpy(&state[12], numbers, sizeof state[12]);                                                            \
            const Words number = state[12];                                                                           \
            state[13] = state[14] = state[15] = zero;                                                                 \
            for (int round = 0; round < 4; round++) {                                                                 \
                QUARTER_ROUND(0, 4, 8, 12)                                                                            \
                QUARTER_ROUND(1, 5, 9, 13)                                                                            \
                QUARTER_ROUND(2, 6, 10, 14)                                                                           \
                QUARTER_ROUND(3, 7, 11, 15)                                                                           \
                QUARTER_ROUND(0, 5, 10, 15)                                                                           \
                QUARTER_ROUND(1, 6, 11, 12)                                                                           \
                QUARTER_ROUND(2, 7, 8, 13)                                                                            \
                QUARTER_ROUND(3, 4, 9, 14)                                                                            \
            }                                                                                                         \
            for (int w = 0; w < 4; w++) state[w] += CONSTANTS[w];                                                     \
            for (int w = 0; w < 8; w++) state[4 + w] += key[w];                                                       \
            state[12] += number;                                                                                      \
            for (int w = 0; w < BLOCK_WORDS; w++) memcpy(words + w * BLOCKS + from, &state[w], sizeof state[w]);      \
        }                                                                                                             \
    }
KEYSTREAM(keystream_portable, , 4)
#ifdef HAVE_X86
KEYSTREAM(keystream_avx2, TARGET_AVX2, 8)
KEYSTREAM(keystream_avx512, TARGET_AVX512, 16)
#endif
typedef void Keystream(const uint32_t key[8], uint32_t first, uint32_t words[BATCH]);

static ALWAYS_INLINE uint64_t reciprocal(int32_t n) {
    return n > 0 ? ((1ull << 32) + (uint64_t)n - 1) / (uint64_t)n : 0;
}

/* No branch asks whether a candidate lies in a read row: the answer is random, and so would be mispredicted. */
static ALWAYS_INLINE void draw_row(const Draws* draws, const WindowRows* window, const uint32_t* words, uint8_t* out,
                                   int32_t channels) {
    /* Local copies: a store of bytes may change any object, so the compiler would load these anew after each pixel. */
    const uint8_t* source = draws->images->source;
    const Column* column = draws->columns;
    const int32_t *table = draws->table, *cols = draws->selection->cols, col_count = draws->selection->col_count;
    const int32_t unread = window->unread, read = window->read;
    const bool twice = draws->twice;
    const ptrdiff_t* at = window->at;
    uint32_t left[DRAWS]; /* of the words, for the next draws */
    for (int32_t first = 0; first < col_count; first += DRAWS) {
        int32_t end = first + DRAWS < col_count ? first + DRAWS : col_count;
        bool again = twice && first / DRAWS % 2 == 1;
        const uint32_t* word = again ? left : words + (twice ? first / 2 : first);
        for (int32_t j = first; j < end; j++, column++) {
            uint32_t apart = (uint32_t)(unread * column->width[0]);
            uint32_t count = apart + (uint32_t)(read * column->width[1]);
            uint64_t drawn = (uint64_t)word[j - first] * (count > 0 ? count : 1);
            left[j - first] = (uint32_t)drawn;
            uint8_t* pixel = out + (ptrdiff_t)cols[j] * channels;
            if (count == 0) {
                memset(pixel, 0, (size_t)channels);
                continue;
            }
            uint32_t k = (uint32_t)(drawn >> 32), in_read = k >= apart;
            k -= apart & (0 - in_read);
            uint32_t row = (uint32_t)(k * column->by_width[in_read] >> 32);
            uint32_t col = k - row * (uint32_t)column->width[in_read];
            ptrdiff_t y = at[row + ((uint32_t)unread & (0 - in_read))];
            int32_t x = table[column->first[in_read] + (int32_t)col];
            memcpy(pixel, source + y + (ptrdiff_t)x * channels, (size_t)channels);
        }
    }
}

void draw_row_portable(const Draws* draws, const WindowRows* window, const uint32_t* words, uint8_t* out) {
    if (draws->selection->channels == 3) {
        draw_row(draws, window, words, out, 3);
    } else {
        draw_row(draws, window, words, out, draws->selection->channels);
    }
}

/* The columns' windows. */
static Status prepare(const Selection* selection, const Images* images, Draws* draws) {
    int32_t count = selection->col_count, width = selection->width, free_count = 0;
    int32_t window = (2 * selection->half_rows + 1) * (2 * selection->half_cols + 1);
    *draws = (Draws){.selection = selection, .images = images, .twice = window <= TWICE_LIMIT};
    draws->table = alloc_array(2 * (size_t)width, sizeof *draws->table);
    draws->columns = alloc_array((size_t)count, sizeof *draws->columns);
    if (draws->table == NULL || draws->columns == NULL) return NO_MEMORY;
    int32_t* free_cols = draws->table + width;
    for (int32_t x = 0, j = 0; x < width; x++) {
        draws->table[x] = x;
        if (j < count && selection->cols[j] == x) {
            j++;
        } else {
            free_cols[free_count++] = x;
        }
    }
    for (int32_t j = 0, begin = 0, end = 0; j < count; j++) {
        int32_t left = selection->cols[j] - selection->half_cols, right = selection->cols[j] + selection->half_cols + 1;
        left = left < 0 ? 0 : left;
        right = right > width ? width : right;
        while (begin < free_count && free_cols[begin] < left) begin++;
        while (end < free_count && free_cols[end] < right) end++;
        draws->columns[j] = (Column){
            {right - left, end - begin}, {left, width + begin}, {reciprocal(right - left), reciprocal(end - begin)}};
    }
    return OK;
}

/* The rows of read row i's window, unread ones first. */
static void find_rows(const Draws* draws, const uint8_t* read_rows, int32_t i, WindowRows* window) {
    const Selection* selection = draws->selection;
    int32_t first = selection->rows[i] - selection->half_rows, last = selection->rows[i] + selection->half_rows,
            rows = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int32_t y = first < 0 ? 0 : first; y <= last && y < selection->height; y++) {
            if (read_rows[y] == pass) window->at[rows++] = y * draws->images->stride;
        }
        if (pass == 0) window->unread = rows;
    }
    window->read = rows - window->unread;
    window->last = last >= selection->height - 1;
}

Status select_random(const Selection* selection, const Images* images, const uint8_t key_bytes[32], Level level) {
    Keystream* next = keystream_portable;
    Step step = KEYSTREAM_PORTABLE;
#ifdef HAVE_X86
    if (level >= LEVEL_AVX2) next = keystream_avx2, step = KEYSTREAM_AVX2;
    if (level >= LEVEL_AVX512) next = keystream_avx512, step = KEYSTREAM_AVX512;
#else
    (void)level;
#endif
    if (selection->col_count == 0 || selection->row_count == 0) return OK;
    uint32_t key[8];
    memcpy(key, key_bytes, sizeof key);
    Draws draws;
    WindowRows window = {0};
    Status status = prepare(selection, images, &draws);
    uint8_t* read_rows = alloc_array((size_t)selection->height, 1);
    window.at = alloc_array(2 * (size_t)selection->half_rows + 1, sizeof *window.at);
    /* A row's words, after what is left of the batch before, and up to a batch more. */
    size_t groups = ((size_t)selection->col_count + DRAWS - 1) / DRAWS,
           count = (draws.twice ? (groups + 1) / 2 : groups) * DRAWS;
    uint32_t* words = alloc_array(count + 2 * BATCH, sizeof *words);
    void* lanes = NULL;
    if (read_rows == NULL || window.at == NULL || words == NULL) status = NO_MEMORY;
#ifdef HAVE_X86
    if (status == OK && level >= LEVEL_AVX512) status = draws_prepare_avx512(&draws, &lanes);
#endif
    if (status != OK) goto done;
    step_ran(step);
    step_ran(lanes != NULL ? DRAW_AVX512 : DRAW_PORTABLE);
    for (int32_t i = 0; i < selection->row_count; i++) read_rows[selection->rows[i]] = 1;
    size_t have = 0, used = 0;
    uint32_t block = 0;
    for (int32_t i = 0; i < selection->row_count; i++) {
        find_rows(&draws, read_rows, i, &window);
        memmove(words, words + used, (have - used) * sizeof *words);
        have -= used;
        for (used = 0; have < count; have += BATCH, block += BLOCKS) next(key, block, words + have);
        used = count;
        uint8_t* out = images->out + selection->rows[i] * images->out_stride;
#ifdef HAVE_X86
        if (lanes != NULL) {
            draw_row_avx512(&draws, lanes, &window, words, out);
            continue;
        }
#endif
        draw_row_portable(&draws, &window, words, out);
    }
done:
    alloc_free(draws.table);
    alloc_free(draws.columns);
    alloc_free(read_rows);
    alloc_free(window.at);
    alloc_free(words);
    alloc_free(lanes);
    return status;
}

static uint64_t hash_portable(const uint8_t* block, const uint8_t* key) {
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
TARGET_AVX2 static uint64_t hash_avx2(const uint8_t* block, const uint8_t* key) {
    __m256i sum = _mm256_setzero_si256();
    for (int k = 0; k < FINGERPRINT_BLOCK; k += 32) {
        __m256i words = _mm256_add_epi32(_mm256_loadu_si256((const __m256i*)(const void*)(block + k)),
                                         _mm256_loadu_si256((const __m256i*)(const void*)(key + k)));
        sum = _mm256_add_epi64(sum, _mm256_mul_epu32(words, _mm256_srli_epi64(words, 32)));
    }
    uint64_t parts[4];
    memcpy(parts, &sum, sizeof parts);
    return parts[0] + parts[1] + parts[2] + parts[3];
}

TARGET_AVX512 static uint64_t hash_avx512(const uint8_t* block, const uint8_t* key) {
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

void fingerprint(const uint8_t* data, size_t bytes, const uint8_t* key, uint64_t* hashes, Level level) {
    uint64_t (*hash)(const uint8_t*, const uint8_t*) = hash_portable;
    Step step = HASH_PORTABLE;
#ifdef HAVE_X86
    if (level >= LEVEL_AVX2) hash = hash_avx2, step = HASH_AVX2;
    if (level >= LEVEL_AVX512) hash = hash_avx512, step = HASH_AVX512;
#else
    (void)level;
#endif
    step_ran(step);
    size_t whole = bytes / FINGERPRINT_BLOCK;
    /* From the end, so that the image's beginning, where the draws begin, is what the caches hold. */
    for (size_t k = whole; k-- > 0;) hashes[k] = hash(data + k * FINGERPRINT_BLOCK, key);
    if (bytes % FINGERPRINT_BLOCK != 0) {
        uint8_t last[FINGERPRINT_BLOCK] = {0};
        memcpy(last, data + whole * FINGERPRINT_BLOCK, bytes % FINGERPRINT_BLOCK);
        hashes[whole] = hash(last, key);
    }
}
