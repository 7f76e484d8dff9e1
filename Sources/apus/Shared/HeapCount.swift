// Requests for heap memory are counted by a library that stands before the C library, in benchmarks only: no training run
// and no other command has it. See docs/decisions/0020-heap-requests-counted-on-request.md.

import Foundation
import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Starts this program anew with the counting library, which the build puts beside it. Returns where the library is
/// loaded already, cannot be found, or was no help: requests are uncounted then.
///
/// Called before MPI and any thread is started.
func startAnewCountingHeapRequests() {
  #if canImport(Glibc)
    let variable = "LD_PRELOAD"
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    let library = program.deletingLastPathComponent().appending(path: "libHeapCount.so").path
    let others = (ProcessInfo.processInfo.environment[variable] ?? "").split(separator: ":").map(String.init)
    guard !others.contains(library), FileManager.default.fileExists(atPath: library) else { return }
    setenv(variable, (others + [library]).joined(separator: ":"), 1)
    execv(program.path, CommandLine.unsafeArgv)
    unsetenv(variable)
    if !others.isEmpty { setenv(variable, others.joined(separator: ":"), 1) }
  #endif
}
