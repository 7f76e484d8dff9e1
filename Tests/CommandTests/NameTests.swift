// Names of recipes and files that lead elsewhere or are no text.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct NameTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Runs `apus` by a shell, which can write names that are no text.
  private func shell(_ script: String) async throws -> CommandResult {
    try await runCommand(
      ["-c", "apus() { '\(apusExecutable.path)' \"$@\"; }; cd '\(folder.path)'; \(script)"],
      of: URL(filePath: "/bin/bash"), environment: ["APUS_THREADS": "1"])
  }

  @Test func namesThatAreNoTextAreShownInBytes() async throws {
    let made = try await shell(
      """
      apus data generate --output a --domain target --count 2 --size 64x64
      cp a/images/target-000000.png $'a/images/caf\\xe9.png'; mkdir $'b\\xe8'
      """)
    try #require(made.status == 0, "\(made)")
    let listed = try await startTraining(
      in: folder.file("run"), ["--set", "data.target={kind: folder, images: \(folder.path)/a/images}"])
    #expect(listed.refuses(65, "a/images/caf\\xE9.png: a name that is not UTF-8"), "\(listed)")
    let given = try await shell("apus predict --checkpoint c.h5 --output o $'a/images/caf\\xe9.png'")
    #expect(given.refuses(64, "a/images/caf\\xE9.png: an argument is not UTF-8"), "\(given)")
    let inside = try await shell("cd $'b\\xe8'; apus doctor")
    #expect(inside.refuses(64, "b\\xE8: the current folder has a name that is not UTF-8"), "\(inside)")
  }

  @Test func aNameLeadsNowhereElse() async throws {
    let refused = try await shell("mkdir in; cd in; apus train '\(testRecipe)' --set name=../../x --steps 1")
    #expect(refused.refuses(65, "--set name: name is \"../../x\", which has a slash"), "\(refused)")
    #expect(folder.names == ["in"])
  }

  @Test func aNameOfOneLetterWillDo() async throws {
    let trained = try await startTraining(in: folder.file("run"), ["--steps", "1"])
    try #require(trained.status == 0, "\(trained)")
    let exported = try await shell("cp run/checkpoints/step-00000001.h5 c && apus checkpoint export c --output o")
    #expect(exported.status == 0 && folder.names.contains("o"), "\(exported)")
  }
}
