#include "native.h"
#ifdef HAVE_X86
Status fixed_u8_avx512_prepare(Plan *plan) { (void)plan; return UNSUITABLE; }
DECLARE_RUN(fixed_u8_avx512) { (void)plan; (void)source; (void)stride; (void)out; (void)first; (void)last; (void)scratch; }
#endif
