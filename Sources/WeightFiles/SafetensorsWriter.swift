// Writing safetensors in the official layout: header padded to 8 bytes, tensors in byte order of their names.

import Foundation
import Support

/// Writes Float32 tensors as a safetensors file that is either complete or not there.
///
/// The file gets a temporary name first, is flushed to the disk and then renamed. Names and metadata are in byte order,
/// so equal contents give equal files.
/// - Parameters:
///   - tensors: official names and shapes with values in row-major order; the bits of the values are kept.
///   - metadata: texts for the header's `__metadata__`.
///   - path: the file.
///   - overwrite: whether a file of that name may be replaced.
/// - Throws: `Failure` 73 if the file is there already or cannot be created, 74 if it cannot be written, 65 if two tensors
///   share a name or one is called `__metadata__`.
/// - Precondition: each tensor has as many values as its shape says.
public func writeSafetensors(
  _ tensors: [(name: String, shape: [Int], values: [Float])], metadata: [String: String], to path: String,
  overwrite: Bool = false
) throws {
  let sorted = tensors.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  for (one, next) in zip(sorted, sorted.dropFirst()) where one.name == next.name {
    throw Failure(.badData, "two tensors are called \(printable(one.name))", at: path)
  }
  if sorted.contains(where: { $0.name == "__metadata__" }) {
    throw Failure(.badData, "no tensor can be called __metadata__", at: path)
  }
  for tensor in sorted {
    precondition(
      checkedProduct(tensor.shape) == tensor.values.count, "\(tensor.values.count) values for shape \(tensor.shape)")
  }
  try writeDurably(to: path, overwrite: overwrite) { write in
    try write(safetensorsHeader(sorted.map { ($0.name, $0.shape) }, metadata))
    for tensor in sorted {
      for first in stride(from: 0, to: tensor.values.count, by: 1 << 20) {
        var piece: [UInt8] = []
        piece.reserveCapacity(4 << 20)
        for value in tensor.values[first..<min(first + 1 << 20, tensor.values.count)] {
          let bits = value.bitPattern
          piece.append(UInt8(truncatingIfNeeded: bits))
          piece.append(UInt8(truncatingIfNeeded: bits >> 8))
          piece.append(UInt8(truncatingIfNeeded: bits >> 16))
          piece.append(UInt8(truncatingIfNeeded: bits >> 24))
        }
        try write(piece)
      }
    }
  }
}

/// Length, JSON and padding.
private func safetensorsHeader(_ tensors: [(name: String, shape: [Int])], _ metadata: [String: String]) -> [UInt8] {
  var members: [String] = []
  if !metadata.isEmpty {
    let pairs = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    members.append("\"__metadata__\":{\(pairs.map { "\(quoted($0.key)):\(quoted($0.value))" }.joined(separator: ","))}")
  }
  var position = 0
  for (name, shape) in tensors {
    let end = position + 4 * shape.reduce(1, *)
    let sizes = shape.map(String.init).joined(separator: ",")
    members.append("\(quoted(name)):{\"dtype\":\"F32\",\"shape\":[\(sizes)],\"data_offsets\":[\(position),\(end)]}")
    position = end
  }
  var json = Array("{\(members.joined(separator: ","))}".utf8)
  json += Array(repeating: UInt8(ascii: " "), count: (8 - json.count % 8) % 8)
  return (0..<8).map { UInt8(truncatingIfNeeded: json.count >> (8 * $0)) } + json
}

/// A JSON text.
private func quoted(_ text: String) -> String {
  var json = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": json += "\\\""
    case "\\": json += "\\\\"
    case "\u{0}"..<"\u{20}": json += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
    default: json.unicodeScalars.append(scalar)
    }
  }
  return json + "\""
}

/// Writes a file under a temporary name, flushes it and renames it.
private func writeDurably(
  to path: String, overwrite: Bool, _ content: (_ write: ([UInt8]) throws -> Void) throws -> Void
) throws {
  func failure(_ status: Support.ExitStatus, _ what: String) -> Failure {
    let reason = String(cString: strerror(errno))
    return Failure(status, "\(what) (\(reason))", at: path, remedy: errno == ENOSPC ? "make room" : nil)
  }
  func checkName() throws {
    guard !overwrite, access(path, F_OK) == 0 else { return }
    throw Failure(.cannotCreate, "is there already", at: path, remedy: "name another file or allow overwriting")
  }
  try checkName()
  let temporary = "\(path).\(getpid())-\(UInt32.random(in: 0 ... .max)).tmp"
  let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
  guard descriptor >= 0 else { throw failure(.creating(errno), "cannot create the file") }
  do {
    defer { close(descriptor) }
    let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
    do { try content { try file.write(contentsOf: Data($0)) } } catch let error as CocoaError {
      throw Failure(.inputOutput, "cannot write (\(error.localizedDescription))", at: path, remedy: "make room")
    }
    guard fsync(descriptor) == 0 else { throw failure(.inputOutput, "cannot flush to the disk") }
    try checkName()
    guard rename(temporary, path) == 0 else { throw failure(.creating(errno), "cannot rename") }
  } catch {
    unlink(temporary)
    throw error
  }
  let parent = parentFolder(of: path)
  if case .failed(let number) = flushFolder(parent.isEmpty ? "." : parent) {
    errno = number
    throw failure(.inputOutput, "cannot flush the folder")
  }
}
