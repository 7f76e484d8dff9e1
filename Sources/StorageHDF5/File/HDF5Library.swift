// The HDF5 library itself: one lock around it, its error stack turned into failures, identifiers that close
// themselves. Every call of the C API in this target goes through here.

import CHDF5
import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

enum HDF5Library {
  private nonisolated(unsafe) static let mutex: UnsafeMutablePointer<pthread_mutex_t> = {
    let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    var attributes = pthread_mutexattr_t()
    pthread_mutexattr_init(&attributes)
    pthread_mutexattr_settype(&attributes, Int32(PTHREAD_MUTEX_RECURSIVE))
    pthread_mutex_init(mutex, &attributes)
    pthread_mutexattr_destroy(&attributes)
    return mutex
  }()

  /// Runs `body` alone in the library, with the library's own error printing off.
  ///
  /// Clusters often load builds without thread safety, and where there is safety the error stack belongs to the
  /// thread: so the lock is ours, and printing is switched off on whatever thread comes along.
  static func locked<Result: ~Copyable>(_ body: () throws -> Result) rethrows -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    H5Eset_auto2(ch5_e_default(), nil, nil)
    return try body()
  }

  /// The innermost and outermost messages of this thread's error stack, on one line; nil if it is empty.
  static func reason() -> String? {
    final class Messages { var list: [String] = [] }
    let messages = Messages()
    H5Ewalk2(
      ch5_e_default(), H5E_WALK_UPWARD,
      { _, entry, context in
        guard let context, let text = entry?.pointee.desc else { return 0 }
        Unmanaged<Messages>.fromOpaque(context).takeUnretainedValue().list.append(String(cString: text))
        return 0
      }, Unmanaged.passUnretained(messages).toOpaque())
    guard let first = messages.list.first, let last = messages.list.last else { return nil }
    let text = first == last ? first : "\(last): \(first)"
    return text.split(whereSeparator: \.isNewline).joined(separator: " ")
  }
}

/// An HDF5 identifier that is closed once, even when an error is thrown.
struct Identifier: ~Copyable {
  let raw: hid_t
  private let closer: @convention(c) (hid_t) -> herr_t

  init(_ raw: hid_t, _ closer: @escaping @convention(c) (hid_t) -> herr_t) {
    self.raw = raw
    self.closer = closer
  }

  /// Closes now; false if the library could not.
  consuming func close() -> Bool {
    let status = closer(raw)
    forget()
    return status >= 0
  }

  private consuming func forget() { discard self }

  deinit { _ = closer(raw) }
}

/// Where in which file a call happens; turns return codes into failures.
struct Site {
  let file: String
  let object: String?

  /// `FILE:/object`.
  var place: String { object.map { "\(file):\($0.hasPrefix("/") ? "" : "/")\($0)" } ?? file }

  /// A failure with the library's reason.
  func failure(_ status: ExitStatus, _ what: String, remedy: String? = nil) -> Failure {
    let reason = HDF5Library.reason().map { " (HDF5: \($0))" } ?? ""
    return Failure(status, what + reason, at: place, remedy: remedy)
  }

  /// Takes ownership of an identifier that a call returned, or throws what the call could not do.
  func own(
    _ raw: hid_t, _ what: String, status: ExitStatus = .badData,
    _ closer: @escaping @convention(c) (hid_t) -> herr_t
  ) throws -> Identifier {
    guard raw >= 0 else { throw failure(status, "cannot \(what)") }
    return Identifier(raw, closer)
  }

  /// Throws what a call could not do if it returned a negative code.
  @discardableResult
  func check<Code: SignedInteger>(_ code: Code, _ what: String, status: ExitStatus = .inputOutput) throws -> Code {
    guard code >= 0 else { throw failure(status, "cannot \(what)") }
    return code
  }
}
