#include "native.h"
#ifdef HAVE_X86
Status area_u8_avx2_prepare(Plan *plan) { (void)plan; return UNSUITABLE; }
DECLARE_RUN(area_u8_avx2) { (void)plan; (void)source; (void)stride; (void)out; (void)first; (void)last; (void)scratch; }
#endif
