// How a command ends: a failure becomes one line on standard error and an exit status, never a stack trace.

import ArgumentParser
import Collectives
import CollectivesMPI
import DataParallel
import Foundation
import Support
import Training

/// Runs the body of a command that needs one process only.
///
/// A `Failure` is printed as `apus: ...` and ends the command with its status; any other error counts as internal (70).
/// - Throws: `ExitCode` unless the status is 0.
func runAlone(_ body: () throws -> ExitStatus) throws {
  let status: ExitStatus
  do {
    status = try body()
  } catch {
    let failure = error as? Failure ?? Failure(.internal, "\(error)")
    writeErrorLine("apus: \(failure)")
    status = failure.status
  }
  try leave(status)
}

/// Runs the body of a command on the ranks it was started with, which must be of one program version; what is printed is
/// decided by `withWorldCommunicator`.
/// - Throws: `ExitCode` unless the status is 0.
func runOnRanks(_ body: (any Communicator) throws -> ExitStatus) throws {
  try leave(
    withWorldCommunicator { communicator in
      // First of all: other versions may ask each other for other things.
      try ReplicaAgreement(on: communicator, interval: 0).compare([("the program version", programVersion)])
      return try body(communicator)
    })
}

/// Ends the command. A launcher that loses exit statuses on the way asks for them in text by `APUS_REPORT_STATUS`.
private func leave(_ status: ExitStatus) throws {
  guard status != .done else { return }
  if ProcessInfo.processInfo.environment["APUS_REPORT_STATUS"] != nil {
    writeErrorLine("apus: exit status \(status.rawValue)")
  }
  throw ExitCode(status.rawValue)
}

/// Standard error for people where standard output carries JSON, else standard output.
func say(_ text: String, json: Bool) {
  if json { writeErrorLine(text) } else { print(text) }
}
