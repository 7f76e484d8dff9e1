// Spans as a trace that Chrome's tracing page, Perfetto and speedscope show: a process for each rank, a row for each
// thread, phases around kernels and messages.

import Foundation
import Support

/// One event of the trace.
private struct TraceEvent: Encodable {
  let name: String
  let ph: String
  let pid: Int
  let tid: Int
  var cat: String?
  var ts: Double?
  var dur: Double?
  var args: [String: String]?
}

/// The spans of every thread of one process in Chrome's trace format ("JSON object format", complete events,
/// microseconds).
///
/// - Parameter lanes: as `KernelMeter.stop()` returns them: the computing thread, then the workers.
public func chromeTrace(_ lanes: [[MeterSpan]]) throws -> String {
  traceFile(try traceEvents(lanes, rank: 0, host: nil, start: lanes.joined().map(\.begin).min() ?? 0))
}

/// The events of one rank, each on a line; the rank is shown as a process.
/// - Parameter start: the time on this rank's clock that is shown as 0.
func traceEvents(_ lanes: [[MeterSpan]], rank: Int, host: String?, start: Int64) throws -> [String] {
  let name = "rank \(rank)" + (host.map { " on \($0)" } ?? "")
  var events = [TraceEvent(name: "process_name", ph: "M", pid: rank, tid: 0, args: ["name": name])]
  for (lane, spans) in lanes.enumerated() {
    let thread = lane == 0 ? "computing thread" : "worker \(lane)"
    events.append(TraceEvent(name: "thread_name", ph: "M", pid: rank, tid: lane, args: ["name": thread]))
    events += spans.map { span in
      var event = TraceEvent(name: "", ph: "X", pid: rank, tid: lane)
      switch span.label {
      case .phase(let name): event = TraceEvent(name: name, ph: "X", pid: rank, tid: lane, cat: "phase")
      case .communication(let name):
        event = TraceEvent(name: name, ph: "X", pid: rank, tid: lane, cat: "communication")
      case .kernel(let family, let function):
        event = TraceEvent(
          name: String("\(function)".prefix { $0 != "(" }), ph: "X", pid: rank, tid: lane, cat: family.rawValue)
        if span.operations > 0 { event.args = ["GFLOP": rounded(Double(span.operations) / 1e9, 3)] }
      }
      event.ts = Double(span.begin - start) / 1000
      event.dur = Double(span.end - span.begin) / 1000
      return event
    }
  }
  return try events.map { try jsonLine($0) }
}

/// A trace file of events.
func traceFile(_ events: [String]) -> String {
  "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n" + events.joined(separator: ",\n") + "\n]}\n"
}

/// Writes a trace to a file of the user's choice.
/// - Throws: `Failure` that names the file: 73 if it cannot be made, 74 if the disk is full.
public func writeTrace(_ text: String, to path: String) throws {
  do {
    try Foundation.Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
  } catch {
    let isFull = (error as? CocoaError)?.code == .fileWriteOutOfSpace
    throw Failure(
      isFull ? .inputOutput : .cannotCreate, "the trace cannot be written: \(error.localizedDescription)", at: path)
  }
}
