// `apus cache build`: the same labels on any number of ranks, gone on with after an interruption, refused where they
// are another network's.

import Foundation
import Storage
import StorageHDF5
import TestSupport
import Testing

@Suite(.serialized) struct CacheBuildTests {
  private let folder: TemporaryFolder
  private let checkpoint: String

  init() async throws {
    folder = try TemporaryFolder()
    let run = try await startTraining(in: folder.file("run"), ["--steps", "2", "--set", "data.target.count=5"])
    try #require(run.status == 0, "\(run)")
    checkpoint = folder.file("run/checkpoints/step-00000002.h5")
  }

  private func build(_ name: String, ranks: Int? = nil, _ options: [String] = []) async throws -> CommandResult {
    let arguments = ["cache", "build", "--checkpoint", checkpoint, "--output", folder.file(name)] + options
    guard let ranks else { return try await runCommand(arguments, timeout: 300) }
    return try await runRanks(ranks, arguments, timeout: 300)
  }

  /// All entries of a cache by image.
  private func entries(_ name: String) throws -> [Int: PseudoLabelEntry] {
    let readers = try HDF5PseudoLabelStore(folder: folder.file(name)).files().map { try HDF5PseudoLabelReader($0) }
    let pairs = try readers.flatMap { reader in
      try reader.images.indices.map { (reader.images[$0], try reader.entry(at: $0)) }
    }
    return Dictionary(uniqueKeysWithValues: pairs)
  }

  @Test func aFolderIsToldWithWhatIsLeftOut() async throws {
    let made = try apus(
      "data", "generate", "--output", folder.file("data"), "--domain", "target", "--count", "2", "--size", "256x136")
    try #require(made.status == 0, "\(made)")
    try Data().write(to: URL(filePath: folder.file("data/images/other.webp")))
    let target = "data.target={kind: folder, images: \(folder.file("data/images"))}"
    let result = try await build("folder", ranks: 2, ["--set", target])
    #expect(result.status == 0, "\(result)")
    #expect(result.output.hasPrefix("target: 2 images; left out: 1 .webp file\n"), "\(result)")
  }

  @Test func anyNumberOfRanksKeepsTheSame() async throws {
    let one = try await build("one")
    try #require(one.status == 0, "\(one)")
    #expect(one.output.contains("5 of 5 images\n"))
    let wanted = try entries("one")
    #expect(Set(wanted.keys) == Set(0..<5))
    #expect(wanted.values.allSatisfy { entry in !entry.labels.values.contains(255) && entry.step == 2 })
    let view = try HDF5PseudoLabelView(verifying: folder.file("one/all.h5"))
    #expect(view.entryCount == 5)

    let two = try await build("two", ranks: 2, ["--json"])
    try #require(two.status == 0, "\(two)")
    #expect(try entries("two") == wanted)

    // Nothing is made again on another number of ranks.
    let again = try await build("two", ranks: nil)
    try #require(again.status == 0, "\(again)")
    #expect(again.output.contains("5 of 5 images are there already\n"))
    #expect(try entries("two") == wanted)
    let verified = try await runCommand(["cache", "verify", folder.file("two")])
    #expect(verified.status == 0, "\(verified)")

    // Mirror images count too: another cache, the same on any ranks.
    let flipped = try await build("flipped", ["--flip"])
    let flippedOnTwo = try await build("flipped-on-two", ranks: 2, ["--flip"])
    #expect(flipped.status == 0 && flippedOnTwo.status == 0, "\(flipped) \(flippedOnTwo)")
    #expect(try entries("flipped") == entries("flipped-on-two") && entries("flipped") != wanted)
    let mixed = try await build("flipped")
    #expect(mixed.refuses(65, "the recipe of this cache is another"), "\(mixed)")

    let other = try await build("two", ["--network", "student"])
    #expect(other.refuses(65, "the teacher of this cache is another"), "\(other)")
    #expect(try entries("two") == wanted)
  }
}
