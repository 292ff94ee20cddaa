/* The selective filters: new values for the read pixels of one image, rows x cols (core/reference.py).
 *
 * select.c checks what is asked; select_median.c and select_random.c say which values there are to choose from. The
 * inner loops are select_body.h, which each level's file includes with its vectors. */
#ifndef SECURE_RESIZE_SELECT_H
#define SECURE_RESIZE_SELECT_H

#include "native.h"

/* Checked by selection_valid: indices ascend and lie inside the image, windows have at most MAX_WINDOW pixels. */
typedef struct {
    int32_t height, width, channels;
    int32_t row_count, col_count;
    const int32_t *rows, *cols;
    int32_t half_rows, half_cols;
} Selection;

typedef struct {
    const uint8_t* source; /* (height, width, channels), contiguous inside a row */
    ptrdiff_t stride;
    uint8_t* out; /* likewise; written at the read pixels */
    ptrdiff_t out_stride;
} Images;

enum { MAX_WINDOW = 1 << 14, LANES = 64 /* values handled at a time: a read column's channel each */ };

bool selection_valid(const Selection* selection);

Status select_median(const Selection* selection, const Images* images, Level level);
Status select_random(const Selection* selection, const Images* images, const uint8_t key[32], Level level);

/* One uint64 for each FINGERPRINT_BLOCK bytes begun; `key` has FINGERPRINT_BLOCK bytes. */
enum { FINGERPRINT_BLOCK = 1024 };
typedef uint64_t Hash(const uint8_t* block, const uint8_t* key);
void fingerprint(const uint8_t* data, size_t bytes, const uint8_t* key, uint64_t* hashes, Level level);

/* The median.
 *
 * A plane holds one image row's value for each lane (read column and channel) as seen from it at one horizontal offset:
 * plane[offset][lanes]. A Gather fills a row's planes; values from outside the image may be anything, because `excluded`
 * replaces them. */
typedef struct Lanes {
    const Selection* selection;
    int32_t lanes, padded;  /* padded: to whole vectors, and one more for stores past the end */
    int32_t offsets;        /* 2 * half_cols + 1 */
    int32_t pieces, chunk;  /* lane by lane: read columns next to each other are copied as one, `chunk` bytes each */
    int32_t *from, *to;     /* [piece]: where it begins in a row, and its first lane */
    int32_t parts;          /* avx512: a vector's lanes are gathered in so many parts; 0: lane by lane */
    int32_t *base, *chunks; /* [vector][part]: where its pixels begin in a row, and the vectors that hold them */
    uint8_t* index;         /* [lane]: byte after its part's base */
    uint8_t* excluded;      /* [UNREAD, READ, OUTSIDE row][offset][padded]: 255 where a lane's pixel is no candidate */
    bool* excludes;         /* [UNREAD, READ, OUTSIDE row][vector]: some are 255 */
} Lanes;

typedef void Gather(const Lanes* lanes, const uint8_t* row, uint8_t* planes);

enum { UNREAD, READ, OUTSIDE };

/* The median of one vector of lanes. planes[k]: of the window's row k, or of any row where it is outside. */
typedef struct Strip {
    const Lanes* lanes;
    int32_t vector;
    const uint8_t* const* planes;
    const uint8_t* kinds; /* UNREAD, READ or OUTSIDE for each row of the window */
    uint8_t* slots;       /* scratch: [window][LANES] */
    uint8_t* result;      /* [LANES] */
} Strip;

typedef void Median(const Strip* strip);

/* The windows of which a level holds all values in registers, as far as it has those: WINDOW(rows, columns, pixels). */
#define COMMON_WINDOWS(WINDOW) \
    WINDOW(3, 3, 9) WINDOW(3, 5, 15) WINDOW(5, 3, 15) WINDOW(3, 7, 21) WINDOW(7, 3, 21) WINDOW(5, 5, 25)

enum { PART = 16 };

/* Where a row's read bytes lie, for a Scatter: it puts a row's values there, and reads up to 64 bytes past them. For
 * each vector of the row: which of its bytes are read, and where, counted among those of the row, the first is; and for
 * each byte which it is after that one. */
typedef struct Places {
    const Selection* selection;
    int32_t vectors; /* 0: the row is too long for a table, which only scatter_portable does without */
    uint64_t* read;
    int32_t* first;
    uint8_t* index;
    int32_t* begin;  /* the same of each PART bytes: the first value, */
    uint8_t* within; /* and for each byte which after that one, or 128 where it is not read */
} Places;

typedef void Scatter(const Places* places, const uint8_t* values, uint8_t* row);
void places_take(Places* places, const Selection* selection, Arena* arena);
void places_fill(Places* places);

/* The random filter.
 *
 * A Keystream gives the words of ChaCha8's blocks first .. first + BLOCKS - 1: word 0 of each, then word 1 of each, and
 * so on. Words are drawn with for DRAWS columns at a time. Where windows have at most TWICE_LIMIT pixels, what the draws
 * of 16 columns leave of their words, the products' lower halves, are the words of the 16 columns after them. */
enum { DRAWS = 16, TWICE_LIMIT = 127, BLOCKS = DRAWS /* side by side */, BLOCK_WORDS = 16 };

typedef void Keystream(const uint32_t key[8], uint32_t first, uint32_t* words);

/* A read column's window, for [0] its unread and [1] its read rows: how many candidates a row has, where in the table
 * their columns begin, and ceil(2^32 / width), which times k < 2^32 / width, shifted down, is k / width. */
typedef struct {
    int32_t width[2], first[2];
    uint64_t by_width[2];
} Column;

typedef struct {
    const Selection* selection;
    const Images* images;
    bool twice;
    Column* columns;
    int32_t* table; /* all columns of the image, then those not read */
    void* lanes;    /* what Draw's `prepare` made, to be freed */
} Draws;

/* The rows of a window, unread ones first: where they begin in the image. */
typedef struct {
    int32_t unread, read;
    bool last; /* the image's last row is one of them */
    ptrdiff_t* at;
} WindowRows;

/* One way to draw. `prepare` says whether it can; `row` draws the pixels of the row `out`, by `words`: 16 for each 16
 * columns begun, or for each 32. */
typedef struct Draw {
    Status (*prepare)(Draws* draws);
    void (*row)(const Draws* draws, const WindowRows* window, const uint32_t* words, uint8_t* out);
} Draw;

#define DECLARE_STEP(function, level, kind, type) STEP_OF_##type(function)
#define STEP_OF_gather(function) Gather function;
#define STEP_OF_scatter(function) Scatter function;
#define STEP_OF_median(function) Median function;
#define STEP_OF_keystream(function) Keystream function;
#define STEP_OF_draw(function) extern const Draw function##_rows;
#define STEP_OF_hash(function) Hash function;
#define STEP_OF_arrange(function) Arrange function;
#define DECLARE_NO_RUN(function, level, kind, itemsize, prepare)
ALL_IMPLEMENTATIONS(DECLARE_NO_RUN, DECLARE_STEP)

/* Lane by lane: the lanes [first, last) of one offset's plane. */
static ALWAYS_INLINE void gather_lanes(const Lanes* lanes, const uint8_t* row, int32_t offset, int32_t first,
                                       int32_t last, uint8_t* plane) {
    const Selection* selection = lanes->selection;
    int32_t channels = selection->channels, end = selection->width - 1, shift = offset - selection->half_cols;
    for (int32_t j = first / channels; j * channels < last; j++) {
        int32_t x = selection->cols[j] + shift;
        x = x < 0 ? 0 : x > end ? end : x;
        const uint8_t* pixel = row + (ptrdiff_t)x * channels;
        for (int32_t c = 0; c < channels; c++) plane[j * channels + c] = pixel[c];
    }
}

#endif
