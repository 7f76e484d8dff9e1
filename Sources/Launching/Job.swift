// One start of the command under supervision.

import Foundation
import Subprocess
import Support

/// How a job ended.
public struct JobEnd: Sendable {
  /// Its exit status; 128 + N where signal N ended it.
  public let status: Int32
  /// What it said.
  public let words: LastWords
}

/// Runs a job whose output is kept in a file, to its end. A request to stop ends it without a save.
/// - Parameters:
///   - words: the program and its arguments.
///   - environment: what is added to the environment of this process.
///   - log: the file, which is made anew; what the job says on standard output and standard error.
///   - stop: what asks it to end.
/// - Throws: `Failure` 66 if there is no such program, 74 if it cannot be started or the file cannot be made.
public func runJob(
  _ words: [String], environment: [String: String], log: String, _ stop: StopRequests
) async throws -> JobEnd {
  let descriptor = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
  guard descriptor >= 0 else {
    throw Failure(.creating(errno), "it cannot be made (\(String(cString: strerror(errno))))", at: log)
  }
  let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
  return try await runJob(words, environment: environment, stop, keeping: file, savesOnStop: false)
}

/// Runs the command to its end, whatever happens meanwhile. Its standard error is passed on as it comes.
///
/// It gets a session of its own, so that a Ctrl-C of the terminal reaches it from here alone, as the SIGUSR1 by which
/// ranks, launchers and srun are asked to save. A request to leave is passed on as SIGQUIT.
/// - Throws: `Failure` 66 if there is no such program, 74 if it cannot be started.
func runJob(_ words: [String], _ stop: StopRequests) async throws -> JobEnd {
  try await runJob(words, environment: [:], stop, keeping: nil, savesOnStop: true)
}

/// - Parameter log: where what the job says goes; nil: to standard output and standard error of this process.
private func runJob(
  _ words: [String], environment: [String: String], _ stop: StopRequests, keeping log: FileHandle?, savesOnStop: Bool
) async throws -> JobEnd {
  var options = PlatformOptions()
  options.createSession = true
  let program: Executable = words[0].contains("/") ? .path(.init(words[0])) : .name(words[0])
  let added = environment.compactMap { name, value in Environment.Key(rawValue: name).map { ($0, Optional(value)) } }
  do {
    let result = try await run(
      program, arguments: Arguments(Array(words.dropFirst())),
      environment: .inherit.updating(Dictionary(uniqueKeysWithValues: added)), platformOptions: options, input: .none,
      output: .fileDescriptor(.init(rawValue: log?.fileDescriptor ?? STDOUT_FILENO), closeAfterSpawningProcess: false),
      error: .sequence
    ) { job in
      stop.whenAsked { request in
        let saves = savesOnStop && request == .save
        if log == nil { writeLine(saves ? "asks the run to save and stop" : "ends the run") }
        try? job.send(signal: saves ? .userDefinedOne : .quit)
      }
      let heard = await passOn(job.standardError, to: log ?? .standardError)
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

/// Copies what the job says to a file. Where it cannot be read or written any more, the job goes on unheard.
private func passOn(_ standardError: SubprocessOutputSequence, to file: FileHandle) async -> LastWords {
  var heard = LastWords()
  do {
    for try await buffer in standardError {
      let bytes = buffer.withUnsafeBytes { Array($0) }
      try? file.write(contentsOf: Data(bytes))
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
