// Keeps a training run going: starts it again after a stop, a dead rank or a stalled one, and says what it did.

import Foundation
import Support

/// Runs a command until it is done, or until no restart helps.
public struct Supervisor: Sendable {
  /// Limits of the supervision.
  public struct Limits: Sendable {
    /// Restarts in a row without a newer checkpoint.
    public var restarts = 5
    /// Seconds before the second of them; doubled for each further one.
    public var backoff = 5
    /// Failures after which a host is left out.
    public var hostFailures = 2

    /// The usual ones.
    public init() {}
  }

  private var command: RankCommand
  private let folder: String
  private let lock: RunLock
  private let newestCheckpoint: @Sendable () throws -> String?
  private let stop: StopRequests
  private var plan: RestartPlan
  private var blame: HostBlame
  private var release: Bool
  private let segments: SharedSegments
  private var starts = 0

  /// A supervisor of one run.
  /// - Parameters:
  ///   - command: what is started.
  ///   - folder: the run directory, which is made if need be.
  ///   - lock: the file that says who holds it.
  ///   - limits: when supervision gives up.
  ///   - release: whether a name left in the lock is known to be that of an earlier start of this job.
  ///   - stop: requests to stop.
  ///   - newestCheckpoint: the name of the newest checkpoint, or nil.
  /// - Throws: `Failure` 73 if the folder cannot be made.
  public init(
    _ command: RankCommand, folder: String, lock: String, limits: Limits, release: Bool, stop: StopRequests,
    newestCheckpoint: @escaping @Sendable () throws -> String?
  ) throws {
    self.command = command
    self.folder = folder
    self.lock = RunLock(path: lock)
    self.newestCheckpoint = newestCheckpoint
    self.stop = stop
    self.release = release
    plan = RestartPlan(limit: limits.restarts, backoff: limits.backoff)
    let temporary = FileManager.default.temporaryDirectory.appending(path: "apus-hosts-\(UUID().uuidString)").path
    blame = HostBlame(limit: limits.hostFailures, file: temporary)
    segments = SharedSegments(since: Date())
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw Failure(.cannotCreate, "the run directory cannot be made: \(error.localizedDescription)", at: folder)
    }
  }

  /// Starts the command, again and again, and returns the exit status of the supervision: the last start's, or 75 where
  /// a stop was asked for while nothing ran. Returns only when no job is left.
  /// - Throws: `Failure` 73 if another process holds the run, 66 or 74 if the command cannot be started, 65 or 66 if a
  ///   host that failed cannot be left out because the host file cannot be read.
  public mutating func run() async throws -> Int32 {
    defer { try? FileManager.default.removeItem(atPath: blame.file) }
    while true {
      try await lock.settle(release: release, stop)
      if let signal = stop.first {
        note("stopped by \(signal) while no job ran; run again with --resume")
        return ExitStatus.stopped.rawValue
      }
      let before = newest()
      starts += 1
      note("start \(starts) from \(before ?? "the beginning"): \(command.line)")
      let end = try await runJob(command.words, stop)
      // From here on a holder's name in the lock is that of a process of ours, which is over.
      release = true
      if end.status != 0 { await sweep() }
      let after = newest()
      if let signal = stop.first { return stopped(by: signal, end, after) }
      if RestartPlan.isFinal(end.status) { return finished(end) }
      var reason = why(end)
      if end.status != ExitStatus.stopped.rawValue { reason = try blameHosts(end) }
      guard let pause = plan.nextRestart(hasNewerCheckpoint: after != before) else {
        note("gave up after \(plan.inRow) restarts without a newer checkpoint; the last start \(reason)")
        return end.status
      }
      note("\(reason); restart in \(pause) s, \(plan.inRow) of \(plan.limit) without a newer checkpoint")
      await stop.pause(seconds: Double(pause))
    }
  }

  private func stopped(by signal: String, _ end: JobEnd, _ newest: String?) -> Int32 {
    guard end.status != 128 + SIGUSR1 else {
      // Ranks catch it from their beginning on: none had begun.
      note("stopped by \(signal) before the run had begun; run again with --resume")
      return ExitStatus.stopped.rawValue
    }
    note("stopped by \(signal) with status \(end.status) after \(newest ?? "no checkpoint")")
    return end.status
  }

  private func finished(_ end: JobEnd) -> Int32 {
    note(end.status == 0 ? "finished at start \(starts)" : "\(why(end)); no restart mends that")
    return end.status
  }

  /// How a job ended, in words.
  private func why(_ end: JobEnd, on hosts: [String] = []) -> String {
    guard end.status != ExitStatus.stopped.rawValue else { return "stopped on a signal" }
    let place = hosts.isEmpty ? "" : " on host \(hosts.joined(separator: ", "))"
    let reason = end.words.reason.map { ": " + ($0.hasPrefix("apus: ") ? String($0.dropFirst(6)) : $0) } ?? ""
    return "ended with status \(end.status)\(place)\(reason)"
  }

  private mutating func blameHosts(_ end: JobEnd) throws -> String {
    let hosts = end.words.failedHosts
    for line in try blame.blame(hosts, in: &command) { note(line) }
    return why(end, on: hosts)
  }

  private func sweep() async {
    let removed = await segments.removeLeftOver()
    if removed > 0 { note("removed \(removed) shared memory segments that killed ranks left on this host") }
  }

  private func newest() -> String? {
    do {
      return try newestCheckpoint()
    } catch {
      note("the checkpoints cannot be listed: \(error)")
      return nil
    }
  }

  /// What supervision did, on standard error and in the run directory. A log that cannot be written ends nothing.
  private func note(_ text: String) {
    let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
    writeLine(line)
    let path = folder + "/supervise.log"
    let time = Date.now.formatted(.iso8601)
    let descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { return }
    let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    try? handle.write(contentsOf: Data("\(time) \(line)\n".utf8))
  }
}
