/* The inner loops of the selective filters, for one level. Its file defines and then includes this:
 *
 *   LEVEL(name), TARGET           the level's name of a function, and the attribute that lets it use its instructions
 *   WIDTH, Bytes, Pairs           a vector's bytes, and its type with elements of 8 and of 64 bits (GNU C's)
 *   least(a, b), most(a, b)       of unsigned bytes
 *   choose(mask, a, b)            a where the mask is 255, b where it is 0
 *   products(words)               each 64 bits' lower half times their upper half
 *
 * All else is said in operators, which GNU C has for vectors; what is put into a common window's registers and does not
 * fit there is kept in memory by the compiler. */
#include "networks.h"

#define IN_LEVEL TARGET static ALWAYS_INLINE

typedef int8_t SignedBytes __attribute__((vector_size(WIDTH)));
typedef uint16_t Halves __attribute__((vector_size(WIDTH)));
typedef int16_t SignedHalves __attribute__((vector_size(WIDTH)));
typedef uint32_t Words __attribute__((vector_size(WIDTH)));
_Static_assert(LANES % WIDTH == 0, "a strip's lanes are whole vectors");

IN_LEVEL Bytes load(const uint8_t* at) { return *(const Bytes*)(const void*)at; }
IN_LEVEL void store(uint8_t* at, Bytes value) { *(Bytes*)(void*)at = value; }

/* The window's row k, for the lanes from `part` of the strip on: `offsets` vectors, `step` apart, with the bits of
 * `bias` turned. What is no candidate is
 * 0 and 255 in turn, as `pads` says. A row outside the image is all excluded, whatever plane is read in its place. */
IN_LEVEL void load_row(const Strip* strip, int part, int k, int offsets, Bytes* pads, uint8_t bias, Bytes* into,
                       int step) {
    const Lanes* lanes = strip->lanes;
    ptrdiff_t next = lanes->padded, at = strip->vector * LANES + part;
    int kind = strip->kinds[k];
    const uint8_t *plane = strip->planes[k] + at, *excluded = lanes->excluded + kind * offsets * next + at;
    if (!lanes->excludes[kind * (lanes->padded / LANES) + strip->vector]) {
        _Pragma("GCC unroll 8") for (int d = 0; d < offsets; d++) into[d * step] = load(plane + d * next) ^ bias;
        return;
    }
    _Pragma("GCC unroll 8") for (int d = 0; d < offsets; d++) {
        Bytes mask = load(excluded + d * next);
        into[d * step] = choose(mask, *pads, load(plane + d * next)) ^ bias;
        *pads ^= mask;
    }
}

IN_LEVEL void fill_slots(const Strip* strip, uint8_t bias) {
    int rows = 2 * strip->lanes->selection->half_rows + 1, offsets = strip->lanes->offsets;
    for (int part = 0; part < LANES; part += WIDTH) {
        Bytes pads = {0}, *into = (Bytes*)(void*)(strip->slots + part);
        for (int k = 0; k < rows; k++, into += offsets * (LANES / WIDTH)) {
            load_row(strip, part, k, offsets, &pads, bias, into, LANES / WIDTH);
        }
    }
}

/* Vectors that are searched side by side: with one, the processor would wait for the sum each time. */
enum { AT_ONCE = LANES / WIDTH < 2 ? 1 : 2 };

/* How many of `count` <= 255 values lie below `tried`. Turning the highest bit makes unsigned bytes comparable as signed
 * ones, which is what processors compare; the comparison's result is -1 where it holds. */
IN_LEVEL void count_below(const uint8_t* slots, int32_t count, const Bytes tried[AT_ONCE], Bytes below[AT_ONCE]) {
    for (int i = 0; i < AT_ONCE; i++) below[i] = (Bytes){0};
    _Pragma("GCC unroll 4") for (int32_t k = 0; k < count; k++, slots += LANES) {
        _Pragma("GCC unroll 2") for (int i = 0; i < AT_ONCE; i++) {
            below[i] -= (Bytes)((SignedBytes)load(slots + i * WIDTH) < (SignedBytes)tried[i]);
        }
    }
}

/* The medians of values with their highest bit turned: the largest t that at most (window - 1) / 2 of them lie below, bit
 * by bit. */
IN_LEVEL void search_bits(const uint8_t* slots, int32_t window, uint8_t* result) {
    const SignedHalves rank = (SignedHalves){0} + (int16_t)((window - 1) / 2);
    Bytes found[AT_ONCE] = {0}, tried[AT_ONCE], below[AT_ONCE];
    for (int bit = 128; bit > 0; bit >>= 1) {
        Halves even[AT_ONCE] = {0}, odd[AT_ONCE] = {0}; /* counts of even and odd bytes: at most 2^14, not negative */
        for (int i = 0; i < AT_ONCE; i++) tried[i] = (found[i] | (uint8_t)bit) ^ 128;
        for (int32_t k = 0; k < window; k += 255) {
            count_below(slots + (ptrdiff_t)k * LANES, window - k < 255 ? window - k : 255, tried, below);
            for (int i = 0; i < AT_ONCE; i++) {
                even[i] += (Halves)below[i] & 0xff;
                odd[i] += (Halves)below[i] >> 8;
            }
        }
        for (int i = 0; i < AT_ONCE; i++) {
            Halves many_even = (Halves)((SignedHalves)even[i] > rank), many_odd = (Halves)((SignedHalves)odd[i] > rank);
            found[i] = choose((Bytes)((many_even & 0x00ff) | (many_odd & 0xff00)), found[i], tried[i] ^ 128);
        }
    }
    memcpy(result, found, sizeof found);
}

/* A window of any size. */
TARGET void LEVEL(median)(const Strip* strip) {
    const Selection* selection = strip->lanes->selection;
    int32_t window = (2 * selection->half_rows + 1) * (2 * selection->half_cols + 1);
    fill_slots(strip, 128);
    for (int part = 0; part < LANES; part += AT_ONCE * WIDTH) {
        search_bits(strip->slots + part, window, strip->result + part);
    }
}

/* A common window: from the planes to the median without a store in between, as far as the registers reach. */
#define E(i, j)                        \
    {                                  \
        Bytes low = least(s[i], s[j]); \
        s[j] = most(s[i], s[j]);       \
        s[i] = low;                    \
    }
#define WINDOW(ROWS, OFFSETS, PIXELS)                                                   \
    TARGET static void median_##ROWS##x##OFFSETS(const Strip* strip) {                  \
        for (int part = 0; part < LANES; part += WIDTH) {                               \
            Bytes s[PIXELS], pads = {0};                                                \
            _Pragma("GCC unroll 8") for (int k = 0; k < (ROWS); k++) {                  \
                load_row(strip, part, k, OFFSETS, &pads, 0, s + k * (OFFSETS), 1);      \
            }                                                                           \
            NETWORK_##PIXELS memcpy(strip->result + part, &s[(PIXELS) / 2], sizeof *s); \
        }                                                                               \
    }
COMMON_WINDOWS(WINDOW)
#undef WINDOW
#undef E

TARGET void LEVEL(median_in_registers)(const Strip* strip) {
    const Selection* selection = strip->lanes->selection;
    int rows = 2 * selection->half_rows + 1, offsets = strip->lanes->offsets;
#define WINDOW(ROWS, OFFSETS, PIXELS) \
    if (rows == (ROWS) && offsets == (OFFSETS)) return median_##ROWS##x##OFFSETS(strip);
    COMMON_WINDOWS(WINDOW)
#undef WINDOW
}

#define ADD_XOR_ROTATE(to, add, into, shift) \
    state[to] += state[add];                 \
    state[into] ^= state[to];                \
    state[into] = state[into] << (shift) | state[into] >> (32 - (shift));
#define QUARTER_ROUND(a, b, c, d) \
    ADD_XOR_ROTATE(a, b, d, 16) ADD_XOR_ROTATE(c, d, b, 12) ADD_XOR_ROTATE(a, b, d, 8) ADD_XOR_ROTATE(c, d, b, 7)

/* ChaCha8 (select.h); the blocks side by side in vectors. */
TARGET void LEVEL(keystream)(const uint32_t key[8], uint32_t first, uint32_t* words) {
    static const uint32_t CONSTANTS[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}; /* expand 32-byte k */
    enum { BLOCKS_AT_ONCE = WIDTH / 4 };
    const Words zero = {0};
    for (uint32_t from = 0; from < BLOCKS; from += BLOCKS_AT_ONCE) {
        Words state[BLOCK_WORDS], number = zero + first + from; /* an image has fewer than 2^32 blocks */
        for (uint32_t l = 0; l < BLOCKS_AT_ONCE; l++) number[l] += l;
        for (int w = 0; w < 4; w++) state[w] = zero + CONSTANTS[w];
        for (int w = 0; w < 8; w++) state[4 + w] = zero + key[w];
        state[12] = number;
        state[13] = state[14] = state[15] = zero;
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
        for (int w = 0; w < 4; w++) state[w] += CONSTANTS[w];
        for (int w = 0; w < 8; w++) state[4 + w] += key[w];
        state[12] += number;
        for (int w = 0; w < BLOCK_WORDS; w++) memcpy(words + w * BLOCKS + from, &state[w], sizeof state[w]);
    }
}

/* NH: the sum of the products of neighbouring words, each of them with the key's added. */
TARGET uint64_t LEVEL(hash)(const uint8_t* block, const uint8_t* key) {
    Pairs sum = {0};
    for (int k = 0; k < FINGERPRINT_BLOCK; k += WIDTH) {
        Words words, keys;
        memcpy(&words, block + k, sizeof words);
        memcpy(&keys, key + k, sizeof keys);
        sum += products((Pairs)(words + keys));
    }
    uint64_t total = 0;
    for (int l = 0; l < WIDTH / 8; l++) total += sum[l];
    return total;
}
