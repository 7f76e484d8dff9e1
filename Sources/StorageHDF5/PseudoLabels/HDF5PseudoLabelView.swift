// One file that shows the caches of all ranks as if they were one, for other programs: virtual datasets over the rank
// files. The library reads zeros for a source that is missing, and whatever file a stranger's view names; so we never
// read through a view, but from its sources, and believe it only if it is what we would write over them.

import CHDF5
import Foundation
import Storage
import Support
import Tensors

/// A view over the caches of all ranks of a folder.
public struct HDF5PseudoLabelView {
  /// Path of the view.
  public let path: String
  /// Entries of all ranks together.
  public let entryCount: Int
  private let sources: [HDF5PseudoLabelReader]

  /// Name of the view in its folder.
  public static let name = "all.h5"

  /// Writes `all.h5` over the rank files of a folder, which are verified first. Called on rank 0 after all ranks have
  /// published; the next publication makes the view stale.
  /// - Throws: `Failure` 66 if a rank's file is missing, 65 if one is damaged or they do not belong together.
  public static func write(_ store: HDF5PseudoLabelStore) throws -> HDF5PseudoLabelView {
    let readers = try sources(store)
    let path = "\(store.folder)/\(name)"
    let image = try image(over: readers)
    try DurableFile(store.operations).write(image.bytes, as: .pseudoLabelView, to: path)
    return try HDF5PseudoLabelView(verifying: path)
  }

  /// The bytes of a view; those of its seal are blank.
  private static func image(over readers: [HDF5PseudoLabelReader]) throws -> FileImage {
    let names = readers.map { ($0.path as NSString).lastPathComponent }
    let file = try HDF5File(building: name, userBlock: Seal.length, capacity: 1 << 16, oldestReader: .v110)
    let attributes: [(String, HDF5Value)] = [
      ("format", .text("\(CacheLayout.format)-view")), ("format-version", .integer(CacheLayout.formatVersion)),
      ("sources", .texts(names)), ("source-digests", .texts(readers.map(\.seal.digest))),
    ]
    for (name, value) in attributes { try file.setAttribute(name, of: "", to: value) }
    let sources = zip(names, readers).map { ($0, $1.images.count) }
    for list in [CacheLayout.images, CacheLayout.steps] {
      try file.writeVirtual(list, row: [], type: ch5_i64le(), sources: sources)
    }
    for plane in CacheLayout.planes(readers[0].origin) {
      try file.writeVirtual(plane.name, row: plane.row, type: plane.element.type, sources: sources)
    }
    try file.close()
    guard let image = file.image else { throw Failure(.internal, "a view has no memory", at: name) }
    return image
  }

  /// Checks a view and every source: each must be there, undamaged, and the very file the view was made over.
  /// - Throws: `Failure` 66 or 65 naming the first source for which that does not hold.
  public init(verifying path: String) throws {
    let file = try RegularFile(path)
    _ = try Seal.verified(file, [.pseudoLabelView])
    var walk = try StoredWalk(file)
    let attributes = try walk.visitRoot()
    guard let names = attributes["sources"]?.texts, let digests = attributes["source-digests"]?.texts,
      names.count == digests.count, !names.isEmpty
    else { throw Failure(.badData, "names no sources", at: path) }
    let folder = (path as NSString).deletingLastPathComponent
    var sources: [HDF5PseudoLabelReader] = []
    for (name, digest) in zip(names, digests) {
      guard CacheLayout.isCache(name) else { throw notOfTheFormat("a source that is no cache of its folder", at: path) }
      let source = try HDF5PseudoLabelReader(
        (folder as NSString).appendingPathComponent(name), expecting: sources.first?.origin)
      guard source.seal.digest == digest else {
        throw Failure(
          .badData, "was published after the view over it was made", at: source.path, remedy: "make the view anew")
      }
      sources.append(source)
    }
    let expected = try HDF5PseudoLabelView.image(over: sources)
    guard
      try file.count == expected.count
        && file.bytes(file.count - Seal.length, at: Seal.length).elementsEqual(expected.bytes.dropFirst(Seal.length))
    else { throw Failure(.badData, "is not the view over its sources", at: path, remedy: "make the view anew") }
    self.path = path
    self.sources = sources
    entryCount = sources.reduce(0) { $0 + $1.images.count }
  }

  /// Labels of an entry, counted over all ranks.
  public func labels(at position: Int) throws -> LabelMap {
    var position = position
    for source in sources {
      if position < source.images.count { return try source.entry(at: position).labels }
      position -= source.images.count
    }
    preconditionFailure("entry \(position) of \(entryCount)")
  }

  private static func sources(_ store: HDF5PseudoLabelStore) throws -> [HDF5PseudoLabelReader] {
    let first = try HDF5PseudoLabelReader(store.file(rank: 0))
    return try [first]
      + (1..<max(first.origin.worldSize, 1)).map { rank in
        let reader = try HDF5PseudoLabelReader(store.file(rank: rank), expecting: first.origin)
        guard reader.origin.worldSize == first.origin.worldSize, reader.completedSteps == first.completedSteps else {
          throw Failure(.badData, "was not published together with rank 0's file", at: reader.path)
        }
        return reader
      }
  }
}

extension HDF5File {
  /// Creates a dataset that shows the rows of datasets of the same path in other files, one file after the other.
  fileprivate func writeVirtual(
    _ path: String, row: [Int], type: hid_t, sources: [(file: String, count: Int)]
  ) throws {
    try perform(path) { file, site in
      let total = sources.reduce(0) { $0 + $1.count }
      let space = try dataspace([total] + row, site)
      let creation = try site.own(H5Pcreate(ch5_p_dataset_create()), "prepare a dataset", status: .internal, H5Pclose)
      try site.keepNoTimes(creation.raw)
      var start = [hsize_t](repeating: 0, count: row.count + 1)
      for source in sources where source.count > 0 {
        let extents = ([source.count] + row).map { hsize_t($0) }
        try site.check(
          H5Sselect_hyperslab(space.raw, H5S_SELECT_SET, start, nil, extents, nil), "select the rows of \(source.file)")
        let from = try dataspace([source.count] + row, site)
        try site.check(
          H5Pset_virtual(creation.raw, space.raw, source.file, absolute(path), from.raw), "refer to \(source.file)")
        start[0] += hsize_t(source.count)
      }
      try createGroup(above: path, in: file, site)
      let whole = try dataspace([total] + row, site)
      _ = try site.own(
        H5Dcreate2(file, absolute(path), type, whole.raw, ch5_p_default(), creation.raw, ch5_p_default()),
        "create this dataset", status: .internal, H5Dclose)
    }
  }
}
