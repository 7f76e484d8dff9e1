// The messages of traced steps as tables: m steps, P ranks, I events of the rank that has most; others are filled up.
//
// `trace/computing` and `trace/seconds` [m, P, I]; `trace/events` [m, P, I, 5]: kind, then
//   0 exchange: to, from · 1 send: to · 2 receive: from · 3 broadcast: from · 4 meeting: first rank, step between ranks,
//   number of ranks · 5 end of a part of the step: its number among the attribute `units`; bytes last. -1: no event.
// `trace/tail` [m, P]; `trace/steps` [m].

import Collectives
import Storage
import Support

enum TraceTables {
  private static let width = 5

  static func put(_ traces: [TracedStep], into file: inout TableFile, ranks: Int) {
    let most = traces.flatMap { $0.events.map(\.count) }.max() ?? 0
    let shape = [traces.count, ranks, most]
    let rows = traces.flatMap { trace in
      trace.events.map { events in
        events.map(Optional.some) + [MessageEvent?](repeating: nil, count: most - events.count)
      }
    }.joined()
    file.tables["trace/steps"] = NumberTable(traces.map(\.step), [traces.count])
    file.tables["trace/tail"] = NumberTable(traces.flatMap(\.tail), [traces.count, ranks])
    file.tables["trace/computing"] = NumberTable(rows.map { $0?.computing ?? 0 }, shape)
    file.tables["trace/seconds"] = NumberTable(rows.map { $0?.seconds ?? 0 }, shape)
    let units = units(of: traces)
    let numbers = Dictionary(uniqueKeysWithValues: zip(units, units.indices))
    file.attributes["trace"] = ["units": .text(units.joined(separator: "\n"))]
    file.tables["trace/events"] = NumberTable(rows.flatMap { row($0, numbers) }, shape + [width])
  }

  /// Names of the parts of steps, in order of their first end.
  private static func units(of traces: [TracedStep]) -> [String] {
    traces.flatMap { $0.events.joined() }.reduce(into: []) { units, event in
      if case .end(let unit) = event.kind, !units.contains(unit) { units.append(unit) }
    }
  }

  private static func row(_ event: MessageEvent?, _ units: [String: Int]) -> [Int] {
    guard let event else { return [Int](repeating: -1, count: width) }
    switch event.kind {
    case .exchange(let to, let from): return [0, to, from, -1, event.bytes]
    case .send(let to): return [1, to, -1, -1, event.bytes]
    case .receive(let from): return [2, from, -1, -1, event.bytes]
    case .broadcast(let from): return [3, from, -1, -1, event.bytes]
    case .meeting(let ranks):
      // Teams and counterparts are evenly spaced; nothing else meets.
      let step = ranks.count > 1 ? ranks[1] - ranks[0] : 1
      return [4, ranks.first ?? 0, step, ranks.count, event.bytes]
    case .end(let unit): return [5, units[unit] ?? 0, -1, -1, 0]
    }
  }

  static func traces(_ reader: TableReader, ranks: Int) throws -> [TracedStep] {
    let shape = reader.file.tables["trace/events"]?.shape ?? []
    guard shape.count == 4, shape[1] == ranks, shape[3] == width else {
      throw Failure(.badData, "trace/events is missing or of another form", at: reader.path)
    }
    let (count, most) = (shape[0], shape[2])
    let steps = try reader.table("trace/steps", integers: [count])
    let tail = try reader.table("trace/tail", numbers: [count, ranks])
    let computing = try reader.table("trace/computing", numbers: [count, ranks, most])
    let seconds = try reader.table("trace/seconds", numbers: [count, ranks, most])
    let rows = try reader.table("trace/events", integers: shape)
    let units = try reader.text("trace", "units").split(separator: "\n").map(String.init)
    return try (0..<count).map { step in
      let events = try (0..<ranks).map { rank in
        try (0..<most).compactMap { place -> MessageEvent? in
          let index = (step * ranks + rank) * most + place
          let row = rows[index * width..<(index + 1) * width]
          guard let kind = try kind(Array(row), ranks: ranks, units, reader.path) else { return nil }
          return MessageEvent(
            kind, bytes: row.last ?? 0, computing: computing[index], seconds: seconds[index])
        }
      }
      return TracedStep(step: steps[step], events: events, tail: Array(tail[step * ranks..<(step + 1) * ranks]))
    }
  }

  /// Nil for no event.
  private static func kind(_ row: [Int], ranks: Int, _ units: [String], _ path: String) throws -> MessageEvent.Kind? {
    func rank(_ number: Int) throws -> Int {
      guard (0..<ranks).contains(number) else {
        throw Failure(.badData, "trace/events names rank \(number) of \(ranks)", at: path)
      }
      return number
    }
    switch row[0] {
    case -1: return nil
    case 0: return .exchange(to: try rank(row[1]), from: try rank(row[2]))
    case 1: return .send(to: try rank(row[1]))
    case 2: return .receive(from: try rank(row[1]))
    case 3: return .broadcast(from: try rank(row[1]))
    case 4:
      guard (1...ranks).contains(row[3]) else {
        throw Failure(.badData, "trace/events has a meeting of \(row[3]) ranks", at: path)
      }
      return .meeting(of: try (0..<row[3]).map { try rank(row[1] + $0 * row[2]) })
    case 5:
      guard units.indices.contains(row[1]) else {
        throw Failure(.badData, "trace/events names part \(row[1]) of \(units.count)", at: path)
      }
      return .end(ofUnit: units[row[1]])
    default: throw Failure(.badData, "trace/events has an event of kind \(row[0])", at: path)
    }
  }
}
