// Commands that are for one process, started on several ranks.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct LaunchTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  @Test(arguments: [
    "checkpoint inspect FOLDER/none.h5", "checkpoint verify FOLDER/none.h5",
    "checkpoint compare FOLDER/a.h5 FOLDER/b.h5",
    "checkpoint import FOLDER/a.pth --recipe FOLDER/a.yaml --output FOLDER/out",
    "checkpoint export FOLDER/a.h5 --output FOLDER/out", "checkpoint prune FOLDER", "cache inspect FOLDER",
    "cache verify FOLDER", "verify FOLDER/a.h5", "data generate --output FOLDER/out --count 2",
    "data preview --output FOLDER/out --count 2", "data index --domain source --count 2 --output FOLDER/out",
    "data statistics --domain source --count 2",
  ])
  func severalRanksAreRefusedOnce(_ call: String) async throws {
    let words = call.replacing("FOLDER", with: folder.path).split(separator: " ").map(String.init)
    let result = try await runRanks(2, words)
    #expect(
      result.refuses(64, "apus: ", "this command runs alone, not on 2 ranks; start it without mpirun"), "\(result)")
    #expect(result.output.isEmpty && folder.names.isEmpty, "\(result)")
  }

  @Test func oneRankUnderALauncherIsAlone() async throws {
    let result = try await runRanks(1, ["data", "generate", "--output", folder.file("out"), "--count", "2"])
    #expect(result.status == 0 && folder.names == ["out"], "\(result)")
  }

  /// What the launcher leaves to a process can only be seen under it.
  @Test func theDoctorLooksAtEveryPlace() async throws {
    let result = try await runRanks(2, ["doctor"])
    #expect([0, 1].contains(result.status), "\(result)")
    #expect(result.output.components(separatedBy: "usable here").count >= 2, "\(result)")
  }
}
