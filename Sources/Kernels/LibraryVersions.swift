// Versions of the libraries whose arithmetic enters the results.

import CDNNL
import COpenBLAS

/// Versions of the matrix libraries in use, by name.
public var matrixLibraryVersions: [String: String] {
  var versions: [String: String] = [:]
  if let version = dnnl_version()?.pointee { versions["oneDNN"] = "\(version.major).\(version.minor).\(version.patch)" }
  if let text = openblas_get_config() {
    versions["OpenBLAS"] = String(cString: text).split(separator: " ").dropFirst().first.map(String.init)
  }
  return versions
}
