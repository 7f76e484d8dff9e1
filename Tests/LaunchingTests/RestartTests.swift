// When a job is started again, and what of its last words tells why it ended.

import Foundation
import Launching
import TestSupport
import Testing

@Suite struct RestartTests {
  @Test func pausesDoubleUntilACheckpointComes() {
    var plan = RestartPlan(limit: 9, backoff: 50)
    #expect((0..<6).map { _ in plan.nextRestart(hasNewerCheckpoint: false) } == [0, 50, 100, 200, 300, 300])
    #expect(plan.inRow == 6)
    #expect(plan.nextRestart(hasNewerCheckpoint: true) == 0 && plan.inRow == 1)
    #expect(plan.nextRestart(hasNewerCheckpoint: false) == 50)
  }

  @Test func restartsEndAtTheirLimit() {
    var plan = RestartPlan(limit: 2, backoff: 0)
    #expect((0..<3).map { _ in plan.nextRestart(hasNewerCheckpoint: false) } == [0, 0, nil])
    #expect(plan.nextRestart(hasNewerCheckpoint: true) == 0)
    var none = RestartPlan(limit: 0, backoff: 1000)
    #expect(none.nextRestart(hasNewerCheckpoint: true) == nil)
    var long = RestartPlan(limit: 4, backoff: 1000)
    #expect((0..<4).map { _ in long.nextRestart(hasNewerCheckpoint: false) } == [0, 1000, 1000, 1000])
  }

  @Test func whatNoRestartMendsIsFinal() {
    #expect((Int32(0)...255).filter(RestartPlan.isFinal) == [0, 64, 65, 66, 73])
  }
}

@Suite struct LastWordsTests {
  private func words(_ text: String) -> LastWords {
    var words = LastWords()
    // As they may come: a few bytes at a time.
    let bytes = Array(text.utf8)
    for start in stride(from: 0, to: bytes.count, by: 7) { words.hear(bytes[start..<min(start + 7, bytes.count)]) }
    words.end()
    return words
  }

  @Test(arguments: [
    (
      "apus: stalled: rank 1 on node2 has given no sign of life for 9 s, in step 3, phase a on b; look\nLaunch/mpirun: rank 0 on node1 ended on signal 9\n",
      "apus: stalled: rank 1 on node2 has given no sign of life for 9 s, in step 3, phase a on b; look", ["node2"]
    ),
    ("apus: stalled: ranks 1, 2 on n2 and 3 on n3 have given no sign of life", nil, ["n2", "n3"]),
    (
      "apus: rank 3 on node4: x cannot be read\napus: exit status 74\n-----\nprterun noise\n",
      "apus: rank 3 on node4: x cannot be read", ["node4"]
    ),
    ("apus: rank 0 on a: no answer\nLaunch/mpirun: host b is lost\n", "Launch/mpirun: host b is lost", ["b"]),
    ("Launch/mpirun: hosts c, d and e are lost\n", nil, ["c", "d", "e"]),
    ("Launch/mpirun: cannot reach host f: ssh: no route on 7\n", nil, ["f"]),
    ("Launch/mpirun: cannot reach host f: x\nLaunch/mpirun: cannot reach host g: x\n", nil, ["f", "g"]),
    ("Launch/mpirun: rank 2 on h ended on signal 9", "Launch/mpirun: rank 2 on h ended on signal 9", ["h"]),
    ("Launch/mpirun: a host has too few cores\n", "Launch/mpirun: a host has too few cores", []),
    (
      "ORTE was unable to reliably start one or more daemons.\n\n------\n",
      "ORTE was unable to reliably start one or more daemons.", []
    ),
    ("", nil, []),
  ])
  func theReasonAndTheHostsAreFound(text: String, reason: String?, hosts: [String]) {
    let found = words(text)
    #expect(found.failedHosts == hosts)
    if let reason { #expect(found.reason == reason) } else if text.isEmpty { #expect(found.reason == nil) }
  }

  @Test func endlessWordsAreBounded() {
    var words = LastWords()
    let line = Array("apus: warning \(String(repeating: "x", count: 50_000))\n".utf8)
    for _ in 0..<300 { words.hear(line) }
    words.hear(Array("apus: rank 1 on node1: the end".utf8))
    words.end()
    #expect(words.reason == "apus: rank 1 on node1: the end" && words.failedHosts == ["node1"])
  }
}

@Suite struct SharedSegmentTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  @Test func onlyLeftOverSegmentsOfThisUserAndHostGo() async throws {
    let host = ProcessInfo.processInfo.hostName
    let user = geteuid()
    let left = ["vader_segment.\(host).\(user).8f3c0001.0", "sm_segment.\(host).\(user).8f3c0001.12"]
    let kept = [
      "vader_segment.other.\(user).8f3c0001.0", "vader_segment.\(host).\(user + 1).8f3c0001.0", "something.\(host)",
    ]
    let held = "vader_segment.\(host).\(user).8f3c0001.1"
    for name in left + kept + [held] { try folder.write([1], to: name) }
    let file = try FileHandle(forReadingFrom: URL(filePath: folder.file(held)))
    let later = SharedSegments(in: folder.path, since: Date().addingTimeInterval(60))
    #expect(await later.removeLeftOver(patience: .zero) == 0)
    let segments = SharedSegments(in: folder.path, since: Date().addingTimeInterval(-60))
    #expect(await segments.removeLeftOver(patience: .zero) == 2)
    #expect(folder.names == (kept + [held]).sorted())
    try file.close()
    #expect(await segments.removeLeftOver(patience: .zero) == 1 && folder.names == kept.sorted())
  }
}
