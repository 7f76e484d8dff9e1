// A launch on disk and back; damaged and foreign files are told by name.

import Collectives
import Foundation
import Scaling
import Storage
import StorageHDF5
import Support
import TestSupport
import Testing

@Suite struct LaunchRecordTests {
  private let folder: TemporaryFolder
  private let store = HDF5TableStore()

  init() throws { folder = try TemporaryFolder() }

  private var example: LaunchRecord {
    var launch = ExampleLaunch()
    let events: [MessageEvent] = [
      MessageEvent(.exchange(to: 1, from: 1), bytes: 16, computing: 0.5, seconds: 0.1),
      MessageEvent(.send(to: 1), bytes: 8, computing: 0.25, seconds: 0.1),
      MessageEvent(.broadcast(from: 0), bytes: 4, computing: 0, seconds: 0.1),
      MessageEvent(.end(ofUnit: "teacher"), computing: 0.25),
      MessageEvent(.meeting(of: [0, 1]), computing: 0.125, seconds: 0.1),
      MessageEvent(.end(ofUnit: "source"), computing: 0.5),
    ]
    let others: [MessageEvent] = [MessageEvent(.receive(from: 0), bytes: 8, computing: 1, seconds: 0)]
    launch.traces = [TracedStep(step: 5, events: [events, others], tail: [0.5, 0.25])]
    return launch.record
  }

  @Test("parts of a traced step add up to all of it") func units() throws {
    var record = example
    let parts = TracedUnits.sums(record.traces[0])
    #expect(parts[0].map(\.name) == ["teacher", "source", "rest"] && parts[1].map(\.name) == ["rest"])
    #expect(abs(parts[0][0].computing - 1) < 1e-12 && abs(parts[0][0].messages - 0.3) < 1e-12)
    #expect(abs(parts[0][1].computing - 0.625) < 1e-12 && parts[0][2].computing == 0.5)
    // 2.525 and 1.25 s of parts, of steps of 0.9 and 0.81 s.
    let units = try #require(TracedUnits([record]))
    #expect(abs(units.farthest - 2.525 / 0.9) < 1e-9 && abs(units.sumByStep - (2.525 / 0.9 + 1.25 / 0.81) / 2) < 1e-9)
    record.traces = []
    #expect(TracedUnits([record]) == nil)
  }

  @Test("controls come back as they were written") func controls() throws {
    var record = example
    record.links = LinkTimes(
      bytes: [64, 1024], distances: [1], exchange: [1, 2, 3, 4], sum: [5, 6, 7, 8], native: [1, 1, 1, 1], repeats: 2)
    record.storage = ["stall": 0.5, "write": 2]
    let path = folder.file("b.h5")
    try store.write(record.tables, to: path)
    #expect(try LaunchRecord(try store.read(path), path: path) == record)
  }

  @Test("a launch comes back as it was written, every bit of it") func roundTrip() throws {
    let path = folder.file("a.h5")
    try store.write(example.tables, to: path)
    #expect(try LaunchRecord(try store.read(path), path: path) == example)
    // No temporary stays.
    #expect(folder.names == ["a.h5"])
  }

  @Test("a file that is damaged, cut or another program's is refused by name") func damage() throws {
    let path = folder.file("a.h5")
    try store.write(example.tables, to: path)
    let whole = try folder.bytes("a.h5")
    var changed = whole
    changed[whole.count / 2] ^= 1
    for bytes in [changed, Array(whole.dropLast(9)), Array("hello".utf8), []] {
      try folder.write(bytes, to: "a.h5")
      let failure = #expect(throws: Failure.self) { try store.read(path) }
      #expect(failure?.status == .badData && failure?.place == path)
    }
    #expect(throws: Failure.self) { try store.read(folder.file("absent.h5")) }
  }

  @Test("what is missing or of another form is named") func foreignTables() throws {
    let file = example.tables
    for table in file.tables.keys where !table.hasPrefix("links/") {
      var less = file
      less.tables[table] = nil
      #expect(throws: Failure.self, "\(table)") { try LaunchRecord(less, path: "x.h5") }
    }
    var later = file
    later.attributes[""]?["schema"] = .integer(2)
    let failure = #expect(throws: Failure.self) { try LaunchRecord(later, path: "x.h5") }
    #expect(failure?.what == "has schema 2, this program reads 1" && failure?.status == .badData)
    var wrong = file
    wrong.tables["trace/events"] = NumberTable([0, 7, 7, -1, 0] + [Int](repeating: -1, count: 55), [1, 2, 6, 5])
    #expect(throws: Failure.self) { try LaunchRecord(wrong, path: "x.h5") }
  }

  @Test("a launch is the median of its steps after the warm-up, a step that of the slowest rank") func launchMedian() {
    #expect(example.slowest == [9, 9, 9, 1, 1.1, 0.9])
    #expect(example.kept == 3..<6 && example.median == 1)
  }
}
