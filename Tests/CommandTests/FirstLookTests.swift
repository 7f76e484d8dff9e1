// What `apus train` finds before its first step: all wrong files, wrong ids of validation labels, wrong weights before
// long counting; labels that are hardly meant; pictures that are stored turned; names that a terminal would obey.

import Foundation
import Imagery
import Support
import Tensors
import TestSupport
import Testing

@Suite(.serialized) struct FirstLookTests {
  let folder: TemporaryFolder
  let run: String

  init() throws {
    folder = try TemporaryFolder()
    run = folder.file("run")
    for name in ["train", "val"] {
      let made = try apus(
        "data", "generate", "--output", folder.file(name), "--domain", "source", "--count", "8", "--size", "96x80",
        "--seed", "1")
      try #require(made.status == 0, "\(made)")
    }
  }

  private var options: [String] {
    [
      "crop.size=64x64", "network.detailCrop=32x32", "data.source.kind=folder", "rareClassSampling.minimumPixels=0",
      "data.source.images=\(folder.file("train/images"))", "data.source.labels=\(folder.file("train/labels"))",
      "data.target.kind=folder", "data.target.images=\(folder.file("train/images"))",
      "data.validation.kind=folder", "data.validation.images=\(folder.file("val/images"))",
      "data.validation.labels=\(folder.file("val/labels"))", "evaluation.crop=64x64", "evaluation.stride=32x32",
    ]
  }

  private func start(
    _ more: String..., ranks: Int? = nil, steps: Int = 1, resume: Bool = false
  ) async throws -> CommandResult {
    try await startTraining(
      in: run, ranks: ranks,
      ["--steps", "\(steps)"] + (resume ? ["--resume"] : []) + (options + more).flatMap { ["--set", $0] })
  }

  private func label(_ name: String, _ values: (Int) -> UInt8, height: Int = 80) throws {
    try writePNG(
      LabelMap(height: height, width: 96, values: (0..<height * 96).map(values)), to: folder.file(name))
  }

  @Test(arguments: [nil, 2] as [Int?]) func allWrongPairsAreNamed(ranks: Int?) async throws {
    for index in [1, 4] { try label("train/labels/source-00000\(index).png", { _ in 0 }, height: 78) }
    try label("val/labels/source-000006.png", { _ in 0 }, height: 79)
    let few = try await start(ranks: ranks)
    #expect(
      few.refuses(
        65, "train/labels/source-000001.png: label is 96x78", "3 of 24 images", "data.source source-000004",
        "data.validation source-000006"), "\(few)")
    #expect(!FileManager.default.fileExists(atPath: run))
    for index in 0..<8 { try label("val/labels/source-00000\(index).png", { _ in 0 }, height: 79) }
    let many = try await start(ranks: ranks)
    #expect(many.refuses(65, "10 of 24 images", "all are listed in \(run)/bad-files.txt"), "\(many)")
    #expect(String(decoding: try folder.bytes("run/bad-files.txt"), as: UTF8.self).split(separator: "\n").count == 10)
    // The list is no run: the mended data start without --resume.
    try label("val/labels/source-000000.png", { _ in 0 })
    #expect(try await start(ranks: ranks).refuses(65, "9 of 24 images"))
  }

  @Test func aWrongIdInAValidationLabelIsRefusedBeforeTheFirstStep() async throws {
    try label("val/labels/source-000006.png", { $0 == 96 * 3 + 5 ? 33 : 0 })
    let result = try await start()
    #expect(
      result.refuses(65, "val/labels/source-000006.png: label id 33 at row 3, column 5 is not in map"), "\(result)")
    #expect(!FileManager.default.fileExists(atPath: run + "/log.jsonl"))
  }

  @Test func wrongWeightsAreToldBeforeDataAreCounted() async throws {
    try label("train/labels/source-000006.png", { _ in 33 })
    let weights = folder.file("weights.pth")
    try Data("no weights".utf8).write(to: URL(filePath: weights))
    let result = try await start("encoder.weights=\(weights)")
    #expect(result.refuses(65, weights), "\(result)")
  }

  @Test func labelsThatAreHardlyMeantAreWarnedOf() async throws {
    for index in 0..<8 {
      try label("train/labels/source-00000\(index).png", { $0 % 3 == 0 ? 255 : 0 })
      try label("val/labels/source-00000\(index).png", { $0 % 2 == 0 ? 1 : 0 })
    }
    let result = try await start("crop.maximumShare=1")
    #expect(result.status == 0, "\(result)")
    let lines = result.output.split(separator: "\n").map(String.init)
    #expect(lines.contains { $0.hasPrefix("warning: data.source: labels hold only 0 (road) and 255 (ignored)") })
    #expect(
      lines.contains { $0.hasPrefix("warning: data.validation: no pixel of 17 of 19 classes: building, wall, fence") })
    #expect(
      lines.contains { $0.hasPrefix("student: mIoU ") && $0.contains(" % over ") && $0.hasSuffix(" of 19 classes") })
    let page = String(decoding: try folder.bytes("run/report.html"), as: UTF8.self)
    #expect(page.contains(" of 19 classes</small>"))
    // A run that goes on has been warned.
    let next = try await start("crop.maximumShare=1", steps: 2, resume: true)
    #expect(next.status == 0 && !next.output.contains("warning: data."), "\(next)")
  }

  @Test func picturesOfOtherKindsAreTrainedOnAndPredictedUpright() async throws {
    let place = folder.file("train/images/source-000003.png")
    let image = try readRGB(place)
    let whole = encodeJPEG(image, quality: 95)
    try FileManager.default.removeItem(atPath: place)
    try Data(whole.dropLast(2)).write(to: URL(filePath: folder.file("train/images/source-000003.jpg")))
    let trained = try await start("data.target.images=\(folder.file("train/images"))", steps: 6)
    #expect(trained.status == 0, "\(trained)")
    // Read with every batch that draws it, told once.
    #expect(
      trained.errors.components(separatedBy: "source-000003.jpg: the JPEG has no end marker").count == 2, "\(trained)")
    let exif: [UInt8] = [0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0]
    let turned = whole[0..<2] + [0xff, 0xe1, 0, UInt8(exif.count + 8)] + Array("Exif\0\0".utf8) + exif + whole[2...]
    try Data(turned).write(to: URL(filePath: folder.file("turned.jpg")))
    let checkpoint = run + "/checkpoints/step-00000006.h5"
    let predicted = try await runCommand(
      ["predict", "--checkpoint", checkpoint, "--output", folder.file("out"), folder.file("turned.jpg")])
    #expect(predicted.status == 0, "\(predicted)")
    let labels = try readLabels(folder.file("out/turned_label.png"))
    #expect(labels.height == 96 && labels.width == 80)
    let limited = try await runCommand(
      [
        "predict", "--checkpoint", checkpoint, "--output", folder.file("out"), "--set", "data.pixelLimit=7679",
        folder.file("turned.jpg"),
      ])
    #expect(limited.refuses(65, "an image of 96x80 has more pixels than data.pixelLimit allows, 7679"), "\(limited)")
  }

  @Test func namesAreShownAndNotObeyed() async throws {
    let name = "bad\u{1b}[2J\u{7}"
    let image = folder.file("train/images/\(name).png")
    try Data("text".utf8).write(to: URL(filePath: image))
    try FileManager.default.copyItem(
      atPath: folder.file("train/labels/source-000000.png"), toPath: folder.file("train/labels/\(name).png"))
    let result = try await start()
    #expect(result.refuses(65, "bad\\u{1b}[2J\\u{7}.png: neither PNG nor JPEG"), "\(result)")
    #expect(!result.errors.contains("\u{1b}") && !result.output.contains("\u{1b}"))
  }
}
