// What the system says about this process's memory.

import CHeap

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

/// Pages this process was given so far without reading a file.
public func minorPageFaults() -> Int {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return usage.ru_minflt
}

/// Requests for heap memory of all threads so far; 0 where the C library does not let them be counted.
public func heapAllocations() -> Int { Int(cheap_allocations()) }
