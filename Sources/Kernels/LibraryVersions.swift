// Versions of the libraries whose arithmetic enters the results.

import CDNNL
import Foundation

/// Versions of the matrix library and of the C library in use, by name. The latter's exponentials, logarithms, powers
/// and sines enter learning rates, augmentation and losses.
public var arithmeticLibraryVersions: [String: String] {
  var versions: [String: String] = [:]
  if let version = dnnl_version()?.pointee { versions["oneDNN"] = "\(version.major).\(version.minor).\(version.patch)" }
  var text = [CChar](repeating: 0, count: 64)
  // "glibc 2.36"; empty with another C library.
  if confstr(Int32(_CS_GNU_LIBC_VERSION), &text, text.count) > 1 {
    versions["glibc"] = text.withUnsafeBufferPointer { buffer in
      buffer.baseAddress.flatMap { String(cString: $0).split(separator: " ").last.map(String.init) }
    }
  }
  return versions
}
