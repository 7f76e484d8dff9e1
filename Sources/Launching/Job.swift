// One start of the command under supervision.

import Foundation
import Subprocess
import Support

/// How a job ended.
struct JobEnd: Sendable {
  /// Its exit status; 128 + N where signal N ended it.
  let status: Int32
  /// What it said.
  let words: LastWords
}

/// Runs the command to its end, whatever happens meanwhile. Its standard error is passed on as it comes.
///
/// It gets a session of its own, so that a Ctrl-C of the terminal reaches it from here alone, as the SIGUSR1 by which
/// ranks, launchers and srun are asked to save. A request to leave is passed on as SIGQUIT.
/// - Throws: `Failure` 66 if there is no such program, 74 if it cannot be started.
func runJob(_ words: [String], _ stop: StopRequests) async throws -> JobEnd {
  var options = PlatformOptions()
  options.createSession = true
  do {
    let result = try await run(
      words[0].contains("/") ? .path(.init(words[0])) : .name(words[0]), arguments: Arguments(Array(words.dropFirst())),
      platformOptions: options, input: .none, output: .currentStandardOutput, error: .sequence
    ) { job in
      stop.whenAsked { request in
        writeLine(request == .save ? "asks the run to save and stop" : "ends the run")
        try? job.send(signal: request == .save ? .userDefinedOne : .quit)
      }
      let heard = await passOn(job.standardError)
      // Signals are passed on for as long as it runs, also where it has closed its standard error.
      while isRunning(job.processIdentifier.value) { try? await Task.sleep(for: .milliseconds(20)) }
      stop.whenAsked(nil)
      return heard
    }
    return JobEnd(status: result.terminationStatus.asExitStatus, words: result.closureResult)
  } catch let error as SubprocessError {
    guard error.code == .executableNotFound else {
      throw Failure(.inputOutput, "\(words[0]) cannot be started: \(error)")
    }
    throw Failure(.missingInput, "there is no program \(words[0])", remedy: "give the command after --")
  }
}

/// Copies what the job says to standard error. Where it cannot be read or written any more, the job goes on unheard.
private func passOn(_ standardError: SubprocessOutputSequence) async -> LastWords {
  var heard = LastWords()
  do {
    for try await buffer in standardError {
      let bytes = buffer.withUnsafeBytes { Array($0) }
      try? FileHandle.standardError.write(contentsOf: Data(bytes))
      heard.hear(bytes)
    }
  } catch {
    writeLine("cannot hear the job any more: \(error)")
  }
  heard.end()
  return heard
}

/// Whether a child of this process has not ended. One that has is there until it is waited for.
private func isRunning(_ process: Int32) -> Bool {
  let line = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
  // The name of a program, in brackets, may hold anything.
  let state = line.lastIndex(of: ")").flatMap { line[$0...].dropFirst(2).first }
  return state != nil && state != "Z" && state != "X"
}

/// Tells the user something, on standard error.
func writeLine(_ text: String) {
  try? FileHandle.standardError.write(contentsOf: Data("apus supervise: \(text)\n".utf8))
}

extension TerminationStatus {
  fileprivate var asExitStatus: Int32 {
    switch self {
    case .exited(let status): status
    case .signaled(let number): 128 + number
    }
  }
}
