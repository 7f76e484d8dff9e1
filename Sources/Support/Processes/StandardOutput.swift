// Standard output for readers that follow it.

// The C library declares its streams as variables, though nobody assigns them.
#if canImport(Glibc)
  @preconcurrency import Glibc
#else
  import Darwin
#endif

/// Sends standard output line by line, also to a file or a pipe.
public func lineBufferOutput() { setvbuf(stdout, nil, _IOLBF, 0) }
