// How many pixels of each class each image holds: what rare class sampling draws from.
// K classes, 255 ignored.

import Foundation
import Imagery
import Support
import Tensors

/// Pixels of each class in each image of a labelled data set, at the labels' original size.
public struct ClassStatistics: Sendable, Equatable {
  /// Image names, in the data set's order.
  public let names: [String]
  /// Pixels by image and class.
  public let pixels: [[Int]]
  /// Ignored pixels by image.
  public let ignored: [Int]
  /// Number of classes K.
  public let classCount: Int
  /// Names the data that were counted, as `DatasetIdentity.countsDigest` does; nil in counts of earlier versions.
  public let dataDigest: String?

  /// Counts every label of a data set, on the worker pool. Ranks that share the work out count `rows`.
  ///
  /// - Throws: as `rows`.
  public init(of dataset: any Dataset, classCount: Int) throws {
    self.init(
      of: dataset, rows: try Self.rows(of: dataset, Array(0..<dataset.count), classCount: classCount),
      classCount: classCount)
  }

  /// Counts some labels of a data set, on the worker pool.
  ///
  /// - Parameters:
  ///   - dataset: the labelled set.
  ///   - images: which images, by index.
  ///   - classCount: number of classes K.
  /// - Returns: for each of the images, pixels of K classes, then ignored pixels.
  /// - Throws: a `Failure`: 65 if the set has no labels or a label lies outside 0 ..< `classCount` and is not 255; what
  ///   reading a label throws.
  public static func rows(of dataset: any Dataset, _ images: [Int], classCount: Int) throws -> [[Int]] {
    try parallelMap(images.count) { position -> [Int] in
      let index = images[position]
      guard let labels = try dataset.originalLabels(index) else {
        throw Failure(
          .badData, "the set has no labels to count", at: dataset.place(index), remedy: "give a folder of labels")
      }
      Activity.tick()
      let histogram = labelHistogram(labels, in: nil)
      if let label = histogram[classCount..<255].firstIndex(where: { $0 > 0 }) {
        throw Failure(
          .badData, "label \(label) with \(classCount) classes", at: dataset.place(index),
          remedy: "choose the label map that belongs to these files")
      }
      return Array(histogram[0..<classCount]) + [histogram[255]]
    }
  }

  /// From the rows of all images of a data set, in its order.
  /// - Precondition: as many rows as images.
  public init(of dataset: any Dataset, rows: [[Int]], classCount: Int) {
    precondition(rows.count == dataset.count, "counts of \(rows.count) of \(dataset.count) images")
    self.init(
      names: (0..<dataset.count).map(dataset.name), pixels: rows.map { Array($0[0..<classCount]) },
      ignored: rows.map { $0[classCount] }, dataDigest: dataset.identity.countsDigest(classCount: classCount))
  }

  /// From counts.
  /// - Precondition: as many names as rows of counts, every row as long as the first.
  public init(names: [String], pixels: [[Int]], ignored: [Int], dataDigest: String? = nil) {
    precondition(names.count == pixels.count && names.count == ignored.count, "counts of \(names.count) images")
    classCount = pixels.first?.count ?? 0
    precondition(pixels.allSatisfy { [classCount] in $0.count == classCount }, "rows of different class counts")
    self.names = names
    self.pixels = pixels
    self.ignored = ignored
    self.dataDigest = dataDigest
  }

  /// Pixels by class over all images.
  public var totals: [Int] { (0..<classCount).map { label in pixels.reduce(0) { $0 + $1[label] } } }

  /// Share of each class in all labelled pixels, 0...1; ignored pixels are left out.
  ///
  /// Source: the published code of DAFormer (Hoyer et al., CVPR 2022); the paper's denominator is all pixels.
  public var shares: [Double] {
    let totals = totals
    let all = Double(max(1, totals.reduce(0, +)))
    return totals.map { Double($0) / all }
  }

  /// Images with more than `minimum` pixels of a class, in the data set's order.
  public func images(of label: Int, moreThan minimum: Int) -> [Int] {
    names.indices.filter { pixels[$0][label] > minimum }
  }

  /// SHA-256 over class count, names and counts, in hexadecimal.
  public var digest: String {
    let hash = SHA256()
    hash.update("\(classCount)\n")
    for index in names.indices {
      hash.update("\(names[index])\t\(pixels[index].map(String.init).joined(separator: ","))\t\(ignored[index])\n")
    }
    return hash.hexadecimal()
  }
}

/// Number of pixels of each of the 256 labels, in a box or everywhere.
func labelHistogram(_ labels: LabelMap, in box: Box?) -> [Int] {
  let box = box ?? Box(top: 0, bottom: labels.height, left: 0, right: labels.width)
  // Two tables: neighbouring pixels are mostly equal, and counting up the same entry twice waits for the first.
  var even = [Int](repeating: 0, count: 256)
  var odd = [Int](repeating: 0, count: 256)
  for row in box.top..<box.bottom {
    var index = row * labels.width + box.left
    let end = row * labels.width + box.right
    while index + 1 < end {
      even[Int(labels.values[index])] += 1
      odd[Int(labels.values[index + 1])] += 1
      index += 2
    }
    if index < end { even[Int(labels.values[index])] += 1 }
  }
  return zip(even, odd).map { $0 + $1 }
}

// MARK: - Index files

extension ClassStatistics {
  /// The form of an index file.
  private struct Index: Codable {
    struct Image: Codable {
      let name: String
      let pixels: [Int]
      let ignored: Int
    }
    var format = 1
    let classCount: Int
    let digest: String
    var data: String?
    let images: [Image]
  }

  /// An index file's bytes (JSON, keys sorted), the same on every machine.
  public var encoded: [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let images = names.indices.map { Index.Image(name: names[$0], pixels: pixels[$0], ignored: ignored[$0]) }
    guard
      let data = try? encoder.encode(
        Index(classCount: classCount, digest: digest, data: dataDigest, images: images))
    else {
      preconditionFailure("integers and strings have a JSON form")
    }
    return [UInt8](data)
  }

  /// From an index file's bytes.
  ///
  /// - Parameters:
  ///   - bytes: what `encoded` made.
  ///   - place: the file, for messages.
  /// - Throws: a `Failure` (65) if they are no index, of another format, or do not agree with their digest.
  public init(encoded bytes: [UInt8], place: String) throws {
    let remedy = "write it anew with apus data index"
    guard let index = try? JSONDecoder().decode(Index.self, from: Data(bytes)) else {
      throw Failure(.badData, "not a class index", at: place, remedy: remedy)
    }
    guard index.format == 1 else {
      throw Failure(.badData, "class index of format \(index.format), expected 1", at: place, remedy: remedy)
    }
    guard index.images.allSatisfy({ $0.pixels.count == index.classCount }) else {
      throw Failure(.badData, "an image does not have \(index.classCount) counts", at: place, remedy: remedy)
    }
    // More pixels than any image has; sums of what is less cannot overflow.
    guard index.images.allSatisfy({ ($0.pixels + [$0.ignored]).allSatisfy((0..<1 << 40).contains) }) else {
      throw Failure(.badData, "a count is impossible", at: place, remedy: remedy)
    }
    self.init(
      names: index.images.map(\.name), pixels: index.images.map(\.pixels), ignored: index.images.map(\.ignored),
      dataDigest: index.data)
    guard digest == index.digest else {
      throw Failure(.badData, "the counts do not agree with their digest", at: place, remedy: remedy)
    }
  }

  /// Writes an index file.
  /// - Throws: a `Failure` that names the file: 73 if it cannot be created, 74 if writing fails.
  public func save(to path: String) throws { try writeFile(encoded, to: path) }

  /// Reads an index file.
  /// - Throws: a `Failure` that names the file: 66 if it is missing, 74 if it cannot be read, 65 if it is no index.
  public init(contentsOf path: String) throws { try self.init(encoded: readFile(path), place: path) }

  /// Whether these are the counts of a data set. Those of earlier versions, which name no data, are not known to be.
  public func fits(_ dataset: any Dataset, classCount: Int) -> Bool {
    dataDigest == dataset.identity.countsDigest(classCount: classCount) && self.classCount == classCount
      && names.count == dataset.count
  }

  /// Makes sure that the counts belong to a data set.
  ///
  /// - Parameters:
  ///   - dataset: the images.
  ///   - classCount: number of classes.
  ///   - place: where the counts come from, for messages.
  /// - Throws: a `Failure` (65) that names the first difference.
  public func check(against dataset: any Dataset, classCount: Int, place: String) throws {
    let remedy = "write the index anew with apus data index"
    guard self.classCount == classCount else {
      throw Failure(
        .badData, "index of \(self.classCount) classes, the recipe has \(classCount)", at: place, remedy: remedy)
    }
    guard names.count == dataset.count else {
      throw Failure(
        .badData, "index of \(names.count) images, the data set has \(dataset.count)", at: place, remedy: remedy)
    }
    if let index = names.indices.first(where: { names[$0] != dataset.name($0) }) {
      throw Failure(
        .badData, "image \(index) is \(names[index]) in the index, \(dataset.name(index)) in the data set", at: place,
        remedy: remedy)
    }
    guard dataDigest.map({ $0 == dataset.identity.countsDigest(classCount: classCount) }) ?? true else {
      throw Failure(
        .badData, "index of other files of the same names, or made with another label map", at: place, remedy: remedy)
    }
  }
}
