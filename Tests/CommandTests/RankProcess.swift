// One rank of a running job, seen and touched from outside, as the system or a fault would.

import Foundation
import Support

/// A process that trains as one rank of a job under mpirun.
struct RankProcess {
  /// Its number.
  let identifier: pid_t
  private let run: String

  /// Waits until the run has logged some steps, or, for 0, until the rank is there, and finds it.
  init(_ rank: Int, in run: String, loggedSteps: Int) async throws {
    self.run = run
    let deadline = ContinuousClock.now + .seconds(200)
    while ContinuousClock.now < deadline {
      if Self.lines(run) >= loggedSteps, let found = try Self.find(rank, in: run) {
        identifier = found
        return
      }
      try await Task.sleep(for: .milliseconds(20))
    }
    throw Failure(.internal, "rank \(rank) was not found", at: run)
  }

  /// Whether the process is there; a dead one that nobody has waited for is not.
  var isAlive: Bool {
    let status = (try? String(contentsOfFile: "/proc/\(identifier)/stat", encoding: .utf8)) ?? ""
    return !status.isEmpty && !status.contains(") Z ")
  }

  /// Waits until it has a thread of that name.
  func waitForThread(_ name: String) async throws {
    let tasks = "/proc/\(identifier)/task"
    let deadline = ContinuousClock.now + .seconds(200)
    while ContinuousClock.now < deadline {
      let threads = try FileManager.default.contentsOfDirectory(atPath: tasks)
      if threads.contains(where: {
        (try? String(contentsOfFile: "\(tasks)/\($0)/comm", encoding: .utf8)) == name + "\n"
      }) {
        return
      }
      try await Task.sleep(for: .milliseconds(20))
    }
    throw Failure(.internal, "process \(identifier) has no thread \(name)", at: run)
  }

  /// Lines of the run's log.
  var loggedSteps: Int { get throws { Self.lines(run) } }

  private static func lines(_ run: String) -> Int {
    (FileManager.default.contents(atPath: run + "/log.jsonl") ?? Data()).count { $0 == UInt8(ascii: "\n") }
  }

  private static func find(_ rank: Int, in run: String) throws -> pid_t? {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { pid_t($0) }.first { process in
      let line = words("/proc/\(process)/cmdline")
      return line.first?.hasSuffix("/apus") == true && line.contains(run)
        && words("/proc/\(process)/environ").contains("OMPI_COMM_WORLD_RANK=\(rank)")
    }
  }

  private static func words(_ path: String) -> [String] {
    guard let bytes = try? FileHandle(forReadingFrom: URL(filePath: path)).readToEnd() else { return [] }
    return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
  }

  /// Flips one bit wherever the words stand in the process's memory. Returns how many places that were.
  func flip(bit: Int, ofWord index: Int, in words: [UInt32]) throws -> Int {
    kill(identifier, SIGSTOP)
    defer { kill(identifier, SIGCONT) }
    let memory = open("/proc/\(identifier)/mem", O_RDWR)
    guard memory >= 0 else { throw Failure(.inputOutput, "the memory of process \(identifier) cannot be opened") }
    defer { close(memory) }
    var places: [UInt64] = []
    for area in try writableAreas() {
      var bytes = [UInt32](repeating: 0, count: Int(area.count) / 4)
      let read = bytes.withUnsafeMutableBytes { pread(memory, $0.baseAddress, $0.count, off_t(area.lowerBound)) }
      let count = max(read, 0) / 4
      guard count >= words.count else { continue }
      for first in 0...count - words.count where bytes[first] == words[0] {
        if words.indices.allSatisfy({ bytes[first + $0] == words[$0] }) {
          places.append(area.lowerBound + UInt64(4 * first))
        }
      }
    }
    var flipped = words[index] ^ (1 << UInt32(bit))
    for place in places { pwrite(memory, &flipped, 4, off_t(place) + off_t(4 * index)) }
    return places.count
  }

  private func writableAreas() throws -> [Range<UInt64>] {
    try String(contentsOfFile: "/proc/\(identifier)/maps", encoding: .utf8).split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      let ends = words[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
      return ends.count == 2 && words[1].hasPrefix("rw") ? ends[0]..<ends[1] : nil
    }
  }
}
