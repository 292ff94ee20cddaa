/* `area` for uint8 with AVX-512 VBMI and VNNI: one pass over the source, every row read once.
 *
 * A step loads 64 bytes of a source row, gathers four taps of one channel into each dword (vpermb), multiplies them
 * with their horizontal weights and adds them up (vpdpbusd). Interior rows go into the same accumulators; the row that
 * straddles two outputs is reduced once, used with the weight of its lower part for the output above and kept for the
 * one below. Everything is an exact integer, in int32 or, below 2^24, in float32.
 *
 * An output of more than four taps either takes several steps, a *group* of four taps each, into the same lane, or is
 * cut into *folds*, outputs of their own that are added up once an output row. Groups need the outputs that share a
 * vector to lie within 64 bytes of each other, group for group; folds use the load better where the ratio is large.
 * The plan counts the operations of each split and takes the cheapest.
 */
#include "native.h"

#ifdef HAVE_X86
#include <immintrin.h>
#include <string.h>

enum { LANES = 16, WINDOW = 64, TAPS = 4, LIMB_BITS = 7, MAX_LIMBS = 2, MAX_GROUPS = 8, MAX_FOLDS = 16 };

/* How the sums of the interior rows, of the row above and of the row below are weighted and added up. */
typedef enum {
    IN_HALVES, /* each below 2^15: (inside, below) share a dword, vpmaddwd weights both */
    IN_FLOAT,  /* S + D/2 < 2^24: exact in float32 */
    IN_INT32   /* vpmulld, which takes twice as long */
} Mode;

/* vpermb's indices and vpdpbusd's weights of one step; weight = limb[0] + 2^7 limb[1]. */
typedef struct {
    uint8_t index[WINDOW];
    int8_t limb[MAX_LIMBS][WINDOW];
} Step;

/* vpermd's indices that bring one fold of a set's outputs to the outputs' lanes, from one vector of the set. */
typedef struct {
    int32_t index[LANES];
    uint32_t mask; /* the lanes that come from this vector */
    uint32_t padding[LANES - 1];
} FoldStep;

typedef struct {
    int32_t groups, folds, limbs;
    int32_t parts;  /* folds an output times outputs a row */
    int32_t pixels; /* parts that share a vector */
    int32_t lanes;  /* that they fill; those beyond hold nothing of use */
    int32_t sets;   /* a row; a set is `folds` vectors, the parts of `pixels` outputs */
    Mode mode;
    bool prefetch; /* the source is larger than a second-level cache */
    int32_t divisor;
    Step* steps;       /* [set][fold][group] */
    int32_t* offsets;  /* bytes into the row, [set][fold][group] */
    FoldStep* gathers; /* [fold][vector of the set] */
} Tables;

/* Tap k of group g of a part of an output: its pixel, or -1 for none. */
static int32_t tap_pixel(const Axis* cols, const Tables* tables, int32_t part, int32_t group, int32_t k) {
    int32_t i = part / tables->folds, fold = part % tables->folds;
    int32_t tap = (fold * tables->groups + group) * TAPS + k;
    return tap < cols->count[i] ? cols->start[i] + tap : -1;
}

/* The first and the last pixel that a step reads; first > last for a step without taps. */
static void step_range(const Axis* cols, const Tables* tables, int32_t vector, int32_t group, int32_t* first,
                       int32_t* last) {
    *first = INT32_MAX;
    *last = -1;
    for (int32_t p = 0; p < tables->pixels; p++) {
        int32_t part = vector * tables->pixels + p;
        if (part >= tables->parts) break;
        for (int32_t k = 0; k < TAPS; k++) {
            int32_t pixel = tap_pixel(cols, tables, part, group, k);
            if (pixel < 0) continue;
            if (pixel < *first) *first = pixel;
            if (pixel > *last) *last = pixel;
        }
    }
}

static bool windows_fit(const Plan* plan, const Tables* tables) {
    for (int32_t vector = 0; vector < tables->sets * tables->folds; vector++) {
        for (int32_t group = 0; group < tables->groups; group++) {
            int32_t first, last;
            step_range(&plan->cols, tables, vector, group, &first, &last);
            if ((int64_t)(last - first + 1) * plan->channels > WINDOW && first <= last) return false;
        }
    }
    return true;
}

/* Vector instructions an output row, roughly. */
static double cost(const Plan* plan, const Tables* tables) {
    double rows = (double)plan->rows.n_in / plan->rows.n_out, folds = tables->folds;
    double step = rows * (1 + tables->limbs), join = tables->limbs == 1 ? 0 : 4;
    double fold = (tables->mode == IN_HALVES ? 1 : 2) * (folds * (folds - 1) + (folds - 1));
    return tables->sets * (folds * (tables->groups * step + join) + fold + 6);
}

static bool choose_split(const Plan* plan, int32_t taps, Tables* tables) {
    double best = 0;
    Tables chosen = {0};
    for (int32_t groups = 1; groups <= MAX_GROUPS; groups++) {
        Tables trial = *tables;
        trial.groups = groups;
        trial.folds = (taps + groups * TAPS - 1) / (groups * TAPS);
        trial.parts = plan->cols.n_out * trial.folds;
        if (trial.folds > MAX_FOLDS) continue;
        for (trial.pixels = LANES / plan->channels; trial.pixels > 0; trial.pixels--) {
            trial.sets = (plan->cols.n_out + trial.pixels - 1) / trial.pixels;
            if (windows_fit(plan, &trial)) break;
        }
        if (trial.pixels > 0 && (chosen.groups == 0 || cost(plan, &trial) < best)) {
            best = cost(plan, &trial);
            chosen = trial;
        }
        if (trial.folds == 1) break;
    }
    if (chosen.groups == 0) return false;
    *tables = chosen;
    return true;
}

/* Output p of a set is the sum of its parts p * folds + fold, each in some vector and some place of it. */
static void fill_gathers(const Tables* tables, int32_t channels) {
    for (int32_t fold = 0; fold < tables->folds; fold++) {
        for (int32_t lane = 0; lane < tables->lanes; lane++) {
            int32_t part = lane / channels * tables->folds + fold;
            FoldStep* gather = &tables->gathers[fold * tables->folds + part / tables->pixels];
            gather->index[lane] = part % tables->pixels * channels + lane % channels;
            gather->mask |= 1u << lane;
        }
    }
    for (int32_t fold = 0; fold < tables->folds && tables->folds > 1; fold++) { /* vpermt2d reads vectors 0 and 1 */
        FoldStep* gather = &tables->gathers[fold * tables->folds];
        for (int32_t lane = 0; lane < tables->lanes; lane++) {
            if (gather[1].mask >> lane & 1) gather->index[lane] = gather[1].index[lane] + LANES;
        }
    }
}

static void fill_step(const Plan* plan, const Tables* tables, int32_t vector, int32_t group, Step* step,
                      int32_t* offset) {
    const Axis* cols = &plan->cols;
    int32_t first, last, channels = plan->channels, row_bytes = cols->n_in * channels;
    step_range(cols, tables, vector, group, &first, &last);
    if (first > last) return; /* weights and offset stay 0 */
    *offset = first * channels < row_bytes - WINDOW ? first * channels : row_bytes - WINDOW;
    for (int32_t lane = 0; lane < tables->pixels * channels; lane++) {
        int32_t part = vector * tables->pixels + lane / channels;
        if (part >= tables->parts) break;
        for (int32_t k = 0; k < TAPS; k++) {
            int32_t pixel = tap_pixel(cols, tables, part, group, k);
            if (pixel < 0) continue;
            int32_t i = part / tables->folds;
            int32_t weight = cols->weights[(size_t)i * (size_t)cols->width + (size_t)(pixel - cols->start[i])];
            step->index[lane * TAPS + k] = (uint8_t)(pixel * channels + lane % channels - *offset);
            step->limb[0][lane * TAPS + k] = (int8_t)(weight & ((1 << LIMB_BITS) - 1));
            step->limb[1][lane * TAPS + k] = (int8_t)(weight >> LIMB_BITS);
        }
    }
}

/* The most exact arithmetic that is fast enough; UNSUITABLE where a sum could leave int32. */
static Status choose_mode(const Plan* plan, int32_t taps, Tables* tables) {
    int64_t interior = 1, divisor = (int64_t)plan->rows.unit * plan->cols.unit;
    for (int32_t i = 0; i < plan->rows.n_out; i++) {
        if (plan->rows.spans[i].full > interior) interior = plan->rows.spans[i].full;
    }
    if (interior * taps * 127 * 255 > INT32_MAX) return UNSUITABLE; /* one limb's sum */
    if (divisor >= 1 << 23) return UNSUITABLE;                      /* S + D/2 < 2^31 */
    tables->divisor = (int32_t)divisor;
    if (255 * interior * plan->cols.unit <= INT16_MAX && plan->rows.whole <= INT16_MAX) {
        tables->mode = IN_HALVES;
    } else {
        tables->mode = 255 * divisor + divisor / 2 < 1 << 24 ? IN_FLOAT : IN_INT32;
    }
    return OK;
}

Status area_u8_avx512_prepare(Plan* plan) {
    int32_t channels = plan->channels;
    if (channels > LANES || (int64_t)plan->cols.n_in * channels < WINDOW) return UNSUITABLE;
    if (plan->cols.whole >= 1 << (MAX_LIMBS * LIMB_BITS)) return UNSUITABLE;
    Tables tables = {.limbs = plan->cols.whole < 1 << LIMB_BITS ? 1 : 2};
    int32_t taps = 1;
    for (int32_t i = 0; i < plan->cols.n_out; i++) {
        if (plan->cols.count[i] > taps) taps = plan->cols.count[i];
    }
    if (choose_mode(plan, taps, &tables) != OK || !choose_split(plan, taps, &tables)) return UNSUITABLE;
    /* Measured on Sapphire Rapids: 6 % faster for 1024x768 -> 224x224 and 9 % for 4000x3000; between the two, where an
     * output reads more rows and the processor's own prefetching keeps up, the loads in excess cost 7 to 10 %. */
    int64_t bytes = (int64_t)plan->rows.n_in * plan->cols.n_in * channels;
    tables.prefetch = bytes > 1 << 25 || (bytes > 1 << 20 && tables.folds <= 2);
    tables.lanes = tables.pixels * channels;
    size_t folds = (size_t)tables.folds, steps = (size_t)tables.sets * folds * (size_t)tables.groups;
    size_t header = round_up(sizeof tables), step_bytes = steps * sizeof(Step);
    size_t fold_bytes = folds * folds * sizeof(FoldStep);
    uint8_t* memory = alloc_array(header + step_bytes + fold_bytes + steps * sizeof(int32_t), 1);
    if (memory == NULL) return NO_MEMORY;
    tables.steps = (Step*)(void*)(memory + header);
    tables.gathers = (FoldStep*)(void*)(memory + header + step_bytes);
    tables.offsets = (int32_t*)(void*)(memory + header + step_bytes + fold_bytes);
    memcpy(memory, &tables, sizeof tables);
    for (int32_t vector = 0; vector < tables.sets * tables.folds; vector++) {
        for (int32_t group = 0; group < tables.groups; group++) {
            size_t at = (size_t)vector * (size_t)tables.groups + (size_t)group;
            fill_step(plan, &tables, vector, group, &tables.steps[at], &tables.offsets[at]);
        }
    }
    fill_gathers(&tables, channels);
    plan->tables = memory;
    /* The straddling row's sums, a vector a set; the output row's sums, densely, and room for whole stores and loads.
     */
    plan->scratch_bytes = ((size_t)tables.sets * 2 + 8) * LANES * sizeof(int32_t);
    return OK;
}

/* One output row's source: `interior` rows from `rows` on, then the straddling row; their vertical weights. */
typedef struct {
    const uint8_t* rows;
    ptrdiff_t stride;
    int32_t interior, whole_weight, head_weight, tail_weight;
} Band;

#define VECTOR TARGET_AVX512 static ALWAYS_INLINE

VECTOR void accumulate(__m512i* sums, const Step* step, const uint8_t* source, int limbs) {
    __m512i taps = _mm512_permutexvar_epi8(_mm512_load_si512(step->index), _mm512_loadu_si512(source));
    sums[0] = _mm512_dpbusd_epi32(sums[0], taps, _mm512_load_si512(step->limb[0]));
    if (limbs == 2) sums[1] = _mm512_dpbusd_epi32(sums[1], taps, _mm512_load_si512(step->limb[1]));
}

VECTOR __m512i joined(const __m512i* sums, int limbs) {
    return limbs == 1 ? sums[0] : _mm512_add_epi32(sums[0], _mm512_slli_epi32(sums[1], LIMB_BITS));
}

/* The sum of each output's folds, from the vectors of a set. */
VECTOR __m512i folded(const Tables* tables, const __m512i* parts, int folds) {
    if (folds == 1) return parts[0];
    __m512i total = _mm512_setzero_si512();
    const FoldStep* gather = tables->gathers;
    for (int fold = 0; fold < folds; fold++, gather += folds) {
        __m512i one = _mm512_permutex2var_epi32(parts[0], _mm512_load_si512(gather->index), parts[1]);
        for (int vector = 2; vector < folds; vector++) {
            one = _mm512_mask_permutexvar_epi32(one, (__mmask16)gather[vector].mask,
                                                _mm512_load_si512(gather[vector].index), parts[vector]);
        }
        total = _mm512_add_epi32(total, one);
    }
    return total;
}

/* The weights of one output row's interior rows, of the row that straddles it and the one above, and the one below, and
 * floor(D/2): float32 or int32; IN_HALVES whole and head are the int16 pairs (tail, whole) and (head, 0). */
typedef struct {
    __m512i whole, head, tail, half;
} Weights;

VECTOR Weights broadcast(const Band* band, Mode mode, int32_t divisor) {
    Weights weights = {_mm512_set1_epi32(band->whole_weight), _mm512_set1_epi32(band->head_weight),
                       _mm512_set1_epi32(band->tail_weight), _mm512_set1_epi32(divisor / 2)};
    if (mode == IN_HALVES) {
        weights.whole = _mm512_or_si512(_mm512_slli_epi32(weights.whole, 16), weights.tail);
    } else if (mode == IN_FLOAT) {
        weights.whole = _mm512_castps_si512(_mm512_cvtepi32_ps(weights.whole));
        weights.head = _mm512_castps_si512(_mm512_cvtepi32_ps(weights.head));
        weights.tail = _mm512_castps_si512(_mm512_cvtepi32_ps(weights.tail));
        weights.half = _mm512_castps_si512(_mm512_cvtepi32_ps(weights.half));
    }
    return weights;
}

VECTOR __m512 as_float(__m512i x) { return _mm512_castsi512_ps(x); }

/* t = whole * inside + head * above + tail * below + floor(D/2), int32 or IN_FLOAT float32. `edge` is `above` and
 * becomes `below`. IN_HALVES `below` holds inside << 16 as well, and so does `edge`, whose upper halves the weights
 * ignore. */
VECTOR __m512i combined(Mode mode, bool has_tail, const Weights* weights, __m512i inside, __m512i below,
                        int32_t* edge) {
    __m512i above = _mm512_load_si512(edge);
    if (mode == IN_HALVES) {
        _mm512_store_si512(edge, below);
        return _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(weights->half, below, weights->whole), above, weights->head);
    }
    if (mode == IN_FLOAT) {
        __m512 sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(inside), as_float(weights->whole), as_float(weights->half));
        sum = _mm512_fmadd_ps(as_float(above), as_float(weights->head), sum);
        if (has_tail) {
            __m512 below_float = _mm512_cvtepi32_ps(below);
            _mm512_store_ps(edge, below_float);
            sum = _mm512_fmadd_ps(below_float, as_float(weights->tail), sum);
        }
        return _mm512_castps_si512(sum);
    }
    __m512i sum = _mm512_add_epi32(_mm512_mullo_epi32(inside, weights->whole), weights->half);
    sum = _mm512_add_epi32(sum, _mm512_mullo_epi32(above, weights->head));
    if (has_tail) {
        _mm512_store_si512(edge, below);
        sum = _mm512_add_epi32(sum, _mm512_mullo_epi32(below, weights->tail));
    }
    return sum;
}

/* The rows of the next output, under the pixels of this one. Past the image's end it does nothing. */
VECTOR void prefetch_below(const uint8_t* source, ptrdiff_t stride, int rows) {
    for (int k = 0; k <= rows; k++) _mm_prefetch((const char*)source + k * stride, _MM_HINT_T0);
}

/* Horizontal and vertical sums of one output row, to `sums`. `edge` holds the sums of the row that straddles this
 * output and the one above, and then those of the one below. All but the pointers are constants where this is inlined:
 * a `groups` or `folds` of 0 or an `interior` below 0 stands for the tables' and the band's. */
VECTOR void reduce(const Tables* tables, const Band* band, Mode mode, int limbs, int groups, int folds, bool has_tail,
                   int interior, int32_t* edge, int32_t* sums) {
    /* Copies: for all that the compiler knows, a store of a vector may change what a pointer shows. */
    const Step* step = tables->steps;
    const int32_t* offset = tables->offsets;
    const int32_t sets = tables->sets, lanes = tables->lanes;
    const uint8_t* rows = band->rows;
    const ptrdiff_t stride = band->stride;
    const bool prefetch = tables->prefetch;
    if (groups == 0) groups = tables->groups;
    if (folds == 0) folds = tables->folds;
    if (interior < 0) interior = band->interior;
    const Weights weights = broadcast(band, mode, tables->divisor);
    const __m512i zero = _mm512_setzero_si512();
    for (int32_t set = 0; set < sets; set++, edge += LANES, sums += lanes) {
        __m512i inside[MAX_FOLDS], below[MAX_FOLDS];
        for (int fold = 0; fold < folds; fold++) {
            __m512i inner[MAX_LIMBS] = {zero, zero}, outer[MAX_LIMBS] = {zero, zero};
            for (int group = 0; group < groups; group++) {
                const uint8_t* source = rows + offset[group];
                for (int k = 0; k < interior; k++, source += stride) {
                    accumulate(inner, &step[group], source, limbs);
                }
            }
            inside[fold] = joined(inner, limbs);
            if (mode == IN_HALVES) outer[0] = limbs == 1 ? _mm512_slli_epi32(inside[fold], 16) : zero;
            for (int group = 0; group < groups && has_tail; group++) {
                accumulate(outer, &step[group], rows + offset[group] + interior * stride, limbs);
            }
            below[fold] = joined(outer, limbs);
            if (mode == IN_HALVES && limbs > 1) {
                below[fold] = _mm512_add_epi32(below[fold], _mm512_slli_epi32(inside[fold], 16));
            }
            if (prefetch) {
                prefetch_below(rows + offset[0] + (interior + 1) * stride, stride, interior);
            }
            step += groups;
            offset += groups;
        }
        __m512i inner = mode == IN_HALVES ? zero : folded(tables, inside, folds);
        __m512i outer = has_tail || mode == IN_HALVES ? folded(tables, below, folds) : zero;
        _mm512_storeu_si512(sums, combined(mode, has_tail, &weights, inner, outer, edge));
    }
}

/* Small row counts as constants, so that the loop over the rows unrolls. */
VECTOR void reduce_counted(const Tables* tables, const Band* band, Mode mode, int limbs, int groups, int folds,
                           int32_t* edge, int32_t* sums) {
    int interior = groups == 0 || folds == 0 ? -1 : band->interior;
    if (band->tail_weight == 0) {
        reduce(tables, band, mode, limbs, groups, folds, false, -1, edge, sums);
    } else if (interior == 1) {
        reduce(tables, band, mode, limbs, groups, folds, true, 1, edge, sums);
    } else if (interior == 2) {
        reduce(tables, band, mode, limbs, groups, folds, true, 2, edge, sums);
    } else if (interior == 3) {
        reduce(tables, band, mode, limbs, groups, folds, true, 3, edge, sums);
    } else if (interior == 4) {
        reduce(tables, band, mode, limbs, groups, folds, true, 4, edge, sums);
    } else {
        reduce(tables, band, mode, limbs, groups, folds, true, -1, edge, sums);
    }
}

/* The splits that usual ratios lead to have their numbers of groups and folds compiled in. */
VECTOR void reduce_split(const Tables* tables, const Band* band, Mode mode, int limbs, int32_t* edge, int32_t* sums) {
    int groups = tables->groups, folds = tables->folds;
    if (folds == 1 && groups == 1) {
        reduce_counted(tables, band, mode, limbs, 1, 1, edge, sums);
    } else if (folds == 1 && groups == 2) {
        reduce_counted(tables, band, mode, limbs, 2, 1, edge, sums);
    } else if (folds == 1) {
        reduce_counted(tables, band, mode, limbs, 0, 1, edge, sums);
    } else if (folds == 2 && groups == 1) {
        reduce_counted(tables, band, mode, limbs, 1, 2, edge, sums);
    } else if (folds == 3 && groups == 1) {
        reduce_counted(tables, band, mode, limbs, 1, 3, edge, sums);
    } else {
        reduce_counted(tables, band, mode, limbs, 0, 0, edge, sums);
    }
}

TARGET_AVX512 static void reduce_halves(const Tables* tables, const Band* band, int32_t* edge, int32_t* sums) {
    if (tables->limbs == 1) {
        reduce_split(tables, band, IN_HALVES, 1, edge, sums);
    } else {
        reduce_counted(tables, band, IN_HALVES, 2, 0, 0, edge, sums);
    }
}

TARGET_AVX512 static void reduce_float(const Tables* tables, const Band* band, int32_t* edge, int32_t* sums) {
    if (tables->limbs == 1) {
        reduce_split(tables, band, IN_FLOAT, 1, edge, sums);
    } else {
        reduce_counted(tables, band, IN_FLOAT, 2, 0, 0, edge, sums);
    }
}

TARGET_AVX512 static void reduce_int32(const Tables* tables, const Band* band, int32_t* edge, int32_t* sums) {
    if (tables->limbs == 1) {
        reduce_counted(tables, band, IN_INT32, 1, 0, 0, edge, sums);
    } else {
        reduce_split(tables, band, IN_INT32, 2, edge, sums);
    }
}

static void reduce_band(const Tables* tables, const Band* band, int32_t* edge, int32_t* sums) {
    switch (tables->mode) {
        case IN_HALVES: reduce_halves(tables, band, edge, sums); break;
        case IN_FLOAT: reduce_float(tables, band, edge, sums); break;
        case IN_INT32: reduce_int32(tables, band, edge, sums); break;
    }
}

/* floor(t / D) for D < 2^15. The reciprocal is the least float not below 1/D, so t * reciprocal lies above t / D by
 * less than 2^8 * 2^-23 = 2^-15, and t / D by at least 1/D > 2^-15 below the next integer. Added to 2^23 and rounded
 * down, once, by the fused operation, it leaves its floor in the low bits of the result. */
enum { FAST_DIVISOR = 1 << 15 };

VECTOR __m512i quotient_fast(__m512 t, __m512 reciprocal) {
    return _mm512_castps_si512(
        _mm512_fmadd_round_ps(t, reciprocal, _mm512_set1_ps(0x1p23f), _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
}

/* floor(t / D) for t < 2^31: the estimate is at most the quotient and at least one less, as its three roundings (2^-24
 * each) stay below the 2^-21 that `reciprocal` is too small by; the remainder tells. */
VECTOR __m512i quotient_exact(__m512i t, __m512 reciprocal, __m512i divisor) {
    __m512i estimate = _mm512_cvttps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(t), reciprocal));
    __m512i rest = _mm512_sub_epi32(t, _mm512_mullo_epi32(estimate, divisor));
    __mmask16 low = _mm512_cmpge_epi32_mask(rest, divisor);
    return _mm512_mask_add_epi32(estimate, low, estimate, _mm512_set1_epi32(1));
}

static float reciprocal_of(int32_t divisor, bool fast) {
    double inverse = 1.0 / divisor;
    if (!fast) return (float)(inverse * (1 - 0x1p-21));
    float above = (float)inverse;
    uint32_t bits;
    memcpy(&bits, &above, sizeof bits);
    if ((double)above * divisor < 1) bits++; /* the product is exact: 24 bits by 15; the next float is one more */
    memcpy(&above, &bits, sizeof bits);
    return above;
}

/* 16 pixels, in the low bytes of dwords' low words. The mode and `fast` are constants where this is inlined. */
VECTOR __m512i quotients(const int32_t* sums, __m512 reciprocal, __m512i divisor, bool in_float, bool fast) {
    __m512i t = _mm512_loadu_si512(sums);
    if (fast) return quotient_fast(in_float ? as_float(t) : _mm512_cvtepi32_ps(t), reciprocal);
    if (in_float) t = _mm512_cvttps_epi32(as_float(t));
    return quotient_exact(t, reciprocal, divisor);
}

/* The even words of two vectors. */
static const _Alignas(WINDOW) uint16_t LOW_WORDS[32] = {0,  2,  4,  6,  8,  10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30,
                                                        32, 34, 36, 38, 40, 42, 44, 46, 48, 50, 52, 54, 56, 58, 60, 62};

/* Divide the sums of one output row and store it, four vectors at a time. */
VECTOR void finish_row(int32_t d, const int32_t* sums, uint8_t* out, size_t count, bool in_float, bool fast) {
    const __m512 reciprocal = _mm512_set1_ps(reciprocal_of(d, fast));
    const __m512i divisor = _mm512_set1_epi32(d), order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    const __m512i low_words = _mm512_load_si512(LOW_WORDS);
    for (size_t x = 0; x < count; x += 4 * LANES, sums += 4 * LANES) {
        __m512i q[4];
        for (int k = 0; k < 4; k++) q[k] = quotients(sums + k * LANES, reciprocal, divisor, in_float, fast);
        __m512i pixels = _mm512_packus_epi16(_mm512_permutex2var_epi16(q[0], low_words, q[1]),
                                             _mm512_permutex2var_epi16(q[2], low_words, q[3]));
        pixels = _mm512_permutexvar_epi64(order, pixels);
        if (count - x >= 4 * LANES) {
            _mm512_storeu_si512(out + x, pixels);
        } else {
            _mm512_mask_storeu_epi8(out + x, (1ull << (count - x)) - 1, pixels);
        }
    }
}

TARGET_AVX512 static void finish(const Tables* tables, const int32_t* sums, uint8_t* out, size_t count) {
    int32_t divisor = tables->divisor;
    if (tables->mode == IN_FLOAT) {
        if (divisor < FAST_DIVISOR) {
            finish_row(divisor, sums, out, count, true, true);
        } else {
            finish_row(divisor, sums, out, count, true, false);
        }
    } else if (divisor < FAST_DIVISOR) {
        finish_row(divisor, sums, out, count, false, true);
    } else {
        finish_row(divisor, sums, out, count, false, false);
    }
}

TARGET_AVX512 DECLARE_RUN(area_u8_avx512) {
    const Tables* tables = plan->tables;
    size_t count = (size_t)plan->cols.n_out * (size_t)plan->channels;
    int32_t *edge = (int32_t*)(void*)scratch, *sums = edge + (size_t)tables->sets * LANES;
    memset(scratch, 0, plan->scratch_bytes); /* 0 is 0 as int32 and float; beyond the row no rounding of garbage */
    int32_t edge_row = -1;
    for (int32_t i = first; i < last; i++) {
        const Span* span = &plan->rows.spans[i];
        if (span->head != 0 && edge_row != span->first - 1) {
            Band head = {source + (span->first - 1) * stride, stride, 0, 0, 0, 1};
            reduce_band(tables, &head, edge, sums);
        }
        Band band = {source + span->first * stride, stride, span->full, plan->rows.whole, span->head, span->tail};
        reduce_band(tables, &band, edge, sums);
        edge_row = span->tail != 0 ? span->first + span->full : -1;
        finish(tables, sums, out + (size_t)i * count, count);
    }
}
#endif
