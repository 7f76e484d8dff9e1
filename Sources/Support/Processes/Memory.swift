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

/// Pages this process was given so far without reading a file.
public func minorPageFaults() -> Int {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return usage.ru_minflt
}

/// Requests for heap memory of all threads so far; nil unless the counting library was loaded before the program.
public func heapAllocations() -> Int? { counter?() }

/// The counting library's function, of whose name no other library has one.
private let counter: (@convention(c) () -> Int)? = {
  #if canImport(Glibc)
    return dlsym(nil, "cheap_allocations").map { unsafeBitCast($0, to: (@convention(c) () -> Int).self) }
  #else
    return nil
  #endif
}()
