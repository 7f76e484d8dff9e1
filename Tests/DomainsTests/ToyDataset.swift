// Small data sets in memory and on disk for the tests of this module.

import Domains
import Foundation
import Imagery
import Support
import Tensors

/// Images whose pixels name their place: red is the row, green the column, blue the image; labels are stripes of
/// columns, of which the last `rareColumns` hold the image's own class.
struct ToyDataset: Dataset {
  var count = 6
  var height = 24
  var width = 40
  var rareColumns = 4
  var isLabelled = true

  func name(_ index: Int) -> String { "toy-\(index)" }

  func image(_ index: Int) throws -> RGBImage {
    var image = RGBImage(height: height, width: width)
    for row in 0..<height {
      for column in 0..<width {
        let start = (row * width + column) * 3
        image.pixels[start] = UInt8(row)
        image.pixels[start + 1] = UInt8(column)
        image.pixels[start + 2] = UInt8(index)
      }
    }
    return image
  }

  func labels(_ index: Int) throws -> LabelMap? {
    guard isLabelled else { return nil }
    let row = (0..<width).map { column in
      column >= width - rareColumns ? UInt8(2 + index % 2) : UInt8(column * 2 / width)
    }
    return LabelMap(height: height, width: width, values: Array((0..<height).map { _ in row }.joined()))
  }
}

/// A labelled set whose labels may not be read.
struct SealedDataset: Dataset {
  let inner = ToyDataset()
  var count: Int { inner.count }
  func name(_ index: Int) -> String { inner.name(index) }
  func image(_ index: Int) throws -> RGBImage { try inner.image(index) }
  func labels(_ index: Int) throws -> LabelMap? { throw Failure(.internal, "labels of the target were read") }
}

/// A new folder that is removed when this goes.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "apus-domains-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The path of a file in it.
  func file(_ name: String) -> String { path + "/" + name }

  /// The path of a folder in it, made if need be.
  func folder(_ name: String) throws -> String {
    let whole = path + "/" + name
    try FileManager.default.createDirectory(atPath: whole, withIntermediateDirectories: true)
    return whole
  }
}

/// The failure a call ends with; nil if it does not fail or fails otherwise.
func failure(_ body: () throws -> Void) -> Failure? {
  do {
    try body()
    return nil
  } catch {
    return error as? Failure
  }
}

/// The folder of shared data, beside the package.
let sharedData = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/data").path
let hasSharedData = FileManager.default.fileExists(atPath: sharedData)
