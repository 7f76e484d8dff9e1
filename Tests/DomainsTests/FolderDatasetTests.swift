// Image and label folders: pairing, order, resizing, the memory bound, and every bad input with the file it names.

import Domains
import Foundation
import Imagery
import Support
import Tensors
import Testing

@Suite struct FolderDatasetTests {
  private let image = RGBImage(height: 4, width: 6, pixels: (0..<72).map { UInt8($0 * 3) })
  private let label = LabelMap(height: 4, width: 6, values: (0..<24).map { UInt8($0 % 3) })

  /// Three pairs, written out of order.
  private func filled() throws -> (folder: TemporaryFolder, images: String, labels: String) {
    let folder = try TemporaryFolder()
    let images = try folder.folder("images")
    let labels = try folder.folder("labels")
    for stem in ["b", "Z", "a"] {
      try writePNG(image, to: "\(images)/\(stem).png")
      try writePNG(label, to: "\(labels)/\(stem).png")
    }
    return (folder, images, labels)
  }

  @Test func pairsByStemInByteOrder() throws {
    let (folder, images, labels) = try filled()
    try withExtendedLifetime(folder) {
      try Data("notes".utf8).write(to: URL(fileURLWithPath: images + "/README.md"))
      try Data("hidden".utf8).write(to: URL(fileURLWithPath: images + "/.c.png"))
      let set = try FolderDataset(images: images, labels: labels)
      #expect(set.count == 3)
      #expect((0..<3).map(set.name) == ["Z", "a", "b"])
      #expect(try set.image(0) == image)
      #expect(try set.labels(2) == label)
      #expect(try set.size(1) == PixelSize(height: 4, width: 6))
      let unlabelled = try FolderDataset(images: images)
      #expect(try unlabelled.labels(0) == nil && !unlabelled.isLabelled)
    }
  }

  @Test func suffixesAndSubfoldersPair() throws {
    let folder = try TemporaryFolder()
    let images = try folder.folder("left/aachen")
    let labels = try folder.folder("fine/aachen")
    try writeFile(encodeJPEG(image, quality: 90), to: images + "/a_1_left.jpg")
    try writePNG(label, to: labels + "/a_1_ids.png")
    try writePNG(image, to: labels + "/a_1_color.png")
    let set = try FolderDataset(
      images: folder.path + "/left", labels: folder.path + "/fine", imageSuffix: "_left", labelSuffix: "_ids")
    #expect(set.count == 1)
    #expect(set.name(0) == "aachen/a_1")
    #expect(try set.labels(0) == label)
    #expect(try set.size(0) == PixelSize(height: 4, width: 6))
    #expect(try set.image(0).height == 4)
  }

  @Test func resizesImagesAndLabels() throws {
    let (folder, images, labels) = try filled()
    try withExtendedLifetime(folder) {
      let set = try FolderDataset(
        images: images, labels: labels, resize: .size(PixelSize(height: 2, width: 3)), cacheBytes: 0)
      #expect(try set.size(0) == PixelSize(height: 2, width: 3))
      #expect(try set.image(0) == image.resized(height: 2, width: 3))
      #expect(try set.labels(0) == label.resized(height: 2, width: 3))
      #expect(try set.originalLabels(0) == label)
    }
  }

  @Test func resizeRules() {
    let frame = PixelSize(height: 1052, width: 1914)
    #expect(
      ImageResize.fit(PixelSize(height: 1440, width: 2560)).applied(to: frame) == PixelSize(height: 1407, width: 2560))
    #expect(ImageResize.factor(0.5).applied(to: PixelSize(height: 5, width: 8)) == PixelSize(height: 3, width: 4))
    #expect(ImageResize.factor(0.01).applied(to: PixelSize(height: 5, width: 8)) == PixelSize(height: 1, width: 1))
  }

  @Test func keepsDecodedImagesUpToTheBound() throws {
    let (folder, images, labels) = try filled()
    try withExtendedLifetime(folder) {
      // Room for one image of 72 bytes and one label map of 24.
      let bounded = try FolderDataset(images: images, labels: labels, cacheBytes: 100)
      for index in 0..<3 { _ = try (bounded.image(index), bounded.labels(index)) }
      try FileManager.default.removeItem(atPath: images + "/Z.png")
      try FileManager.default.removeItem(atPath: images + "/a.png")
      #expect(try bounded.image(0) == image)
      #expect(failure { _ = try bounded.image(1) }?.status == .missingInput)
    }
  }

  @Test func missingFoldersAndImages() throws {
    let folder = try TemporaryFolder()
    let absent = folder.path + "/absent"
    let empty = try folder.folder("empty")
    let none = failure { _ = try FolderDataset(images: absent) }
    #expect(none?.status == .missingInput && none?.place == absent)
    let zero = failure { _ = try FolderDataset(images: empty) }
    #expect(zero?.status == .missingInput && zero?.place == empty && zero?.what.contains("no images") == true)
    try Data().write(to: URL(fileURLWithPath: folder.path + "/file"))
    #expect(failure { _ = try FolderDataset(images: folder.path + "/file") }?.what == "not a folder")
  }

  @Test(.enabled(if: geteuid() != 0, "a folder is never unreadable for root"))
  func unreadableFolder() throws {
    let folder = try TemporaryFolder()
    let closed = try folder.folder("closed")
    try FileManager.default.setAttributes([.posixPermissions: 0], ofItemAtPath: closed)
    #expect(failure { _ = try FolderDataset(images: closed) }?.status == .missingInput)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: closed)
  }

  @Test func missingLabel() throws {
    let (folder, images, labels) = try filled()
    try withExtendedLifetime(folder) {
      try FileManager.default.removeItem(atPath: labels + "/a.png")
      let failed = failure { _ = try FolderDataset(images: images, labels: labels) }
      #expect(failed?.status == .missingInput && failed?.place == images + "/a.png")
      #expect(failed?.what.contains("a.png in \(labels)") == true)
    }
  }

  @Test func twoImagesOfOneStem() throws {
    let (folder, images, _) = try filled()
    try withExtendedLifetime(folder) {
      try writeFile(encodeJPEG(image, quality: 90), to: images + "/a.jpg")
      let failed = failure { _ = try FolderDataset(images: images) }
      #expect(failed?.status == .badData && failed?.place == images + "/a.jpg")
    }
  }

  @Test func labelsOfAnotherSizeOrId() throws {
    let (folder, images, labels) = try filled()
    try withExtendedLifetime(folder) {
      try writePNG(LabelMap(height: 4, width: 5), to: labels + "/a.png")
      let set = try FolderDataset(images: images, labels: labels, map: .identity(classCount: 2))
      let size = failure { _ = try set.labels(1) }
      #expect(size?.status == .badData && size?.place == labels + "/a.png")
      #expect(size?.what.contains("5x4") == true && size?.what.contains("6x4") == true)
      let id = failure { _ = try set.labels(0) }
      #expect(id?.status == .badData && id?.place == labels + "/Z.png")
      #expect(id?.what.contains("label id 2 at row 0, column 2") == true)
    }
  }

  @Test func damagedImages() throws {
    let (folder, images, _) = try filled()
    try withExtendedLifetime(folder) {
      try Data("no picture".utf8).write(to: URL(fileURLWithPath: images + "/a.png"))
      let set = try FolderDataset(images: images)
      for failed in [failure { _ = try set.image(1) }, failure { _ = try set.size(1) }] {
        #expect(failed?.status == .badData && failed?.place == images + "/a.png")
      }
    }
  }

  @Test func specificationsMakeSets() throws {
    let (folder, images, labels) = try filled()
    try withExtendedLifetime(folder) {
      let three = try ClassSet(name: "three", names: ["x", "y", "z"])
      let set = try makeDataset(.folder(images: images, labels: labels), classes: three)
      #expect(try set.labels(0) == label)
      let foreign = DatasetSpecification.folder(images: images, labels: labels, map: .cityscapesIds)
      #expect(failure { _ = try makeDataset(foreign, classes: three) }?.what.contains("train id 18") == true)
      let scenes = DatasetSpecification.procedural(
        domain: "target", count: 3, size: PixelSize(height: 32, width: 64), seed: 1)
      #expect(failure { _ = try makeDataset(scenes, classes: three) }?.what.contains("19 Cityscapes") == true)
      let unknown = failure { _ = try makeDataset(DatasetSpecification(kind: "folders"), classes: three) }
      #expect(unknown?.status == .badData && unknown?.remedy?.contains("did you mean folder?") == true)
    }
  }

  @Test func proceduralSetsAreDrawnAndKept() throws {
    let size = PixelSize(height: 32, width: 64)
    let specification = DatasetSpecification.procedural(domain: "target", count: 3, size: size, seed: 1)
    let set = try makeDataset(specification, classes: .cityscapes19)
    let scenes = StreetScenes(domain: .target, count: 3, height: 32, width: 64, seed: 1)
    for _ in 0..<2 {
      let (image, labels) = try set.imageAndLabels(2)
      #expect(image == scenes.image(2) && labels == scenes.labels(2))
    }
    #expect(try set.count == 3 && set.size(0) == size && set.name(2) == scenes.name(2))
    var bad = specification
    bad.domain = "tarjet"
    #expect(
      failure { _ = try makeDataset(bad, classes: .cityscapes19) }?.remedy?.contains("did you mean target?") == true)
    bad = specification
    bad.count = 0
    #expect(failure { _ = try makeDataset(bad, classes: .cityscapes19) }?.status == .badData)
  }
}
