/* The tables of core/taps.py for every output of a pair of sizes, in their own order of operations, and
 * what has to hold for each row. exhaustive_index_proof.py generates kernels.h from kernels.py, compiles this and runs
 * it for every pair; tests/test_native_tables.py compares the tables that it makes with the package's.
 *
 * LANES rows at a time, one a lane: the compiler vectorises the loops over them, which therefore have no branches, and
 * every row is still summed from left to right.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "split.h" /* the C core's own */

enum { LANES = 16, MOST = 4096 };
enum { PRECISION_BITS = 22, UNIT = 1 << PRECISION_BITS, HALF = UNIT / 2 };

typedef enum {
    SAFE,
    NO_TAPS,
    TOO_MANY_TAPS,
    BEFORE_THE_AXIS,
    PAST_THE_AXIS,
    TAP_NOT_STORED,
    DESCENDING_START,
    LARGE_TAP,
    TAPS_NOT_SPLIT,
    SUM_OF_UINT8,
    OVERFLOW_OF_UINT8,
    SUM_OF_UINT16,
    SUM_OF_AREA,
    WEIGHT_OF_AREA,
} Fault;

typedef struct {
    int64_t rows, taps;
    int64_t off;      /* the furthest that a row's sum for uint8 lies from the unit */
    int64_t absolute; /* the largest sum of absolute taps */
} Totals;

/* Where to put one table, for the tests; or NULL. */
typedef struct {
    int32_t width, *start, *uint8, *uint16;
} Table;

/* The rows of the table at hand, and LANES more that repeat the last. */
static int32_t first[MOST + LANES], last[MOST + LANES], start[MOST + LANES];
static double center[MOST + LANES];
/* A block's weights, [tap][lane]. */
static double weights[MOST * LANES];
static int32_t taps[MOST * LANES];

#define INLINE static inline __attribute__((always_inline))

INLINE int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }
INLINE int32_t most(int32_t a, int32_t b) { return a > b ? a : b; }
INLINE int bit(int found, Fault fault) { return found ? 1 << fault : 0; }

static Fault fault_of(int found) { return found == 0 ? SAFE : (Fault)__builtin_ctz((unsigned)found); }

/* Where each row is stored, and what every table must be before anything is read through it. */
static Fault place(int32_t n_in, int32_t n_out, int32_t width) {
    int found = bit(width > n_in, TOO_MANY_TAPS);
    for (int32_t i = 0; i < n_out; i++) {
        start[i] = least(first[i], n_in - width);
        found |= bit(last[i] <= first[i], NO_TAPS) | bit(start[i] < 0, BEFORE_THE_AXIS) |
                 bit(start[i] + width > n_in, PAST_THE_AXIS) |
                 bit((first[i] < start[i]) | (last[i] > start[i] + width), TAP_NOT_STORED);
    }
    for (int32_t i = 1; i < n_out; i++) found |= bit(start[i] < start[i - 1], DESCENDING_START);
    for (int32_t i = n_out; i < n_out + LANES; i++) {
        first[i] = first[n_out - 1], last[i] = last[n_out - 1];
        start[i] = start[n_out - 1], center[i] = center[n_out - 1];
    }
    return fault_of(found);
}

typedef double (*Kernel)(double);

/* Unnormalised weights of the rows from i on, and their sums. */
INLINE void weigh(Kernel kernel, int32_t i, int32_t width, double inverse, double* sum) {
    for (int32_t k = 0; k < width; k++) {
        for (int l = 0; l < LANES; l++) {
            int32_t pixel = start[i + l] + k;
            double weight = kernel((pixel - center[i + l] + 0.5) * inverse);
            weight = (pixel >= first[i + l]) & (pixel < last[i + l]) ? weight : 0.0;
            weights[k * LANES + l] = weight;
            sum[l] += weight;
        }
    }
}

/* Whether the AVX2 kernel refuses the taps of lane `l` (split.h). */
static int refused(int32_t width, int l) {
    static int32_t row[MOST];
    Split split;
    for (int32_t k = 0; k < width; k++) row[k] = taps[k * LANES + l];
    return !find_split(row, width, &split);
}

/* Up to this many outputs every table is split, beyond it every sixteenth: splitting takes most of the time, and the C core
 * does it for each table that it makes. */
enum { SPLIT_ALL = 256 };

/* The same of each lane. Few rows need a search: mostly the smallest scale will do with the nearest multiples, whose
 * positive remainders are the smallest ones and thus among those that split.h keeps. */
INLINE int split_rows(int32_t width, const int32_t* largest) {
    int32_t scale[LANES], sums[2][2][LANES] = {{{0}}}; /* of taps of a parity: the positive, the negative */
    double inverse[LANES];
    for (int l = 0; l < LANES; l++) scale[l] = largest[l] / (MAX_HIGH - 1) + 1, inverse[l] = 1.0 / scale[l];
    for (int32_t k = 0; k < width; k++) {
        for (int l = 0; l < LANES; l++) {
            int32_t tap = taps[k * LANES + l];
            double quotient = tap * inverse[l];
            int32_t high = (int32_t)(quotient + (tap < 0 ? -0.5 : 0.5)), low = tap - high * scale[l];
            sums[k % 2][0][l] += most(low, 0);
            sums[k % 2][1][l] -= least(low, 0);
        }
    }
    int found = 0;
    for (int l = 0; l < LANES; l++) {
        int32_t larger = most(most(sums[0][0][l], sums[0][1][l]), most(sums[1][0][l], sums[1][1][l]));
        if ((larger > LOW_LIMIT || scale[l] > LOW_LIMIT) && refused(width, l)) found = 1;
    }
    return found;
}

/* The rows from i on of a table for uint8 and uint16. */
INLINE int quantise(int32_t i, int32_t n_out, int32_t width, const double* sum, Totals* totals, Table* table) {
    int32_t total[LANES] = {0}, exact[LANES] = {0}, largest[LANES] = {0}, taken[LANES] = {0}, fits[LANES];
    int64_t absolute[LANES] = {0};
    for (int l = 0; l < LANES; l++) fits[l] = 1;
    for (int32_t k = 0; k < width; k++) {
        for (int l = 0; l < LANES; l++) {
            double weight = weights[k * LANES + l] / sum[l];
            weight *= fabs(weight) >= 0x1p-48; /* or 0; a choice is not vectorised here */
            double scaled = weight * UNIT;
            scaled += scaled < 0.0 ? -0.5 : 0.5;
            fits[l] &= fabs(scaled) <= 0x7f7f7f; /* no number does not */
            int32_t tap = (int32_t)scaled, size = abs(tap);
            taps[k * LANES + l] = tap;
            total[l] += tap;
            absolute[l] += size;
            largest[l] = most(largest[l], size);
        }
    }
    for (int32_t k = 0; k < width; k++) {
        for (int l = 0; l < LANES; l++) {
            int32_t tap = taps[k * LANES + l], takes = (abs(tap) == largest[l]) & (taken[l] == 0);
            taken[l] |= takes;
            exact[l] += takes ? tap + (UNIT - total[l]) : tap;
        }
    }
    int found = 0;
    for (int l = 0; l < LANES; l++) {
        int64_t off = total[l] - UNIT, size = off < 0 ? -off : off;
        found |= bit(!fits[l], LARGE_TAP); /* three signed bytes, as the AVX-512 kernels want */
        /* (255 sum + 2^21) >> 22 is 255; for lesser values the difference is less. */
        found |= bit((255 * off < -HALF) | (255 * off >= HALF), SUM_OF_UINT8);
        found |= bit(255 * absolute[l] + HALF > INT32_MAX, OVERFLOW_OF_UINT8);
        found |= bit(exact[l] != UNIT, SUM_OF_UINT16);
        totals->off = size > totals->off ? size : totals->off;
        totals->absolute = absolute[l] > totals->absolute ? absolute[l] : totals->absolute;
    }
    if (found == 0 && (n_out <= SPLIT_ALL || n_out % 16 == 0) && split_rows(width, largest))
        found = 1 << TAPS_NOT_SPLIT;
    for (int l = 0; l < LANES && i + l < n_out && table != NULL; l++) {
        int done = 0;
        for (int32_t k = 0; k < width; k++) {
            int32_t tap = taps[k * LANES + l], takes = abs(tap) == largest[l] && !done;
            done |= takes;
            table->uint8[(i + l) * width + k] = tap;
            table->uint16[(i + l) * width + k] = takes ? tap + (UNIT - total[l]) : tap;
        }
    }
    return found;
}

static void finish(int32_t n_out, int32_t width, Totals* totals, Table* table) {
    totals->rows += n_out;
    totals->taps += (int64_t)n_out * width;
    if (table == NULL) return;
    table->width = width;
    for (int32_t i = 0; i < n_out; i++) table->start[i] = start[i];
}

/* operator.sampled_weights and plan.fixed_point. */
INLINE Fault sampled(Kernel kernel, double support, int32_t n_in, int32_t n_out, Totals* totals, Table* table) {
    double scale = (double)n_in / n_out, stretch = scale > 1.0 ? scale : 1.0, reach = support * stretch;
    int32_t width = 0;
    for (int32_t i = 0; i < n_out; i++) {
        center[i] = (i + 0.5) * scale;
        first[i] = most((int32_t)(center[i] - reach + 0.5), 0);
        last[i] = least((int32_t)(center[i] + reach + 0.5), n_in);
        width = most(width, last[i] - first[i]);
    }
    Fault fault = place(n_in, n_out, width);
    for (int32_t i = 0; i < n_out && fault == SAFE; i += LANES) {
        double sum[LANES] = {0};
        weigh(kernel, i, width, 1.0 / stretch, sum);
        fault = fault_of(quantise(i, n_out, width, sum, totals, table));
    }
    finish(n_out, width, totals, table);
    return fault;
}

static int32_t gcd(int32_t a, int32_t b) { return b == 0 ? a : gcd(b, a % b); }

/* operator.integrated_weights, whose weights are the core's as they are. Quotients of integers below 2^24 in float64,
 * as those can be vectorised: no integer lies between such a quotient and the nearest float64. */
static Fault integrated(int32_t n_in, int32_t n_out, Totals* totals, Table* table) {
    int32_t divisor = gcd(n_in, n_out), big = n_in / divisor, small = n_out / divisor, width = 0;
    for (int32_t i = 0; i < n_out; i++) {
        first[i] = (int32_t)((double)(i * big) / small);
        last[i] = (int32_t)((double)(i * big + big + small - 1) / small);
        width = most(width, last[i] - first[i]);
    }
    Fault fault = place(n_in, n_out, width);
    for (int32_t i = 0; i < n_out && fault == SAFE; i += LANES) {
        int32_t sum[LANES] = {0}, wrong[LANES] = {0};
        for (int32_t k = 0; k < width; k++) {
            for (int l = 0; l < LANES; l++) {
                int32_t left = least(i + l, n_out - 1) * big, right = left + big, pixel = (start[i + l] + k) * small;
                int32_t overlap = most(least(pixel + small, right) - most(pixel, left), 0);
                taps[k * LANES + l] = overlap;
                sum[l] += overlap;
                /* A pixel inside the footprint counts as whole, which is what the C core's spans count on. */
                wrong[l] |= (overlap != small) & (pixel >= left) & (pixel + small <= right);
            }
        }
        int found = 0;
        for (int l = 0; l < LANES; l++) found |= bit(wrong[l], WEIGHT_OF_AREA) | bit(sum[l] != big, SUM_OF_AREA);
        fault = fault_of(found);
        for (int l = 0; l < LANES && i + l < n_out && table != NULL; l++) {
            for (int32_t k = 0; k < width; k++) {
                table->uint8[(i + l) * width + k] = table->uint16[(i + l) * width + k] = taps[k * LANES + l];
            }
        }
    }
    totals->absolute = most((int32_t)totals->absolute, big);
    finish(n_out, width, totals, table);
    return fault;
}

#include "kernels.h" /* static Fault run(int kernel, int32_t n_in, int32_t n_out, Totals*, Table*), from KERNELS */

/* n_in against every n_out up to `limit`; where it fails, `failed` is the n_out. */
Fault prove(int kernel, int32_t n_in, int32_t limit, int32_t* failed, Totals* totals) {
    for (int32_t n_out = 1; n_out <= limit; n_out++) {
        Fault fault = run(kernel, n_in, n_out, totals, NULL);
        *failed = n_out;
        if (fault != SAFE) return fault;
    }
    return SAFE;
}

Fault tables(int kernel, int32_t n_in, int32_t n_out, Table* table) {
    Totals totals = {0};
    return run(kernel, n_in, n_out, &totals, table);
}

/* How the AVX2 kernel splits an output's taps: their parts low; returns the scale, or 0 where it refuses them. */
int32_t split_taps(const int32_t* row, int32_t count, int32_t* low) {
    Split split;
    if (!find_split(row, count, &split)) return 0;
    for (int32_t k = 0; k < count; k++) low[k] = next_low(&split, k % 2, row[k]);
    return split.scale;
}
