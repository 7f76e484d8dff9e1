// Who is stalled, decided from signs of life at given times; and a watchdog of one rank that watches itself.

import Collectives
import Support
import Synchronization
import Testing

@Suite struct StallJudgeTests {
  private let limits = StallLimits(factor: 10, minimumSeconds: 5, startUpSeconds: 50, besideSeconds: 100)

  private func beat(
    _ rank: Int, phases: Int = 1, standing: Double = 0, kind: Activity.Kind = .step, isLast: Bool = false
  ) -> Heartbeat {
    let place = Activity.Place(step: kind == .startUp ? 0 : 7, phase: "mixed", kind: kind, phases: phases)
    return Heartbeat(rank: rank, place: place, standing: standing, isLast: isLast)
  }

  private func judge(rank: Int = 0, _ beats: [Heartbeat]) -> StallJudge {
    var judge = StallJudge(rank: rank, ranks: 4)
    for beat in beats { judge.heard(beat) }
    return judge
  }

  @Test func silenceIsFoundAfterTheLimitAndNotBefore() {
    var judge = judge((0..<4).map { beat($0) })
    judge.advance(by: 4.9)
    #expect(judge.stall(limits, usual: 0.1) == nil)
    for rank in [0, 1, 3] { judge.heard(beat(rank)) }
    judge.advance(by: 0.2)
    let stall = judge.stall(limits, usual: 0.1)
    #expect(stall?.culprits.map(\.rank) == [2])
    #expect(
      stall?.description(hosts: ["a", "b", "c", "d"])
        == "rank 2 on c has given no sign of life for 5 s, in step 7, phase mixed")
    // Ten steps of a second are longer than the minimum.
    #expect(judge.stall(limits, usual: 1) == nil)
  }

  /// A cable takes whole hosts with it, and their last signs of life came at different moments.
  @Test func allThatFellSilentAreNamedWithTheirHosts() {
    var judge = StallJudge(rank: 0, ranks: 8)
    for rank in 0..<8 { judge.heard(beat(rank)) }
    judge.advance(by: 0.4)
    for rank in [2, 5, 6, 7] { judge.heard(beat(rank)) }
    judge.advance(by: 4.5)
    for rank in [0, 1, 3] { judge.heard(beat(rank)) }
    judge.advance(by: 0.2)
    let hosts = ["a", "a", "b", "a", "b", "b", "b", "c"]
    let words = "rank 2 on b (with 4 to 6) and rank 7 on c have given no sign of life for 5 s, in step 7, phase mixed"
    #expect(judge.stall(limits, usual: 0.1)?.description(hosts: hosts) == words)
    // What a supervisor looks for.
    #expect(words.matches(of: /rank \d+ on ([a-z]+)/).map(\.1) == ["b", "c"])
  }

  @Test func silenceCountsBesideStepsToo() {
    var judge = judge((0..<4).map { beat($0, kind: .beside) })
    judge.advance(by: 6)
    for rank in [0, 2, 3] { judge.heard(beat(rank, kind: .beside)) }
    #expect(judge.stall(limits, usual: nil)?.culprits.map(\.rank) == [1])
  }

  @Test func allStandAndThoseBehindAreToBlame() {
    let standing = [beat(0, phases: 9, standing: 6), beat(1, phases: 8, standing: 6), beat(2, phases: 9, standing: 6)]
    #expect(judge(standing + [beat(3, phases: 9, standing: 1)]).stall(limits, usual: 0.1) == nil)
    let stall = judge(standing + [beat(3, phases: 8, standing: 7)]).stall(limits, usual: 0.1)
    #expect(stall?.culprits.map(\.rank) == [1, 3])
    #expect(
      stall?.description(hosts: ["a", "b", "c", "d"])
        == "rank 1 on b and rank 3 on d have stood still for 6 s, in step 7, phase mixed")
  }

  @Test func whoWaitsForOthersIsNotToBlame() {
    let beats = (0..<4).map { rank in
      var beat = beat(rank, phases: 8, standing: 6)
      beat.place.isWaiting = rank != 2
      return beat
    }
    #expect(judge(beats).stall(limits, usual: 0.1)?.culprits.map(\.rank) == [2])
  }

  /// Ranks that were given more images of an evaluation have told more, but have not come further.
  @Test func ticksDoNotTellWhoHasComeFarthest() {
    let beats = (0..<4).map { rank in
      var beat = beat(rank, phases: 8, standing: 6)
      beat.place.marks = rank < 3 ? 12 : 10
      beat.place.isWaiting = rank != 2
      return beat
    }
    #expect(judge(beats).stall(limits, usual: 0.1)?.culprits.map(\.rank) == [2])
  }

  @Test func evaluationAndTheFirstStepMayTakeLonger() {
    let beside = judge((0..<4).map { beat($0, standing: 99, kind: $0 == 1 ? .beside : .step) })
    #expect(beside.stall(limits, usual: 0.1) == nil)
    let first = judge((0..<4).map { beat($0, standing: 49) })
    #expect(first.stall(limits, usual: nil) == nil)
    #expect(first.stall(limits, usual: 0.1)?.culprits.count == 4)
    let long = judge((0..<4).map { beat($0, standing: 51) })
    #expect(long.stall(limits, usual: nil)?.culprits.count == 4)
  }

  @Test func preparationsHaveALimitOfTheirOwn() {
    let early = judge((0..<4).map { beat($0, standing: 49, kind: .startUp) })
    #expect(early.stall(limits, usual: nil) == nil)
    let late = judge((0..<4).map { beat($0, phases: $0 == 2 ? 3 : 4, standing: 51, kind: .startUp) })
    #expect(
      late.stall(limits, usual: nil)?.description(hosts: ["a", "b", "c", "d"])
        == "rank 2 on c has stood still for 51 s, before the first step, phase mixed")
  }

  @Test func whoIsDoneIsNotWaitedFor() {
    var judge = judge([beat(0), beat(1), beat(2, isLast: true), beat(3)])
    judge.advance(by: 50)
    for rank in [0, 1, 3] { judge.heard(beat(rank)) }
    #expect(judge.stall(limits, usual: 0.1) == nil)
  }

  @Test func othersWatchRankZeroOneAfterTheOther() {
    for rank in 1..<4 {
      var judge = judge(rank: rank, (0..<4).map { beat($0, standing: 200) })
      judge.advance(by: 5.5)
      #expect(judge.stall(limits, usual: 0.1) == nil)
      judge.advance(by: Double(rank))
      #expect(judge.stall(limits, usual: 0.1)?.culprits.map(\.rank) == [0])
    }
  }
}

@Suite(.serialized) struct WatchdogTests {
  private final class Reasons: Sendable {
    let all = Mutex<[Failure]>([])
  }

  private func watchdog(_ reasons: Reasons) throws -> Watchdog {
    try Watchdog(
      rank: 0, hosts: ["here"], limits: StallLimits(factor: 10, minimumSeconds: 1, startUpSeconds: 1, besideSeconds: 1),
      channel: nil
    ) { failure in reasons.all.withLock { $0.append(failure) } }
  }

  @Test func aRankThatStandsIsReportedOnce() async throws {
    let reasons = Reasons()
    Activity.begin(step: 3)
    Activity.enter("source")
    let watchdog = try watchdog(reasons)
    watchdog.stepEnded(seconds: 0.01)
    try await Task.sleep(for: .seconds(3))
    watchdog.stop()
    let found = reasons.all.withLock { $0 }
    #expect(found.count == 1)
    #expect(found.first?.status == .internal)
    #expect(
      found.first?.description.hasPrefix("stalled: rank 0 on here has stood still for 1 s, in step 3, phase source")
        == true)
  }

  @Test func aRankThatGetsOnIsLeftAlone() async throws {
    let reasons = Reasons()
    let watchdog = try watchdog(reasons)
    for step in 0..<30 {
      Activity.begin(step: step)
      watchdog.stepEnded(seconds: 0.1)
      try await Task.sleep(for: .milliseconds(100))
    }
    watchdog.stop()
    #expect(reasons.all.withLock { $0 }.isEmpty)
  }
}
