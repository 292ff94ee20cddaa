/* The selective filters with NEON. */
#include <string.h>

#include "select.h"

#ifdef HAVE_NEON
#include <arm_neon.h>

#define LEVEL(name) name##_neon
#define TARGET
enum { WIDTH = 16 };
typedef uint8_t Bytes __attribute__((vector_size(WIDTH)));
typedef uint64_t Pairs __attribute__((vector_size(WIDTH)));

static ALWAYS_INLINE Bytes least(Bytes a, Bytes b) { return (Bytes)vminq_u8((uint8x16_t)a, (uint8x16_t)b); }
static ALWAYS_INLINE Bytes most(Bytes a, Bytes b) { return (Bytes)vmaxq_u8((uint8x16_t)a, (uint8x16_t)b); }
static ALWAYS_INLINE Bytes choose(Bytes mask, Bytes a, Bytes b) {
    return (Bytes)vbslq_u8((uint8x16_t)mask, (uint8x16_t)a, (uint8x16_t)b);
}
static ALWAYS_INLINE Pairs products(Pairs words) {
    return (Pairs)vmull_u32(vmovn_u64((uint64x2_t)words), vshrn_n_u64((uint64x2_t)words, 32));
}

#include "select_body.h"

#endif
