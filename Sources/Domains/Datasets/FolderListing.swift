// The files below a folder, through links, each with its size.

import Foundation
import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The files below a folder. Links to files and to folders are followed; a folder that holds itself is entered once.
/// Hidden files and folders are left out.
struct FolderListing {
  /// A file.
  struct File {
    /// Path inside the folder.
    let name: String
    /// Path.
    let path: String
    /// Its bytes; nil where it is no plain file but a device, a pipe or a socket.
    let bytes: Int?
  }

  /// A folder, by what links to it have in common.
  private struct Folder: Equatable {
    let device: dev_t
    let number: ino_t
  }

  /// In no order.
  private(set) var files: [File] = []

  /// Lists a folder.
  /// - Throws: `Failure` 66 if it or a folder in it is missing or cannot be read, or a link leads nowhere; 65 for a name
  ///   that is not UTF-8.
  init(_ folder: String) throws {
    let state = try FolderListing.state(folder, missing: "no such folder")
    guard state.st_mode & S_IFMT == S_IFDIR else {
      throw Failure(.missingInput, "not a folder", at: folder, remedy: "give the folder that holds the files")
    }
    let bare = folder.count > 1 && folder.hasSuffix("/") ? String(folder.dropLast()) : folder
    try add(bare, "", ancestors: [Folder(device: state.st_dev, number: state.st_ino)])
  }

  private mutating func add(_ folder: String, _ prefix: String, ancestors: [Folder]) throws {
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: folder)
    } catch {
      throw Failure(.missingInput, "this folder cannot be read", at: folder, remedy: "check its permissions")
    }
    for name in names where !name.hasPrefix(".") {
      let path = "\(folder)/\(name)"
      let state = try FolderListing.state(path, missing: "a link that leads nowhere")
      switch state.st_mode & S_IFMT {
      case S_IFDIR:
        let inner = Folder(device: state.st_dev, number: state.st_ino)
        // Entered again, a folder that holds itself would have no end.
        if !ancestors.contains(inner) { try add(path, prefix + name + "/", ancestors: ancestors + [inner]) }
      case S_IFREG: files.append(File(name: prefix + name, path: path, bytes: Int(state.st_size)))
      default: files.append(File(name: prefix + name, path: path, bytes: nil))
      }
    }
  }

  /// What the system says of what a path leads to.
  private static func state(_ path: String, missing: String) throws -> stat {
    var state = stat()
    guard stat(path, &state) != 0 else { return state }
    let reason = errno
    try checkListedPath(path)
    switch reason {
    case ENOENT, ENOTDIR, ELOOP: throw Failure(.missingInput, missing, at: path, remedy: "check the path")
    default:
      throw Failure(
        .missingInput, "cannot be read (\(String(cString: strerror(reason))))", at: path,
        remedy: "check its permissions")
    }
  }
}

/// The files below a folder that have one of some types and a suffix, by stem, and the others.
struct StemmedFiles {
  /// The folder.
  let folder: String
  /// Files by path inside the folder, without suffix and extension.
  private(set) var byStem: [String: FolderListing.File] = [:]
  private var others: [(path: String, kind: String)] = []

  /// Lists a folder.
  /// - Throws: as `FolderListing`, and `Failure` 65 if two files share a stem.
  init(_ folder: String, suffix: String, types: Set<String>) throws {
    self.folder = folder
    for file in try FolderListing(folder).files {
      let name = file.name as NSString
      let stem = name.deletingPathExtension
      let type = name.pathExtension.lowercased()
      guard file.bytes != nil, types.contains(type), stem.hasSuffix(suffix) else {
        others.append((file.path, StemmedFiles.kind(file, type, isOfTypes: types.contains(type), suffix)))
        continue
      }
      let short = String(stem.dropLast(suffix.count))
      if let other = byStem[short]?.path {
        throw Failure(
          .badData, "has the same stem as \(max(other, file.path))", at: min(other, file.path),
          remedy: "keep one of them")
      }
      byStem[short] = file
    }
  }

  /// What a file is that is not used, such as `.webp file`.
  private static func kind(_ file: FolderListing.File, _ type: String, isOfTypes: Bool, _ suffix: String) -> String {
    if file.bytes == nil { return "special file" }
    if isOfTypes { return ".\(type) file not named *\(suffix)" }
    return type.isEmpty ? "file without a suffix" : ".\(type) file"
  }

  /// Number of files that were passed over, by what they are, but for those of some paths.
  func counts(except used: Set<String>) -> [String: Int] {
    let rest = Dictionary(others.filter { !used.contains($0.path) }.map { ($0.kind, 1) }, uniquingKeysWith: +)
    return Dictionary(
      rest.map { ($1 == 1 ? $0 : $0.replacing("file", with: "files", maxReplacements: 1), $1) }, uniquingKeysWith: +)
  }
}
