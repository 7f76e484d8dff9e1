// When gradients travel: what `auto` chooses from the times of a run's first steps, alike on all ranks.

import Collectives
import CollectivesTesting
import DataParallel
import TestSupport
import Testing

@Suite struct OverlapTrialTests {
  /// Modes of the steps of every rank, the one chosen last, where a step of each mode takes so long.
  private func modes(
    _ setting: OverlapSetting, seconds: [OverlapMode: Double], mayDefer: [Bool], isPossible: Bool = true
  ) throws -> [[OverlapMode]] {
    try LoopbackCommunicator.run(ranks: mayDefer.count) { communicator in
      let trial = OverlapTrial(setting, isPossible: isPossible, on: communicator)
      var seen = [trial.mode]
      for step in 0..<12 {
        // The first step would mislead: it warms up.
        let time = step == 0 ? 100 : seconds[trial.mode] ?? 0
        _ = try trial.stepEnded(seconds: time + Double(communicator.rank), mayDefer: mayDefer[communicator.rank])
        seen.append(trial.mode)
      }
      return seen
    }
  }

  @Test(arguments: OverlapMode.allCases) func takesTheFastest(mode: OverlapMode) throws {
    var seconds = Dictionary(uniqueKeysWithValues: OverlapMode.allCases.map { ($0, 2.0) })
    seconds[mode] = 1
    for seen in try modes(.auto, seconds: seconds, mayDefer: [true, true]) {
      #expect(seen.suffix(3) == [mode, mode, mode])
      let tried = OverlapMode.allCases.map { own in seen[1...9].count { $0 == own } }
      #expect(tried == [3, 3, 3])
    }
  }

  @Test func defersOnlyWhereEveryRankCan() throws {
    let seconds: [OverlapMode: Double] = [.after: 3, .during: 2, .deferring: 1]
    #expect(try modes(.auto, seconds: seconds, mayDefer: [true, false]).map(\.last) == [.during, .during])
    #expect(
      try modes(.on, seconds: seconds, mayDefer: [true, false]).map { $0.suffix(12) } == [
        Array(repeating: .during, count: 12), Array(repeating: .during, count: 12),
      ])
    #expect(
      try modes(.on, seconds: seconds, mayDefer: [true, true]).map { $0.suffix(12) } == [
        Array(repeating: .deferring, count: 12), Array(repeating: .deferring, count: 12),
      ])
  }

  @Test func aloneOrUnableNothingTravelsEarly() throws {
    let seconds: [OverlapMode: Double] = [.after: 3, .during: 2, .deferring: 1]
    let never = [OverlapMode](repeating: .after, count: 13)
    for setting in OverlapSetting.allCases {
      #expect(try modes(setting, seconds: seconds, mayDefer: [true]) == [never])
      #expect(try modes(setting, seconds: seconds, mayDefer: [true, true], isPossible: false) == [never, never])
    }
    #expect(try modes(.off, seconds: seconds, mayDefer: [true, true]) == [never, never])
  }
}
