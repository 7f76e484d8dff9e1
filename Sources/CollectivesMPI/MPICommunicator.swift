// The ranks of an MPI job. MPI is told to return errors, each call's code is checked here, and lengths are cut into
// pieces that fit MPI's 32-bit counts.

import CMPI
import Collectives
import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A rank of an MPI job, on a communicator of its own, so that no other library's messages can be taken for ours.
public final class MPICommunicator: Communicator {
  /// This rank.
  public let rank: Int
  /// Number of ranks.
  public let worldSize: Int
  /// Name of the host this rank runs on.
  public let hostName = currentHostName()
  /// The failure last agreed on.
  public var agreedFailure: Failure?
  private var handle: MPI_Comm
  private let pieceBytes: Int
  private var channels: [MPIChannel] = []

  /// Starts MPI, with calls allowed from any thread, and duplicates its world.
  ///
  /// Called once per process, by all ranks.
  /// - Parameter pieceBytes: longest single MPI message; only tests have a reason for another.
  /// - Throws: `Failure` (70) where MPI refuses or lacks thread support.
  public init(pieceBytes: Int = 1 << 30) throws {
    precondition(
      pieceBytes >= 4 && pieceBytes <= Int(Int32.max), "pieces of \(pieceBytes) bytes do not fit MPI's counts")
    self.pieceBytes = pieceBytes / 4 * 4
    var provided: Int32 = 0
    try check(MPI_Init_thread(nil, nil, Int32(MPI_THREAD_MULTIPLE), &provided), "start MPI", nil)
    try check(MPI_Comm_set_errhandler(cmpi_comm_world(), cmpi_errors_return()), "set MPI's error handler", nil)
    var number: Int32 = 0
    try check(MPI_Comm_rank(cmpi_comm_world(), &number), "ask MPI for the rank", nil)
    rank = Int(number)
    try check(MPI_Comm_size(cmpi_comm_world(), &number), "ask MPI for the number of ranks", rank)
    worldSize = Int(number)
    let duplicate = try duplicateWorld(rank)
    guard provided == Int32(MPI_THREAD_MULTIPLE) else {
      throw Failure(
        .internal, "this MPI does not allow calls from several threads", at: "rank \(rank)",
        remedy: "use an Open MPI built with thread support")
    }
    handle = duplicate
  }

  /// Ends MPI in good order. Called by all ranks, as the last use of this object.
  public func finalize() throws {
    for channel in channels { try channel.close() }
    var communicator: MPI_Comm? = handle
    try check(MPI_Comm_free(&communicator), "free MPI's communicator", rank)
    try check(MPI_Finalize(), "end MPI", rank)
  }

  /// `MPI_Sendrecv`, piece by piece.
  public func exchange(
    sending outgoing: UnsafeRawBufferPointer, to destination: Int,
    receiving incoming: UnsafeMutableRawBufferPointer, from source: Int
  ) throws {
    let sent = pieces(outgoing.count)
    let received = pieces(incoming.count)
    for index in 0..<max(sent.count, received.count) {
      let out = index < sent.count ? sent[index] : nil
      let into = index < received.count ? received[index] : nil
      var status = MPI_Status()
      try check(
        MPI_Sendrecv(
          out.flatMap { outgoing.baseAddress?.advanced(by: $0.lowerBound) }, Int32(out?.count ?? 0), cmpi_byte(),
          out == nil ? cmpi_no_rank() : Int32(destination), 0,
          into.flatMap { incoming.baseAddress?.advanced(by: $0.lowerBound) }, Int32(into?.count ?? 0), cmpi_byte(),
          into == nil ? cmpi_no_rank() : Int32(source), 0, handle, &status),
        "exchange \(outgoing.count) bytes with rank \(destination) for \(incoming.count) of rank \(source)", rank)
      if let into { try checkLength(&status, into.count, source, rank) }
    }
  }

  /// `MPI_Send`, piece by piece: waits for the receiver where the message is long.
  public func send(_ bytes: UnsafeRawBufferPointer, to destination: Int) throws {
    for piece in pieces(bytes.count) {
      try check(
        MPI_Send(
          bytes.baseAddress?.advanced(by: piece.lowerBound), Int32(piece.count), cmpi_byte(), Int32(destination), 0,
          handle),
        "send \(bytes.count) bytes to rank \(destination)", rank)
    }
  }

  /// `MPI_Recv`, piece by piece.
  public func receive(_ bytes: UnsafeMutableRawBufferPointer, from source: Int) throws {
    for piece in pieces(bytes.count) {
      var status = MPI_Status()
      try check(
        MPI_Recv(
          bytes.baseAddress?.advanced(by: piece.lowerBound), Int32(piece.count), cmpi_byte(), Int32(source), 0,
          handle, &status),
        "receive \(bytes.count) bytes from rank \(source)", rank)
      try checkLength(&status, piece.count, source, rank)
    }
  }

  /// `MPI_Bcast`, piece by piece.
  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    for piece in pieces(bytes.count) {
      try check(
        MPI_Bcast(
          bytes.baseAddress?.advanced(by: piece.lowerBound), Int32(piece.count), cmpi_byte(), Int32(root), handle),
        "broadcast \(bytes.count) bytes from rank \(root)", rank)
    }
  }

  /// `MPI_Barrier`.
  public func barrier() throws { try check(MPI_Barrier(handle), "wait at a barrier", rank) }

  /// `MPI_Allreduce`, piece by piece: bits may depend on rank count, length and library version.
  public func nativeSum(_ values: UnsafeMutableBufferPointer<Float>) throws {
    let bytes = UnsafeMutableRawBufferPointer(values)
    for piece in pieces(bytes.count) {
      try check(
        MPI_Allreduce(
          cmpi_in_place(), bytes.baseAddress?.advanced(by: piece.lowerBound),
          Int32(piece.count / MemoryLayout<Float>.stride), cmpi_float(), cmpi_sum(), handle),
        "sum \(values.count) values", rank)
    }
  }

  /// A duplicate of the world for heartbeats alone.
  public func heartbeatChannel() throws -> (any HeartbeatChannel)? { MPIHeartbeats(try duplicateWorld(rank)) }

  /// A channel on a further duplicate of the world; it lives until `finalize`.
  public func openChannel(lanes: Int) throws -> any MessageChannel {
    let longest = try gatherStrings(hostName).map {
      $0 == hostName ? pieceBytes : min(pieceBytes, MPIChannel.betweenHosts)
    }
    let channel = MPIChannel(try duplicateWorld(rank), rank: rank, lanes: lanes, pieceBytes: longest)
    channels.append(channel)
    return channel
  }

  /// Writes the reason and ends all ranks by `MPI_Abort`. From any thread. Where Open MPI's daemon cannot pass it on, as
  /// on a host that is cut off, this process ends by SIGALRM after 10 s.
  public func abort(_ reason: String, status: Int32) -> Never {
    writeErrorLine(reason)
    reportToLauncher("exit status \(status)")
    signal(SIGALRM, SIG_DFL)
    alarm(10)
    MPI_Abort(cmpi_comm_world(), status)
    leaveProcess("rank \(rank): MPI did not end the job", status: status)
  }

  private func pieces(_ count: Int) -> [Range<Int>] {
    stride(from: 0, to: count, by: pieceBytes).map { $0..<min($0 + pieceBytes, count) }
  }
}

/// A duplicate of MPI's world that returns errors.
private func duplicateWorld(_ rank: Int) throws -> MPI_Comm {
  var duplicate: MPI_Comm?
  try check(MPI_Comm_dup(cmpi_comm_world(), &duplicate), "duplicate MPI's world", rank)
  guard let duplicate else { throw Failure(.internal, "MPI gave no duplicate of its world", at: "rank \(rank)") }
  try check(MPI_Comm_set_errhandler(duplicate, cmpi_errors_return()), "set MPI's error handler", rank)
  return duplicate
}

/// MPI accepts a message that is shorter than its buffer; here it means that two ranks disagree.
func checkLength(_ status: inout MPI_Status, _ expected: Int, _ source: Int, _ rank: Int) throws {
  var count: Int32 = 0
  try check(MPI_Get_count(&status, cmpi_byte(), &count), "ask for a message's length", rank)
  guard Int(count) == expected else {
    throw Failure(
      .internal, "rank \(source) sent \(count) bytes where \(expected) are expected",
      at: "rank \(rank) on \(currentHostName())")
  }
}

/// Turns an MPI error code into a failure with MPI's own text.
func check(_ code: Int32, _ action: String, _ rank: Int?) throws {
  guard code != MPI_SUCCESS else { return }
  var text = [CChar](repeating: 0, count: Int(MPI_MAX_ERROR_STRING) + 1)
  var length: Int32 = 0
  MPI_Error_string(code, &text, &length)
  let message = String(decoding: text.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  throw Failure(.internal, "cannot \(action): \(message)", at: rank.map { "rank \($0) on \(currentHostName())" })
}
