// The bytes of a weight file. Every access is checked against the file's length before anything is allocated.

import Foundation
import Support

/// A file's bytes, mapped into memory or held as they are.
struct WeightBytes: Sendable {
  let data: Data
  /// What to call the file in failures that come after reading.
  let path: String

  /// Bytes that need not start at index 0 of their storage.
  init(_ data: Data, path: String) {
    self.data = data.startIndex == 0 ? data : Data(data)
    self.path = path
  }

  /// Maps a file.
  /// - Throws: `Failure` 66 if there is none, 65 if it is a folder or device, 74 if it cannot be read.
  init(path: String) throws {
    var status = stat()
    guard stat(path, &status) == 0 else {
      let missing = errno == ENOENT || errno == ENOTDIR
      throw Failure(
        missing ? .missingInput : .inputOutput,
        missing ? "no such file" : "cannot be read (\(String(cString: strerror(errno))))",
        remedy: missing ? "check the path" : nil)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw Failure(.badData, "not a regular file", remedy: "name a .safetensors or .pth file")
    }
    do { self.init(try Data(contentsOf: URL(filePath: path), options: .alwaysMapped), path: path) } catch {
      throw Failure(.inputOutput, "cannot be read (\(error.localizedDescription))")
    }
  }

  var count: Int { data.count }

  /// The bytes of a range.
  /// - Throws: `Failure` 65 if the range leaves the file.
  func bytes(_ start: Int, _ count: Int, of what: String) throws -> [UInt8] {
    guard start >= 0, count >= 0, start <= self.count, count <= self.count - start else {
      throw Failure(
        .badData, "\(what) would end at byte \(saturatingSum(start, count)), the file has \(self.count)",
        remedy: "the file is cut off or damaged, fetch it again")
    }
    return [UInt8](data[start..<start + count])
  }

  /// An unsigned number of `size` bytes, at most 8.
  /// - Throws: `Failure` 65 if it leaves the file.
  func number(_ start: Int, size: Int, of what: String) throws -> UInt64 {
    try bytes(start, size, of: what).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// Whether the file starts with some bytes.
  func starts(with bytes: [UInt8]) -> Bool { data.prefix(bytes.count).elementsEqual(bytes) }
}

/// a + b, or the largest number if that is too large.
func saturatingSum(_ a: Int, _ b: Int) -> Int {
  let (sum, overflow) = a.addingReportingOverflow(b)
  return overflow ? .max : sum
}

/// The product of the sizes, or nil if one is negative or the product overflows.
func checkedProduct(_ sizes: [Int]) -> Int? {
  var product = 1
  var hasZero = false
  for size in sizes {
    guard size >= 0 else { return nil }
    if size == 0 {
      hasZero = true
      continue
    }
    let (next, overflow) = product.multipliedReportingOverflow(by: size)
    guard !overflow else { return nil }
    product = next
  }
  return hasZero ? 0 : product
}

/// A name from a file as it may be shown: without control characters, and cut where it is long.
func printable(_ name: String) -> String {
  var shown = ""
  for scalar in name.unicodeScalars.prefix(120) {
    shown.unicodeScalars.append(scalar.properties.generalCategory == .control ? "\u{FFFD}" : scalar)
  }
  return name.unicodeScalars.count > 120 ? shown + "…" : shown
}
