// malloc, calloc and realloc that count a call and hand it on to the C library. They act in a process that loads this
// library before the C library (LD_PRELOAD); no target is linked with it. Where the C library has no such entries, calls
// are not counted.

#include "CHeap.h"

#include <stdlib.h>

#ifdef __GLIBC__

static long calls;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);

static inline void count(void) { __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED); }

void *malloc(size_t size) {
  count();
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count();
  return __libc_calloc(number, size);
}

void *realloc(void *block, size_t size) {
  count();
  return __libc_realloc(block, size);
}

long cheap_allocations(void) { return __atomic_load_n(&calls, __ATOMIC_RELAXED); }

#else

long cheap_allocations(void) { return 0; }

#endif
