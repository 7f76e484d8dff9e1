// What headers tell of a data set: every fault, with its file; and what counts of labels tell.

import Domains
import Foundation
import Imagery
import Support
import Tensors
import Testing

@Suite struct DatasetCheckTests {
  private let image = RGBImage(height: 4, width: 6)

  /// Six pairs; `change` may spoil them.
  private func make(
    _ change: (_ images: String, _ labels: String) throws -> Void = { _, _ in }
  ) throws -> (folder: TemporaryFolder, set: FolderDataset) {
    let folder = try TemporaryFolder()
    let (images, labels) = (try folder.folder("images"), try folder.folder("labels"))
    for index in 0..<6 {
      try writePNG(image, to: "\(images)/s\(index).png")
      try writePNG(LabelMap(height: 4, width: 6), to: "\(labels)/s\(index).png")
    }
    try change(images, labels)
    return (folder, try FolderDataset(images: images, labels: labels, pixelLimit: 100))
  }

  @Test func goodFilesHaveNoFaults() throws {
    let (folder, set) = try make()
    withExtendedLifetime(folder) {
      #expect(set.faults(Array(0..<6), FileDemands(crop: PixelSize(height: 4, width: 4), oneSize: true)) == [])
    }
  }

  @Test func everyFaultIsFoundWithItsFile() throws {
    let (folder, set) = try make { images, labels in
      try writePNG(LabelMap(height: 3, width: 6), to: labels + "/s0.png")
      try writePNG(image, to: labels + "/s1.png")
      try writePNG(RGBImage(height: 11, width: 10), to: images + "/s2.png")
      try Data("text".utf8).write(to: URL(fileURLWithPath: images + "/s3.png"))
      try writePNG(RGBImage(height: 4, width: 5), to: images + "/s5.png")
      try writePNG(LabelMap(height: 4, width: 5), to: labels + "/s5.png")
    }
    let faults = set.faults(Array(0..<6), FileDemands(crop: PixelSize(height: 4, width: 6)))
    #expect(faults.map(\.name) == ["s0", "s1", "s2", "s3", "s5"])
    let words = [
      "label is 6x3", "8-bit RGB, not class indices", "data.pixelLimit", "neither PNG nor JPEG",
      "smaller than the crop of 6x4",
    ]
    for (fault, words) in zip(faults, words) { #expect(fault.failure.what.contains(words), "\(fault)") }
    let line = try #require(
      failure(of: faults.map { (set: "data.source", fault: $0) }, among: 6, named: 3, list: "bad-files.txt"))
    #expect(line.status == .badData && line.place == folder.path + "/labels/s0.png")
    #expect(
      line.what.contains("5 of 6 images or their labels are wrong, also data.source s1, data.source s2 and 2 more"))
    #expect(line.remedy?.hasSuffix("all are listed in bad-files.txt") == true)
    #expect(failure(of: [], among: 6, named: 3, list: nil) == nil)
  }

  @Test func labelsOfTheStoredPictureAreToldFromOthers() throws {
    let exif: [UInt8] =
      [0x49, 0x49, 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]
    let plain = encodeJPEG(image, quality: 90)
    let block = [0xff, 0xe1, 0, UInt8(exif.count + 8)] + Array("Exif\0\0".utf8) + exif
    let (folder, set) = try make { images, labels in
      for index in [1, 2] {
        try FileManager.default.removeItem(atPath: images + "/s\(index).png")
        try writeFile(plain[0..<2] + block + plain[2...], to: images + "/s\(index).jpg")
      }
      try writePNG(LabelMap(height: 6, width: 4), to: labels + "/s1.png")
    }
    let faults = set.faults(Array(0..<6))
    #expect(faults.map(\.name) == ["s2"])
    #expect(
      faults.first?.failure.what
        == "label is 6x4, its image \(folder.path)/images/s2.jpg is 4x6 upright, though stored as 6x4 (Exif orientation 6)"
    )
    #expect(try set.size(1) == PixelSize(height: 6, width: 4) && set.image(1).height == 6)
    #expect(failure { _ = try set.labels(2) }?.what == faults.first?.failure.what)
  }

  @Test func imagesOfOneSizeAreAskedFor() throws {
    let (folder, set) = try make { images, labels in
      try writePNG(RGBImage(height: 5, width: 6), to: images + "/s4.png")
      try writePNG(LabelMap(height: 5, width: 6), to: labels + "/s4.png")
    }
    withExtendedLifetime(folder) {
      let faults = set.faults(Array(0..<6), FileDemands(oneSize: true))
      #expect(faults.map(\.index) == [4] && faults[0].failure.what.contains("images of one size"))
    }
  }

  @Test func theIdentityFollowsNamesAndBytes() throws {
    let (first, set) = try make()
    let (second, same) = try make()
    let (third, other) = try make { images, _ in
      try writePNG(
        RGBImage(height: 4, width: 6, pixels: (0..<72).map { UInt8($0 * 3) }), to: images + "/s3.png")
    }
    withExtendedLifetime((first, second, third)) {
      #expect(set.identity == same.identity && set.identity != other.identity)
    }
  }

  @Test func countsTellOfAbsentClassesAndOfMasks() {
    func counts(_ rows: [[Int]], ignored: Int) -> ClassStatistics {
      ClassStatistics(names: rows.indices.map(String.init), pixels: rows, ignored: rows.map { _ in ignored })
    }
    let names = ["road", "wall", "sky"]
    #expect(counts([[1, 2, 0], [0, 0, 3]], ignored: 4).warnings(of: "data.source", classes: names) == [])
    #expect(
      counts([[1, 0, 0], [2, 0, 3]], ignored: 4).warnings(of: "data.source", classes: names)
        == ["data.source: no pixel of 1 of 3 classes: wall"])
    #expect(
      counts([[1, 0, 2]], ignored: 4).warnings(of: "data.validation", classes: names) { $0 != 1 } == [])
    #expect(
      counts([[5, 0, 0]], ignored: 4).warnings(of: "data.source", classes: names)
        == [
          "data.source: labels hold only 0 (road) and 255 (ignored), as black-and-white masks do; if 255 is a class, "
            + "map it: map: {0: 0, 255: 1}"
        ])
    #expect(
      counts([[0, 0, 0]], ignored: 4).warnings(of: "data.source", classes: names).first?.contains("all are ignored")
        == true)
  }
}
