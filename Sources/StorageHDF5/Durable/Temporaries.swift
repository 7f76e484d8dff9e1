// Unfinished files: how they are called, and which of them nobody will finish.

import Foundation
import Support

/// Names of unfinished files, `STEM.HOST.OWNER-NUMBER.h5.tmp`.
///
/// The owner is a `ProcessIdentity`. A lock of the kernel would not tell whether a writer lives: on many network file
/// systems each host has locks of its own. The host is there for people.
enum TemporaryName {
  private static let ending = ".h5.tmp"
  /// Bytes of stem and host: the whole must be no longer than a file system's names.
  private static let most = (stem: 96, host: 48)

  private static let host = String(
    ProcessInfo.processInfo.hostName.unicodeScalars.prefix(most.host).map { scalar in
      scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
        ? Character(scalar) : "-"
    })

  /// A name beside the file that is to be written.
  /// - Parameter number: tells apart what this process writes.
  static func path(for path: String, _ number: Int) -> String {
    let folder = parentFolder(of: path)
    let file = path.split(separator: "/").last ?? ""
    let stem = file.lastIndex(of: ".").map { file[..<$0] } ?? file
    let start = String(decoding: stem.utf8.prefix(most.stem), as: UTF8.self)
    let name = "\(start).\(host).\(ProcessIdentity.current)-\(number)\(ending)"
    return folder.isEmpty ? name : folder == "/" ? "/\(name)" : "\(folder)/\(name)"
  }

  /// Whether a file is an unfinished one, also of a former version of this program.
  static func isOne(_ name: String) -> Bool { name.hasSuffix(ending) }

  /// Who writes the file; nil if its name does not tell.
  static func owner(of name: String) -> ProcessIdentity? {
    guard isOne(name), let last = name.dropLast(ending.count).split(separator: ".").last,
      let dash = last.lastIndex(of: "-")
    else { return nil }
    return ProcessIdentity(last[..<dash])
  }
}

/// Gets folders ready for a run that alone may write there: removes what was left unfinished by writers of any host,
/// unless they live on this one. Elsewhere only what was left by writers that have certainly ended is removed.
/// - Returns: what a user should know of the file system, as lines that begin with `warning: `.
public func readyForWriting(_ folders: [String]) -> [String] {
  let disk = DurableFile(SystemFileOperations())
  for folder in folders { disk.removeTemporaries(in: folder) { $0?.standing != .lives } }
  guard let folder = folders.first, case .unsupported(let number) = flushFolder(folder) else { return [] }
  return [
    "warning: the file system of \(folder) does not flush folders (\(SystemError(number).reason)): "
      + "a power failure may lose the newest files there"
  ]
}
