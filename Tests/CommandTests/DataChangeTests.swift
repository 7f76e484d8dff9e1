// Data under links, data that were moved and data that were changed between the sessions of a run.

import Foundation
import Recipes
import Storage
import StorageHDF5
import Support
import TestSupport
import Testing
import Training

@Suite(.serialized) struct DataChangeTests {
  private let folder: TemporaryFolder
  private let files = FileManager.default
  private var recipe: String { folder.file("first/recipe.yaml") }

  /// Six images each of source and target, two to score on, and a recipe beside them.
  init() async throws {
    folder = try TemporaryFolder()
    for (name, domain, count) in [("source", "source", 6), ("target", "target", 6), ("validation", "target", 2)] {
      let made = try await runCommand([
        "data", "generate", "--output", folder.file("first/\(name)"), "--domain", domain, "--count", "\(count)",
        "--size", "96x64", "--seed", "\(count + name.count)",
      ])
      try #require(made.status == 0, "\(made)")
    }
    let text = """
      seed: 3
      batch: {global: 2}
      encoder: {name: tiny}
      head: {width: 8}
      attention: {width: 8}
      crop: {size: 96x64}
      network: {detailCrop: 32x32}
      featureDistance: {weight: 0}
      optimizer: {learningRate: 1e-3}
      schedule: {steps: 16, warmUpSteps: 2}
      teacher: {momentum: 0.9, threshold: 0.1, refresh: 40}
      rareClassSampling: {minimumPixels: 0, minimumCropPixels: 5}
      data:
        source: {images: source/images, labels: source/labels}
        target: {images: target/images}
        validation: {images: validation/images, labels: validation/labels}
      evaluation: {every: 0, crop: 96x64, stride: 32x32}
      checkpoint: {every: 6, keep: 2}
      """
    try Data(text.utf8).write(to: URL(filePath: folder.file("first/recipe.yaml")))
  }

  @discardableResult
  private func train(
    _ run: String, ranks: Int? = nil, recipe: String? = nil, _ options: String...
  ) async throws -> CommandResult {
    let result = try await startTraining(
      in: folder.file(run), ranks: ranks, recipe: recipe ?? self.recipe, options)
    try #require(result.status == 0, "\(result)")
    return result
  }

  private func rename(_ old: String, to new: String) throws {
    try files.moveItem(atPath: folder.file("first/\(old)"), toPath: folder.file("first/\(new)"))
  }

  private func kept(_ run: String) throws -> [Double] {
    try TrainedState(folder.file(run)).steps.compactMap { $0.losses["labels-kept"] }
  }

  @Test(arguments: [nil, 2] as [Int?]) func linkedDataTrainLikeTheirFiles(ranks: Int?) async throws {
    try await train("plain", "--steps", "3")
    // The source in another place, and half of the target images in a folder of their own.
    try files.createDirectory(atPath: folder.file("store"), withIntermediateDirectories: true)
    for kind in ["images", "labels"] {
      try files.moveItem(atPath: folder.file("first/source/\(kind)"), toPath: folder.file("store/\(kind)"))
      try files.createSymbolicLink(
        atPath: folder.file("first/source/\(kind)"), withDestinationPath: "../../store/\(kind)")
    }
    try Data().write(to: URL(filePath: folder.file("first/target/images/photo.webp")))
    try files.createSymbolicLink(
      atPath: folder.file("first/validation/images/again"), withDestinationPath: ".")
    let linked = try await train("linked", ranks: ranks, "--steps", "3")
    let lines = [
      "source: 6 images, 6 labels, 6 pairs", "target: 6 images; left out: 1 .webp file",
      "validation: 2 images, 2 labels, 2 pairs",
    ]
    #expect(linked.output.contains("\(lines.joined(separator: "\n"))\n"), "\(linked.output)")
    #expect(try TrainedState(folder.file("linked")).matches(TrainedState(folder.file("plain"))))
  }

  @Test func otherImagesAreRefusedByNameAndKeepNoLabels() async throws {
    try await train("run", "--steps", "12")
    let before = try contents(of: folder.file("run"))
    try rename("target/images/target-000000.png", to: "target/images/t0.png")
    for ranks in [nil, 2] {
      let refused = try await startTraining(in: folder.file("run"), ranks: ranks, recipe: recipe, ["--resume"])
      #expect(
        refused.refuses(
          65, "\(folder.file("first/target/images")): ", "target: target-000000 is gone, t0 is new",
          "--set data.target.images="), "\(refused)")
    }
    #expect(try contents(of: folder.file("run")) == before)

    // Put back, all is as it was.
    try rename("target/images/t0.png", to: "target/images/target-000000.png")
    try files.copyItem(atPath: folder.file("run"), toPath: folder.file("same"))
    try await train("same", "--resume", "--steps", "14")
    #expect(try kept("same").suffix(2) != [0, 0])

    // Meant, the labels of the other images are begun anew and the former names are kept beside them.
    try rename("target/images/target-000000.png", to: "target/images/t0.png")
    let meant = try await train(
      "run", "--resume", "--steps", "14", "--set", "data.target.images=\(folder.file("first/target/images"))")
    #expect(meant.output.contains("target: target-000000 is gone, t0 is new; the run goes on with them"), "\(meant)")
    #expect(try kept("run").dropFirst(12).first == 0)
    #expect(files.fileExists(atPath: folder.file("run/pseudo-labels-until-step-00000012/rank-00000.h5")))
    #expect(try folder.bytes("run/data-until-step-00000012.json") == [UInt8](try #require(before["data.json"])))
    // They are the run's own data from there on.
    let rest = try await train("run", "--resume", "--steps", "15")
    #expect(!rest.output.contains("is gone") && !rest.output.contains("anew"), "\(rest)")
  }

  @Test func sourceAndValidationAreComparedToo() async throws {
    try await train("run", "--steps", "6")
    try rename("validation/images/target-000001.png", to: "validation/images/v.png")
    try rename("validation/labels/target-000001.png", to: "validation/labels/v.png")
    let scored = try await train("run", "--resume", "--steps", "7")
    #expect(
      scored.output.contains("validation: target-000001 is gone, v is new; scores are of other images"), "\(scored)")
    // Other labels under the same names; where sizes are the same too, class counts tell.
    let label = folder.file("first/source/labels/source-000002.png")
    let bytes = try Data(contentsOf: URL(filePath: label))
    try (bytes + [0]).write(to: URL(filePath: label))
    let larger = try await startTraining(in: folder.file("run"), recipe: recipe, ["--resume"])
    #expect(larger.refuses(65, "source: source-000002 has labels of another size"), "\(larger)")
    try bytes.write(to: URL(filePath: label))
    try await train("run", "--resume", "--steps", "8")
  }

  @Test func labelsOfEqualNamesAndSizesAreToldByTheirCounts() async throws {
    // What follows the end of a picture is not looked at.
    let labels = try (0..<2).map { try folder.bytes("first/source/labels/source-00000\($0).png") }
    let size = (labels.map(\.count).max() ?? 0) + 1
    let padded = labels.map { $0 + [UInt8](repeating: 0, count: size - $0.count) }
    try folder.write(padded[0], to: "first/source/labels/source-000000.png")
    try await train("run", "--steps", "6")
    try folder.write(padded[1], to: "first/source/labels/source-000000.png")
    let kept = try files.contentsOfDirectory(atPath: folder.file("run")).filter { $0.hasPrefix("class-index-") }
    #expect(kept.count == 2, "of the source and of the validation set")
    let index = try #require(
      kept.first { name in
        String(decoding: files.contents(atPath: folder.file("run/\(name)")) ?? Data(), as: UTF8.self).contains(
          "source-")
      })
    try files.moveItem(atPath: folder.file("run/\(index)"), toPath: folder.file("index"))
    let refused = try await startTraining(in: folder.file("run"), recipe: recipe, ["--resume"])
    #expect(refused.refuses(65, folder.file("first/source/labels"), "class counts are not"), "\(refused)")
    #expect(!files.fileExists(atPath: folder.file("run/\(index)")), "counts that were refused are not kept")
    // The index of the run's first start spares the reading of labels, which would have told.
    let named = try await train("other", "--steps", "1", "--class-index", folder.file("index"))
    #expect(named.output.contains("class pixels read from \(folder.file("index"))\n"), "\(named)")
  }

  @Test func movedDataGoOnWithEqualBits() async throws {
    try await train("whole")
    try await train("halves", "--steps", "6")
    try files.moveItem(atPath: folder.file("first"), toPath: folder.file("second"))
    let rest = try await train("halves", ranks: 2, recipe: folder.file("second/recipe.yaml"), "--resume")
    let (old, new) = (folder.file("first/target/images"), folder.file("second/target/images"))
    #expect(
      rest.output.contains("changed since the run began: data.target.images: \(old) -> \(new) (the same files)\n"),
      "\(rest)")
    #expect(try TrainedState(folder.file("halves")).matches(TrainedState(folder.file("whole"))))
    let names = try files.contentsOfDirectory(atPath: folder.file("halves"))
    #expect(!names.contains { $0.contains("until") }, "\(names)")
  }

  @Test func runsOfEarlierVersionsGoOn() async throws {
    try await train("whole")
    try await train("run", "--steps", "6")
    try forgetData(of: folder.file("run"))
    try files.copyItem(atPath: folder.file("run"), toPath: folder.file("moved"))
    let rest = try await train("run", "--resume")
    #expect(rest.output.contains("does not tell its data: they could not be compared\n"), "\(rest)")
    #expect(try TrainedState(folder.file("run")).matches(TrainedState(folder.file("whole"))))
    // Their data are known by place alone.
    try files.moveItem(atPath: folder.file("first"), toPath: folder.file("second"))
    let moved = try await startTraining(
      in: folder.file("moved"), recipe: folder.file("second/recipe.yaml"), ["--resume"])
    #expect(moved.refuses(65, "moved/recipe.yaml", "data.source.images"), "\(moved)")
  }

  /// Makes a run with a checkpoint of step 6 what an earlier version would have left.
  private func forgetData(of run: String) throws {
    try files.removeItem(atPath: run + "/data.json")
    let store = HDF5CheckpointStore(folder: run + "/checkpoints")
    let snapshot = try store.load(step: 6)
    var description = snapshot.run
    description.digests = description.digests.filter { !$0.key.hasPrefix("data-") }
    try store.save(Snapshot(run: description, records: snapshot.records))
    let caches = HDF5PseudoLabelStore(folder: run + "/pseudo-labels")
    let reader = try caches.reader(rank: 0, expecting: nil)
    var origin = reader.origin
    #expect(origin.dataDigest != nil)
    origin.dataDigest = nil
    origin.recipeDigest = try Recipe.read(run + "/recipe.yaml", environment: [:], catalogue: .standard)
      .formerWeightFingerprint
    let writer = try caches.start(origin)
    for position in reader.images.indices { try writer.append(try reader.entry(at: position)) }
    try writer.publish(completedSteps: 6)
  }

  @Test func aSignalEndsCountingBeforeTheFirstStep() async throws {
    let process = Process()
    process.executableURL = apusExecutable
    process.arguments =
      ["train", testRecipe, "--run-directory", folder.file("run"), "--set", "data.source.count=100000"]
    process.environment = ProcessInfo.processInfo.environment.merging(["APUS_THREADS": "1"]) { $1 }
    let paths = ["output", "errors"].map(folder.file)
    for path in paths { try Data().write(to: URL(filePath: path)) }
    process.standardOutput = try FileHandle(forWritingTo: URL(filePath: paths[0]))
    process.standardError = try FileHandle(forWritingTo: URL(filePath: paths[1]))
    try process.run()
    func text(_ path: String) -> String { String(decoding: files.contents(atPath: path) ?? Data(), as: UTF8.self) }
    let deadline = ContinuousClock.now + .seconds(100)
    while process.isRunning, ContinuousClock.now < deadline, !text(paths[0]).contains("class pixels counted in ") {
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(text(paths[0]).contains(" of 100000 labels\n"), "\(text(paths[0]))")
    let sent = ContinuousClock.now
    kill(process.processIdentifier, SIGUSR1)
    process.waitUntilExit()
    #expect(process.terminationStatus == 75 && ContinuousClock.now - sent < .seconds(10))
    let errors = text(paths[1]).split(separator: "\n")
    #expect(errors.count == 1 && errors[0].contains("while class pixels were counted"), "\(errors)")
  }
}
