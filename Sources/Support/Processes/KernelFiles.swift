// Files that the kernel makes up when they are read, such as those of /proc: they have no length beforehand.

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// All bytes of a file of the kernel; nil if it cannot be read.
func kernelBytes(_ path: String) -> [UInt8]? {
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return nil }
  defer { close(descriptor) }
  var bytes: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = read(descriptor, &piece, piece.count)
    guard count >= 0 else { return nil }
    if count == 0 { return bytes }
    bytes += piece[..<count]
  }
}

/// The text of a file of the kernel; nil if it cannot be read.
func kernelText(_ path: String) -> String? {
  kernelBytes(path).map { String(decoding: $0, as: UTF8.self) }
}
