// Folders: making them, flushing them, and what a file system may not be able to do.

import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

extension ExitStatus {
  /// The status for an output that the system does not create: 74 where the reason may pass by itself, such as a full
  /// disk or a server that is away, so that the command is worth another try; 73 where somebody has to mend something.
  /// - Parameter number: the system's number, such as `ENOSPC`.
  public static func creating(_ number: Int32) -> ExitStatus {
    let passing = [
      ENOSPC, EDQUOT, EIO, EINTR, EAGAIN, ENOMEM, EMFILE, ENFILE, ESTALE, ETIMEDOUT, EHOSTDOWN, EHOSTUNREACH, ENOLCK,
    ]
    return passing.contains(number) ? .inputOutput : .cannotCreate
  }
}

/// Makes a folder and those above it; one that is there already is fine.
/// - Throws: `Failure` that names the folder: 73 if it cannot be made, 74 if that may pass, as on a full disk.
public func makeFolder(_ path: String) throws {
  guard !path.isEmpty else { throw cannotMake(path, ENOENT) }
  var made = path.hasPrefix("/") ? "/" : ""
  for name in path.split(separator: "/") {
    made += made.isEmpty || made == "/" ? name : "/\(name)"
    guard mkdir(made, 0o777) != 0 else { continue }
    let number = errno
    var status = stat()
    if stat(made, &status) == 0 {
      if status.st_mode & S_IFMT == S_IFDIR { continue }
      throw cannotMake(path, ENOTDIR)
    }
    throw cannotMake(path, number)
  }
}

private func cannotMake(_ folder: String, _ number: Int32) -> Failure {
  let status = ExitStatus.creating(number)
  return Failure(
    status, "the folder cannot be made (\(String(cString: strerror(number))))", at: folder,
    remedy: status == .cannotCreate ? "name a folder in a place that can be written" : "make room or try again later")
}

/// What came of flushing a folder.
public enum FolderFlush: Sendable, Equatable {
  case done
  /// The file system does not flush folders; the system's number tells how it said so.
  case unsupported(Int32)
  case failed(Int32)
}

/// Devices that have flushed a folder.
private let flushing = Mutex<Set<dev_t>>([])

/// Puts changes of names in a folder on the disk.
///
/// Several file systems cannot, and say so in different ways: virtiofs by `EBADF`, WSL's drives by `EIO`, others by
/// `EINVAL` or `ENOTSUP`. `EIO` counts as an error of the device where a folder of that device was flushed before.
public func flushFolder(_ path: String) -> FolderFlush {
  let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  // A folder may be written by somebody who may not list it.
  guard descriptor >= 0 else { return errno == EACCES ? .unsupported(EACCES) : .failed(errno) }
  defer { close(descriptor) }
  var status = stat()
  let device = fstat(descriptor, &status) == 0 ? status.st_dev : 0
  while fsync(descriptor) != 0 {
    switch errno {
    case EINTR: continue
    case EBADF, EINVAL, ENOTSUP, ENOSYS, EISDIR, EACCES, EPERM: return .unsupported(errno)
    case EIO where flushing.withLock({ !$0.contains(device) }): return .unsupported(EIO)
    default: return .failed(errno)
    }
  }
  flushing.withLock { _ = $0.insert(device) }
  return .done
}
