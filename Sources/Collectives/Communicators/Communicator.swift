// What ranks say to each other. Everything above this floor speaks to the protocol; `SoloCommunicator` is one process,
// CollectivesMPI the real thing, and CollectivesTesting many ranks as threads of one process. Sums live in
// ReproducibleSum, agreements on small values in Agreement.

import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A group of ranks that call the same collective operations in the same order.
///
/// Whether an operation is reached may depend only on the step number or on reduced values. `send`, `receive` and
/// `exchange` are called by the ranks they concern, all others by every rank. They are called by one thread at a time;
/// `abort` alone may be called from any thread at any time, and by one rank. A failure on one rank ends the job on all.
public protocol Communicator: AnyObject {
  /// This rank, 0 ..< worldSize.
  var rank: Int { get }
  /// Number of ranks.
  var worldSize: Int { get }
  /// Name of the host this rank runs on.
  var hostName: String { get }
  /// The failure all ranks last learnt of together, set on every rank by `agree` and `failTogether`.
  ///
  /// A command that ends with this very failure leaves in good order on all ranks; any other failure is this rank's
  /// own, of which the others know nothing, and must end in `abort`.
  var agreedFailure: Failure? { get set }

  /// Sends bytes to one rank and receives from another (or the same), at once.
  ///
  /// Counts are 64-bit and may differ, but what one rank sends must be as long as what its destination expects.
  /// - Throws: `Failure` where the lengths disagree or the other rank is gone.
  func exchange(
    sending outgoing: UnsafeRawBufferPointer, to destination: Int,
    receiving incoming: UnsafeMutableRawBufferPointer, from source: Int) throws
  /// Sends bytes to a rank that calls `receive`. It may return before they are received, or wait until then.
  func send(_ bytes: UnsafeRawBufferPointer, to destination: Int) throws
  /// Receives bytes from a rank that calls `send`.
  func receive(_ bytes: UnsafeMutableRawBufferPointer, from source: Int) throws
  /// Every rank's buffer becomes the root's. All buffers are of one length.
  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws
  /// Waits until every rank is here.
  func barrier() throws
  /// The library's own sum, whose additions may be in any order: not reproducible over rank counts.
  func nativeSum(_ values: UnsafeMutableBufferPointer<Float>) throws
  /// A channel for watchdogs, apart from all other communication; nil where ranks cannot be watched over. A collective.
  func heartbeatChannel() throws -> (any HeartbeatChannel)?
  /// A channel beside these operations, whose messages travel while the rank computes. Called by all ranks.
  /// - Parameter lanes: number of its lanes, the same on all ranks.
  func openChannel(lanes: Int) throws -> any MessageChannel
  /// Runs a part of a rank's work in which it meets others beside these operations, as in a sum on a channel: whoever
  /// keeps a `MessageLog` notes when it began and ended.
  /// - Parameters:
  ///   - ranks: those that meet, this one among them.
  ///   - body: the work.
  func noting<Result>(meetingOf ranks: [Int], _ body: () throws -> Result) rethrows -> Result
  /// Runs a part of a step that has a name: whoever keeps a `MessageLog` notes what was computed and said in it. Parts do
  /// not enclose each other.
  func noting<Result>(unit name: String, _ body: () throws -> Result) rethrows -> Result
  /// Ends the job on all ranks with this status, after writing the reason to standard error.
  func abort(_ reason: String, status: Int32) -> Never
}

extension Communicator {
  /// Notes nothing.
  public func noting<Result>(meetingOf ranks: [Int], _ body: () throws -> Result) rethrows -> Result { try body() }

  /// Notes nothing.
  public func noting<Result>(unit name: String, _ body: () throws -> Result) rethrows -> Result { try body() }

  /// A meeting of all ranks.
  public func noting<Result>(_ body: () throws -> Result) rethrows -> Result {
    try noting(meetingOf: Array(0..<worldSize), body)
  }
}

/// The name the operating system gives this host.
public func currentHostName() -> String {
  var name = [CChar](repeating: 0, count: 256)
  guard gethostname(&name, name.count - 1) == 0 else { return "unknown host" }
  return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Tells a launcher that asked for it by `APUS_REPORT_STATUS` how this rank fares: `started` once all ranks have met, and
/// `exit status N` where mpirun may lose the number. The launcher takes the line out.
public func reportToLauncher(_ text: String) {
  if getenv("APUS_REPORT_STATUS") != nil { writeErrorLine("apus: \(text)") }
}
