// Shipped recipes of methods as a user starts them: a run that is cut in two goes on as if it had not been.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct MethodRunTests {
  private static let folder = URL(fileURLWithPath: #filePath).appending(path: "../../../Launch/recipes/methods")
    .standardizedFileURL.path

  /// Four steps of a recipe at once, and two with two more on another number of ranks.
  @Test(arguments: ["dacs", "daformer", "hrda", "mic", "source-only"])
  func fourStepsAreTwoAndTwo(name: String) async throws {
    let folder = try TemporaryFolder()
    let recipe = "\(MethodRunTests.folder)/\(name).yaml"
    func run(_ place: String, ranks: Int? = nil, _ options: String...) async throws {
      let quick = ["data.validation.count=2", "checkpoint.every=2", "log.every=1"].flatMap { ["--set", $0] }
      let result = try await startTraining(in: folder.file(place), ranks: ranks, recipe: recipe, quick + options)
      try #require(result.status == 0, "\(result)")
    }
    try await run("whole", "--steps", "4")
    try await run("halves", ranks: 2, "--steps", "2")
    try await run("halves", "--steps", "4", "--resume")
    let whole = try TrainedState(folder.file("whole"))
    #expect(try TrainedState(folder.file("halves")).matches(whole))
    #expect(whole.layout.step == 4)
    if name == "dacs" {
      let resolved = try String(contentsOfFile: folder.file("whole") + "/recipe.yaml", encoding: .utf8)
      #expect(resolved.contains("  average: late\n") && resolved.contains("  classes: image\n"))
    }
  }

  @Test func maskedTargetImagesNeedTargetImages() async throws {
    let folder = try TemporaryFolder()
    let result = try await startTraining(
      in: folder.file("run"), recipe: "\(MethodRunTests.folder)/mic.yaml", ["--set", "data.target="])
    #expect(result.refuses(65, "data.target", "learns from it"), "\(result)")
  }
}
