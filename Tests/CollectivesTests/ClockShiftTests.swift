// Clocks of ranks brought together.

import Collectives
import CollectivesTesting
import Support
import Testing

@Suite struct ClockShiftTests {
  /// Threads of one process read one clock: every shift is at most the time of a message.
  @Test func oneClockNeedsNoShift() throws {
    let shifts = try LoopbackCommunicator.run(ranks: 3) { try $0.clockShift() }
    #expect(shifts[0] == 0)
    let largest = shifts.map { abs($0) }.max() ?? 0
    #expect(largest < 100_000_000)
  }
}
