// A small, safe view of an HDF5 file: opening, building in memory, listing. Datasets and attributes are in the
// extensions beside this file.

import CHDF5
import Support
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// An HDF5 file, open for reading, or under construction in memory.
///
/// Object paths are as in `student/backbone.patch_embed1.proj.weight`; a leading slash makes no difference. Any thread
/// may call; calls of all files of the process take turns. Failures name file and object and carry the library's
/// reason; the library itself prints nothing.
public final class HDF5File: @unchecked Sendable {
  /// Path on disk, or the name given to a file in memory.
  public let path: String
  private var handle: Identifier?

  /// Releases of HDF5 whose formats can be written; virtual datasets need 1.10.
  public enum Release: Sendable {
    case v18, v110
  }

  /// The memory of a file under construction.
  public let image: FileImage?
  private static let built = Atomic<Int>(0)

  /// Opens a file for reading.
  /// - Parameters:
  ///   - path: its path.
  ///   - isOwn: whether this program has just written it; then it may refer to other files.
  /// - Throws: `Failure` 66 if there is none, 74 if it cannot be read, 65 if it is not HDF5, or has anything but groups
  ///   and datasets whose values are in the file.
  public init(reading path: String, isOwn: Bool = false) throws {
    self.path = path
    image = nil
    let site = Site(file: path, object: nil)
    let count = try RegularFile(path).count
    handle = try HDF5Library.locked {
      let access = try site.own(H5Pcreate(ch5_p_file_access()), "prepare reading", status: .internal, H5Pclose)
      try site.check(ch5_without_locking(access.raw), "switch file locks off", status: .internal)
      return try site.own(H5Fopen(path, ch5_acc_rdonly(), access.raw), "read this as HDF5", H5Fclose)
    }
    if !isOwn { try refuseAllButPlain(count) }
  }

  /// Starts a file in memory; `close()` completes the image, which the caller then writes to disk.
  /// - Parameters:
  ///   - name: what to call the file in failures.
  ///   - userBlock: bytes left free (zero) at the start: 0, or a power of two from 512.
  ///   - capacity: expected length in bytes; more is allowed.
  ///   - oldestReader: the oldest release that shall read the file.
  ///   - memory: an image that nobody uses any more, whose memory shall serve this file.
  public init(
    building name: String, userBlock: Int, capacity: Int, oldestReader: Release = .v18, reusing memory: FileImage? = nil
  ) throws {
    path = name
    let image = memory ?? FileImage(capacity: capacity)
    image.startAnew(capacity: capacity)
    self.image = image
    let site = Site(file: name, object: nil)
    handle = try HDF5Library.locked {
      let creation = try site.own(H5Pcreate(ch5_p_file_create()), "prepare a file", status: .internal, H5Pclose)
      try site.check(H5Pset_userblock(creation.raw, hsize_t(userBlock)), "set a user block", status: .internal)
      try site.keepNoTimes(creation.raw)
      let access = try site.own(H5Pcreate(ch5_p_file_access()), "prepare a file", status: .internal, H5Pclose)
      try image.attach(to: access.raw, site)
      // Copies into places that begin cache lines are quicker.
      try site.check(H5Pset_alignment(access.raw, 4096, 64), "prepare a file", status: .internal)
      // From this version on all metadata carry checksums, and groups of thousands of names stay quick.
      let release = oldestReader == .v18 ? ch5_libver_v18() : ch5_libver_v110()
      try site.check(
        H5Pset_libver_bounds(access.raw, release, release), "choose a format", status: .internal)
      // The library takes files in memory of one name for one file.
      let unique = "\(name) \(HDF5File.built.add(1, ordering: .relaxed).newValue)"
      return try site.own(
        H5Fcreate(unique, ch5_acc_trunc(), creation.raw, access.raw), "start a file in memory", status: .internal,
        H5Fclose)
    }
  }

  deinit { HDF5Library.locked { handle = nil } }

  /// Closes the file; later calls on it fail. Building: the image is complete after this.
  /// - Throws: `Failure` 74 if the library could not write everything.
  public func close() throws {
    try HDF5Library.locked {
      guard let handle = handle.take() else { return }
      if image != nil { try Site(file: path, object: nil).check(H5Fflush(handle.raw, H5F_SCOPE_GLOBAL), "flush") }
      guard handle.close() else { throw Site(file: path, object: nil).failure(.inputOutput, "cannot close the file") }
    }
  }

  /// Puts everything that waits in buffers of the library into the file.
  func flush() throws {
    _ = try perform(nil) { file, site in try site.check(H5Fflush(file, H5F_SCOPE_GLOBAL), "flush the file") }
  }

  /// Runs `body` with the file's identifier, alone in the library.
  func perform<Result>(_ object: String?, _ body: (hid_t, Site) throws -> Result) throws -> Result {
    try HDF5Library.locked {
      let site = Site(file: path, object: object)
      guard let raw = handle?.raw else { throw Failure(.internal, "the file is closed already", at: site.place) }
      return try body(raw, site)
    }
  }
}

extension HDF5File {
  /// What a link leads to.
  public enum Kind: Sendable {
    case group, dataset, other
  }

  /// Names and kinds in a group, in byte order of the names.
  /// - Throws: `Failure` 65 if there is no such group.
  public func entries(of group: String) throws -> [(name: String, kind: Kind)] {
    try perform(group) { file, site in
      let opened = try site.own(H5Gopen2(file, absolute(group), ch5_p_default()), "open this group", H5Gclose)
      let found = try eachLink(of: opened.raw, site).map { (name: $0.name, kind: kind(of: $0.name, in: opened.raw)) }
      return found.sorted { precedesInBytes($0.name, $1.name) }
    }
  }

  /// Names in an open group with the addresses of their objects, undefined for anything but hard links.
  func eachLink(of group: hid_t, _ site: Site) throws -> [(name: String, address: haddr_t)] {
    // Asking for the n-th name would make the library sort all of them each time.
    final class Links { var list: [(name: String, address: haddr_t)] = [] }
    let links = Links()
    try site.check(
      ch5_each_name(
        group,
        { name, address, context in
          guard let name, let context else { return }
          Unmanaged<Links>.fromOpaque(context).takeUnretainedValue().list.append((String(cString: name), address))
        }, Unmanaged.passUnretained(links).toOpaque()), "list this group", status: .badData)
    return links.list
  }

  /// Paths of all datasets below a group, without a leading slash, in byte order.
  public func datasets(under group: String = "") throws -> [String] {
    var found: [String] = []
    for entry in try entries(of: group) {
      let path = group.isEmpty || group == "/" ? entry.name : "\(group)/\(entry.name)"
      switch entry.kind {
      case .dataset: found.append(path)
      case .group: found += try datasets(under: path)
      case .other: continue
      }
    }
    return found.sorted(by: precedesInBytes)
  }

  /// Whether there is an object at this path.
  public func contains(_ path: String) throws -> Bool {
    try perform(path) { file, _ in
      var prefix = ""
      for part in path.split(separator: "/") {
        prefix += "/\(part)"
        if H5Lexists(file, prefix, ch5_p_default()) <= 0 { return false }
      }
      return true
    }
  }

  /// Creates a group and those above it that are missing.
  public func createGroup(_ path: String) throws {
    try perform(path) { file, site in try createGroup(path, in: file, site) }
  }

  /// Creates the group that a path's last name is to be in. Called before an object is created.
  func createGroup(above path: String, in file: hid_t, _ site: Site) throws {
    try createGroup(path.split(separator: "/").dropLast().joined(separator: "/"), in: file, site)
  }

  /// One after the other: groups that the library makes by itself on the way carry the second they were made in.
  private func createGroup(_ path: String, in file: hid_t, _ site: Site) throws {
    var group = ""
    for name in path.split(separator: "/") {
      group += "/\(name)"
      guard H5Lexists(file, group, ch5_p_default()) <= 0 else { continue }
      let creation = try site.own(H5Pcreate(ch5_p_group_create()), "prepare a group", status: .internal, H5Pclose)
      try site.keepNoTimes(creation.raw)
      _ = try site.own(
        H5Gcreate2(file, group, ch5_p_default(), creation.raw, ch5_p_default()), "create this group",
        status: .inputOutput, H5Gclose)
    }
  }

  private func kind(of name: String, in group: hid_t) -> Kind {
    let object = H5Oopen(group, name, ch5_p_default())
    guard object >= 0 else { return .other }
    let owned = Identifier(object, H5Oclose)
    switch H5Iget_type(owned.raw) {
    case H5I_GROUP: return .group
    case H5I_DATASET: return .dataset
    default: return .other
    }
  }
}

extension Site {
  /// Makes objects that this list of properties creates alike at any time: times would make two files of the same state
  /// differ.
  func keepNoTimes(_ creation: hid_t) throws {
    try check(H5Pset_obj_track_times(creation, false), "prepare an object", status: .internal)
  }
}

/// The path with one leading slash.
func absolute(_ path: String) -> String { path.hasPrefix("/") ? path : "/\(path)" }

/// Byte order of the UTF-8 forms, the order of names everywhere in files and digests.
func precedesInBytes(_ first: String, _ second: String) -> Bool { first.utf8.lexicographicallyPrecedes(second.utf8) }

/// Why a file could not be opened, from the system's error number.
func openFailure(_ path: String, _ number: Int32) -> Failure {
  let reason = String(cString: strerror(number))
  if number == ENOENT { return Failure(.missingInput, "there is no such file", at: path) }
  return Failure(.inputOutput, "cannot open the file (\(reason))", at: path)
}
