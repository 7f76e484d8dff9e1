// Reading the files that this program writes, without the HDF5 library: a file from a stranger may be made to crash it,
// to hang it, or to have it read other files. Here one walk allows what our own files have and nothing else
// (docs/decisions/0019-foreign-hdf5.md); a damaged or hostile file is a failure of status 65.

import Support
import Tensors

/// Where the values of a dataset lie.
enum StoredLayout {
  /// One after the other from a byte of the file.
  case contiguous(Int)
  /// In chunks along the first axis; place and length of each.
  case chunks([(place: Int, count: Int)], rows: Int, isCompressed: Bool)
}

/// A dataset that the walk found good.
struct StoredDataset {
  let shape: [Int]
  let type: StoredType
  let layout: StoredLayout
}

/// A sealed HDF5 file, walked once and open for reading. Object paths are as in `student/backbone.norm.weight`; the root
/// is "".
final class StoredFile: Sendable {
  /// What the user block says.
  let seal: Seal
  /// Paths of all datasets, in byte order.
  let paths: [String]
  /// Links into other files, by path: name of the file and path there. Only manifests may have them.
  let outside: [String: (file: String, path: String)]
  private let file: RegularFile
  private let objects: [String: StoredObject]

  /// What the user block must prove.
  enum Proof {
    /// Length and SHA-256 of the whole file.
    case whole
    /// Nothing: the file may be damaged.
    case claim
  }

  /// Opens, proves and walks a file.
  /// - Throws: `Failure` 66 if there is none, 65 if it is not as this program writes it, 74 if it cannot be read.
  init(_ path: String, _ kinds: [Seal.Kind], _ proof: Proof = .whole) throws {
    file = try RegularFile(path)
    seal = proof == .whole ? try Seal.verified(file, kinds) : try Seal.claimed(file, kinds)
    var walk = try StoredWalk(file)
    try walk.visitAll()
    objects = walk.objects
    outside = walk.outside
    guard outside.isEmpty || seal.kind == .checkpointManifest else {
      throw notOfTheFormat("it has links to other files", at: path)
    }
    paths = objects.filter { $0.value.dataset != nil }.keys.sorted(by: precedesInBytes)
  }

  /// Path on disk.
  var path: String { file.path }

  /// The attributes of a group or dataset.
  /// - Throws: `Failure` 65 if there is no such object.
  func attributes(of path: String) throws -> [String: HDF5Value] {
    guard let object = objects[path] else { throw Failure(.badData, "there is no such object", at: place(path)) }
    return object.attributes
  }

  /// A dataset.
  /// - Throws: `Failure` 65 if there is none.
  func dataset(_ path: String) throws -> StoredDataset {
    guard let dataset = objects[path]?.dataset else {
      throw Failure(.badData, "there is no such dataset", at: place(path))
    }
    return dataset
  }

  /// A tensor of float32 in its shape, in a pool buffer.
  /// - Throws: `Failure` 65 if it is no contiguous dataset of float32, or its attribute `sha256` is not the digest of its
  ///   values.
  func tensor(_ path: String) throws -> Tensor {
    let dataset = try dataset(path)
    guard dataset.type == .float32, case .contiguous(let start) = dataset.layout else {
      throw notOfTheFormat("expected contiguous float32 values", at: place(path))
    }
    let tensor = Tensor(uninitialized: Shape(dataset.shape))
    let digest = try withExtendedLifetime(tensor) {
      let bytes = UnsafeMutableRawBufferPointer(start: tensor.pointer, count: tensor.count * 4)
      try file.fill(bytes, at: start)
      let hash = SHA256()
      hash.update(UnsafeRawBufferPointer(bytes).bytes)
      return hash.hexadecimal()
    }
    guard objects[path]?.attributes[CheckpointImage.digestName] == .text(digest) else {
      throw Failure(.badData, "is damaged: its values are not those of its digest", at: place(path))
    }
    return tensor
  }

  /// All numbers of a list of int64.
  func integers(_ path: String) throws -> [Int] {
    let dataset = try dataset(path)
    guard dataset.type == .int64, dataset.shape.count == 1,
      case .chunks(let chunks, let rows, false) = dataset.layout
    else { throw notOfTheFormat("expected a list of int64", at: place(path)) }
    var numbers: [Int] = []
    numbers.reserveCapacity(dataset.shape[0])
    for chunk in chunks {
      let bytes = try file.bytes(8 * min(rows, dataset.shape[0] - numbers.count), at: chunk.place)
      numbers += littleEndian(bytes).map { Int(Int64(bitPattern: $0)) }
    }
    return numbers
  }

  /// The bytes of a row of unsigned numbers of one or two bytes.
  func row(_ index: Int, of path: String) throws -> [UInt8] {
    let dataset = try dataset(path)
    return try inflated(
      try storedRow(index, of: path), count: dataset.shape.dropFirst().reduce(dataset.type.size, *),
      at: place(path))
  }

  /// The bytes of a row as they are stored, compressed.
  func storedRow(_ index: Int, of path: String) throws -> [UInt8] {
    let dataset = try dataset(path)
    guard [.uint8, .uint16].contains(dataset.type), case .chunks(let chunks, 1, true) = dataset.layout,
      chunks.indices.contains(index)
    else { throw notOfTheFormat("there is no compressed row \(index)", at: place(path)) }
    return try file.bytes(chunks[index].count, at: chunks[index].place)
  }

  /// `FILE:/object`.
  func place(_ path: String) -> String { "\(file.path):/\(path)" }
}
