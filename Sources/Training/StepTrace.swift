// The trace of a run's first steps.

import Support
import Tensors

/// Records the steps of a run for its trace file, and ends by itself when it has enough.
final class StepTrace {
  /// Steps that a trace holds: enough to see what repeats, few enough for a viewer.
  static let steps = 10
  private let directory: RunDirectory
  private var left = StepTrace.steps

  /// Starts recording the calling thread.
  init(_ directory: RunDirectory) {
    self.directory = directory
    KernelMeter.start(workers: WorkerPool.shared.threads - 1)
  }

  /// Counts a step; after enough of them, or the last, writes the file.
  /// - Throws: `Failure` 74 that names the file.
  func stepEnded(isLast: Bool) throws {
    guard left > 0 else { return }
    left = isLast ? 0 : left - 1
    guard left == 0 else { return }
    try directory.write(try chromeTrace(KernelMeter.stop()), to: directory.layout.trace)
  }

  deinit { if left > 0 { _ = KernelMeter.stop() } }
}
