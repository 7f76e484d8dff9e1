// Compiles the file named by BODY once per instruction-set level. Inside BODY, functions are written
//   ATTR static void NAME(scale)(...) { ... }
// and helpers without ATTR as `static inline __attribute__((always_inline))`, so that they inline into each copy.
#define ATTR
#define NAME(f) f##_portable
#include BODY
#undef ATTR
#undef NAME
#if defined(__x86_64__)
#define ATTR __attribute__((target("avx2,fma")))
#define NAME(f) f##_avx2
#include BODY
#undef ATTR
#undef NAME
#define ATTR __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma"), min_vector_width(512)))
#define NAME(f) f##_avx512
#include BODY
#undef ATTR
#undef NAME
#endif
