// The trace of a run's first steps, of all ranks in one file.

import Collectives
import Support
import Tensors

/// Records the steps of a run on this rank, and ends by itself when it has enough.
final class StepTrace {
  /// Steps that a trace holds: enough to see what repeats, few enough for a viewer.
  static let steps = 10
  private var left = StepTrace.steps

  /// Starts recording the calling thread.
  init() { KernelMeter.start(workers: WorkerPool.shared.threads - 1) }

  /// Counts a step; after enough of them, or the last, returns what was recorded, once.
  func stepEnded(isLast: Bool) -> [[MeterSpan]]? {
    guard left > 0 else { return nil }
    left = isLast ? 0 : left - 1
    return left == 0 ? KernelMeter.stop() : nil
  }

  deinit { if left > 0 { _ = KernelMeter.stop() } }
}

/// The traces of all ranks laid over each other on rank 0's clock; "" on other ranks. Called by all ranks.
package func mergedTrace(_ lanes: [[MeterSpan]], on communicator: any Communicator) throws -> String {
  let shift = try communicator.clockShift()
  let first = lanes.joined().map { $0.begin + shift }.min() ?? Int64.max
  let start = try communicator.allMinimum(first)
  let own = try communicator.together {
    Array(
      try traceEvents(lanes, rank: communicator.rank, host: communicator.hostName, start: start - shift)
        .joined(separator: ",\n").utf8)
  }
  let lengths = try communicator.sumIntegers(
    (0..<communicator.worldSize).map { $0 == communicator.rank ? Int64(own.count) : 0 })
  var parts: [String] = []
  for (rank, length) in lengths.enumerated() {
    let bytes = try communicator.transfer(rank == communicator.rank ? own : [], count: Int(length), from: rank, to: 0)
    if let bytes { parts.append(String(decoding: bytes, as: UTF8.self)) }
  }
  return parts.isEmpty ? "" : traceFile(parts)
}
