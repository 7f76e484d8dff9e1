// `apus data`: what it counts, and how it ends where something is wrong.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct DataCommandTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  private func make(_ size: String = "96x80") async throws -> [String] {
    let made = try await runCommand(
      ["data", "generate", "--output", folder.file("set"), "--count", "3", "--size", size, "--seed", "1"])
    try #require(made.status == 0, "\(made)")
    return ["--images", folder.file("set/images"), "--labels", folder.file("set/labels")]
  }

  @Test func anIndexServesInPlaceOfCounting() async throws {
    let set = try await make()
    let index = try await runCommand(["data", "index", "--json", "--output", folder.file("index.json")] + set)
    let report = try index.object()
    #expect(index.status == 0 && report["images"] as? Int == 3 && index.errors.contains("3 images, 19 classes"))
    let counted = try await runCommand(["data", "statistics", "--json"] + set)
    let read = try await runCommand(["data", "statistics", "--json", "--index", folder.file("index.json")] + set)
    #expect(counted.status == 0 && read.status == 0 && counted.output == read.output, "\(counted) \(read)")
    #expect(try counted.object()["digest"] as? String == report["digest"] as? String)
    let table = try await runCommand(["data", "statistics"] + set)
    #expect(table.output.contains("road") && table.errors.isEmpty && counted.errors == table.output)
  }

  @Test(arguments: ["index", "statistics"]) func whatIsWrongIsOneLineAndAStatus(_ command: String) async throws {
    let set = try await make()
    let output = command == "index" ? ["--output", folder.file("none/index.json")] : []
    let missing = try await runCommand(
      ["data", command, "--images", folder.file("none"), "--labels", folder.file("none")] + output)
    #expect(missing.refuses(66, "\(folder.file("none")): no such folder") && missing.output.isEmpty, "\(missing)")
    #expect(!missing.errors.contains("Error"), "\(missing)")
    let label = try folder.bytes("set/labels/source-000001.png")
    try folder.write(Array(label.prefix(label.count / 2)), to: "set/labels/source-000001.png")
    let cut = try await runCommand(["data", command] + set + output)
    #expect(cut.refuses(65, folder.file("set/labels/source-000001.png")) && cut.output.isEmpty, "\(cut)")
    let classes = try await runCommand(["data", command, "--classes", "cityscape19"] + set + output)
    #expect(classes.refuses(65, "cityscapes19"), "\(classes)")
  }

  @Test func threadsComeFromTheEnvironment() async throws {
    let set = ["data", "statistics", "--domain", "source", "--count", "2", "--size", "64x64"]
    // Nothing to say about threads, as in every other command.
    let all = try await runCommand(set, environment: ["APUS_THREADS": "0"])
    #expect(all.status == 0, "\(all)")
    let wrong = try await runCommand(set, environment: ["APUS_THREADS": "two"])
    #expect(wrong.refuses(64, "APUS_THREADS: \"two\" is no number of threads"), "\(wrong)")
  }

  @Test func anIndexThatCannotBeWrittenIsNamed() async throws {
    let set = try await make()
    let result = try await runCommand(["data", "index", "--output", folder.file("none/index.json")] + set)
    #expect([73, 74].contains(result.status) && result.ownErrors.count == 1, "\(result)")
    #expect(result.errors.contains(folder.file("none/index.json")), "\(result)")
  }
}
