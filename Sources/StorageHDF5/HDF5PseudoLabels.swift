// Pseudo-label caches as sealed HDF5 files, one per rank; docs/checkpoint-format.md describes the format.

import Foundation
import Storage
import Support
import Tensors

/// A folder of HDF5 pseudo-label caches, `rank-00000.h5` and so on.
public final class HDF5PseudoLabelStore: PseudoLabelStore {
  /// The folder; made when the first cache is published.
  public let folder: String
  let operations: any FileOperations

  /// A store over a folder, which need not exist yet.
  /// - Parameters:
  ///   - folder: its path.
  ///   - operations: how files are written.
  public init(folder: String, operations: any FileOperations = SystemFileOperations()) {
    self.folder = folder.isEmpty ? "." : folder
    self.operations = operations
  }

  /// Path of a rank's file.
  public func file(rank: Int) -> String {
    let digits = String(rank)
    return "\(folder)/rank-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits + ".h5"
  }

  /// Paths of all caches in the folder, those kept from an interrupted change of world size included.
  public func files() -> [String] { CacheLayout.files(in: folder) }

  /// An empty cache that replaces what the rank had when it is published.
  public func start(_ origin: PseudoLabelOrigin) throws -> any PseudoLabelCacheWriter {
    try HDF5PseudoLabelWriter(
      file(rank: origin.rank), origin, generation: 0, disk: DurableFile(operations))
  }

  /// Goes on with the published entries of this rank's images made before `completedSteps`.
  public func resume(_ origin: PseudoLabelOrigin, completedSteps: Int) throws -> any PseudoLabelCacheWriter {
    let (readers, unused) = try published(origin)
    for reader in readers where reader.completedSteps < completedSteps {
      throw Failure(
        .badData, "was published after \(reader.completedSteps) steps, the checkpoint after \(completedSteps)",
        at: reader.file.path, remedy: "resume from an older checkpoint or move the caches away")
    }
    let changed = readers.contains { $0.origin.worldSize != origin.worldSize }
    let writer = try HDF5PseudoLabelWriter(
      file(rank: origin.rank), origin, generation: (readers.map(\.generation).max() ?? 0) + (changed ? 1 : 0),
      disk: DurableFile(operations), keepingOld: changed, unused: unused)
    // A change of world size that was interrupted leaves an entry in two files.
    var last: Row?
    for row in rows(readers, origin, completedSteps) where !row.isSameEntry(as: last) {
      try writer.append(row.position, of: readers[row.reader])
      last = row
    }
    return writer
  }

  /// The published cache of a rank.
  public func reader(rank: Int, expecting origin: PseudoLabelOrigin?) throws -> any PseudoLabelCacheReader {
    try HDF5PseudoLabelReader(file(rank: rank), expecting: origin)
  }

  /// The files that together hold everything published: those of one world size if all are there and of one
  /// generation, else all there are; and the files not needed.
  private func published(
    _ origin: PseudoLabelOrigin
  ) throws -> (readers: [HDF5PseudoLabelReader], unused: [String]) {
    let paths = CacheLayout.files(in: folder)
    let readers = try paths.map { try HDF5PseudoLabelReader($0, expecting: origin) }
    guard !readers.isEmpty else { return ([], []) }
    let first = readers.first { $0.file.path == file(rank: 0) } ?? readers[0]
    let names = (0..<first.origin.worldSize).map(file(rank:))
    let newest = readers.filter { names.contains($0.file.path) }
    if newest.count == names.count,
      newest.allSatisfy({ $0.origin.worldSize == names.count && $0.generation == first.generation })
    {
      return (newest, paths.filter { !names.contains($0) })
    }
    let layouts = Dictionary(grouping: readers, by: \.origin.worldSize)
    guard layouts.contains(where: { size, files in Set(files.map(\.origin.rank)).count == size }) else {
      throw Failure(.missingInput, "caches of some ranks are missing", at: folder)
    }
    return (readers, [])
  }

  private func rows(_ readers: [HDF5PseudoLabelReader], _ origin: PseudoLabelOrigin, _ completedSteps: Int) -> [Row] {
    var rows: [Row] = []
    for (number, reader) in readers.enumerated() {
      for (position, (image, step)) in zip(reader.images, reader.steps).enumerated()
      where step < completedSteps && origin.owns(image: image) {
        rows.append(Row(step: step, image: image, reader: number, position: position))
      }
    }
    return rows.sorted()
  }

  private struct Row: Comparable {
    let step: Int
    let image: Int
    let reader: Int
    let position: Int

    func isSameEntry(as other: Row?) -> Bool { step == other?.step && image == other?.image }

    static func < (first: Row, second: Row) -> Bool {
      (first.step, first.image, first.reader, first.position)
        < (second.step, second.image, second.reader, second.position)
    }
  }
}

/// Names inside a cache file.
enum CacheLayout {
  static let format = "apus-pseudo-labels"
  static let formatVersion = 1
  static let images = "images/id"
  static let steps = "images/step"
  static let labels = "labels"
  static let confidence = "confidence"
  static let confident = "confident"
  /// Level of the compression: higher ones cost more time than they save space on label maps.
  static let compression: UInt32 = 1
  /// Before the name of a file that was written for another world size and is kept until all ranks have published.
  static let oldPrefix = "old-"

  /// Paths of all caches in a folder, those kept from another world size included, in byte order.
  static func files(in folder: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { name in
      let bare = name.hasPrefix(oldPrefix) ? String(name.dropFirst(oldPrefix.count)) : name
      return bare.hasPrefix("rank-") && bare.hasSuffix(".h5") && Int(bare.dropFirst(5).dropLast(3)) != nil
    }.sorted(by: precedesInBytes).map { "\(folder)/\($0)" }
  }
}

/// Builds one rank's file in memory, compressed, and puts it on disk as a whole.
final class HDF5PseudoLabelWriter: PseudoLabelCacheWriter {
  let origin: PseudoLabelOrigin
  private(set) var generation: Int
  private var images: [Int] = []
  private var newestPositions: [Int: Int] = [:]
  private let path: String
  private let disk: DurableFile
  private var file: HDF5File
  private var keepingOld: Bool
  private var unused: [String]
  private var hasPublished = false

  /// - Parameters:
  ///   - keepingOld: whether the file to be replaced holds entries that other ranks have not taken over yet.
  ///   - unused: files that hold nothing that is needed.
  init(
    _ path: String, _ origin: PseudoLabelOrigin, generation: Int, disk: DurableFile, keepingOld: Bool = false,
    unused: [String] = []
  ) throws {
    self.path = path
    self.disk = disk
    self.keepingOld = keepingOld
    self.unused = unused
    self.origin = origin
    self.generation = generation
    file = try HDF5PseudoLabelWriter.emptyFile(path, origin)
  }

  var count: Int { images.count }

  func newest(image: Int) throws -> PseudoLabelEntry? {
    guard let position = newestPositions[image] else { return nil }
    let step = try file.integers(CacheLayout.steps).values[position]
    return try storedEntry(file, position, image: image, step: step, origin)
  }

  func append(_ entry: PseudoLabelEntry) throws {
    precondition(origin.owns(image: entry.image), "image \(entry.image) on rank \(origin.rank) of \(origin.worldSize)")
    precondition(
      entry.labels.height == origin.height && entry.labels.width == origin.width,
      "\(entry.labels.height)x\(entry.labels.width) labels for images of \(origin.height)x\(origin.width)")
    try file.appendRow(entry.labels.values, to: CacheLayout.labels)
    try file.appendRow(entry.confidence, to: CacheLayout.confidence)
    try file.appendRow(packed(entry.confident, width: origin.width), to: CacheLayout.confident)
    try note(image: entry.image, step: entry.step)
  }

  /// Copies an entry of a published cache.
  func append(_ position: Int, of reader: HDF5PseudoLabelReader) throws {
    try copy(position, from: reader.file)
    try note(image: reader.images[position], step: reader.steps[position])
  }

  func publish(completedSteps: Int) throws {
    try file.setAttribute("generation", of: "", to: .integer(generation))
    try file.setAttribute("completed-steps", of: "", to: .integer(completedSteps))
    try file.flush()
    guard let image = file.image else { throw Failure(.internal, "a cache has no memory", at: path) }
    try putOldAside()
    try disk.write(image.bytes, as: .pseudoLabels, to: path)
    hasPublished = true
  }

  /// Before the first file of a new world size replaces one of the old, that one is kept under another name. When rank
  /// 0 publishes again, all ranks have published (there was a barrier), and it removes what is left of the old.
  private func putOldAside() throws {
    let folder = (path as NSString).deletingLastPathComponent
    let name = (path as NSString).lastPathComponent
    if origin.rank == 0 {
      let current = (0..<origin.worldSize).map { HDF5PseudoLabelStore(folder: folder).file(rank: $0) }
      for file in hasPublished ? CacheLayout.files(in: folder).filter({ !current.contains($0) }) : unused {
        try disk.remove(file)
      }
    }
    if keepingOld && FileManager.default.fileExists(atPath: path) {
      try disk.rename(path, to: "\(folder)/\(CacheLayout.oldPrefix)\(name)")
    }
    keepingOld = false
  }

  func startGeneration(restartingFrom step: Int) throws {
    let old = file
    let oldImages = images
    let steps = try old.integers(CacheLayout.steps).values
    file = try HDF5PseudoLabelWriter.emptyFile(path, origin)
    images = []
    newestPositions = [:]
    generation += 1
    var lastNeeded: [Int: Int] = [:]
    for (position, image) in oldImages.enumerated() where steps[position] < step {
      lastNeeded[image] = position
    }
    for (position, image) in oldImages.enumerated() where position >= lastNeeded[image] ?? 0 {
      try copy(position, from: old)
      try note(image: image, step: steps[position])
    }
  }

  private func copy(_ position: Int, from other: HDF5File) throws {
    for name in [CacheLayout.labels, CacheLayout.confidence, CacheLayout.confident] {
      try file.appendRow(position, of: name, from: other)
    }
  }

  private func note(image: Int, step: Int) throws {
    try file.append(image, to: CacheLayout.images)
    try file.append(step, to: CacheLayout.steps)
    newestPositions[image] = images.count
    images.append(image)
  }

  private static func emptyFile(_ path: String, _ origin: PseudoLabelOrigin) throws -> HDF5File {
    let file = try HDF5File(building: path, userBlock: Seal.length, capacity: 1 << 20)
    try file.createList(at: CacheLayout.images)
    try file.createList(at: CacheLayout.steps)
    let pixels = [origin.height, origin.width]
    try file.createRows(pixels, at: CacheLayout.labels, compression: CacheLayout.compression)
    try file.createRows(pixels, at: CacheLayout.confidence, compression: CacheLayout.compression)
    try file.createRows(
      [origin.height, (origin.width + 7) / 8], at: CacheLayout.confident, compression: CacheLayout.compression)
    var attributes: [(String, HDF5Value)] = [
      ("format", .text(CacheLayout.format)), ("format-version", .integer(CacheLayout.formatVersion)),
      ("teacher-digest", .text(origin.teacherDigest)), ("recipe-digest", .text(origin.recipeDigest)),
      ("threshold", .number(Double(origin.threshold))), ("rank", .integer(origin.rank)),
      ("world-size", .integer(origin.worldSize)), ("width", .integer(origin.width)),
    ]
    if let data = origin.dataDigest { attributes.append(("data-digest", .text(data))) }
    for (name, value) in attributes { try file.setAttribute(name, of: "", to: value) }
    return file
  }
}

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
  let file: HDF5File
  let seal: Seal

  /// Opens a file.
  /// - Throws: `Failure` 66 if there is none, 65 if it is damaged or of another origin.
  public init(_ path: String, expecting expected: PseudoLabelOrigin? = nil) throws {
    seal = try Seal.verified(path, .pseudoLabels)
    file = try HDF5File(reading: path)
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
    let shape = try file.shape(of: CacheLayout.labels)
    guard shape.count == 3 else { throw Failure(.badData, "labels have shape \(shape)", at: path) }
    origin = PseudoLabelOrigin(
      teacherDigest: try needed("teacher-digest", \.text), recipeDigest: try needed("recipe-digest", \.text),
      dataDigest: attributes["data-digest"]?.text, threshold: Float(try needed("threshold", \.number)),
      height: shape[1], width: shape[2],
      rank: try needed("rank", \.integer), worldSize: try needed("world-size", \.integer))
    generation = try needed("generation", \.integer)
    completedSteps = try needed("completed-steps", \.integer)
    images = try file.integers(CacheLayout.images).values
    steps = try file.integers(CacheLayout.steps).values
    guard images.count == shape[0], steps.count == shape[0] else {
      throw Failure(.badData, "\(images.count) ids, \(steps.count) steps and \(shape[0]) label maps", at: path)
    }
    if let difference = expected?.difference(from: origin) {
      throw Failure(
        .badData, "\(difference) of this cache is another", at: path, remedy: "build the cache anew or move it away")
    }
  }

  /// An entry by its position.
  public func entry(at position: Int) throws -> PseudoLabelEntry {
    precondition(images.indices.contains(position), "entry \(position) of \(images.count)")
    return try storedEntry(file, position, image: images[position], step: steps[position], origin)
  }

  /// Reads every entry.
  /// - Throws: `Failure` 65 naming the first that cannot be read or belongs to another rank.
  public func verify() throws {
    for position in images.indices {
      guard origin.owns(image: images[position]), steps[position] < completedSteps else {
        throw Failure(
          .badData, "entry \(position) is of image \(images[position]), step \(steps[position])", at: file.path)
      }
      _ = try entry(at: position)
    }
  }
}

/// The entry in a row of a file.
private func storedEntry(
  _ file: HDF5File, _ position: Int, image: Int, step: Int, _ origin: PseudoLabelOrigin
) throws -> PseudoLabelEntry {
  PseudoLabelEntry(
    image: image, step: step,
    labels: LabelMap(
      height: origin.height, width: origin.width, values: try file.row(position, of: CacheLayout.labels)),
    confidence: try file.row(position, of: CacheLayout.confidence),
    confident: unpacked(try file.row(position, of: CacheLayout.confident), width: origin.width))
}

/// Eight pixels to a byte, the first in the highest bit; each row begins a byte.
func packed(_ bits: [Bool], width: Int) -> [UInt8] {
  let rowBytes = (width + 7) / 8
  var bytes = [UInt8](repeating: 0, count: bits.count / width * rowBytes)
  for (index, bit) in bits.enumerated() where bit {
    bytes[index / width * rowBytes + index % width / 8] |= 0x80 >> UInt8(index % width % 8)
  }
  return bytes
}

/// The pixels of `packed`.
func unpacked(_ bytes: [UInt8], width: Int) -> [Bool] {
  let rowBytes = (width + 7) / 8
  return (0..<bytes.count / rowBytes * width).map { index in
    bytes[index / width * rowBytes + index % width / 8] & (0x80 >> UInt8(index % width % 8)) != 0
  }
}
