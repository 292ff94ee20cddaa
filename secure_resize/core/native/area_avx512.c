/* `area` for uint8 with AVX-512 VBMI and VNNI: one pass over the source, every row read once.
 *
 * A step loads 64 bytes of a source row, gathers four taps of one channel into each dword (vpermb), multiplies them with
 * their horizontal weights and adds them up (vpdpbusd). Interior rows go into the same accumulators; the row that
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

enum { LANES = 16, WINDOW = 64, TAPS = 4, LIMB_BITS = 7, MAX_LIMBS = 2, MAX_GROUPS = 8 };

/* vpermb's indices and vpdpbusd's weights of one step; weight = limb[0] + 2^7 limb[1]. */
typedef struct {
    uint8_t index[WINDOW];
    int8_t limb[MAX_LIMBS][WINDOW];
} Step;

typedef struct {
    int32_t groups, folds, limbs;
    int32_t parts;   /* folds an output times outputs a row */
    int32_t pixels;  /* parts that share a vector */
    int32_t lanes;   /* that they fill; those beyond hold nothing of use */
    int32_t vectors; /* a row */
    bool in_float;   /* S < 2^24: sums are exact in float32 */
    bool prefetch;
    int32_t divisor;
    Step *steps;      /* [vector][group] */
    int32_t *offsets; /* bytes into the row, [vector][group] */
} Tables;

/* Tap k of group g of a part of an output: its pixel, or -1 for none. */
static int32_t tap_pixel(const Axis *cols, const Tables *tables, int32_t part, int32_t group, int32_t k) {
    int32_t i = part / tables->folds, fold = part % tables->folds;
    int32_t tap = (fold * tables->groups + group) * TAPS + k;
    return tap < cols->count[i] ? cols->start[i] + tap : -1;
}

/* The first and the last pixel that a step reads; first > last for a step without taps. */
static void step_range(const Axis *cols, const Tables *tables, int32_t vector, int32_t group, int32_t *first,
                       int32_t *last) {
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

static bool windows_fit(const Plan *plan, const Tables *tables) {
    for (int32_t vector = 0; vector < tables->vectors; vector++) {
        for (int32_t group = 0; group < tables->groups; group++) {
            int32_t first, last;
            step_range(&plan->cols, tables, vector, group, &first, &last);
            if ((int64_t)(last - first + 1) * plan->channels > WINDOW && first <= last) return false;
        }
    }
    return true;
}

/* Vector instructions an output row, roughly. */
static double cost(const Plan *plan, const Tables *tables) {
    double rows = (double)plan->rows.n_in / plan->rows.n_out + 1;
    double step = rows * (1 + tables->limbs), combine = 6 + 4 * (tables->limbs - 1);
    double fold = tables->folds == 1 ? 0 : (double)plan->cols.n_out * (plan->channels < 3 ? 4 : 1) * (tables->folds + 1);
    return tables->vectors * (tables->groups * step + combine) + fold;
}

static bool choose_split(const Plan *plan, Tables *tables) {
    int32_t taps = 1;
    for (int32_t i = 0; i < plan->cols.n_out; i++) {
        if (plan->cols.count[i] > taps) taps = plan->cols.count[i];
    }
    double best = 0;
    Tables chosen = {0};
    for (int32_t groups = 1; groups <= MAX_GROUPS; groups++) {
        Tables trial = *tables;
        trial.groups = groups;
        trial.folds = (taps + groups * TAPS - 1) / (groups * TAPS);
        trial.parts = plan->cols.n_out * trial.folds;
        for (trial.pixels = LANES / plan->channels; trial.pixels > 0; trial.pixels--) {
            trial.vectors = (trial.parts + trial.pixels - 1) / trial.pixels;
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

static void fill_step(const Plan *plan, const Tables *tables, int32_t vector, int32_t group, Step *step,
                      int32_t *offset) {
    const Axis *cols = &plan->cols;
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

/* Each limb's sum over a group's taps, the groups and the interior rows must fit int32, and so must S + D/2. */
static bool sums_fit(const Plan *plan, const Tables *tables) {
    int64_t rows = plan->rows.n_in / plan->rows.n_out + 2;
    return rows * TAPS * tables->groups * 255 * 127 < INT32_MAX &&
           (int64_t)plan->rows.unit * plan->cols.unit < 1 << 23;
}

Status area_u8_avx512_prepare(Plan *plan) {
    int32_t channels = plan->channels;
    if (channels > LANES || (int64_t)plan->cols.n_in * channels < WINDOW) return UNSUITABLE;
    if (plan->cols.whole >= 1 << (MAX_LIMBS * LIMB_BITS)) return UNSUITABLE;
    Tables tables = {.limbs = plan->cols.whole < 1 << LIMB_BITS ? 1 : 2, .divisor = 1};
    if (!choose_split(plan, &tables) || !sums_fit(plan, &tables)) return UNSUITABLE;
    tables.divisor = plan->rows.unit * plan->cols.unit;
    tables.lanes = tables.pixels * channels;
    tables.in_float = 255 * (int64_t)tables.divisor < 1 << 24;
    tables.prefetch = (int64_t)plan->rows.n_in * plan->cols.n_in * channels > 1 << 20;
    size_t steps = (size_t)tables.vectors * (size_t)tables.groups;
    size_t header = round_up(sizeof tables), step_bytes = steps * sizeof(Step);
    uint8_t *memory = alloc_array(header + step_bytes + steps * sizeof(int32_t), 1);
    if (memory == NULL) return NO_MEMORY;
    tables.steps = (Step *)(void *)(memory + header);
    tables.offsets = (int32_t *)(void *)(memory + header + step_bytes);
    memcpy(memory, &tables, sizeof tables);
    for (int32_t vector = 0; vector < tables.vectors; vector++) {
        for (int32_t group = 0; group < tables.groups; group++) {
            size_t at = (size_t)vector * (size_t)tables.groups + (size_t)group;
            fill_step(plan, &tables, vector, group, &tables.steps[at], &tables.offsets[at]);
        }
    }
    plan->tables = memory;
    /* The straddling row's sums, a vector each; the output row's sums, densely, and one vector more: stores are whole. */
    plan->scratch_bytes = ((size_t)tables.vectors * 2 + 2) * LANES * sizeof(int32_t);
    return OK;
}

/* One output row's source: `interior` rows from `rows` on, then the straddling row; their vertical weights. */
typedef struct {
    const uint8_t *rows;
    ptrdiff_t stride;
    int32_t interior, whole_weight, head_weight, tail_weight;
} Band;

#define VECTOR TARGET_AVX512 static ALWAYS_INLINE

VECTOR void accumulate(__m512i *sums, const Step *step, const uint8_t *source, int limbs) {
    __m512i taps = _mm512_permutexvar_epi8(_mm512_load_si512(step->index), _mm512_loadu_si512(source));
    sums[0] = _mm512_dpbusd_epi32(sums[0], taps, _mm512_load_si512(step->limb[0]));
    if (limbs == 2) sums[1] = _mm512_dpbusd_epi32(sums[1], taps, _mm512_load_si512(step->limb[1]));
}

VECTOR __m512i joined(const __m512i *sums, int limbs) {
    return limbs == 1 ? sums[0] : _mm512_add_epi32(sums[0], _mm512_slli_epi32(sums[1], LIMB_BITS));
}

/* Horizontal and vertical sums of one output row, to `sums`. `edge` holds the sums of the row that straddles this output
 * and the one above, and then those of the one below. All but the pointers are constants where this is inlined: a
 * `groups` of 0 or an `interior` below 0 stands for the tables' and the band's. */
VECTOR void reduce(const Tables *tables, const Band *band, int limbs, int groups, bool in_float, bool has_tail,
                   int interior, int32_t *edge, int32_t *sums) {
    const Step *step = tables->steps;
    const int32_t *offset = tables->offsets;
    const int count = groups == 0 ? tables->groups : groups;
    if (interior < 0) interior = band->interior;
    __m512i wi = _mm512_set1_epi32(band->whole_weight), hi = _mm512_set1_epi32(band->head_weight);
    __m512i ti = _mm512_set1_epi32(band->tail_weight);
    __m512 wf = _mm512_cvtepi32_ps(wi), hf = _mm512_cvtepi32_ps(hi), tf = _mm512_cvtepi32_ps(ti);
    for (int32_t vector = 0; vector < tables->vectors; vector++, edge += LANES, sums += tables->lanes) {
        __m512i inner[MAX_LIMBS] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
        __m512i outer[MAX_LIMBS] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
        for (int group = 0; group < count; group++, step++, offset++) {
            const uint8_t *source = band->rows + *offset;
            for (int k = 0; k < interior; k++, source += band->stride) accumulate(inner, step, source, limbs);
            if (has_tail) accumulate(outer, step, source, limbs);
            if (tables->prefetch) {
                for (int k = 0; k <= interior; k++) {
                    source += band->stride;
                    _mm_prefetch((const char *)source, _MM_HINT_T1);
                }
            }
        }
        __m512i inside = joined(inner, limbs), below = joined(outer, limbs), total;
        if (in_float) {
            __m512 sum = _mm512_mul_ps(_mm512_cvtepi32_ps(inside), wf);
            sum = _mm512_fmadd_ps(_mm512_load_ps(edge), hf, sum);
            if (has_tail) {
                __m512 below_f = _mm512_cvtepi32_ps(below);
                sum = _mm512_fmadd_ps(below_f, tf, sum);
                _mm512_store_ps(edge, below_f);
            }
            total = _mm512_castps_si512(sum);
        } else {
            total = _mm512_add_epi32(_mm512_mullo_epi32(inside, wi), _mm512_mullo_epi32(_mm512_load_si512(edge), hi));
            if (has_tail) {
                total = _mm512_add_epi32(total, _mm512_mullo_epi32(below, ti));
                _mm512_store_si512(edge, below);
            }
        }
        _mm512_storeu_si512(sums, total);
    }
}

/* The interior row counts of small ratios as constants, so that the loop over them unrolls. */
VECTOR void reduce_counted(const Tables *tables, const Band *band, int limbs, int groups, bool in_float, int32_t *edge,
                           int32_t *sums) {
    if (!(band->tail_weight > 0)) {
        reduce(tables, band, limbs, groups, in_float, false, -1, edge, sums);
        return;
    }
    switch (groups == 0 ? -1 : band->interior) {
        case 1: reduce(tables, band, limbs, groups, in_float, true, 1, edge, sums); break;
        case 2: reduce(tables, band, limbs, groups, in_float, true, 2, edge, sums); break;
        case 3: reduce(tables, band, limbs, groups, in_float, true, 3, edge, sums); break;
        case 4: reduce(tables, band, limbs, groups, in_float, true, 4, edge, sums); break;
        default: reduce(tables, band, limbs, groups, in_float, true, -1, edge, sums); break;
    }
}

TARGET_AVX512 static void reduce_band(const Tables *tables, const Band *band, int32_t *edge, int32_t *sums) {
    if (!tables->in_float) {
        if (tables->limbs == 1) {
            reduce_counted(tables, band, 1, 0, false, edge, sums);
        } else {
            reduce_counted(tables, band, 2, 0, false, edge, sums);
        }
    } else if (tables->limbs == 2) {
        reduce_counted(tables, band, 2, 0, true, edge, sums);
    } else if (tables->groups == 1) {
        reduce_counted(tables, band, 1, 1, true, edge, sums);
    } else if (tables->groups == 2) {
        reduce_counted(tables, band, 1, 2, true, edge, sums);
    } else {
        reduce_counted(tables, band, 1, 0, true, edge, sums);
    }
}

/* Add the folds of each output up, in place. Sums of either type: the caller says which. */
VECTOR void add_folds(int32_t *sums, int32_t outputs, int32_t folds, int32_t channels, bool in_float) {
    for (int32_t i = 0; i < outputs; i++) {
        const int32_t *part = sums + (size_t)i * (size_t)folds * (size_t)channels;
        int32_t *result = sums + (size_t)i * (size_t)channels;
        if (channels == 3 || channels == 4) { /* the fourth lane of three is overwritten by the next output */
            __m128i total = _mm_loadu_si128((const __m128i *)(const void *)part);
            for (int32_t fold = 1; fold < folds; fold++) {
                __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(part + fold * channels));
                total = in_float ? _mm_castps_si128(_mm_add_ps(_mm_castsi128_ps(total), _mm_castsi128_ps(next)))
                                 : _mm_add_epi32(total, next);
            }
            _mm_storeu_si128((__m128i *)(void *)result, total);
            continue;
        }
        for (int32_t c = 0; c < channels; c++) {
            if (in_float) {
                float total = 0;
                for (int32_t fold = 0; fold < folds; fold++) {
                    float next;
                    memcpy(&next, &part[fold * channels + c], sizeof next);
                    total += next;
                }
                memcpy(&result[c], &total, sizeof total);
            } else {
                int32_t total = 0;
                for (int32_t fold = 0; fold < folds; fold++) total += part[fold * channels + c];
                result[c] = total;
            }
        }
    }
}

/* S / D + 1/2 + 1/4D is at least 1/4D > 2^-15 away from any integer when D < 2^13. Its error there: 1/D is off by 2^-24
 * of itself, so S/D by less than 2^-16; the fused sum below 256 rounds by at most 2^-17, the constant by 2^-25. */
enum { FAST_DIVISOR = 1 << 13 };

VECTOR __m512i quotient_fast(__m512 sums, __m512 reciprocal, __m512 half) {
    return _mm512_cvttps_epi32(_mm512_fmadd_ps(sums, reciprocal, half));
}

/* floor(t / D) with t = S + floor(D/2) < 2^31: the estimate is at most the quotient and at least one less, as its three
 * roundings (2^-24 each) stay below the 2^-21 that `reciprocal` is too small by; the remainder tells. */
VECTOR __m512i quotient_exact(__m512i sums, __m512i half, __m512 reciprocal, __m512i divisor) {
    __m512i t = _mm512_add_epi32(sums, half), one = _mm512_set1_epi32(1);
    __m512i estimate = _mm512_cvttps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(t), reciprocal));
    __m512i rest = _mm512_sub_epi32(t, _mm512_mullo_epi32(estimate, divisor));
    return _mm512_mask_add_epi32(estimate, _mm512_cmpge_epi32_mask(rest, divisor), estimate, one);
}

/* Divide the sums of one output row and store it. */
TARGET_AVX512 static void finish(const Tables *tables, const int32_t *sums, uint8_t *out, size_t count) {
    bool fast = tables->in_float && tables->divisor < FAST_DIVISOR;
    double inverse = 1.0 / tables->divisor;
    __m512 reciprocal = _mm512_set1_ps((float)(fast ? inverse : inverse * (1 - 0x1p-21)));
    __m512 half_f = _mm512_set1_ps((float)(0.5 + 0.25 * inverse));
    __m512i half = _mm512_set1_epi32(tables->divisor / 2), divisor = _mm512_set1_epi32(tables->divisor);
    for (size_t x = 0; x < count; x += LANES) {
        __m512i sum = _mm512_loadu_si512(sums + x), pixel;
        if (fast) {
            pixel = quotient_fast(_mm512_castsi512_ps(sum), reciprocal, half_f);
        } else {
            if (tables->in_float) sum = _mm512_cvttps_epi32(_mm512_castsi512_ps(sum));
            pixel = quotient_exact(sum, half, reciprocal, divisor);
        }
        size_t left = count - x;
        __mmask16 mask = left < LANES ? (__mmask16)((1u << left) - 1) : (__mmask16)0xffff;
        _mm512_mask_cvtepi32_storeu_epi8(out + x, mask, pixel);
    }
}

TARGET_AVX512 DECLARE_RUN(area_u8_avx512) {
    const Tables *tables = plan->tables;
    size_t count = (size_t)plan->cols.n_out * (size_t)plan->channels;
    int32_t *edge = (int32_t *)(void *)scratch, *sums = edge + (size_t)tables->vectors * LANES;
    memset(edge, 0, (size_t)tables->vectors * LANES * sizeof *edge); /* 0 is 0 as int32 and float */
    int32_t edge_row = -1;
    for (int32_t i = first; i < last; i++) {
        const Span *span = &plan->rows.spans[i];
        if (span->head != 0 && edge_row != span->first - 1) {
            Band head = {source + (span->first - 1) * stride, stride, 0, 0, 0, 1};
            reduce_band(tables, &head, edge, sums);
        }
        Band band = {source + span->first * stride, stride, span->full, plan->rows.whole, span->head, span->tail};
        reduce_band(tables, &band, edge, sums);
        edge_row = span->tail != 0 ? span->first + span->full : -1;
        if (tables->folds > 1) {
            if (tables->in_float) {
                add_folds(sums, plan->cols.n_out, tables->folds, plan->channels, true);
            } else {
                add_folds(sums, plan->cols.n_out, tables->folds, plan->channels, false);
            }
        }
        finish(tables, sums, out + (size_t)i * count, count);
    }
}
#endif
