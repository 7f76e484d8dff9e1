// Whether a process can be told to live or to have ended, from what it wrote down of itself.

import Foundation
import Support
import TestSupport
import Testing

@Suite struct ProcessIdentityTests {
  /// Boot, namespace, process and start of a process, as this test reads them.
  private func fields(_ process: Int32) throws -> [String] {
    let boot = try String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
    let namespace = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/ns/pid")
    let line = try String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
    let start = try #require(line.split(separator: ")").last?.split(separator: " "))[19]
    return [
      String(boot.filter { $0 != "-" }.prefix(12)), String(namespace.filter(\.isNumber)), "\(process)", String(start),
    ]
  }

  private func standing(_ fields: [String]) throws -> ProcessIdentity.Standing {
    try #require(ProcessIdentity(fields.joined(separator: "-"))).standing
  }

  @Test func thisProcessLivesUnderItsOwnNameOnly() throws {
    let own = try fields(getpid())
    #expect(ProcessIdentity.current.description == own.joined(separator: "-"))
    #expect(try standing(own) == .lives && ProcessIdentity.current.isOfThisKernel)
    #expect(try standing(Array(own[..<3]) + ["\((UInt64(own[3]) ?? 0) + 1)"]) == .hasEnded, "an id that is used again")
    #expect(try standing(["0123456789ab"] + own[1...]) == .unknown, "another kernel")
    #expect(try standing([own[0], "1", own[2], own[3]]) == .unknown, "another container")
  }

  @Test func aChildIsSeenToLiveAndToEnd() throws {
    let child = Process()
    child.executableURL = URL(filePath: "/bin/sleep")
    child.arguments = ["60"]
    try child.run()
    let its = try fields(child.processIdentifier)
    #expect(try standing(its) == .lives)
    child.terminate()
    child.waitUntilExit()
    #expect(try standing(its) == .hasEnded)
  }

  @Test(arguments: ["", "a-1-2", "-1-2-3", "a-1-0-3", "a-1--2-3", "a-1-2-x", "a-1-2-3-4"])
  func otherTextsNameNobody(text: String) { #expect(ProcessIdentity(text) == nil) }
}
