// Spans as a trace that Chrome's tracing page, Perfetto and speedscope show: one row a thread, phases around kernels.

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

/// The spans of every thread in Chrome's trace format ("JSON object format", complete events, microseconds).
///
/// - Parameters:
///   - lanes: as `KernelMeter.stop()` returns them: the computing thread, then the workers.
///   - rank: shown as the process.
public func chromeTrace(_ lanes: [[MeterSpan]], rank: Int = 0) throws -> String {
  let start = lanes.joined().map(\.begin).min() ?? 0
  var events = [TraceEvent(name: "process_name", ph: "M", pid: rank, tid: 0, args: ["name": "rank \(rank)"])]
  for (lane, spans) in lanes.enumerated() {
    let thread = lane == 0 ? "computing thread" : "worker \(lane)"
    events.append(TraceEvent(name: "thread_name", ph: "M", pid: rank, tid: lane, args: ["name": thread]))
    events += spans.map { span in
      var event = TraceEvent(name: "", ph: "X", pid: rank, tid: lane)
      switch span.label {
      case .phase(let name): event = TraceEvent(name: name, ph: "X", pid: rank, tid: lane, cat: "phase")
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
  let lines = try events.map { try jsonLine($0) }
  return "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n" + lines.joined(separator: ",\n") + "\n]}\n"
}

/// Writes a trace to a file of the user's choice.
/// - Throws: `Failure` 73 that names the file.
public func writeTrace(_ text: String, to path: String) throws {
  do {
    try Foundation.Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
  } catch {
    throw Failure(.cannotCreate, "the trace cannot be written: \(error.localizedDescription)", at: path)
  }
}
