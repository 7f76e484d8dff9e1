// Elapsed time, seconds by phase, and elementary functions.

import Foundation
import Support
import Testing

@Suite struct ClockTests {
  private struct Interruption: Error {}

  @Test func stopwatchMeasuresWallClockTime() {
    let watch = Stopwatch()
    let before = watch.seconds
    Thread.sleep(forTimeInterval: 0.02)
    let after = watch.seconds
    #expect(before >= 0)
    // An upper bound would measure the machine's load; a wrong unit is far outside of this one.
    #expect(after - before >= 0.019 && after - before < 10)
  }

  @Test func phasesAddUpInOrderOfFirstUse() {
    var times = PhaseTimes()
    #expect(times.seconds.isEmpty)
    times.add("teacher", 1)
    times.add("source", 0.25)
    times.add("teacher", 0.5)
    #expect(times.seconds.map(\.name) == ["teacher", "source"])
    #expect(times.seconds.map(\.seconds) == [1.5, 0.25])
  }

  @Test func measuringReturnsTheResultAndCountsFailuresToo() {
    var times = PhaseTimes()
    #expect(times.measure("quick") { 42 } == 42)
    times.measure("slow") { Thread.sleep(forTimeInterval: 0.02) }
    #expect(throws: Interruption.self) {
      try times.measure("slow") {
        Thread.sleep(forTimeInterval: 0.02)
        throw Interruption()
      }
    }
    #expect(times.seconds.map(\.name) == ["quick", "slow"])
    #expect(times.seconds[1].seconds >= 0.038)
    #expect(times.seconds[0].seconds < times.seconds[1].seconds)
  }

  @Test func peakMemoryIsInBytes() {
    let block = [UInt8](repeating: 1, count: 64 << 20)
    let peak = peakMemoryBytes()
    #expect(block.last == 1)
    #expect(peak >= block.count && UInt64(peak) <= ProcessInfo.processInfo.physicalMemory)
    #expect(peakMemoryBytes() >= peak, "a peak never falls")
  }

  @Test(arguments: [0.3, 1.0, 2.5]) func elementaryFunctionsAreTheSystems(x: Double) {
    #expect(x.logarithm == log(x))
    #expect(x.exponential == exp(x))
    #expect(x.cosine == cos(x))
    #expect(x.sine == sin(x))
    #expect(x.power(1.7) == pow(x, 1.7))
  }
}
