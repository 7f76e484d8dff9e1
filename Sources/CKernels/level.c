// Finds the instruction-set level once and lets the program lower it.
#include "include/level.h"

static int chosen = -1;

int ck_supported_level(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw"))
    return ck_level_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return ck_level_avx2;
#endif
  return ck_level_portable;
}

int ck_level(void) {
  if (chosen < 0) chosen = ck_supported_level();
  return chosen;
}

int ck_set_level(int level) {
  int highest = ck_supported_level();
  chosen = level < 0 ? 0 : level > highest ? highest : level;
  return chosen;
}
