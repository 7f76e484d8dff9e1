// Reading a rank's published pseudo-label cache.

import Storage
import Support
import Tensors

/// One rank's file, proved complete and undamaged when it is opened.
public final class HDF5PseudoLabelReader: PseudoLabelCacheReader {
  /// What made the cache.
  public let origin: PseudoLabelOrigin
  /// Counts how often superseded entries were dropped.
  public let generation: Int
  /// Completed steps when it was published.
  public let completedSteps: Int
  /// Image of each entry, in order of writing.
  public let images: [Int]
  /// Step of each entry.
  public let steps: [Int]
  private let file: StoredFile
  /// Most pixels of an image, and most ranks.
  private static let (mostPixels, mostRanks) = (1 << 30, 1 << 20)

  /// Path on disk.
  public var path: String { file.path }
  var seal: Seal { file.seal }

  /// Opens a file.
  /// - Throws: `Failure` 66 if there is none, 65 if it is damaged, of another origin, or not as this program writes it.
  public init(_ path: String, expecting expected: PseudoLabelOrigin? = nil) throws {
    file = try StoredFile(path, [.pseudoLabels])
    let attributes = try file.attributes(of: "")
    func needed<Value>(_ name: String, _ value: (HDF5Value) -> Value?) throws -> Value {
      guard let found = attributes[name].flatMap(value) else {
        throw Failure(.badData, "the attribute \(name) is missing", at: path)
      }
      return found
    }
    guard attributes["format"]?.text == CacheLayout.format,
      try needed("format-version", \.integer) <= CacheLayout.formatVersion
    else { throw Failure(.badData, "is no pseudo-label cache this version can read", at: path) }
    generation = try needed("generation", \.integer)
    completedSteps = try needed("completed-steps", \.integer)
    var found = try HDF5PseudoLabelReader.origin(
      file, texts: try ["teacher-digest", "recipe-digest"].map { try needed($0, \.text) },
      numbers: try ["rank", "world-size", "width"].map { try needed($0, \.integer) },
      threshold: Float(try needed("threshold", \.number)))
    found.dataDigest = attributes["data-digest"]?.text
    origin = found
    images = try file.integers(CacheLayout.images)
    steps = try file.integers(CacheLayout.steps)
    try checkEntries()
    if let difference = expected?.difference(from: origin) {
      throw Failure(
        .badData, "\(difference) of this cache is another", at: path, remedy: "build the cache anew or move it away")
    }
  }

  /// What made the cache, where its planes have one shape and its numbers are possible.
  private static func origin(
    _ file: StoredFile, texts: [String], numbers: [Int], threshold: Float
  ) throws -> PseudoLabelOrigin {
    let (rank, worldSize, width) = (numbers[0], numbers[1], numbers[2])
    guard worldSize > 0, worldSize <= mostRanks, rank >= 0, rank < worldSize else {
      throw notOfTheFormat("rank \(rank) of \(worldSize)", at: file.path)
    }
    guard threshold.isFinite else { throw notOfTheFormat("the threshold \(threshold)", at: file.path) }
    let shape = try file.dataset(CacheLayout.labels).shape
    guard shape.count == 3, shape[1] > 0, shape[2] == width, width > 0, shape[1] <= mostPixels / width else {
      throw notOfTheFormat("labels of shape \(shape) for a width of \(width)", at: file.place(CacheLayout.labels))
    }
    var origin = PseudoLabelOrigin(
      teacherDigest: texts[0], recipeDigest: texts[1], threshold: threshold, height: shape[1], width: width,
      rank: rank, worldSize: worldSize)
    origin.hasFineConfidence = file.paths.contains(CacheLayout.fineConfidence)
    for plane in CacheLayout.planes(origin) {
      let (found, expected) = (try file.dataset(plane.name), [shape[0]] + plane.row)
      guard found.shape == expected, found.type == (plane.element == .uint8 ? .uint8 : .uint16) else {
        throw notOfTheFormat("its shape is \(found.shape), expected \(expected)", at: file.place(plane.name))
      }
    }
    for list in [CacheLayout.images, CacheLayout.steps] {
      let found = try file.dataset(list).shape
      guard found == [shape[0]] else {
        throw notOfTheFormat("its shape is \(found), expected \([shape[0]])", at: file.place(list))
      }
    }
    return origin
  }

  private func checkEntries() throws {
    guard generation >= 0, completedSteps >= 0 else {
      throw notOfTheFormat("generation \(generation) after \(completedSteps) steps", at: path)
    }
    for (position, (image, step)) in zip(images, steps).enumerated() {
      guard image >= 0, origin.owns(image: image), step >= 0, step < completedSteps else {
        throw notOfTheFormat(
          "entry \(position) is of image \(image), step \(step), rank \(origin.rank) of \(origin.worldSize)", at: path)
      }
    }
  }

  /// An entry by its position.
  public func entry(at position: Int) throws -> PseudoLabelEntry {
    precondition(images.indices.contains(position), "entry \(position) of \(images.count)")
    return try storedEntry(image: images[position], step: steps[position], origin) { try file.row(position, of: $0) }
  }

  /// The row of an entry in a plane, compressed; proved to hold a whole row.
  func storedRow(_ position: Int, of plane: String) throws -> [UInt8] {
    _ = try file.row(position, of: plane)
    return try file.storedRow(position, of: plane)
  }

  /// Reads every entry.
  /// - Throws: `Failure` 65 naming the plane of the first that cannot be read.
  public func verify() throws {
    for position in images.indices { _ = try entry(at: position) }
  }
}

/// An entry from the rows of its planes.
func storedEntry(
  image: Int, step: Int, _ origin: PseudoLabelOrigin, row: (String) throws -> [UInt8]
) throws -> PseudoLabelEntry {
  PseudoLabelEntry(
    image: image, step: step,
    labels: LabelMap(height: origin.height, width: origin.width, values: try row(CacheLayout.labels)),
    confidence: try row(CacheLayout.confidence),
    confident: unpacked(try row(CacheLayout.confident), width: origin.width),
    fineConfidence: origin.hasFineConfidence ? littleEndianNumbers(try row(CacheLayout.fineConfidence)) : nil)
}

/// Two bytes a number, the low one first.
func littleEndianBytes(_ numbers: [UInt16]) -> [UInt8] {
  numbers.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
}

/// The numbers of `littleEndianBytes`.
func littleEndianNumbers(_ bytes: [UInt8]) -> [UInt16] {
  (0..<bytes.count / 2).map { UInt16(bytes[2 * $0]) | UInt16(bytes[2 * $0 + 1]) << 8 }
}

/// Eight pixels to a byte, the first in the highest bit; each row begins a byte.
func packed(_ bits: [Bool], width: Int) -> [UInt8] {
  let rowBytes = (width + 7) / 8
  var bytes = [UInt8](repeating: 0, count: bits.count / width * rowBytes)
  for row in 0..<bits.count / width {
    for column in 0..<width where bits[row * width + column] {
      bytes[row * rowBytes + column / 8] |= 0x80 >> UInt8(column % 8)
    }
  }
  return bytes
}

/// The pixels of `packed`.
func unpacked(_ bytes: [UInt8], width: Int) -> [Bool] {
  let rowBytes = (width + 7) / 8
  var bits = [Bool](repeating: false, count: bytes.count / rowBytes * width)
  for row in 0..<bytes.count / rowBytes {
    for column in 0..<width {
      bits[row * width + column] = bytes[row * rowBytes + column / 8] & (0x80 >> UInt8(column % 8)) != 0
    }
  }
  return bits
}
