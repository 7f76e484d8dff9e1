// How a command ends: a failure becomes one line on standard error and an exit status, never a stack trace.

import ArgumentParser
import Collectives
import CollectivesMPI
import DataParallel
import Foundation
import Kernels
import Support
import Training

/// Runs the body of a command that is for one process only: several ranks, which would do everything as often, are
/// refused in one line.
/// - Throws: `ExitCode` unless the status is 0.
func runAlone(_ body: () throws -> ExitStatus) throws {
  // What cannot be found out is told by whoever asks for the ranks next.
  let ranks = Result { try announcedRanks(ProcessInfo.processInfo.environment) ?? 1 }
  guard case .success(1) = ranks else {
    return try runOnRanks { communicator in
      try communicator.together {
        throw Failure(
          .usage, "this command runs alone, not on \(communicator.worldSize) ranks", remedy: "start it without mpirun")
      }
    }
  }
  try runHere(body)
}

/// Runs the body of a command in this process, whether or not it has neighbours.
///
/// A `Failure` is printed as `apus: ...` and ends the command with its status; any other error counts as internal (70).
/// - Throws: `ExitCode` unless the status is 0.
func runHere(_ body: () throws -> ExitStatus) throws {
  let status: ExitStatus
  reportToLauncher("started")
  do {
    status = try body()
  } catch {
    let failure = error as? Failure ?? Failure(.internal, "\(error)")
    writeErrorLine("apus: \(failure)")
    status = failure.status
  }
  try leave(status)
}

/// Runs the body of a command on the ranks it was started with, which must be of one program version and have the same
/// libraries; what is printed is decided by `withWorldCommunicator`.
/// - Throws: `ExitCode` unless the status is 0.
func runOnRanks(_ body: (any Communicator) throws -> ExitStatus) throws {
  try leave(
    withWorldCommunicator { communicator in
      // First of all: other versions may ask each other for other things.
      try ReplicaAgreement(on: communicator, interval: 0).compare([("the program version", programVersion)])
      try compareLibraries(on: communicator)
      if communicator.rank == 0 { reportToLauncher("started") }
      return try body(communicator)
    })
}

/// Refuses ranks whose matrix libraries, C library or MPI are of other versions: their sums may have other bits. HDF5 and
/// the image libraries are not asked, as no number is computed by them.
private func compareLibraries(on communicator: any Communicator) throws {
  guard communicator.worldSize > 1 else { return }
  let versions = arithmeticLibraryVersions.merging(["MPI": mpiLibraryVersion()]) { own, _ in own }
  try ReplicaAgreement(on: communicator, interval: 0).compare(
    versions.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) },
    remedy: "give all hosts the same libraries")
}

/// Ends the command.
private func leave(_ status: ExitStatus) throws {
  guard status != .done else { return }
  reportToLauncher("exit status \(status.rawValue)")
  throw ExitCode(status.rawValue)
}

/// Prints a line for people: on standard error where standard output carries JSON, else on standard output. Signs of
/// names that a terminal would obey are shown escaped.
/// - Parameter lines: whether the text may have several lines; names in it, whose line breaks would then be obeyed, must
///   come from this program or the system.
func say(_ text: String, json: Bool = false, lines: Bool = false) {
  let text = shown(text, keepsLines: lines)
  if json { writeErrorLine(text) } else { print(text) }
}
