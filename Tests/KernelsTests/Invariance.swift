// What every kernel promises: the same answer on every CPU level within rounding, the same bits for every thread count
// and whatever other samples a call holds.

import CKernels
import Tensors
import Testing

/// The parent of all kernel suites. They change the CPU level and thread count of the process, so they run one by one.
@Suite(.serialized) struct KernelTests {}

/// Runs `body` once per level of our own kernels this machine has, then restores the highest. Products by oneDNN do not
/// follow: it keeps the level of its first one.
func onEveryLevel(_ body: () throws -> Void) rethrows {
  defer { _ = ck_set_level(ck_supported_level()) }
  for level in 0...ck_supported_level() {
    _ = ck_set_level(level)
    try body()
  }
}

/// Expects the same bits from one thread and from two.
func expectSameBitsOnThreads(_ body: () -> [Float], sourceLocation: SourceLocation = #_sourceLocation) {
  defer { WorkerPool.configure(threads: 1) }
  let results = [1, 2].map { threads in
    WorkerPool.configure(threads: threads)
    return body().map(\.bitPattern)
  }
  #expect(results[0] == results[1], sourceLocation: sourceLocation)
}

/// Expects the bits of every sample to be the same in calls of 1, 2, 3, 4 and 9 samples; `body` gets the sample count.
func expectIndependentSamples(_ body: (Int) -> [Float], sourceLocation: SourceLocation = #_sourceLocation) {
  let all = body(9).map(\.bitPattern)
  for count in 1...4 {
    let some = body(count).map(\.bitPattern)
    #expect(some == Array(all[..<(all.count / 9 * count)]), "\(count) samples", sourceLocation: sourceLocation)
  }
}
