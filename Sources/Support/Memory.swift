// What the system says about this process's memory.

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Most memory this process has held, in bytes.
public func peakMemoryBytes() -> Int {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return usage.ru_maxrss * 1024
}
