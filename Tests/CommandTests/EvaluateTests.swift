// `apus evaluate` and `apus predict` on the checkpoint of a run, with built-in class sets and those of files.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct EvaluateTests {
  /// The object of `evaluate --json`, as the contract has it.
  private struct Scores: Decodable, Equatable {
    let mIoU: Double
    let iou: [String: Double?]
    let pixelAccuracy: Double
    let confusion: [[Int]]
    let classes: [String]
    let images: Int
  }

  let folder: TemporaryFolder
  let checkpoint: String

  init() async throws {
    folder = try TemporaryFolder()
    checkpoint = folder.file("run/checkpoints/step-00000004.h5")
    let trained = try await startTraining(in: folder.file("run"), ["--steps", "4"])
    try #require(trained.status == 0, "\(trained)")
  }

  private func evaluate(_ options: [String], ranks: Int? = nil) async throws -> CommandResult {
    let arguments = ["evaluate", "--checkpoint", checkpoint] + options
    guard let ranks else { return try await runCommand(arguments, timeout: 120) }
    return try await runRanks(ranks, arguments, timeout: 120)
  }

  private func scores(_ options: [String], ranks: Int? = nil) async throws -> Scores {
    let result = try await evaluate(options + ["--json"], ranks: ranks)
    try #require(result.status == 0, "\(result)")
    return try JSONDecoder().decode(Scores.self, from: Data(result.output.utf8))
  }

  private func generate() throws -> [String] {
    let made = try apus(
      "data", "generate", "--output", folder.file("data"), "--domain", "target", "--count", "3", "--size", "200x136",
      "--seed", "5")
    try #require(made.status == 0, "\(made)")
    return ["--images", folder.file("data/images"), "--labels", folder.file("data/labels")]
  }

  @Test func theJSONIsThatOfTheContractAndOfEveryRankCount() async throws {
    let result = try await evaluate(["--json"])
    let object = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    #expect(object.keys.sorted() == ["classes", "confusion", "images", "iou", "mIoU", "pixelAccuracy"])
    let scores = try JSONDecoder().decode(Scores.self, from: Data(result.output.utf8))
    #expect(scores.images == 3 && scores.classes.count == 19 && scores.iou.count == 19)
    #expect(scores.confusion.count == 19 && scores.confusion.allSatisfy { $0.count == 19 })
    let pixels = scores.confusion.joined().reduce(0, +)
    #expect(pixels > 0 && pixels <= 3 * 256 * 136)
    let diagonal = (0..<19).map { scores.confusion[$0][$0] }
    #expect(abs(scores.pixelAccuracy - 100 * Double(diagonal.reduce(0, +)) / Double(pixels)) < 1e-9)
    var present: [Double] = []
    for (index, name) in scores.classes.enumerated() {
      let union = scores.confusion[index].reduce(0, +) + scores.confusion.reduce(0) { $0 + $1[index] } - diagonal[index]
      let expected = union == 0 ? nil : 100 * Double(diagonal[index]) / Double(union)
      #expect(scores.iou[name]?.map { value in abs(value - (expected ?? -1)) < 1e-9 } ?? (expected == nil))
      if let expected { present.append(expected) }
    }
    #expect(abs(scores.mIoU - present.reduce(0, +) / Double(present.count)) < 1e-9)

    let two = try await evaluate(["--json"], ranks: 2)
    #expect(two.status == 0 && two.output == result.output)
    // Four ranks share the windows of all three images, two those of the last one.
    let four = try await evaluate(["--json"], ranks: 4)
    #expect(four.status == 0 && four.output == result.output)
    let summary = try JSONSerialization.jsonObject(
      with: Data(contentsOf: URL(filePath: folder.file("run/summary.json"))))
    let student = try #require((summary as? [String: Any])?["student"] as? [String: Any])
    #expect(student["mIoU"] as? Double == scores.mIoU)
    #expect(try await self.scores(["--network", "teacher"]) != scores)
  }

  @Test func aClassSetFileSaysWhatLabelsMean() async throws {
    let data = try generate()
    let plain = try await scores(data + ["--classes", "cityscapes19"])
    let text = try await evaluate(data + ["--classes", "cityscapes19"], ranks: 2)
    #expect(text.output.hasPrefix("validation: 3 images, 3 labels, 3 pairs\n"), "\(text)")
    let file = folder.file("own.yaml")
    let names = plain.classes.map { $0 == "road" ? "street" : $0 }
    let ids = (0..<19).map { "\($0): \($0 == 10 ? 255 : $0)" }.joined(separator: ", ")
    let yaml = """
      names: [\(names.joined(separator: ", "))]
      ids: {\(ids), 255: 255}
      merges: {building: street, 8: 0}

      """
    try Data(yaml.utf8).write(to: URL(filePath: file))
    let own = try await scores(data + ["--classes", file])
    #expect(own.classes == names && own.images == 3)
    // The merged columns are added up, the ignored label's row is empty, nothing else changes.
    let expected = plain.confusion.enumerated().map { label, row -> [Int] in
      guard label != 10 else { return row.map { _ in 0 } }
      var merged = row
      for predicted in [2, 8] {
        merged[0] += row[predicted]
        merged[predicted] = 0
      }
      return merged
    }
    #expect(own.confusion == expected)
    #expect(expected != plain.confusion)
    let two = try await scores(data + ["--classes", file], ranks: 2)
    #expect(two == own)
  }

  @Test func mistakesInAClassSetFileNameLineAndKey() async throws {
    let data = try generate()
    let file = folder.file("own.yaml")
    let cases = [
      ("names: [a, b]\npalete: []\n", "own.yaml:2: unknown key palete; did you mean palette?"),
      ("palette: []\n", "names is missing"),
      ("names: [a, b, a]\n", "own.yaml:1: names lists a twice"),
      ("names: [a, b]\npalette: [[1, 2, 3]]\n", "own.yaml:2: palette has 1 colours for 2 classes"),
      ("names: [a, b]\npalette: [[1, 2, 3], [1, 2, 256]]\n", "own.yaml:2: palette is"),
      ("names: [a, b]\nids: {3: 2}\n", "own.yaml:2: ids maps to train id 2, but there are 2 classes"),
      ("names: [a, b]\nids: cityscape-ids\n", "did you mean cityscapes-ids?"),
      ("names: [road, sky]\nmerges: {raod: sky}\n", "own.yaml:2: merges names the class raod"),
      ("names: [a, b]\n", "own has 2 classes, the checkpoint 19"),
      ("- a\n", "a class set is a mapping"),
    ]
    for (text, complaint) in cases {
      try Data(text.utf8).write(to: URL(filePath: file))
      let result = try await evaluate(data + ["--classes", file])
      #expect(result.refuses(65, complaint), "\(text): \(result)")
      #expect(result.output.isEmpty)
    }
    let missing = try await evaluate(data + ["--classes", folder.file("none.yaml")], ranks: 2)
    #expect(missing.refuses(66, "none.yaml: there is no such class set"), "\(missing)")
    let misspelt = try await evaluate(data + ["--classes", "cityscapes91"])
    #expect(misspelt.refuses(65, "no class set \"cityscapes91\"", "did you mean cityscapes19?"), "\(misspelt)")
  }

  @Test func theInputsOfEvaluateAreChecked() async throws {
    let none = try await runCommand(["evaluate", "--checkpoint", folder.file("none.h5")])
    #expect(none.refuses(66, folder.file("none.h5")), "\(none)")
    let other = try await runRanks(2, ["evaluate", "--checkpoint", testRecipe])
    #expect(other.refuses(65, testRecipe), "\(other)")
    let half = try await evaluate(["--images", folder.path])
    #expect(half.refuses(64, "--images, --labels and --classes belong together"), "\(half)")
    let folders = ["--images", folder.file("none"), "--labels", folder.file("none"), "--classes", "cityscapes19"]
    let missing = try await evaluate(folders)
    #expect(missing.refuses(66, "\(folder.file("none")): no such folder"), "\(missing)")
  }

  /// Width, height, bit depth and colour type (0 grey, 2 colours) from a PNG's first chunk.
  private func header(_ name: String) throws -> [Int] {
    let bytes = try folder.bytes(name).map { Int($0) }
    try #require(bytes.count > 26 && bytes[1...3] == [80, 78, 71])
    func number(_ start: Int) -> Int { bytes[start..<start + 4].reduce(0) { $0 * 256 + $1 } }
    return [number(16), number(20), bytes[24], bytes[25]]
  }

  @Test func predictWritesFourFilesOfTheImagesSize() async throws {
    _ = try generate()
    let images = (0..<3).map { folder.file("data/images/target-00000\($0).png") }
    let arguments = ["predict", "--checkpoint", checkpoint, "--overlay", "--output"]
    let result = try await runRanks(2, arguments + [folder.file("seen")] + images, timeout: 120)
    try #require(result.status == 0, "\(result)")
    let kinds = ["label": 0, "confidence": 0, "color": 2, "overlay": 2]
    for stem in ["target-000000", "target-000001", "target-000002"] {
      for (kind, colours) in kinds { #expect(try header("seen/\(stem)_\(kind).png") == [200, 136, 8, colours]) }
    }
    #expect(try contents(of: folder.file("seen")).count == 12)

    let alone = try await runCommand(arguments + [folder.file("alone")] + images, timeout: 120)
    #expect(alone.status == 0)
    #expect(try contents(of: folder.file("alone")) == contents(of: folder.file("seen")))

    // Fewer images than ranks: all share the windows of one.
    let one = try await runCommand(arguments + [folder.file("one"), images[1]], timeout: 120)
    #expect(one.status == 0)
    let expected = try contents(of: folder.file("one"))
    #expect(expected.count == 4)
    for ranks in [2, 4] {
      let result = try await runRanks(ranks, arguments + [folder.file("by\(ranks)"), images[1]], timeout: 120)
      #expect(try result.status == 0 && contents(of: folder.file("by\(ranks)")) == expected, "\(result)")
    }

    let twice = try await runRanks(2, arguments + [folder.file("twice"), images[0], images[0]])
    #expect(twice.refuses(64, "two images are called target-000000"), "\(twice)")
    let wrong = try await runRanks(2, arguments + [folder.file("wrong"), images[0], testRecipe])
    #expect(wrong.refuses(65, testRecipe, "neither PNG nor JPEG"), "\(wrong)")
  }
}
