// Files in and out: round trips, real data sets, and every kind of damage.

import Foundation
import Imagery
import Support
import Tensors
import Testing

/// Real data beside the package, where it is there.
private let shared = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().appending(path: "shared/data")
private let hasShared = FileManager.default.fileExists(atPath: shared.path)

/// Paths of the PNG files in a folder of the real data.
private func files(_ folder: String) throws -> [String] {
  let directory = shared.appending(path: folder).path
  return try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".png") }.sorted()
    .map { "\(directory)/\($0)" }
}

/// A colourful image whose bytes hardly repeat.
private func pattern(height: Int, width: Int) -> RGBImage {
  RGBImage(
    height: height, width: width, pixels: (0..<height * width * 3).map { UInt8(truncatingIfNeeded: $0 * $0 / 7) })
}

/// The failure that `body` throws.
private func failure(_ body: () throws -> Void) -> Failure? {
  do { try body() } catch { return error as? Failure }
  return nil
}

/// A folder that is gone after the test.
private func inFolder(_ body: (String) throws -> Void) throws {
  let folder = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  try body(folder.path)
}

@Suite struct ImageFilesTests {
  @Test(arguments: [(1, 1), (3, 5), (64, 33)])
  func imagesAndLabelsSurviveARoundTrip(height: Int, width: Int) throws {
    try inFolder { folder in
      let image = pattern(height: height, width: width)
      try writePNG(image, to: "\(folder)/image.png")
      #expect(try readRGB("\(folder)/image.png") == image)
      let labels = LabelMap(
        height: height, width: width, values: (0..<height * width).map { UInt8(truncatingIfNeeded: $0 * 5) })
      try writePNG(labels, to: "\(folder)/labels.png")
      #expect(try readLabels("\(folder)/labels.png") == labels)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 2, "no temporary file stays")
    }
  }

  @Test func greyBytesReadAsGreyColours() throws {
    let file = encodePNG(grey: [0, 17, 128, 255], height: 2, width: 2)
    #expect(try decodeRGB(file, name: "grey").pixels == [0, 0, 0, 17, 17, 17, 128, 128, 128, 255, 255, 255])
  }

  @Test func jpegIsToldByContentAndNearlyKeepsASmoothImage() throws {
    try inFolder { folder in
      var image = RGBImage(height: 16, width: 24)
      for pixel in 0..<16 * 24 { image.pixels[pixel * 3] = UInt8(pixel / 2) }
      try writeFile(encodeJPEG(image, quality: 98), to: "\(folder)/photo.png")
      let read = try readRGB("\(folder)/photo.png")
      #expect(read.height == 16 && read.width == 24)
      #expect(zip(read.pixels, image.pixels).allSatisfy { abs(Int($0) - Int($1)) <= 6 })
    }
  }

  @Test func everyCutAndEveryFlippedByteOfAPNGIsFound() {
    let file = encodePNG(pattern(height: 9, width: 7))
    for length in stride(from: 8, to: file.count, by: 5) {
      let met = failure { _ = try decodeRGB(Array(file[0..<length]), name: "cut.png") }
      #expect(met?.status == .badData && met?.place == "cut.png")
    }
    for position in stride(from: 8, to: file.count, by: 3) {
      var damaged = file
      damaged[position] ^= 0x10
      #expect(failure { _ = try decodeRGB(damaged, name: "flip.png") }?.status == .badData, "byte \(position)")
    }
  }

  @Test func aCutJPEGIsDamagedAndNotHalfAPicture() {
    let file = encodeJPEG(pattern(height: 64, width: 64), quality: 80)
    for length in [5, file.count / 2, file.count - 8] {
      let met = failure { _ = try decodeRGB(Array(file[0..<length]), name: "cut.jpg") }
      #expect(met?.status == .badData && met?.place == "cut.jpg", "\(length) of \(file.count) bytes")
    }
  }

  @Test func strangersAndMissingFilesAreNamed() throws {
    try inFolder { folder in
      let missing = failure { _ = try readRGB("\(folder)/none.png") }
      #expect(missing?.status == .missingInput && missing?.place == "\(folder)/none.png")
      try writeFile(Array("plain text".utf8), to: "\(folder)/text.png")
      #expect(failure { _ = try readRGB("\(folder)/text.png") }?.status == .badData)
      #expect(failure { _ = try readLabels("\(folder)/text.png") }?.status == .badData)
      #expect(failure { _ = try readRGB(folder) }?.status == .inputOutput)
      #expect(
        failure { try writePNG(pattern(height: 2, width: 2), to: "\(folder)/no/such/x.png") }?.status == .cannotCreate)
    }
  }

  @Test func sizesThatTheDataCannotFillAreRefusedBeforeMemoryIsTaken() throws {
    let found = try #require(
      Data(
        base64Encoded: "iVBORw0KGgoAAAANSUhEUgAAIAEAAEAFCAAA/f/vaFOQAAAAAQAER0IA/trW"
          + "iAAAABJJREFUCJljZGCEAHYIxYKDBgAFjQBJesz3ZwAAAABJRU5ErkJggg=="))
    let refused = failure { _ = try decodeLabels([UInt8](found), name: "labels.png", pixelLimit: 1 << 28) }
    #expect(
      refused?.description == "labels.png: damaged PNG: 18 bytes of data for 8193x16389 pixels; restore the file")
    let even = LabelMap(height: 2048, width: 2048, values: [UInt8](repeating: 3, count: 2048 * 2048))
    #expect(try decodeLabels(encodePNG(even), name: "even") == even)
  }

  @Test func labelsInColourAreRefusedInClearWords() {
    let met = failure { _ = try decodeLabels(encodePNG(pattern(height: 4, width: 4)), name: "colour.png") }
    #expect(met?.status == .badData)
    #expect(met?.what == "labels are 8-bit RGB, not class indices")
  }

  @Test(.enabled(if: hasShared, "needs ../shared"))
  func realImagesAndLabelsHaveTheirSizesAndIds() throws {
    let sets = [("gta5-sample", 1052, 1914, 34), ("carlascapes-sample", 1024, 2048, 28), ("camvid/val", 360, 480, 11)]
    for (name, height, width, largest) in sets {
      let image = try readRGB(files("\(name)/images")[0])
      #expect(image.height == height && image.width == width)
      let labels = try readLabels(files("\(name)/labels")[0])
      #expect(labels.height == height && labels.width == width)
      let ids = Set(labels.values)
      #expect(ids.count > 5 && ids.allSatisfy { $0 <= largest || $0 == 255 }, "\(name): \(ids.sorted())")
    }
  }
}
