// Building a rank's pseudo-label cache in memory.

import Foundation
import Storage
import Support
import Tensors

/// Builds one rank's file in memory, compressed, and puts it on disk as a whole.
final class HDF5PseudoLabelWriter: PseudoLabelCacheWriter {
  let origin: PseudoLabelOrigin
  private(set) var generation: Int
  private var images: [Int] = []
  private var steps: [Int] = []
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

  func holds(image: Int) -> Bool { newestPositions[image] != nil }

  func newest(image: Int) throws -> PseudoLabelEntry? {
    guard let position = newestPositions[image] else { return nil }
    return try storedEntry(image: image, step: steps[position], origin) {
      try file.row(position, of: $0, element: $0 == CacheLayout.fineConfidence ? .uint16 : .uint8)
    }
  }

  func append(_ entry: PseudoLabelEntry) throws {
    precondition(origin.owns(image: entry.image), "image \(entry.image) on rank \(origin.rank) of \(origin.worldSize)")
    precondition(
      entry.labels.height == origin.height && entry.labels.width == origin.width,
      "\(entry.labels.height)x\(entry.labels.width) labels for images of \(origin.height)x\(origin.width)")
    try file.appendRow(entry.labels.values, to: CacheLayout.labels)
    try file.appendRow(entry.confidence, to: CacheLayout.confidence)
    try file.appendRow(packed(entry.confident, width: origin.width), to: CacheLayout.confident)
    if origin.hasFineConfidence {
      guard let fine = entry.fineConfidence else { preconditionFailure("an entry without its finer confidences") }
      try file.appendRow(littleEndianBytes(fine), of: .uint16, to: CacheLayout.fineConfidence)
    }
    try note(image: entry.image, step: entry.step)
  }

  /// Copies an entry of a published cache, as it is compressed there.
  func append(_ position: Int, of reader: HDF5PseudoLabelReader) throws {
    for plane in CacheLayout.planes(origin).map(\.name) {
      try file.appendStoredRow(try reader.storedRow(position, of: plane), to: plane)
    }
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
      for file in hasPublished ? try CacheLayout.files(in: folder).filter({ !current.contains($0) }) : unused {
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
    let (oldImages, oldSteps) = (images, steps)
    file = try HDF5PseudoLabelWriter.emptyFile(path, origin)
    images = []
    steps = []
    newestPositions = [:]
    generation += 1
    var lastNeeded: [Int: Int] = [:]
    for (position, image) in oldImages.enumerated() where oldSteps[position] < step {
      lastNeeded[image] = position
    }
    for (position, image) in oldImages.enumerated() where position >= lastNeeded[image] ?? 0 {
      for plane in CacheLayout.planes(origin).map(\.name) {
        try file.appendStoredRow(try old.storedRow(position, of: plane), to: plane)
      }
      try note(image: image, step: oldSteps[position])
    }
  }

  private func note(image: Int, step: Int) throws {
    try file.append(image, to: CacheLayout.images)
    try file.append(step, to: CacheLayout.steps)
    newestPositions[image] = images.count
    images.append(image)
    steps.append(step)
  }

  private static func emptyFile(_ path: String, _ origin: PseudoLabelOrigin) throws -> HDF5File {
    let file = try HDF5File(building: path, userBlock: Seal.length, capacity: 1 << 20)
    try file.createList(at: CacheLayout.images)
    try file.createList(at: CacheLayout.steps)
    for plane in CacheLayout.planes(origin) {
      try file.createRows(plane.row, of: plane.element, at: plane.name, compression: CacheLayout.compression)
    }
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
