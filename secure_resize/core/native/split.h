/* Taps in two parts for AVX2's vpmaddwd and vpmaddubsw: tap = scale * high + low, high of 16 bits and low of 8.
 *
 * Of four taps the parts high take two vpmaddwd and two additions of 32 bits. The parts low take one vpmaddubsw and one
 * addition of 16 bits, which leaves a sum for the taps of even number and one for those of odd number. What has to hold
 * is that no such sum leaves int16 on the way, whatever the pixels are: the parts low of one parity that are positive
 * sum to at most LOW_LIMIT, those that are negative to at least -LOW_LIMIT; 255 * LOW_LIMIT and what rounds, less than
 * MAX_SCALE, stay below 2^15. (That bounds each pair, which vpmaddubsw would saturate, too.) The sums of the parts high,
 * and the whole, are right modulo 2^32, and the whole fits int32 (fixed.c).
 *
 * A tap leaves a remainder, 0 <= rest < scale, that is its part low; or rest - scale is, and its part high is one more.
 * The smallest remainders stay as they are as long as their sum allows, and the others become negative.
 *
 * That always works for n taps of one parity if (n + 1) scale <= 4 L, with L = LOW_LIMIT: let m - 1 remainders, in
 * ascending order, stay. The m-th was too much, so the first m sum to more than L, the m-th and all later ones are more
 * than L / m, and the n + 1 - m that become negative sum to less than (n + 1 - m)(scale - L / m) in absolute value.
 * With N = n + 1 that is N scale + L - (m scale + L N / m) <= (sqrt(N scale) - sqrt(L))^2, which is at most L. Longer
 * tables need not have such luck, so each is checked when it is made; no table of the package's kernels is refused
 * (tests/proofs/table_proof.c). */
#ifndef SECURE_RESIZE_SPLIT_H
#define SECURE_RESIZE_SPLIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { LOW_LIMIT = 127, MAX_SCALE = 255, MAX_HIGH = 32767 };

/* How an output's taps are split. Of the taps of a parity those whose remainder is below `edge` keep it, and `left` of
 * those whose remainder is `edge`. */
typedef struct {
    int32_t scale, edge[2], left[2];
} Split;

static inline int32_t rest_of(int32_t tap, int32_t scale) {
    int32_t rest = tap % scale;
    return rest < 0 ? rest + scale : rest;
}

/* Which remainders of taps[0], taps[2], ... stay; whether the others' sum fits. */
static inline bool split_parity(const int32_t* taps, int32_t count, int32_t scale, int32_t* edge, int32_t* left) {
    int32_t having[MAX_SCALE] = {0}, room = LOW_LIMIT, negative = 0;
    for (int32_t k = 0; k < count; k += 2) having[rest_of(taps[k], scale)]++;
    *left = 0;
    for (*edge = 1; *edge < scale && *edge <= LOW_LIMIT; ++*edge) {
        if (having[*edge] * *edge > room) {
            *left = room / *edge;
            break;
        }
        room -= having[*edge] * *edge;
    }
    for (int32_t rest = *edge; rest < scale; rest++) {
        negative += (having[rest] - (rest == *edge ? *left : 0)) * (scale - rest);
    }
    return negative <= LOW_LIMIT;
}

/* The split of an output's taps with the smallest scale that there is; false if there is none. */
static inline bool find_split(const int32_t* taps, int32_t count, Split* split) {
    int32_t largest = 0;
    for (int32_t k = 0; k < count; k++) largest = abs(taps[k]) > largest ? abs(taps[k]) : largest;
    /* |tap| / scale < MAX_HIGH - 1, so neither part high, of which one is at most one further from 0, leaves int16. */
    for (split->scale = largest / (MAX_HIGH - 1) + 1; split->scale <= MAX_SCALE; split->scale++) {
        if (split_parity(taps, count, split->scale, &split->edge[0], &split->left[0]) &&
            split_parity(taps + 1, count - 1, split->scale, &split->edge[1], &split->left[1])) {
            return true;
        }
    }
    return false;
}

/* The part low of the next tap of that parity; all are asked for in turn. */
static inline int32_t next_low(Split* split, int parity, int32_t tap) {
    int32_t rest = rest_of(tap, split->scale);
    bool stays = rest < split->edge[parity] || (rest == split->edge[parity] && split->left[parity]-- > 0);
    return stays ? rest : rest - split->scale;
}

#endif
