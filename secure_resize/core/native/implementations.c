/* The table of implementations.h, the choice of one for a level, and the count of what ran. */
#include "implementations.h"

#include <stdatomic.h>

#include "native.h"
#include "select.h"

#define RESIZE_ROW(function, level, kind, itemsize, prepare) {#function, level, kind, itemsize, prepare, function, {0}},
#define SELECT_ROW(function, level, kind, type) \
    {#function, level, kind, 1, NULL, NULL, {.type = VALUE_OF_##type(function)}},
#define VALUE_OF_gather(function) function
#define VALUE_OF_scatter(function) function
#define VALUE_OF_median(function) function
#define VALUE_OF_keystream(function) function
#define VALUE_OF_draw(function) &function##_rows
#define VALUE_OF_hash(function) function
#define VALUE_OF_arrange(function) function
const Implementation IMPLEMENTATIONS[] = {ALL_IMPLEMENTATIONS(RESIZE_ROW, SELECT_ROW)};
enum { COUNT = sizeof IMPLEMENTATIONS / sizeof *IMPLEMENTATIONS };
const int IMPLEMENTATION_COUNT = COUNT;

static atomic_llong runs[COUNT];

void implementation_ran(const Implementation* implementation) {
    atomic_fetch_add_explicit(&runs[implementation - IMPLEMENTATIONS], 1, memory_order_relaxed);
}

long long implementation_runs(int index) { return atomic_load_explicit(&runs[index], memory_order_relaxed); }

const Implementation* implementation_after(const Implementation* last, Kind kind, int itemsize, Level level) {
    for (const Implementation* one = last != NULL ? last + 1 : IMPLEMENTATIONS; one < IMPLEMENTATIONS + COUNT; one++) {
        if (one->kind == kind && one->itemsize == itemsize && one->level <= level) return one;
    }
    return NULL;
}
