// A checkpoint file in memory: first blank, with a place for every value, then filled by one copy, then finished with
// digests and seal. The training step waits for the filling only.

import Storage
import Support
import Tensors

/// What the places in a checkpoint file depend on: everything but the step and the values.
struct CheckpointForm: Equatable {
  let kind: Seal.Kind
  let run: RunDescription
  let paths: [String]
  let shapes: [Shape]

  init(_ snapshot: Snapshot, _ kind: Seal.Kind) {
    self.kind = kind
    var run = snapshot.run
    run.step = 0
    self.run = run
    paths = snapshot.records.map(\.path)
    shapes = snapshot.records.map(\.shape)
  }
}

/// A checkpoint file under construction.
final class CheckpointImage: @unchecked Sendable {
  static let digestName = "sha256"
  /// As long as a digest, so that the digest takes its place.
  private static let noDigest = String(repeating: "0", count: 64)
  /// Bytes that are copied as one tile.
  private static let tile = 4 << 20

  let form: CheckpointForm
  private let file: HDF5File
  private let image: FileImage
  /// First byte of each record's values; nil for one without any.
  private let places: [Int?]
  private var orders: [Snapshot.Order] = []
  /// Which record has a path.
  private lazy var indices = Dictionary(uniqueKeysWithValues: zip(form.paths, form.paths.indices))

  /// A file with room for every value.
  /// - Parameter memory: that of an earlier file, to be used again: fresh pages cost more than copying.
  init(_ form: CheckpointForm, reusing memory: FileImage?) throws {
    self.form = form
    // An object header with its digest and link takes about 500 bytes.
    let bytes = form.shapes.reduce(0) { $0 + $1.count * 4 }
    let file = try HDF5File(
      building: "checkpoint", userBlock: Seal.length, capacity: bytes + 700 * form.paths.count + (1 << 20),
      reusing: memory)
    try file.setAttribute("format", of: "", to: .text(HDF5CheckpointStore.format))
    try file.setAttribute("format-version", of: "", to: .integer(HDF5CheckpointStore.formatVersion))
    for group in [Snapshot.student, Snapshot.teacher, Snapshot.firstMoment, Snapshot.secondMoment, Snapshot.objective] {
      try file.createGroup(group)
    }
    try file.write(form.run, to: "run")
    places = try zip(form.paths, form.shapes).map { path, shape in
      try file.reserve(
        shape: shape.array, at: path, attribute: CheckpointImage.digestName, CheckpointImage.noDigest)
    }
    try file.flush()
    guard let image = file.image else { throw Failure(.internal, "a checkpoint has no memory") }
    self.file = file
    self.image = image
  }

  /// Copies the values as they lie in memory.
  /// - Precondition: the snapshot has the form of this file.
  func fill(_ snapshot: Snapshot) throws {
    orders = snapshot.records.map(\.order)
    let (pieces, firsts) = tiles(snapshot)
    let end = pieces.reduce(0) { max($0, $1.place + $1.count) }
    guard end <= image.count, let base = image.mutableBytes.baseAddress else {
      throw Failure(.internal, "a checkpoint has \(image.count) bytes, its values end at \(end)")
    }
    nonisolated(unsafe) let target = base
    nonisolated(unsafe) let copied = pieces
    withExtendedLifetime(snapshot) {
      WorkerPool.shared.run(tiles: firsts.count - 1) { tile in
        for piece in copied[firsts[tile]..<firsts[tile + 1]] {
          (target + piece.place).copyMemory(from: piece.source, byteCount: piece.count)
        }
      }
    }
  }

  /// Copies values that the snapshot awaited.
  func put(_ values: Tensor, at first: Int, of path: String) {
    guard let index = indices[path], let place = places[index], let base = image.mutableBytes.baseAddress else {
      preconditionFailure("\(path) has no place in this file")
    }
    let count = form.shapes[index].count
    precondition(first >= 0 && first + values.count <= count, "\(values.count) values at \(first) of \(count)")
    withExtendedLifetime(values) {
      (base + place + 4 * first).copyMemory(from: values.pointer, byteCount: 4 * values.count)
    }
  }

  private typealias Piece = (source: UnsafeRawPointer, place: Int, count: Int)

  /// What is to be copied, and where in the list each tile of about equal bytes begins and the last one ends.
  private func tiles(_ snapshot: Snapshot) -> (pieces: [Piece], firsts: [Int]) {
    var pieces: [Piece] = []
    pieces.reserveCapacity(places.count)
    var firsts = [0]
    var bytesOfTile = 0
    for (record, place) in zip(snapshot.records, places) {
      guard let place, !record.isAwaited else { continue }
      let bytes = record.shape.count * 4
      for start in stride(from: 0, to: bytes, by: CheckpointImage.tile) {
        let count = min(CheckpointImage.tile, bytes - start)
        pieces.append((UnsafeRawPointer(record.memory.pointer) + start, place + start, count))
        bytesOfTile += count
        if bytesOfTile >= CheckpointImage.tile {
          firsts.append(pieces.count)
          bytesOfTile = 0
        }
      }
    }
    if firsts[firsts.count - 1] < pieces.count { firsts.append(pieces.count) }
    return (pieces, firsts)
  }

  /// Puts the values into the official order, adds step and digests, and hands out the whole file, to be sealed.
  func finish(step: Int) throws -> UnsafeRawBufferPointer {
    try file.overwriteAttribute("step", of: "run", with: .integer(step))
    for (index, path) in form.paths.enumerated() {
      let hash = SHA256()
      if let place = places[index] {
        let count = form.shapes[index].count * 4
        let values = UnsafeMutableRawBufferPointer(rebasing: image.mutableBytes[place..<place + count])
        if orders[index] == .outputsLast { putOutputsFirst(values, form.shapes[index].array) }
        hash.update(UnsafeRawBufferPointer(values).bytes)
      }
      try file.overwriteAttribute(CheckpointImage.digestName, of: path, with: .text(hash.hexadecimal()))
    }
    try file.close()
    return image.bytes
  }

  /// The memory, for another file; this one must not be used any more.
  func giveUp() throws -> FileImage {
    try file.close()
    return image
  }
}

/// Moves values from `[taps, I, O]` to `[O, I, taps]`, through a copy, in squares that stay in cache.
private func putOutputsFirst(_ bytes: UnsafeMutableRawBufferPointer, _ shape: [Int]) {
  let outputs = shape[0]
  let inputs = shape[1]
  let taps = shape[2...].reduce(1, *)
  let inner = Tensor(uninitialized: [taps * inputs * outputs])
  withExtendedLifetime(inner) {
    let source = inner.pointer
    UnsafeMutableRawPointer(source).copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
    let target = bytes.baseAddress!.assumingMemoryBound(to: Float.self)
    let side = 32
    for tap in 0..<taps {
      for firstInput in stride(from: 0, to: inputs, by: side) {
        for firstOutput in stride(from: 0, to: outputs, by: side) {
          for output in firstOutput..<min(firstOutput + side, outputs) {
            for input in firstInput..<min(firstInput + side, inputs) {
              target[(output * inputs + input) * taps + tap] = source[(tap * inputs + input) * outputs + output]
            }
          }
        }
      }
    }
  }
}
