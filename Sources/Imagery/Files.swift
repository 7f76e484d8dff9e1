// Whole files in and out, with failures that name the file.

import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// All bytes of a file.
/// - Throws: a `Failure` that names the file: 66 if there is none, 74 if it cannot be read.
public func readFile(_ path: String) throws -> [UInt8] {
  guard let file = fopen(path, "rb") else { throw openingFailure(path) }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var status = stat()
  if fstat(fileno(file), &status) == 0 { bytes.reserveCapacity(Int(status.st_size)) }
  var piece = [UInt8](repeating: 0, count: 1 << 18)
  while true {
    let count = fread(&piece, 1, piece.count, file)
    bytes.append(contentsOf: piece[0..<count])
    if count < piece.count { break }
  }
  guard ferror(file) == 0 else {
    throw Failure(.inputOutput, "cannot be read (\(systemReason()))", at: path, remedy: "give a file that can be read")
  }
  return bytes
}

/// Writes a whole file under a temporary name in the same folder and renames it, so that no reader ever sees a part.
/// - Throws: a `Failure` that names the file: 73 if it cannot be created, 74 if writing fails.
public func writeFile(_ bytes: [UInt8], to path: String) throws {
  let temporary = "\(path).\(getpid()).partial"
  guard let file = fopen(temporary, "wb") else {
    throw Failure(
      .creating(errno), "cannot be created (\(systemReason()))", at: path, remedy: "give a folder that can be written")
  }
  let written = fwrite(bytes, 1, bytes.count, file)
  // A full disk may show only when the last buffer goes out.
  guard fclose(file) == 0, written == bytes.count else {
    let reason = systemReason()
    unlink(temporary)
    throw Failure(.inputOutput, "cannot be written (\(reason))", at: path, remedy: "free some space")
  }
  guard rename(temporary, path) == 0 else {
    let (status, reason) = (ExitStatus.creating(errno), systemReason())
    unlink(temporary)
    throw Failure(status, "cannot be created (\(reason))", at: path, remedy: "remove what is in its place")
  }
}

/// Why a file could not be opened, from the last error.
func openingFailure(_ path: String) -> Failure {
  if errno == ENOENT || errno == ENOTDIR {
    return Failure(.missingInput, "no such file", at: path, remedy: "check the path")
  }
  return Failure(.inputOutput, "cannot be opened (\(systemReason()))", at: path, remedy: "check its permissions")
}

/// The system's words for the last error.
func systemReason() -> String { String(cString: strerror(errno)) }
