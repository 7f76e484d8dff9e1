#pragma once

/// Tells the processor that the caller spins, so that it leaves more of a shared core to the other thread.
static inline void ck_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}
