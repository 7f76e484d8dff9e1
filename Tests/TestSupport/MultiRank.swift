// Starts a command on several MPI ranks and waits for it, but never for ever.

import Foundation

/// How a command ended and what it wrote.
public struct CommandResult: Sendable {
  /// Exit status; 128 plus the signal's number where a signal ended it.
  public let status: Int32
  /// Standard output.
  public let output: String
  /// Standard error.
  public let errors: String
  /// Whether it was ended because its time was up.
  public let timedOut: Bool
  /// Seconds it took.
  public let seconds: Double

  /// Lines of standard error that are this program's, not Open MPI's.
  public var ownErrors: [String] {
    errors.split(separator: "\n").map(String.init).filter { $0.hasPrefix("apus: ") }
  }
}

/// The built executable `apus`, beside the test bundle.
public var apusExecutable: URL {
  let place = Bundle.main.bundleURL
  let folder = place.pathExtension == "xctest" ? place.deletingLastPathComponent() : place
  return folder.appendingPathComponent("apus")
}

/// Runs a command under `mpirun` on `ranks` ranks of this host, more than it has cores if need be.
/// - Parameter environment: variables set besides this process's own.
/// - Parameter timeout: seconds after which all ranks are ended.
public func runRanks(
  _ ranks: Int, _ arguments: [String], of executable: URL = apusExecutable, environment: [String: String] = [:],
  timeout: Double = 60
) async throws -> CommandResult {
  let asRoot = ["OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"]
  return try await runCommand(
    ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", "\(ranks)", executable.path] + arguments,
    of: URL(fileURLWithPath: "/usr/bin/env"), environment: asRoot.merging(environment) { $1 }, timeout: timeout)
}

/// Runs a command by itself.
/// - Parameter environment: variables set besides this process's own.
/// - Parameter timeout: seconds after which it is ended.
public func runCommand(
  _ arguments: [String], of executable: URL = apusExecutable, environment: [String: String] = [:],
  timeout: Double = 60
) async throws -> CommandResult {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  // Files, not pipes: nobody has to read while the command runs, and no pipe can fill up.
  let files = try ["output", "errors"].map { name in
    let url = folder.appendingPathComponent(name)
    try Data().write(to: url)
    return (url: url, handle: try FileHandle(forWritingTo: url))
  }
  let process = Process()
  process.executableURL = executable
  process.arguments = arguments
  process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
  process.standardInput = FileHandle.nullDevice
  process.standardOutput = files[0].handle
  process.standardError = files[1].handle
  let start = ContinuousClock.now
  try process.run()
  let timedOut = try await !end(process, within: timeout)
  let elapsed = (ContinuousClock.now - start).components
  let text = try files.map { String(decoding: try Data(contentsOf: $0.url), as: UTF8.self) }
  let signalled = process.terminationReason == .uncaughtSignal
  return CommandResult(
    status: process.terminationStatus + (signalled ? 128 : 0), output: text[0], errors: text[1], timedOut: timedOut,
    seconds: Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18)
}

/// Waits for the process; ends it, gently then by force, where it takes too long. Returns whether it ended by itself.
private func end(_ process: Process, within seconds: Double) async throws -> Bool {
  if try await hasEnded(process, within: seconds) { return true }
  process.terminate()
  if try await !hasEnded(process, within: 4) { kill(process.processIdentifier, SIGKILL) }
  process.waitUntilExit()
  return false
}

private func hasEnded(_ process: Process, within seconds: Double) async throws -> Bool {
  let deadline = ContinuousClock.now + .seconds(seconds)
  while process.isRunning {
    if ContinuousClock.now > deadline { return false }
    try await Task.sleep(for: .milliseconds(10))
  }
  return true
}
