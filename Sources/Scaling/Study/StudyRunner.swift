// Runs a study: block after block, launch after launch, until every cell has what it needs. Whatever ends it, the same
// command goes on: a launch is a file that is complete or not there, and the order is a function.

import Foundation
import Launching
import Recipes
import Storage
import Support
import Training

/// Runs the launches of a study that are missing.
public struct StudyRunner: Sendable {
  /// What a run of a study is given besides the study.
  public struct Setting: Sendable {
    /// Version and digest of the program.
    public var program: String
    /// Reads launches.
    public var store: any TableStore
    /// Requests to stop.
    public var stop: StopRequests
    /// Tells the user something.
    public var say: @Sendable (String) -> Void
    /// Whether settings or the program may have changed.
    public var acceptsChanges = false

    /// From its parts.
    public init(
      program: String, store: any TableStore, stop: StopRequests, say: @escaping @Sendable (String) -> Void
    ) {
      self.program = program
      self.store = store
      self.stop = stop
      self.say = say
    }
  }

  private let file: SettingsFile<Study>
  private let folder: StudyFolder
  private let plan: StudyPlan
  private let launcher: StudyLauncher
  private let setting: Setting
  private var records: [LaunchRecord] = []
  private var failed: [(name: String, cause: String)] = []

  /// A run of a study.
  /// - Parameters:
  ///   - file: the study.
  ///   - folder: where its launches are.
  ///   - plan: its cells.
  ///   - launcher: starts ranks.
  ///   - setting: the rest.
  public init(
    _ file: SettingsFile<Study>, in folder: StudyFolder, _ plan: StudyPlan, _ launcher: StudyLauncher,
    _ setting: Setting
  ) {
    self.file = file
    self.folder = folder
    self.plan = plan
    self.launcher = launcher
    self.setting = setting
  }

  private var limits: StudyRepeat { plan.study.repeat }

  /// Runs what is missing.
  /// - Returns: done, or stopped (75).
  /// - Throws: `Failure` 73 if the folder is another study's or somebody works in it; 65 if study or program have changed
  ///   or a file is damaged; 1 if launches that must agree do not; 74 if launches failed; what a launch refuses.
  public mutating func run() async throws -> ExitStatus {
    try makeFolder(folder.path)
    let lock = try RunLock(folder.lock, of: "study")
    defer { lock.release() }
    try folder.take(file, plan.recipes, acceptsChanges: setting.acceptsChanges)
    try readLaunches()
    if plan.study.launch.method == .slurm { return try await submit() }
    for block in 0..<blocks {
      let missing = try launches(ofBlock: block)
      guard try results.seconds < limits.hours * 3600 || missing.isEmpty else {
        setting.say("\(limits.hours) hours are over: no further block begins")
        break
      }
      for (index, launch) in missing.enumerated() {
        guard try await perform(launch, left: missing.count - index) else { return try stopped() }
      }
      if !missing.isEmpty { try tellIntervals(after: block) }
    }
    return try finished()
  }

  /// Tells what is left to tell at the end.
  private func finished() throws -> ExitStatus {
    try writeTables()
    try tellWideIntervals()
    guard let last = failed.last else { return .done }
    throw Failure(
      .inputOutput, "\(failed.count) launch\(failed.count == 1 ? "" : "es") failed, the last with: \(last.cause)",
      at: last.name, remedy: "run it again: what is missing is launched")
  }

  private var blocks: Int {
    plan.cells.map { $0.nature == .functional ? limits.functional : limits.most }.max() ?? 0
  }

  private var results: StudyResults { get throws { try StudyResults(plan, records) } }

  private mutating func readLaunches() throws {
    do {
      records = try folder.records(of: plan.study, setting.store)
      if let other = records.first(where: { $0.identity.program != setting.program }) {
        throw Failure(
          .badData, "was made by apus \(other.identity.program); this is \(setting.program)",
          at: folder.run(other.name),
          remedy: "start in another folder, or give --accept-changes, which leaves former launches out")
      }
      if let other = records.first(where: { plan.cell(named: $0.identity.cell)?.recipeDigest != $0.identity.recipe }) {
        throw Failure(
          .badData, "ran the recipe \(other.identity.benchmark) when it said something else",
          at: folder.run(other.name),
          remedy: "start in another folder, or give --accept-changes, which leaves former launches out")
      }
      _ = try results
    } catch let failure as Failure where failure.status == .badData && setting.acceptsChanges {
      try folder.setAside()
      records = []
    }
  }

  /// Launches of a block that are wanted and not there.
  private func launches(ofBlock block: Int) throws -> [StudyLaunch] {
    let before = try StudyResults(plan, records.filter { $0.identity.block < block })
    let present = Set(records.map(\.name))
    return plan.launches(ofBlock: block).filter { launch in
      guard !present.contains(launch.name), let result = before[launch.cell.name] else { return false }
      if result.nature == .functional || launch.cell.nature == .functional { return block < limits.functional }
      // Controls that are no points of a line need no narrow interval.
      guard launch.cell.kind.trains else { return block < limits.least }
      return block < limits.least || block < limits.most && !result.isSettled(limits)
    }
  }

  /// Runs a launch and reads what it left. Returns false where a stop was asked for.
  private mutating func perform(_ launch: StudyLaunch, left: Int) async throws -> Bool {
    guard await launchIsFree(), setting.stop.first == nil else { return false }
    // A launch that outlived a former call of the command has written it meanwhile.
    if !FileManager.default.fileExists(atPath: folder.run(launch.name)) {
      let watch = Stopwatch()
      let end = try await runJob(
        launcher.words(launch), environment: launcher.environment, log: folder.log(launch.name), setting.stop)
      guard setting.stop.first == nil else { return false }
      guard end.status == 0 else { return try await failed(launch, end) }
      try read(launch)
      try tell(launch, took: watch.seconds, left: left)
    } else {
      try read(launch)
    }
    return true
  }

  private mutating func read(_ launch: StudyLaunch) throws {
    let path = folder.run(launch.name)
    records.append(try LaunchRecord(try setting.store.read(path), path: path))
    _ = try results
  }

  /// What to make of a launch that failed: some failures come again each time.
  private mutating func failed(_ launch: StudyLaunch, _ end: JobEnd) async throws -> Bool {
    let reason = end.words.reason.map { $0.hasPrefix("apus: ") ? String($0.dropFirst(6)) : $0 } ?? "no reason given"
    let status = ExitStatus(rawValue: end.status) ?? .inputOutput
    // Another launch of the study was on its way when this one started.
    if status == .cannotCreate, !(await isFree()) { return try await perform(launch, left: 1) }
    failed.append((launch.name, reason))
    setting.say("\(launch.name) failed with status \(end.status): \(reason)")
    let inRow = failed.count > 2 && Set(failed.suffix(3).map(\.cause)).count == 1
    guard [.checkFailed, .usage, .badData, .missingInput].contains(status) || inRow else { return true }
    throw Failure(
      status == .done ? .inputOutput : status, reason, at: launch.name, remedy: "see \(folder.log(launch.name))")
  }

  /// Waits for a launch that a former call of the command has left running; false where a stop was asked for.
  private func launchIsFree() async -> Bool {
    var isTold = false
    while !(await isFree()) {
      guard setting.stop.first == nil else { return false }
      if !isTold { setting.say("waits for a launch that a former call has left running") }
      isTold = true
      await setting.stop.pause(seconds: 0.2)
    }
    return true
  }

  private func isFree() async -> Bool { (try? LaunchLock(folder)) != nil }

  private func stopped() throws -> ExitStatus {
    try writeTables()
    setting.say("stopped by \(setting.stop.first ?? "a signal"); the same command goes on")
    return .stopped
  }
}

// MARK: - Jobs of a batch system

extension StudyRunner {
  /// Submits the launches that are missing, one job each, which run one after the other; the next call collects them.
  private mutating func submit() async throws -> ExitStatus {
    let queue = StudyQueue(launcher, folder, setting.stop)
    let queued = try await queue.launches()
    var submitted = 0
    var waiting = 0
    for block in 0..<blocks {
      let missing = try launches(ofBlock: block)
      // Whether a cell needs further launches is known when the former ones are there.
      guard block < max(limits.least, limits.functional) || waiting == 0 else { break }
      waiting += missing.count
      for launch in missing where !queued.contains(launch.name) {
        guard setting.stop.first == nil else { return try stopped() }
        if let reason = queue.formerReason(launch) { setting.say("\(launch.name) ended without a result: \(reason)") }
        setting.say("\(launch.name) is job \(try await queue.submit(launch))")
        submitted += 1
      }
    }
    guard waiting > 0 else { return try finished() }
    try writeTables()
    setting.say("\(waiting) launches are queued, \(submitted) of them now; the same command collects them")
    return .stopped
  }
}

// MARK: - What the user sees

extension StudyRunner {
  private func tell(_ launch: StudyLaunch, took seconds: Double, left: Int) throws {
    guard let record = records.last, let result = try results[launch.cell.name] else { return }
    let cause = result.dropped.last.flatMap { $0.launch.name == launch.name ? "; dropped: \($0.cause)" : nil } ?? ""
    let width = result.interval.map { interval in
      interval.isSound ? ", ± \(percent(100 * interval.halfWidth)) % over \(interval.count)" : ""
    }
    let unit = record.identity.kind.trains ? "a step" : "a repetition"
    let time = record.identity.nature == .measured ? "\(number(record.median)) s \(unit)" : "functional, bits agree"
    setting.say(
      "\(launch.name): \(time)\(width ?? "")\(cause) (\(duration(seconds)); \(left - 1) left in block \(launch.block + 1), "
        + "at least \(duration(try secondsLeft())) in all)")
  }

  /// Seconds that the launches still take that are wanted in any case.
  private func secondsLeft() throws -> Double {
    let results = try results
    let known = records.map(\.identity.seconds)
    let usual = known.isEmpty ? 0 : median(known)
    return results.cells.reduce(0) { sum, result in
      let wanted = result.nature == .functional ? limits.functional : limits.least
      let there = result.launches.count + result.dropped.count
      let own = (result.launches + result.dropped.map(\.launch)).map(\.identity.seconds)
      return sum + Double(max(0, wanted - there)) * (own.isEmpty ? usual : median(own))
    }
  }

  private func tellIntervals(after block: Int) throws {
    try writeTables()
    setting.say("after block \(block + 1):")
    for result in try results.cells where !result.launches.isEmpty && result.nature == .measured {
      guard let interval = result.interval else { continue }
      setting.say(
        "  \(result.cell.name): \(number(interval.median)) s, \(number(interval.low)) to \(number(interval.high)) "
          + "(\(percent(100 * interval.coverage)) %, \(interval.count) launches, \(result.dropped.count) dropped)")
    }
  }

  /// Names cells whose intervals are wider than wanted, though the study ends.
  private func tellWideIntervals() throws {
    for result in try results.cells
    where result.nature == .measured && result.cell.kind.trains && !result.isSettled(limits) {
      let width = result.interval.map { "± \(percent(100 * $0.halfWidth)) %" } ?? "no interval"
      setting.say(
        "\(result.cell.name): \(width) after \(result.launches.count) launches that count and \(result.dropped.count) "
          + "dropped; wanted: ± \(percent(100 * limits.halfWidth)) % over at least \(limits.least)")
    }
  }

  private func writeTables() throws {
    let results = try results
    for (name, text) in [
      ("study.csv", StudyTable.steps(results)), ("dropped.csv", StudyTable.dropped(results, failed: failed)),
    ] {
      let path = "\(folder.path)/\(name)"
      do {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
      } catch {
        throw Failure(.inputOutput, "it cannot be written: \(error.localizedDescription)", at: path)
      }
    }
  }
}
