// Heartbeats over MPI: a communicator of their own and calls that never wait, from the watchdog's thread.

import CMPI
import Collectives

/// The channel between the watchdogs of an MPI job.
///
/// Errors count as silence: whoever is told of them could do no more than the watchdog does.
final class MPIHeartbeats: HeartbeatChannel, @unchecked Sendable {
  /// A message on its way; its bytes must stay where they are until it has arrived.
  private struct Outgoing {
    let bytes: UnsafeMutableRawPointer
    var request: MPI_Request?
    var isUnderWay = false
  }

  private static let capacity = 256
  private let handle: MPI_Comm
  private var outgoing: [Int: Outgoing] = [:]
  private let incoming = UnsafeMutableRawPointer.allocate(byteCount: MPIHeartbeats.capacity, alignment: 8)

  /// A channel on a communicator that nobody else uses; both live until MPI ends.
  init(_ handle: MPI_Comm) { self.handle = handle }

  func send(_ bytes: [UInt8], to rank: Int) -> Bool {
    precondition(bytes.count <= MPIHeartbeats.capacity, "a heartbeat of \(bytes.count) bytes")
    var message =
      outgoing[rank]
      ?? Outgoing(bytes: UnsafeMutableRawPointer.allocate(byteCount: MPIHeartbeats.capacity, alignment: 8))
    defer { outgoing[rank] = message }
    if message.isUnderWay {
      var hasArrived: Int32 = 0
      var status = MPI_Status()
      guard MPI_Test(&message.request, &hasArrived, &status) == MPI_SUCCESS, hasArrived != 0 else { return false }
    }
    bytes.withUnsafeBytes {
      message.bytes.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(message.bytes), byteCount: $0.count)
    }
    message.isUnderWay =
      MPI_Isend(message.bytes, Int32(bytes.count), cmpi_byte(), Int32(rank), 0, handle, &message.request) == MPI_SUCCESS
    return message.isUnderWay
  }

  func receive() -> [UInt8]? {
    var isThere: Int32 = 0
    var message: MPI_Message?
    var status = MPI_Status()
    guard
      MPI_Improbe(Int32(MPI_ANY_SOURCE), 0, handle, &isThere, &message, &status) == MPI_SUCCESS, isThere != 0
    else { return nil }
    var count: Int32 = 0
    guard MPI_Get_count(&status, cmpi_byte(), &count) == MPI_SUCCESS,
      MPI_Mrecv(incoming, Int32(MPIHeartbeats.capacity), cmpi_byte(), &message, &status) == MPI_SUCCESS
    else { return nil }
    return Array(UnsafeRawBufferPointer(start: incoming, count: Int(count)))
  }
}
