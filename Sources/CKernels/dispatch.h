#pragma once
#include "include/level.h"

// Defines the exported `ck_name`, which calls the copy of `name` for the level in use.
#if defined(__x86_64__)
#define CK_DISPATCH(name, parameters, arguments)        \
  void ck_##name parameters {                           \
    switch (ck_level()) {                               \
      case ck_level_avx512: name##_avx512 arguments; break; \
      case ck_level_avx2: name##_avx2 arguments; break; \
      default: name##_portable arguments;               \
    }                                                   \
  }
#else
#define CK_DISPATCH(name, parameters, arguments) \
  void ck_##name parameters { name##_portable arguments; }
#endif
