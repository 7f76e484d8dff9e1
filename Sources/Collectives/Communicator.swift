// What ranks say to each other. Everything above this floor speaks to the protocol; `SoloCommunicator` is one process,
// `LoopbackCommunicator` many ranks as threads of one process, and CollectivesMPI the real thing.

import Support

/// A group of ranks that call the same operations in the same order.
///
/// Whether an operation is reached may depend only on the step number or on reduced values. All operations are
/// called by every rank, from the training thread. A failure on one rank ends the job on all.
public protocol Communicator: AnyObject {
  /// This rank, 0 ..< worldSize.
  var rank: Int { get }
  /// Number of ranks.
  var worldSize: Int { get }
  /// Name of the host this rank runs on.
  var hostName: String { get }

  /// Sends bytes to one rank and receives as many from another, at once. Counts are 64-bit.
  func exchange(
    sending outgoing: UnsafeRawBufferPointer, to destination: Int,
    receiving incoming: UnsafeMutableRawBufferPointer, from source: Int) throws
  /// Sends bytes to a rank that calls `receive`.
  func send(_ bytes: UnsafeRawBufferPointer, to destination: Int) throws
  /// Receives bytes from a rank that calls `send`.
  func receive(_ bytes: UnsafeMutableRawBufferPointer, from source: Int) throws
  /// Every rank's buffer becomes the root's.
  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws
  /// Waits until every rank is here.
  func barrier() throws
  /// The library's own sum, whose additions may be in any order: not reproducible over rank counts.
  func nativeSum(_ values: UnsafeMutableBufferPointer<Float>) throws
  /// Ends the job on all ranks with this status, after writing the reason.
  func abort(_ reason: String, status: Int32) -> Never
}
