// Tells the thread sanitizer what it cannot see: `Mutex` of Swift's Synchronization module is locked and unlocked by
// instructions of the program, unless another thread has it or waits for it. Then the module's own code, which no
// sanitizer has built, does it in the kernel, and everything that the mutex guards would look like a race. Loaded by
// LD_PRELOAD, also into programs without the sanitizer, where it does nothing.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

#define HANDLE "$s15Synchronization12_MutexHandleV"
#define LOCK HANDLE "9_lockSlowyys6UInt32VF"
#define UNLOCK HANDLE "11_unlockSlowyyF"

typedef __attribute__((swiftcall)) void Lock(uint32_t thread, __attribute__((swift_context)) void *handle);
typedef __attribute__((swiftcall)) void Unlock(__attribute__((swift_context)) void *handle);

// Synchronization._MutexHandle._lockSlow(UInt32)
Lock lock_slow __asm__(LOCK);

__attribute__((swiftcall)) void lock_slow(uint32_t thread, __attribute__((swift_context)) void *handle) {
  ((Lock *)dlsym(RTLD_NEXT, LOCK))(thread, handle);
  if (__tsan_acquire) __tsan_acquire(handle);
}

// Synchronization._MutexHandle._unlockSlow()
Unlock unlock_slow __asm__(UNLOCK);

__attribute__((swiftcall)) void unlock_slow(__attribute__((swift_context)) void *handle) {
  if (__tsan_release) __tsan_release(handle);
  ((Unlock *)dlsym(RTLD_NEXT, UNLOCK))(handle);
}
