/* What the files of the extension share.
 *
 * A Resizer is everything that a resize needs to know before it sees a pixel: both axes' weights and the tables that one
 * implementation made of them. Resizers are immutable once built, so any number of threads may run one.
 */
#ifndef SECURE_RESIZE_NATIVE_H
#define SECURE_RESIZE_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "implementations.h"

#define PRECISION_BITS 22 /* of the fixed-point taps; core/taps.py */
#define ALIGNMENT 64      /* bytes, of every table and scratch buffer */
#define MAX_AXIS (1 << 20)
#define MAX_CHANNELS (1 << 20)

typedef enum {
#define LEVEL_CONSTANT(constant, name, supported) constant,
    LEVELS(LEVEL_CONSTANT) LEVEL_COUNT
} Level;

const char* level_name(Level level);
bool level_supported(Level level); /* by this processor and its operating system */
Level level_best(void);
bool level_find(const char* name, Level* level);

typedef enum { OK, UNSUITABLE, NO_MEMORY, BAD_TABLE } Status;

/* One output pixel of `area`: head * pixel[first - 1] + unit weight * (pixel[first] + ... `full` of them)
 * + tail * pixel[first + full]. A weight of 0 means that its pixel is not read (it may lie outside the axis). */
typedef struct {
    int32_t first, full, head, tail;
} Span;

/* One axis. Output i reads `count[i]` pixels from start[i] on, with weights[i * width + k] (or reals[...] for float32);
 * weights before and after those of an output are 0. `start` and the weights are as Python gave them. */
typedef struct {
    int32_t n_in, n_out, width;
    int32_t unit;  /* what each row of integer weights sums to (area); 1 << 22 (fixed) */
    int32_t whole; /* area: weight of a fully covered pixel */
    int32_t *start, *count;
    int32_t* weights;
    double* reals;  /* float32: the weights; fixed, uint16: the integer weights as they are */
    bool has_holes; /* some weight of 0 lies between an output's others */
    Span* spans;
} Axis;

/* Of implementations: the resizes, then the selective filters' steps (select.h). */
typedef enum {
    AREA,
    FIXED,
    FLOAT,
    GATHER,
    SCATTER,
    MEDIAN_IN_REGISTERS, /* of a common window */
    MEDIAN,
    KEYSTREAM,
    DRAW,
    HASH,
    ARRANGE
} Kind;

typedef struct Resizer Resizer;
struct Lanes; /* these: select.h */
struct Places;
struct Strip;
struct Draw;
struct Grid;

/* One way to run a resize, a step of a selective filter or the putting of pixels in another order.
 * A resize: `prepare` says whether it can (it may add resizer->tables and must set resizer->scratch_bytes); `run` makes
 * output rows [first, last) of one image, whose rows lie `stride` bytes apart.
 * The others: the one function of the union that their kind has. */
typedef struct {
    const char* name;
    Level level;
    Kind kind;
    int itemsize;
    Status (*prepare)(Resizer* resizer);
    void (*run)(const Resizer* resizer, const uint8_t* source, ptrdiff_t stride, uint8_t* out, int32_t first,
                int32_t last, uint8_t* scratch);
    union {
        void (*gather)(const struct Lanes* lanes, const uint8_t* row, uint8_t* planes);
        void (*scatter)(const struct Places* places, const uint8_t* values, uint8_t* row);
        void (*median)(const struct Strip* strip);
        void (*keystream)(const uint32_t key[8], uint32_t first, uint32_t* words);
        const struct Draw* draw;
        uint64_t (*hash)(const uint8_t* block, const uint8_t* key);
        void (*arrange)(const struct Grid* grid, uint8_t* out, ptrdiff_t out_row);
    };
} Implementation;

struct Resizer {
    Kind kind;
    Level level; /* no implementation above it is used */
    Axis rows, cols;
    bool has_rows, has_cols, rows_first; /* fixed: an axis may be left alone */
    int32_t channels, itemsize;
    int32_t kept;             /* area: the result has the first so many channels; a source's last pixel may end there */
    ptrdiff_t pixel, channel; /* bytes from a source pixel to the next in its row, from a channel to the next */
    bool gathers;             /* rows are gathered, `channels` together, before they are read */
    bool stores_kept; /* the implementation stores no other channels, and reads nothing after a row's last one */
    const Implementation* implementation;
    void* tables; /* of the implementation; freed with alloc_free */
    size_t scratch_bytes;
};

extern const Implementation IMPLEMENTATIONS[];
extern const int IMPLEMENTATION_COUNT;

/* The next of a kind that `level` allows, after `last` (NULL: the first); NULL where there is none. */
const Implementation* implementation_after(const Implementation* last, Kind kind, int itemsize, Level level);
/* Calls are counted, so that a test can prove which implementations ran. */
void implementation_ran(const Implementation* implementation);
long long implementation_runs(int index);

/* resizer.c */
typedef struct {
    int32_t n_in, n_out, width, unit;
    const int32_t* start;
    const int32_t* weights; /* or NULL */
    const double* reals;    /* or NULL */
} AxisInput;

/* How pixels are stored: their channels, the size of one, and how they lie in a source row. */
typedef struct {
    int32_t channels, itemsize;
    ptrdiff_t pixel, channel; /* bytes from one to the next */
} Format;

Status resizer_build(Resizer** resizer, Kind kind, const AxisInput* rows, const AxisInput* cols, bool rows_first,
                     const Format* format, Level level);
void resizer_free(Resizer* resizer);

/* What is resized to where; rows lie contiguous in `out`. A resizer of one channel may be given more, as planes. */
typedef struct {
    const uint8_t* source;
    ptrdiff_t image, row, plane; /* bytes from one to the next */
    uint8_t* out;
    int64_t images;
    int32_t planes;
    bool backwards; /* the last channel of the result first */
} Views;

Status resizer_run(const Resizer* resizer, const Views* views, int num_threads);

/* views.c: output rows [first, last) of an image where they need more than the implementation's run. */
typedef struct {
    size_t gathered, made; /* bytes of scratch memory, beside the resizer's */
} Bands;
bool views_are_plain(const Resizer* resizer, const Views* views);
Bands views_bands(const Resizer* resizer, const Views* views, int64_t parts);
void views_run(const Resizer* resizer, const Views* views, int64_t image, int32_t first, int32_t last,
               const Bands* bands, uint8_t* scratch);

/* Bytes of an output row. */
static inline size_t result_bytes(const Resizer* resizer, const Views* views) {
    return (size_t)resizer->cols.n_out * (size_t)resizer->kept * (size_t)views->planes * (size_t)resizer->itemsize;
}

/* The first output row of part `part` of `parts`: an even one, as some implementations make rows in pairs. */
static inline int32_t part_begin(const Resizer* resizer, int64_t part, int64_t parts) {
    int32_t begin = (int32_t)(resizer->rows.n_out * part / parts);
    return part == parts ? begin : begin / 2 * 2;
}

/* Allocations, all of them: aligned, zeroed, never of 0 bytes; the count times the size is checked. */
void* alloc_array(size_t count, size_t size);
void* alloc_scratch(size_t bytes); /* not zeroed */
void alloc_free(void* memory);
bool size_product(size_t a, size_t b, size_t* product);

/* One allocation for many arrays. What takes them from the arena is called twice: first to add up their bytes (every
 * array is NULL), then, once arena_fill has allocated those, to get them, zeroed; or with a task's scratch memory. */
typedef struct {
    uint8_t* memory; /* to be freed by alloc_free */
    size_t used;
    bool overflow;
} Arena;
void* arena_take(Arena* arena, size_t count, size_t size);
Status arena_fill(Arena* arena);

static inline size_t round_up(size_t bytes) { return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1); }
#ifdef SECURE_RESIZE_TEST_HOOKS
extern long alloc_fail_after; /* fail the allocation after this many more; negative: never */
extern long alloc_live;
#endif

/* pool.c: task(context, i, worker) for every i < tasks, on up to `num_threads` threads; worker < num_threads. */
void pool_run(void (*task)(void* context, int64_t index, int worker), void* context, int64_t tasks, int num_threads);

/* arrange.c: pixels in any order, `row`, `pixel` and `channel` bytes from one to the next, into contiguous rows that lie
 * `out_row` bytes apart. The two may not overlap, but for channels that are reversed in place. */
typedef struct Grid {
    const uint8_t* source;
    ptrdiff_t row, pixel, channel;
    int64_t rows, width, channels;
    int itemsize;
} Grid;

typedef void Arrange(const Grid* grid, uint8_t* out, ptrdiff_t out_row);
void arrange(const Grid* grid, uint8_t* out, ptrdiff_t out_row, Level level);
#ifdef HAVE_X86
Arrange arrange_avx2;
#endif
Arrange arrange_portable;
bool grid_in_place(const Grid* grid, const uint8_t* out);
void reverse_channels(uint8_t* rows, int64_t pixels, int64_t channels, int itemsize, Level level);

/* Pixels of `pixel` bytes to their columns of a row. */
void place_row(const uint8_t* values, const int32_t* cols, int64_t count, uint8_t* row, size_t pixel);

#define ALWAYS_INLINE inline __attribute__((always_inline))

#define DECLARE_RUN(name)                                                                                   \
    void name(const Resizer* resizer, const uint8_t* source, ptrdiff_t stride, uint8_t* out, int32_t first, \
              int32_t last, uint8_t* scratch)
#define DECLARE_RESIZE(function, level, kind, itemsize, prepare) \
    DECLARE_RUN(function);                                       \
    Status prepare(Resizer* resizer);
#define DECLARE_NOTHING(function, level, kind, type)
ALL_IMPLEMENTATIONS(DECLARE_RESIZE, DECLARE_NOTHING)

#endif
