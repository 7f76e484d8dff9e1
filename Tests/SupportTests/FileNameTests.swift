// Names of files and folders: what is refused, and how it is shown.

import Foundation
import Support
import TestSupport
import Testing

@Suite struct FileNameTests {
  @Test(arguments: [
    "a", "gta to cityscapes", "Überlauf", ".hidden", "...", "a\u{200D}b", String(repeating: "ä", count: 127),
  ])
  func namesOfOneFolderPass(name: String) { #expect(faultOfFileName(name) == nil) }

  @Test(arguments: [
    ("", "is empty"), (".", "means a folder"), ("..", "means a folder"), ("../../x", "has a slash"),
    ("/", "has a slash"),
    ("a\nb", "control character"), ("a\r\nb", "control character"), ("a\u{1B}[2Jb", "control character"),
    ("a\u{2028}b", "line break"), ("a\u{202E}b", "control character"), ("a\0", "control character"),
    (" a", "space"), ("a\u{A0}", "space"), (String(repeating: "ä", count: 128), "has 256 bytes, more than 255"),
  ])
  func othersAreRefused(name: String, fault: String) {
    #expect(faultOfFileName(name)?.contains(fault) == true, "\(faultOfFileName(name) ?? "passed")")
  }

  @Test func listedNamesThatAreNotTextAreShownInBytes() async throws {
    let folder = try TemporaryFolder()
    let script = "mkdir $'caf\\xe9' d && : >$'caf\\xe9/a.png' && : >$'d/\\xff\\xfe.png' && : >$'d/\\xef\\xbf\\xbd.png'"
    let made = try await runCommand(["-c", "cd \"$0\" && \(script)", folder.path], of: URL(filePath: "/bin/bash"))
    try #require(made.status == 0, "\(made)")
    #expect(throws: Never.self) { try checkListedPath(folder.file("d/\u{FFFD}.png")) }
    for (listed, shown) in [("caf\u{FFFD}/a.png", "caf\\xE9"), ("d/\u{FFFD}\u{FFFD}.png", "d/\\xFF\\xFE.png")] {
      let failure = #expect(throws: Failure.self) { try checkListedPath(folder.file(listed)) }
      #expect(failure?.status == .badData && failure?.place == folder.file(shown), "\(String(describing: failure))")
      #expect(failure?.what == "a name that is not UTF-8")
    }
  }
}
