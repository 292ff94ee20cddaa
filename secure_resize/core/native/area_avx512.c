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
 * The resizer counts the operations of each split and takes the cheapest.
 *
 * The image is walked in *strips* of some output rows: all rows of a strip for one set of outputs, then for the next.
 * So a set's indices, weights and straddling row stay in registers for the whole strip; what bounds the speed is the
 * number of loads, each of which takes a whole cycle where it crosses a cache line. The processor does not foresee such
 * a walk: every load prefetches what lies further along its row.
 */
#include "native.h"

#ifdef HAVE_X86
#include <immintrin.h>
#include <string.h>

enum { LANES = 16, WINDOW = 64, TAPS = 4, LIMB_BITS = 7, MAX_LIMBS = 2, MAX_GROUPS = 8, MAX_FOLDS = 16 };

/* How the sums of the interior rows, of the row above and of the row below are weighted and added up. */
typedef enum {
    IN_HALVES, /* inside below 2^16, below below 2^15: they share a dword, vpdpwssd weights both */
    IN_FLOAT,  /* S + D/2 < 2^24: exact in float32 */
    IN_INT32   /* vpmulld, which takes twice as long */
} Mode;

/* vpermb's indices and vpdpbusd's weights of one step; weight = limb[0] + 2^7 limb[1]. */
typedef struct {
    uint8_t index[WINDOW];
    int8_t limb[MAX_LIMBS][WINDOW];
} Step;

/* vpermt2d's indices that bring one fold of a set's outputs to the outputs' lanes: from the set's vectors 0 and 1, or
 * from what the vectors before brought (lane for lane) and the next one. */
typedef struct {
    int32_t index[LANES];
} Gather;

typedef struct {
    int32_t groups, folds, limbs;
    int32_t parts;  /* folds an output times outputs a row */
    int32_t pixels; /* parts that share a vector */
    int32_t lanes;  /* that they fill; those beyond hold nothing of use */
    int32_t sets;   /* a row; a set is `folds` vectors, the parts of `pixels` outputs */
    Mode mode;
    int32_t divisor;
    int32_t row_bytes;
    int32_t ahead;    /* bytes along the row from where a step reads to what it prefetches */
    Step* steps;      /* [set][fold][group] */
    int32_t* offsets; /* bytes into the row, [set][fold][group] */
    Gather* gathers;  /* [fold][vector of the set, from 1 on] */
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

static bool windows_fit(const Resizer* resizer, const Tables* tables) {
    for (int32_t vector = 0; vector < tables->sets * tables->folds; vector++) {
        for (int32_t group = 0; group < tables->groups; group++) {
            int32_t first, last;
            step_range(&resizer->cols, tables, vector, group, &first, &last);
            if ((int64_t)(last - first + 1) * resizer->channels > WINDOW && first <= last) return false;
        }
    }
    return true;
}

static Mode choose_mode(const Resizer* resizer, const Tables* tables, int32_t interior) {
    int64_t unit = resizer->cols.unit, divisor = tables->divisor;
    if (tables->limbs > 1) return IN_INT32;
    if (255 * unit <= INT16_MAX && 255 * unit * interior <= UINT16_MAX && resizer->rows.whole <= INT16_MAX) {
        return IN_HALVES;
    }
    return 255 * divisor + divisor / 2 < 1 << 24 ? IN_FLOAT : IN_INT32;
}

/* Vector instructions an output row, roughly. */
static double cost(const Resizer* resizer, const Tables* tables) {
    double rows = (double)resizer->rows.n_in / resizer->rows.n_out, folds = tables->folds;
    double step = rows * (1 + tables->limbs), join = tables->limbs == 1 ? 1 : 4;
    double fold = (tables->mode == IN_HALVES ? 1 : 2) * (folds * (folds - 1) + (folds - 1));
    return tables->sets * (folds * (tables->groups * step + join) + fold + 8);
}

static bool choose_split(const Resizer* resizer, int32_t taps, Tables* tables) {
    double best = 0;
    Tables chosen = {0};
    for (int32_t groups = 1; groups <= MAX_GROUPS; groups++) {
        Tables trial = *tables;
        trial.groups = groups;
        trial.folds = (taps + groups * TAPS - 1) / (groups * TAPS);
        trial.parts = resizer->cols.n_out * trial.folds;
        if (trial.folds > MAX_FOLDS) continue;
        for (trial.pixels = LANES / resizer->channels; trial.pixels > 0; trial.pixels--) {
            trial.sets = (resizer->cols.n_out + trial.pixels - 1) / trial.pixels;
            if (windows_fit(resizer, &trial)) break;
        }
        if (trial.pixels > 0 && (chosen.groups == 0 || cost(resizer, &trial) < best)) {
            best = cost(resizer, &trial);
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
        Gather* gather = tables->gathers + fold * (tables->folds - 1);
        for (int32_t vector = 1; vector < tables->folds; vector++) {
            for (int32_t lane = 0; lane < LANES; lane++) gather[vector - 1].index[lane] = lane;
        }
        for (int32_t lane = 0; lane < tables->lanes && tables->folds > 1; lane++) {
            int32_t part = lane / channels * tables->folds + fold, vector = part / tables->pixels;
            int32_t place = part % tables->pixels * channels + lane % channels;
            gather[vector > 1 ? vector - 1 : 0].index[lane] = vector == 0 ? place : LANES + place;
        }
    }
}

static void fill_step(const Resizer* resizer, const Tables* tables, int32_t vector, int32_t group, Step* step,
                      int32_t* offset) {
    const Axis* cols = &resizer->cols;
    int32_t first, last, channels = resizer->channels, row_bytes = cols->n_in * channels;
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

Status area_u8_avx512_prepare(Resizer* resizer) {
    int32_t channels = resizer->channels;
    if (channels > LANES || (int64_t)resizer->cols.n_in * channels < WINDOW) return UNSUITABLE;
    if (resizer->cols.whole >= 1 << (MAX_LIMBS * LIMB_BITS)) return UNSUITABLE;
    int64_t divisor = (int64_t)resizer->rows.unit * resizer->cols.unit;
    if (divisor >= 1 << 23) return UNSUITABLE; /* S + D/2 < 2^31 */
    Tables tables = {.limbs = resizer->cols.whole < 1 << LIMB_BITS ? 1 : 2,
                     .divisor = (int32_t)divisor,
                     .row_bytes = resizer->cols.n_in * channels};
    int32_t taps = 1, interior = 1;
    for (int32_t i = 0; i < resizer->cols.n_out; i++) {
        if (resizer->cols.count[i] > taps) taps = resizer->cols.count[i];
    }
    for (int32_t i = 0; i < resizer->rows.n_out; i++) {
        if (resizer->rows.spans[i].full > interior) interior = resizer->rows.spans[i].full;
    }
    if ((int64_t)interior * taps * 127 * 255 > INT32_MAX) return UNSUITABLE; /* one limb's sum */
    tables.mode = choose_mode(resizer, &tables, interior);
    if (!choose_split(resizer, taps, &tables)) return UNSUITABLE;
    tables.lanes = tables.pixels * channels;
    /* Two sets ahead, and no less than four cache lines: measured. */
    int32_t span = tables.row_bytes / tables.sets;
    tables.ahead = 2 * span > 4 * WINDOW ? 2 * span : 4 * WINDOW;
    size_t folds = (size_t)tables.folds, steps = (size_t)tables.sets * folds * (size_t)tables.groups;
    size_t header = round_up(sizeof tables), step_bytes = steps * sizeof(Step);
    size_t gather_bytes = folds * (folds - 1) * sizeof(Gather);
    uint8_t* memory = alloc_array(header + step_bytes + gather_bytes + steps * sizeof(int32_t), 1);
    if (memory == NULL) return NO_MEMORY;
    tables.steps = (Step*)(void*)(memory + header);
    tables.gathers = (Gather*)(void*)(memory + header + step_bytes);
    tables.offsets = (int32_t*)(void*)(memory + header + step_bytes + gather_bytes);
    memcpy(memory, &tables, sizeof tables);
    for (int32_t vector = 0; vector < tables.sets * tables.folds; vector++) {
        for (int32_t group = 0; group < tables.groups; group++) {
            size_t at = (size_t)vector * (size_t)tables.groups + (size_t)group;
            fill_step(resizer, &tables, vector, group, &tables.steps[at], &tables.offsets[at]);
        }
    }
    fill_gathers(&tables, channels);
    resizer->tables = memory;
    resizer->scratch_bytes =
        (size_t)tables.sets * LANES * sizeof(int32_t); /* the straddling row's sums, a vector a set */
    return OK;
}

/* One output row of a strip; or, without output, the row that straddles the strip's first one and what lies above. The
 * `interior` rows from `inside` on, and the straddling row `below` or NULL. The weights of it and of the one above:
 * IN_HALVES `tail` holds the pair (tail, whole), IN_FLOAT both are the bits of floats. */
typedef struct {
    const uint8_t *inside, *below;
    uint8_t* out; /* or NULL */
    int32_t interior, head, tail;
} Row;

enum { MAX_STRIP = 32 };

typedef struct {
    int32_t count;
    ptrdiff_t stride, below; /* bytes from a row to the next one, and to its like in the next strip */
    int32_t whole;           /* IN_FLOAT the bits of a float */
    Row rows[2 * MAX_STRIP];
    size_t out_bytes; /* a row */
    int32_t* edges;   /* the straddling row's sums, from strip to strip */
} Strip;

#define VECTOR TARGET_AVX512 static ALWAYS_INLINE

VECTOR __m512 as_float(__m512i x) { return _mm512_castsi512_ps(x); }

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

/* What one set needs of the tables: for each step vpermb's indices and vpdpbusd's weights, STEP_VECTORS apart, and its
 * offset; the gathers. Copied to local arrays where there are few, so that the compiler keeps them in registers: it
 * reloads what a pointer points to after each store of a pixel, which might have changed it. */
typedef struct {
    const __m512i *steps, *gathers;
    const ptrdiff_t* offsets;
    ptrdiff_t stride, ahead;
} Set;

enum { STEP_VECTORS = sizeof(Step) / WINDOW, HELD_STEPS = 5, HELD_GATHERS = 6 };

/* One row into the accumulators of a set's folds, and what lies `ahead` of it into the cache. */
VECTOR void accumulate(__m512i* low, __m512i* high, const Set* set, const uint8_t* source, int limbs, int groups,
                       int folds) {
    const __m512i* table = set->steps;
    const ptrdiff_t* offset = set->offsets;
    for (int fold = 0; fold < folds; fold++) {
        for (int group = 0; group < groups; group++, table += STEP_VECTORS) {
            const uint8_t* window = source + *offset++;
            __m512i taps = _mm512_permutexvar_epi8(table[0], _mm512_loadu_si512(window));
            _mm_prefetch((const char*)window + set->ahead, _MM_HINT_T0);
            low[fold] = _mm512_dpbusd_epi32(low[fold], taps, table[1]);
            if (limbs == 2) high[fold] = _mm512_dpbusd_epi32(high[fold], taps, table[2]);
        }
    }
}

/* The sum of each output's folds, from the vectors of a set. */
VECTOR __m512i folded(const __m512i* gather, __m512i* low, const __m512i* high, int limbs, int folds) {
    for (int fold = 0; fold < folds && limbs == 2; fold++) {
        low[fold] = _mm512_add_epi32(low[fold], _mm512_slli_epi32(high[fold], LIMB_BITS));
    }
    __m512i total = low[0];
    for (int fold = 0; fold < folds && folds > 1; fold++) {
        __m512i one = low[0];
        for (int vector = 1; vector < folds; vector++) {
            one = _mm512_permutex2var_epi32(one, *gather++, low[vector]);
        }
        total = fold == 0 ? one : _mm512_add_epi32(total, one);
    }
    return total;
}

VECTOR void clear(__m512i* low, __m512i* high, int limbs, int folds) {
    for (int fold = 0; fold < folds; fold++) {
        low[fold] = _mm512_setzero_si512();
        if (limbs == 2) high[fold] = _mm512_setzero_si512();
    }
}

/* S + floor(D/2), as int32 or IN_FLOAT float32, of one row; `edge` is what the straddling row above it came to and
 * becomes what the one below does. IN_HALVES an edge holds inside << 16 as well, which the weights ignore, and what is
 * inside lies 2^15 too low, which `half` makes up for. */
VECTOR __m512i weighted(const Set* set, const Row* row, __m512i whole, __m512i half, __m512i* edge, Mode mode,
                        int limbs, int groups, int folds) {
    __m512i low[MAX_FOLDS], high[MAX_FOLDS];
    const uint8_t* inner = row->inside;
    const __m512i above = *edge, head = _mm512_set1_epi32(row->head), tail = _mm512_set1_epi32(row->tail);
    low[0] = _mm512_setzero_si512(); /* folds > 0, which the compiler does not know */
    clear(low, high, limbs, folds);
    for (int k = row->interior; k > 0; k--, inner += set->stride) {
        accumulate(low, high, set, inner, limbs, groups, folds);
    }
    if (mode == IN_HALVES) {
        for (int fold = 0; fold < folds; fold++) low[fold] = _mm512_slli_epi32(low[fold], 16);
        if (row->below != NULL) accumulate(low, high, set, row->below, limbs, groups, folds);
        __m512i both = folded(set->gathers, low, high, limbs, folds);
        *edge = _mm512_xor_si512(both, _mm512_set1_epi32(INT32_MIN)); /* to the signed words of vpdpwssd */
        return _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(half, above, head), *edge, tail);
    }
    __m512i inside = folded(set->gathers, low, high, limbs, folds), below = _mm512_setzero_si512();
    if (row->below != NULL) {
        clear(low, high, limbs, folds);
        accumulate(low, high, set, row->below, limbs, groups, folds);
        below = folded(set->gathers, low, high, limbs, folds);
    }
    if (mode == IN_FLOAT) {
        __m512 below_float = _mm512_cvtepi32_ps(below);
        *edge = _mm512_castps_si512(below_float);
        __m512 sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(inside), as_float(whole), as_float(half));
        sum = _mm512_fmadd_ps(as_float(above), as_float(head), sum);
        return _mm512_castps_si512(_mm512_fmadd_ps(below_float, as_float(tail), sum));
    }
    *edge = below;
    __m512i sum = _mm512_add_epi32(_mm512_mullo_epi32(inside, whole), half);
    return _mm512_add_epi32(_mm512_add_epi32(_mm512_mullo_epi32(above, head), _mm512_mullo_epi32(below, tail)), sum);
}

/* All but the pointers are constants where this is inlined; `groups` and `folds` of 0 stand for the tables'. */
VECTOR void run_strip(const Tables* tables, const Strip* strip, Mode mode, int limbs, int groups, int folds) {
    if (groups == 0) groups = tables->groups;
    if (folds == 0) folds = tables->folds;
    const int steps = groups * folds, gathers = folds * (folds - 1);
    const int32_t divisor = tables->divisor, sets = tables->sets;
    const size_t lanes = (size_t)tables->lanes, out_bytes = strip->out_bytes;
    const Row* const end = strip->rows + strip->count;
    const bool fast = divisor < FAST_DIVISOR;
    const __m512 reciprocal = _mm512_set1_ps(reciprocal_of(divisor, fast));
    const __m512i whole = _mm512_set1_epi32(strip->whole);
    __m512i half = _mm512_set1_epi32(divisor / 2 + (mode == IN_HALVES ? strip->whole << 15 : 0));
    if (mode == IN_FLOAT) half = _mm512_castps_si512(_mm512_cvtepi32_ps(half));
    __m512i held_steps[HELD_STEPS * STEP_VECTORS], held_gathers[HELD_GATHERS];
    ptrdiff_t offsets[MAX_GROUPS * MAX_FOLDS];
    Set set = {.gathers = (const __m512i*)(const void*)tables->gathers, .offsets = offsets, .stride = strip->stride};
    if (gathers <= HELD_GATHERS) {
        for (int k = 0; k < gathers; k++) held_gathers[k] = set.gathers[k];
        set.gathers = held_gathers;
    }
    for (int32_t number = 0; number < sets; number++) {
        set.steps = (const __m512i*)(const void*)(tables->steps + number * steps);
        if (steps <= HELD_STEPS) {
            for (int k = 0; k < steps * STEP_VECTORS; k++) held_steps[k] = set.steps[k];
            set.steps = held_steps;
        }
        for (int k = 0; k < steps; k++) offsets[k] = tables->offsets[number * steps + k];
        /* Towards the end of the rows: the beginning of the next strip's. */
        set.ahead = tables->ahead;
        if (offsets[0] + set.ahead >= tables->row_bytes) set.ahead += strip->below - tables->row_bytes;
        const size_t at = (size_t)number * lanes;
        __m512i edge = _mm512_load_si512(strip->edges + number * LANES);
        const __mmask16 written = (__mmask16)((1u << (out_bytes - at < lanes ? out_bytes - at : lanes)) - 1);
        for (const Row* row = strip->rows; row < end; row++) {
            __m512i t = weighted(&set, row, whole, half, &edge, mode, limbs, groups, folds), quotient;
            if (row->out == NULL) continue;
            if (fast) {
                quotient = quotient_fast(mode == IN_FLOAT ? as_float(t) : _mm512_cvtepi32_ps(t), reciprocal);
            } else {
                if (mode == IN_FLOAT) t = _mm512_cvttps_epi32(as_float(t));
                quotient = quotient_exact(t, reciprocal, _mm512_set1_epi32(divisor));
            }
            _mm_mask_storeu_epi8(row->out + at, written, _mm512_cvtepi32_epi8(quotient));
        }
        _mm512_store_si512(strip->edges + number * LANES, edge);
    }
}

/* The splits that usual ratios lead to have their numbers of groups and folds compiled in. */
VECTOR void run_split(const Tables* tables, const Strip* strip, Mode mode, int limbs) {
    switch (tables->folds * MAX_GROUPS + tables->groups - 1) {
        case 1 * MAX_GROUPS: run_strip(tables, strip, mode, limbs, 1, 1); break;
        case 2 * MAX_GROUPS: run_strip(tables, strip, mode, limbs, 1, 2); break;
        case 3 * MAX_GROUPS: run_strip(tables, strip, mode, limbs, 1, 3); break;
        case 4 * MAX_GROUPS: run_strip(tables, strip, mode, limbs, 1, 4); break;
        case 5 * MAX_GROUPS: run_strip(tables, strip, mode, limbs, 1, 5); break;
        case 1 * MAX_GROUPS + 1: run_strip(tables, strip, mode, limbs, 2, 1); break;
        case 1 * MAX_GROUPS + 2: run_strip(tables, strip, mode, limbs, 3, 1); break;
        default: run_strip(tables, strip, mode, limbs, 0, 0);
    }
}

TARGET_AVX512 static void run_halves(const Tables* tables, const Strip* strip) {
    run_split(tables, strip, IN_HALVES, 1);
}

TARGET_AVX512 static void run_float(const Tables* tables, const Strip* strip) { run_split(tables, strip, IN_FLOAT, 1); }

TARGET_AVX512 static void run_int32(const Tables* tables, const Strip* strip) {
    if (tables->limbs == 1) {
        run_split(tables, strip, IN_INT32, 1);
    } else {
        run_split(tables, strip, IN_INT32, 2);
    }
}

static int32_t float_bits(int32_t number) {
    float real = (float)number;
    int32_t bits;
    memcpy(&bits, &real, sizeof bits);
    return bits;
}

static Row output_row(const Resizer* resizer, Mode mode, const Span* span, const uint8_t* source, ptrdiff_t stride,
                      uint8_t* out) {
    const uint8_t* inside = source + span->first * stride;
    const uint8_t* below = span->tail != 0 ? inside + span->full * stride : NULL;
    Row row = {inside, below, out, span->full, span->head, span->tail};
    if (mode == IN_HALVES) row.tail |= resizer->rows.whole << 16;
    if (mode == IN_FLOAT) {
        row.head = float_bits(span->head);
        row.tail = float_bits(span->tail);
    }
    return row;
}

/* How many source rows a strip should have: so many that their lines, with those prefetched, take two thirds of a
 * first-level cache of 64 sets and 12 ways, be it that a stride of a multiple of 4096 bytes brings them all to the same
 * sets. */
static int32_t strip_rows(const Tables* tables, ptrdiff_t stride) {
    enum { SETS = 64, WAYS = 8, MOST = 40 };
    int32_t lines = (tables->row_bytes / tables->sets + tables->ahead) / WINDOW + 2;
    const uint64_t all = SETS * WINDOW, step = (uint64_t)stride % all;
    int32_t spread = 1; /* sets that the rows' first bytes fall into, if the stride is whole lines */
    while (spread < SETS && step * (uint64_t)spread % all != 0) spread *= 2;
    int32_t rows = WAYS * (spread < SETS / lines ? spread : SETS / lines);
    return rows < MOST ? rows : MOST;
}

TARGET_AVX512 DECLARE_RUN(area_u8_avx512) {
    const Tables* tables = resizer->tables;
    const Axis* rows = &resizer->rows;
    Strip strip = {.stride = stride,
                   .whole = tables->mode == IN_FLOAT ? float_bits(rows->whole) : rows->whole,
                   .out_bytes = (size_t)resizer->cols.n_out * (size_t)resizer->channels,
                   .edges = (int32_t*)(void*)scratch};
    int32_t outputs = (int32_t)((int64_t)strip_rows(tables, stride) * rows->n_out / rows->n_in);
    outputs = outputs < 1 ? 1 : outputs > MAX_STRIP ? MAX_STRIP : outputs;
    memset(scratch, 0, resizer->scratch_bytes); /* 0 is 0 as int32 and float */
    int32_t edge_row = -1;
    for (int32_t i = first; i < last; i += outputs) {
        int32_t end = i + outputs < last ? i + outputs : last;
        strip.count = 0;
        strip.below = (rows->start[end - 1] - rows->start[i] + 1) * stride;
        for (int32_t k = i; k < end; k++) {
            const Span* span = &rows->spans[k];
            if (span->head != 0 && edge_row != span->first - 1) {
                const uint8_t* above = source + (span->first - 1) * stride;
                strip.rows[strip.count++] = (Row){above, above, NULL, 0, 0, 0};
            }
            strip.rows[strip.count++] =
                output_row(resizer, tables->mode, span, source, stride, out + (size_t)k * strip.out_bytes);
            edge_row = span->tail != 0 ? span->first + span->full : -1;
        }
        switch (tables->mode) {
            case IN_HALVES: run_halves(tables, &strip); break;
            case IN_FLOAT: run_float(tables, &strip); break;
            case IN_INT32: run_int32(tables, &strip); break;
        }
    }
}
#endif
