// The step with free messages, against small cases worked out by hand and real ranks in one process.

import Collectives
import CollectivesTesting
import Scaling
import Support
import Testing

@Suite struct FreeMessagesTests {
  private func event(_ kind: MessageEvent.Kind, after computing: Double) -> MessageEvent {
    // What a message took must not matter.
    MessageEvent(kind, computing: computing, seconds: 100)
  }

  private func seconds(_ events: [[MessageEvent]], tail: [Double]) -> Double? {
    FreeMessages.seconds(TracedStep(step: 0, events: events, tail: tail))
  }

  @Test("an exchange waits for the later of the two") func exchange() {
    let events = [[event(.exchange(to: 1, from: 1), after: 3)], [event(.exchange(to: 0, from: 0), after: 5)]]
    #expect(seconds(events, tail: [2, 1]) == 7)
  }

  @Test("a sender does not wait, a receiver does") func oneWay() {
    let events = [[event(.send(to: 1), after: 1)], [event(.receive(from: 0), after: 0)]]
    #expect(seconds(events, tail: [4, 3]) == 5)
    #expect(seconds([events[0], [event(.receive(from: 0), after: 9)]], tail: [4, 3]) == 12)
  }

  @Test("messages between two ranks keep their order") func order() {
    let events = [
      [event(.send(to: 1), after: 1), event(.send(to: 1), after: 10)],
      [event(.receive(from: 0), after: 0), event(.receive(from: 0), after: 1)],
    ]
    #expect(seconds(events, tail: [0, 1]) == 12)
  }

  @Test("alternating work costs what a serial chain costs") func chain() {
    // Each rank computes while the other waits: load balance is perfect, and half of the time is lost.
    let first = [event(.exchange(to: 1, from: 1), after: 1), event(.exchange(to: 1, from: 1), after: 0)]
    let second = [event(.exchange(to: 0, from: 0), after: 0), event(.exchange(to: 0, from: 0), after: 1)]
    #expect(seconds([first, second], tail: [0, 0]) == 2)
  }

  @Test("a meeting of some leaves others alone; a broadcast waits for its root") func groups() {
    let events = [
      [event(.meeting(of: [0, 1]), after: 1), event(.broadcast(from: 2), after: 1)],
      [event(.meeting(of: [0, 1]), after: 4), event(.broadcast(from: 2), after: 0)],
      [event(.broadcast(from: 2), after: 2)],
    ]
    #expect(seconds(events, tail: [0, 0, 0]) == 5)
    #expect(seconds(events, tail: [0, 0, 4]) == 6)
  }

  @Test("the end of a part of the step is no message") func parts() {
    let events = [
      [event(.end(ofUnit: "a"), after: 2), event(.exchange(to: 1, from: 1), after: 1)],
      [event(.exchange(to: 0, from: 0), after: 5), event(.end(ofUnit: "a"), after: 3)],
    ]
    #expect(seconds(events, tail: [0, 1]) == 9)
  }

  @Test("events that do not fit together give nothing") func misfit() {
    #expect(seconds([[event(.receive(from: 1), after: 0)], []], tail: [0, 0]) == nil)
    #expect(seconds([[event(.meeting(of: [0, 1]), after: 0)], []], tail: [0, 0]) == nil)
  }

  @Test("what ranks log fits together, on any number of them", arguments: [1, 2, 3, 4, 5, 8]) func logged(ranks: Int)
    throws
  {
    let logs = try LoopbackCommunicator.run(ranks: ranks) { communicator -> (events: [MessageEvent], tail: Double) in
      let metered = MeteredCommunicator(communicator)
      metered.listen(true)
      var sums = [Double(communicator.rank), 1]
      try sumTree(&sums, on: metered)
      _ = try metered.gatherStrings("rank \(metered.rank)")
      try metered.barrier()
      _ = try metered.gathered([metered.rank])
      try metered.noting { _ = try metered.allMaximum(Int64(1)) }
      let log = metered.listen(false)
      return (log?.events ?? [], log?.secondsSince ?? 0)
    }
    let step = TracedStep(step: 0, events: logs.map(\.events), tail: logs.map(\.tail))
    let free = try #require(FreeMessages.seconds(step))
    let whole = logs.map { $0.tail + $0.events.reduce(0) { $0 + $1.computing + $1.seconds } }
    #expect(free <= (whole.max() ?? 0) + 1e-9)
    // What happens inside a meeting is a part of it.
    if ranks > 1 { #expect(logs.allSatisfy { $0.events.last?.kind == .meeting(of: Array(0..<ranks)) }) }
    #expect(ranks > 1 || logs[0].events.isEmpty)
  }
}
