// What the documents show is tried as it stands there.

import Foundation
import TestSupport
import Testing

@Suite struct DocumentTests {
  /// The first piece of YAML in a document.
  private func recipe(in document: String) throws -> Substring {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    let text = try String(contentsOf: root.appending(path: document), encoding: .utf8)
    return try #require(text.firstMatch(of: /```yaml\n((?:.|\n)*?)```/)).1
  }

  @Test func theExampleRecipeTrains() async throws {
    let folder = try TemporaryFolder()
    let file = folder.file("example.yaml")
    try folder.write(Array(try recipe(in: "docs/recipes.md").utf8), to: "example.yaml")
    let result = try await startTraining(
      in: folder.file("run"), recipe: file, ["--steps", "2"])
    try #require(result.status == 0, "\(result)")
    #expect(try TrainedState(folder.file("run")).steps.map(\.step) == [1, 2])
    // The complete recipe alone repeats the run.
    let again = try await startTraining(
      in: folder.file("again"), recipe: folder.file("run/recipe.yaml"), ["--steps", "2"])
    try #require(again.status == 0, "\(again)")
    #expect(try TrainedState(folder.file("again")).matches(try TrainedState(folder.file("run"))))
  }
}
