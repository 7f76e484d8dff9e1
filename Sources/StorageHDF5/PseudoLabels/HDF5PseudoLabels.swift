// Pseudo-label caches as sealed HDF5 files, one per rank; docs/checkpoint-format.md describes the format.

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
  /// - Throws: `Failure` 74 if the folder is there and cannot be listed.
  public func files() throws -> [String] { try CacheLayout.files(in: folder) }

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
        at: reader.path, remedy: "resume from an older checkpoint or move the caches away")
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
    let paths = try CacheLayout.files(in: folder)
    let readers = try paths.map { try HDF5PseudoLabelReader($0, expecting: origin) }
    guard !readers.isEmpty else { return ([], []) }
    let first = readers.first { $0.path == file(rank: 0) } ?? readers[0]
    let names = (0..<first.origin.worldSize).map(file(rank:))
    let newest = readers.filter { names.contains($0.path) }
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
  static let fineConfidence = "confidence16"

  /// A dataset with one compressed row for each entry.
  struct Plane {
    let name: String
    /// Shape of a row.
    let row: [Int]
    let element: HDF5File.RowElement
  }

  /// The planes of a cache.
  static func planes(_ origin: PseudoLabelOrigin) -> [Plane] {
    let pixels = [origin.height, origin.width]
    let usual = [
      Plane(name: labels, row: pixels, element: .uint8), Plane(name: confidence, row: pixels, element: .uint8),
      Plane(name: confident, row: [origin.height, (origin.width + 7) / 8], element: .uint8),
    ]
    return origin.hasFineConfidence ? usual + [Plane(name: fineConfidence, row: pixels, element: .uint16)] : usual
  }
  /// Level of the compression: higher ones cost more time than they save space on label maps.
  static let compression: UInt32 = 1
  /// Before the name of a file that was written for another world size and is kept until all ranks have published.
  static let oldPrefix = "old-"

  /// Whether a name is that of a cache, perhaps of one kept from another world size.
  static func isCache(_ name: String) -> Bool {
    let bare = name.hasPrefix(oldPrefix) ? String(name.dropFirst(oldPrefix.count)) : name
    return bare.hasPrefix("rank-") && bare.hasSuffix(".h5") && Int(bare.dropFirst(5).dropLast(3)) != nil
  }

  /// Paths of all caches in a folder, those kept from another world size included, in byte order.
  static func files(in folder: String) throws -> [String] {
    try fileNames(in: folder).filter(isCache).sorted(by: precedesInBytes).map { "\(folder)/\($0)" }
  }
}
