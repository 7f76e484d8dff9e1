// Host files as people write them, and what leaving out a host makes of a command.

import Foundation
import Launching
import Support
import TestSupport
import Testing

@Suite struct HostFileTests {
  @Test func linesMayBeWrittenInManyWays() throws {
    let text =
      "\u{FEFF}# rack 1\r\nnode1 slots=4\r\n\r\n\tme@node2.cluster  max_slots=9 slots = 2 # two\r\n10.0.0.7\r\nnode1\tslots=1"
    let file = try HostFile(text, path: "hosts")
    #expect(file.hosts.map(\.name) == ["node1", "me@node2.cluster", "10.0.0.7", "node1"])
    #expect(file.hosts.map(\.slots) == [4, 2, nil, 1])
    #expect(file.hosts[1].address == "node2.cluster" && file.room == nil)
    #expect(try HostFile(text, path: "hosts", ranksPerNode: 3).room == 12)
    #expect(!file.text.contains("\r") && !file.text.contains("#"))
    #expect(try HostFile(file.text, path: "again").hosts.map(\.slots) == file.hosts.map(\.slots))
  }

  @Test(arguments: [
    ("here slots=two\n", "hosts:1: slots=two;"), ("# first\n\nhere slots=0\n", "hosts:3: slots=0;"),
    ("-oProxyCommand=x slots=2\n", "hosts:1: \"-oProxyCommand=x\" is no name"),
    ("here\n\u{1}\u{2};rm\n", "hosts:2: \"\\u{01}\\u{02};rm\" is no name"), ("# nobody\n", "names no host"),
  ])
  func linesThatCannotBeMeantAreRefused(text: String, words: String) {
    let failure = #expect(throws: Failure.self) { try HostFile(text, path: "hosts") }
    #expect(
      failure?.status == .badData && failure?.description.contains(words) == true, "\(String(describing: failure))")
    #expect(throws: Failure(.missingInput, "no host file /nonexistent")) {
      try HostFile(contentsOf: "/nonexistent")
    }
  }

  @Test func hostsAreFoundByTheNameThatTheyGiveThemselves() throws {
    let file = try HostFile(
      "me@node1.cluster slots=2\nnode2 slots=2\n10.0.0.1 slots=2\n10.0.0.2 slots=2\n", path: "hosts")
    #expect(file.without(["node1"])?.room == 6)
    #expect(file.without(["NODE2.cluster"])?.hosts.map(\.name) == ["me@node1.cluster", "10.0.0.1", "10.0.0.2"])
    #expect(file.without(["10.0.0.2", "node3"])?.hosts.count == 3)
    #expect(file.without(["node1", "node2", "10.0.0.1", "10.0.0.2"]) == nil)
  }

  @Test(arguments: [(8, 8, 8), (8, 6, 4), (8, 1, 1), (12, 5, 3), (6, 2, 2), (7, 5, 5), (1, 1, 1)])
  func ranksAreHalvedUntilTheyFit(before: Int, room: Int, after: Int) {
    #expect(ranks(before, fitting: room) == after)
  }
}

@Suite struct HostBlameTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  private func command(_ options: String...) throws -> RankCommand {
    try folder.write(Array("node1 slots=2\nnode2 slots=2\nnode3 slots=2\nnode2 slots=2\n".utf8), to: "hosts")
    let words = ["Launch/mpirun"] + options + ["--hosts", folder.file("hosts"), "train", "-n", "--resume"]
    return try #require(RankCommand(words))
  }

  @Test func aHostIsLeftOutAtItsLimit() throws {
    var command = try command("-n", "8")
    var blame = HostBlame(limit: 2, file: folder.file("left"))
    #expect(try blame.blame(["node2"], in: &command).isEmpty && blame.blame(["node1"], in: &command).isEmpty)
    #expect(
      try blame.blame(["node2"], in: &command) == [
        "host node2 failed 2 times and is left out; hosts left: node1 node3", "ranks from now on: 4 instead of 8",
      ])
    #expect(command.hostFile == folder.file("left") && command.ranks == 4)
    #expect(command.trainArguments == ["-n", "--resume"])
    #expect(String(decoding: try folder.bytes("left"), as: UTF8.self) == "node1 slots=2\nnode3 slots=2\n")
    // The next one comes from the shortened file.
    #expect(try blame.blame(["node1"], in: &command).last == "ranks from now on: 2 instead of 4")
    #expect(try blame.blame(["node3"], in: &command).isEmpty)
    #expect(try blame.blame(["node3"], in: &command) == ["host node3 failed 2 times, but no other is left"])
  }

  @Test func severalHostsFailAtOnce() throws {
    var command = try command("--ranks-per-node", "1")
    var blame = HostBlame(limit: 1, file: folder.file("left"))
    #expect(
      try blame.blame(["node3", "node1", "elsewhere"], in: &command) == [
        "host node3 failed once, host node1 failed once and are left out; hosts left: node2 node2"
      ])
    #expect(command.ranks == nil)
    #expect(String(decoding: try folder.bytes("left"), as: UTF8.self) == "node2 slots=1\nnode2 slots=1\n")
  }

  @Test func aCommandWithoutHostsStaysAsItIs() throws {
    let plain = try #require(RankCommand(["srun", "apus", "train", "--hosts", "x", "it's\nhere"]))
    var command = plain
    var blame = HostBlame(limit: 1, file: folder.file("left"))
    #expect(try blame.blame(["node1"], in: &command).isEmpty && command == plain)
    #expect(RankCommand(["train", "x"]) == nil && RankCommand(["apus", "evaluate"]) == nil)
  }
}
