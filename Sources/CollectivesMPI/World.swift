// How a command gets its ranks and how it leaves: one place decides between good order and abort.

import CMPI
import Collectives
import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The ranks this process was launched with: MPI's under mpirun or srun, else one rank without starting MPI.
/// - Parameter pieceBytes: longest single MPI message; only tests have a reason for another.
/// - Throws: `Failure` where MPI cannot start or gives another number of ranks than the launcher announced.
public func worldCommunicator(pieceBytes: Int = 1 << 30) throws -> any Communicator {
  let names = [
    "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "PMIX_RANK", "PMI_RANK", "PMI_SIZE",
  ]
  var environment: [String: String] = [:]
  for name in names { environment[name] = getenv(name).map { String(cString: $0) } }
  guard let announced = try announcedRanks(environment) else { return SoloCommunicator() }
  let communicator = try MPICommunicator(pieceBytes: pieceBytes)
  guard communicator.worldSize == announced else {
    throw Failure(
      .usage, "the launcher started \(announced) ranks, but MPI sees \(communicator.worldSize)",
      remedy: "use the mpirun of the MPI this program was built with, or srun --mpi=pmix")
  }
  return communicator
}

/// The MPI library in use, such as `Open MPI v4.1.4`: the beginning of what it says of itself, without package and date.
public func mpiLibraryVersion() -> String {
  var text = [UInt8](repeating: 0, count: Int(MPI_MAX_LIBRARY_VERSION_STRING))
  var length: Int32 = 0
  let status = text.withUnsafeMutableBytes {
    MPI_Get_library_version($0.baseAddress?.assumingMemoryBound(to: CChar.self), &length)
  }
  guard status == MPI_SUCCESS else { return "unknown" }
  let said = text.prefix(Int(length)).prefix { $0 != 0 && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\n") }
  return String(decoding: said, as: UTF8.self)
}

/// Runs a command on the ranks it was launched with and returns the exit status for this process.
///
/// A failure that the ranks agreed on is printed once, by rank 0, and all ranks leave in good order with its status.
/// Any other error is one rank's own: that rank prints it and ends the job on all ranks, with its status. Where the
/// body returns, the status is the largest of all ranks'. Errors other than `Failure` count as internal ones.
/// - Parameters:
///   - pieceBytes: longest message that is sent in one go.
///   - body: called on every rank; the communicator must not be used after it returns.
public func withWorldCommunicator(
  pieceBytes: Int = 1 << 30, _ body: (any Communicator) throws -> ExitStatus
) -> ExitStatus {
  let communicator: any Communicator
  do {
    communicator = try worldCommunicator(pieceBytes: pieceBytes)
  } catch {
    writeErrorLine("apus: \(asFailure(error))")
    return asFailure(error).status
  }
  // The one function of a communicator that may be called from any thread.
  nonisolated(unsafe) let job = communicator
  LastResort.endJob { failure in abort(job, failure) }
  defer { LastResort.endJob(by: nil) }
  do {
    let status = try body(communicator)
    let agreed = try communicator.allMaximum(Int64(status.rawValue))
    try (communicator as? MPICommunicator)?.finalize()
    return ExitStatus(rawValue: Int32(agreed)) ?? .internal
  } catch {
    return leave(communicator, asFailure(error))
  }
}

private func leave(_ communicator: any Communicator, _ failure: Failure) -> ExitStatus {
  let alone = communicator.worldSize == 1
  guard alone || failure == communicator.agreedFailure else { abort(communicator, failure) }
  if communicator.rank == 0 { writeErrorLine("apus: \(failure)") }
  do {
    try (communicator as? MPICommunicator)?.finalize()
  } catch {
    communicator.abort("apus: \(error)", status: failure.status.rawValue)
  }
  return failure.status
}

/// Ends the job on all ranks with a failure that this rank alone knows of.
private func abort(_ communicator: any Communicator, _ failure: Failure) -> Never {
  let isPlaced = communicator.worldSize == 1 || failure.place?.hasPrefix("rank \(communicator.rank)") == true
  let own = isPlaced ? failure : failure.within("rank \(communicator.rank) on \(communicator.hostName)")
  communicator.abort("apus: \(own)", status: failure.status.rawValue)
}

private func asFailure(_ error: any Error) -> Failure { error as? Failure ?? Failure(.internal, "\(error)") }
