// Clocks of several hosts brought together, well enough to lay the ranks' traces over each other.

import Support

extension Communicator {
  /// Nanoseconds to add to this rank's clock (`KernelMeter.now`) to read rank 0's. Called by all ranks.
  ///
  /// Each rank asks rank 0 for the time some times over and believes the fastest answer: the error is at most half of
  /// its round trip, some microseconds on one host and some tens over a network.
  public func clockShift(attempts: Int = 16) throws -> Int64 {
    var fastest = Int64.max
    var shift: Int64 = 0
    for other in 1..<max(worldSize, 1) {
      for _ in 0..<attempts {
        let begin = KernelMeter.now()
        _ = try transfer([0], count: 1, from: other, to: 0)
        let time = KernelMeter.now()
        let mine = rank == 0 ? (0..<8).map { UInt8(truncatingIfNeeded: time >> Int64(8 * $0)) } : []
        guard let answer = try transfer(mine, count: 8, from: 0, to: other) else { continue }
        let end = KernelMeter.now()
        guard rank == other, end - begin < fastest else { continue }
        fastest = end - begin
        let theirs = answer.enumerated().reduce(Int64(0)) { $0 | Int64($1.element) << Int64(8 * $1.offset) }
        shift = theirs - (begin + (end - begin) / 2)
      }
    }
    return shift
  }
}
