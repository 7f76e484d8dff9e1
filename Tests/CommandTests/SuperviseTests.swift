// Launch/supervise and the program behind it: real signals, real folders, and a shell in the place of the ranks where
// only statuses count.

import Foundation
import Support
import TestSupport
import Testing

@Suite(.serialized) struct SuperviseTests {
  let folder: TemporaryFolder
  let run: String

  init() throws {
    folder = try TemporaryFolder()
    run = folder.file("run")
  }

  private static let launch = URL(filePath: testRecipe).appending(path: "../../").standardizedFileURL.path
  private let environment = ["APUS_THREADS": "1", "APUS_EXECUTABLE": apusExecutable.path]

  /// Launch/supervise in the test's folder.
  private func supervise(_ options: String..., command: [String]) async throws -> CommandResult {
    try await runCommand(
      ["-c", "cd \"$0\" && exec \"$@\"", folder.path, Self.launch + "/supervise"] + options + ["--"] + command,
      of: URL(filePath: "/bin/sh"), environment: environment, timeout: 300)
  }

  /// A shell that does what the script says in the place of the ranks.
  private func shell(_ script: String) -> [String] {
    ["/bin/sh", "-c", script, "sh", "train", testRecipe, "--resume", "--run-directory", run]
  }

  private func ranks(_ count: Int, _ options: [String] = []) -> [String] {
    [Self.launch + "/mpirun", "-n", "\(count)", "train", testRecipe, "--resume", "--run-directory", run] + options
  }

  private func log() throws -> [String] {
    try String(contentsOfFile: run + "/supervise.log", encoding: .utf8).split(separator: "\n").map(String.init)
  }

  private func starts() throws -> Int { try log().count { $0.contains(" start ") && $0.contains(" from ") } }

  /// Starts Launch/supervise, lets something happen to it, and waits for its end.
  private func supervise(
    by starter: [String] = ["/usr/bin/env"], _ options: String..., command: [String],
    _ happening: (Process) async throws -> Void
  ) async throws -> (status: Int32, errors: String) {
    let process = Process()
    process.executableURL = URL(filePath: starter[0])
    process.arguments = Array(starter.dropFirst()) + [Self.launch + "/supervise"] + options + ["--"] + command
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    try folder.write([], to: "errors")
    process.standardError = try FileHandle(forWritingTo: URL(filePath: folder.file("errors")))
    process.standardOutput = FileHandle.nullDevice
    process.standardInput = FileHandle.nullDevice
    try process.run()
    try await happening(process)
    let deadline = ContinuousClock.now + .seconds(200)
    while process.isRunning, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(10)) }
    #expect(!process.isRunning, "supervision does not end")
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    let signalled = process.terminationReason == .uncaughtSignal
    return (process.terminationStatus + (signalled ? 128 : 0), errors)
  }

  private var errors: String { String(decoding: (try? folder.bytes("errors")) ?? [], as: UTF8.self) }

  private func wait(for words: String) async throws {
    let deadline = ContinuousClock.now + .seconds(100)
    while !errors.contains(words) {
      try #require(ContinuousClock.now < deadline, "\(words) was not said: \(errors)")
      try await Task.sleep(for: .milliseconds(10))
    }
  }

  @Test(arguments: [("exit 65", 65, 1), ("exit 70", 70, 3), ("kill -9 $$", 137, 3), ("exit 0", 0, 1)])
  func onlyWhatARestartMayMendIsTriedAgain(script: String, status: Int32, starts: Int) async throws {
    let result = try await supervise("--max-restarts", "2", "--backoff", "0", command: shell(script))
    #expect(result.status == status && !result.timedOut, "\(result)")
    #expect(try self.starts() == starts)
    let last = try #require(try log().last)
    #expect(
      result.errors.split(separator: "\n").last.map { last.hasSuffix($0.dropFirst("apus supervise: ".count)) } == true)
    if starts == 3 { #expect(last.contains("gave up after 2 restarts without a newer checkpoint"), "\(last)") }
  }

  @Test func numbersAreDecimal() async throws {
    let result = try await supervise("--max-restarts", "09", "--backoff", "00", command: shell("exit 70"))
    #expect(try result.status == 70 && starts() == 10, "\(result)")
  }

  /// Each case: the text before the recipe's own, what `train` is told, and the folder that it trains in.
  @Test(arguments: [
    ("name: my run\n", [], "Checkpoints/my run"), ("\u{FEFF}name: \"base\" # one\r\n", [], "Checkpoints/base"),
    ("{windows}", [], "Checkpoints/recipe"), ("name: base\n", ["--set", "name=other"], "Checkpoints/other"),
    ("name: base\n", ["--run-directory=else where"], "else where"),
  ])
  func theRunDirectoryIsThatOfTheRun(head: String, options: [String], place: String) async throws {
    let recipe = try String(contentsOfFile: testRecipe, encoding: .utf8).split(separator: "\n")
      .filter { !$0.hasPrefix("name:") }.joined(separator: "\n")
    let text = head == "{windows}" ? recipe.replacing("\n", with: "\r\n") : head + recipe
    try folder.write(Array((text + "\n").utf8), to: "recipe.yaml")
    let result = try await supervise(
      command: [Self.launch + "/mpirun", "-n", "1", "train", "recipe.yaml", "--resume", "--steps", "2"] + options)
    #expect(result.status == 0, "\(result)")
    let made = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
    #expect(made.filter { $0.hasSuffix("supervise.log") } == [place + "/supervise.log"])
    #expect(made.filter { $0.hasSuffix("lock") } == [place + "/lock"])
    #expect(made.contains(place + "/checkpoints/step-00000002.h5"), "\(made)")
    let again = try await supervise(
      command: [Self.launch + "/mpirun", "-n", "1", "train", "recipe.yaml", "--resume", "--steps", "2"] + options)
    #expect(again.errors.contains("start 1 from step-00000002.h5: "), "\(again)")
  }

  @Test(arguments: [
    (["/bin/sh", "train", "none.yaml", "--resume"], 66, "none.yaml: there is no such recipe"),
    (["/bin/sh", "train", "bad.yaml", "--resume"], 65, "bad.yaml:1: unknown key nmae; did you mean name?"),
    (["/bin/sh", "train", "bad.yaml", "--rezume"], 64, "train: Unknown option '--rezume'"),
    (["/bin/sh", "train", "bad.yaml"], 64, "a restart goes on with --resume"),
    (["/bin/sh", "train", "--help"], 64, "only apus train can be supervised"),
    (["/bin/sh", "evaluate"], 64, "only apus train can be supervised"), ([], 64, "no command to supervise"),
    (["no-such-program", "train", "good.yaml", "--resume"], 66, "there is no program no-such-program"),
    (["./no-such-program", "train", "good.yaml", "--resume"], 66, "there is no program ./no-such-program"),
  ])
  func whatCannotBeStartedIsRefused(command: [String], status: Int32, words: String) async throws {
    try folder.write(Array("nmae: x\n".utf8), to: "bad.yaml")
    try FileManager.default.copyItem(atPath: testRecipe, toPath: folder.file("good.yaml"))
    let result = try await supervise(command: command)
    #expect(result.refuses(status, words), "\(result)")
    let isStarted = command.contains("good.yaml")
    #expect(folder.names.contains("Checkpoints") == isStarted, "a folder was made: \(folder.names)")
  }

  @Test func helpIsItsOwn() throws {
    for words in [["supervise", "--help"], ["help", "supervise"]] {
      let help = try apus(words)
      #expect(help.status == 0 && help.output.contains("--release-lock") && help.errors.isEmpty, "\(help)")
    }
  }

  @Test(arguments: [["--max-restarts", "-1"], ["--backoff", "x"], ["--no-such-option"], ["--host-failures", "9e9"]])
  func optionsAreChecked(options: [String]) async throws {
    let result = try await supervise(options[0], options.last ?? "", command: shell("exit 0"))
    #expect(result.refuses(64, String(options[0].dropFirst(2))), "\(result)")
  }

  @Test(arguments: [SIGTERM, SIGINT, SIGHUP, SIGUSR1]) func aSignalBeforeTheStartKeepsTheRunFromStarting(number: Int32)
    async throws
  {
    try FileManager.default.createDirectory(atPath: run, withIntermediateDirectories: true)
    try Data("process 1 on host here\n".utf8).write(to: URL(filePath: run + "/lock"))
    let holder = open(run + "/lock", O_RDWR | O_CLOEXEC)
    defer { close(holder) }
    try #require(flock(holder, LOCK_EX) == 0)
    let end = try await supervise(command: shell("touch '\(run)/started'")) { process in
      try await wait(for: "waits for process 1 on host here")
      kill(process.processIdentifier, number)
    }
    #expect(end.status == 75 && end.errors.contains("while no job ran; run again with --resume"), "\(end)")
    #expect(!FileManager.default.fileExists(atPath: run + "/started"))
    #expect(try starts() == 0)
  }

  @Test func aSignalBetweenTwoStartsEndsWith75() async throws {
    let end = try await supervise("--backoff", "100", command: shell("exit 70")) { process in
      try await wait(for: "restart in 100 s")
      kill(process.processIdentifier, SIGTERM)
    }
    #expect(end.status == 75 && end.errors.hasSuffix("while no job ran; run again with --resume\n"), "\(end)")
  }

  /// Three signals every 20 ms from the moment that the run trains: none may come in the way of the save.
  @Test func aStormOfSignalsIsOneRequestToSave() async throws {
    let command = ranks(2, ["--set", "schedule.steps=100000"])
    let end = try await supervise(command: command) { process in
      let rank = try await RankProcess(1, in: run, loggedSteps: 5)
      for _ in 0..<200 where process.isRunning {
        for number in [SIGTERM, SIGINT, SIGUSR1] { kill(process.processIdentifier, number) }
        try await Task.sleep(for: .milliseconds(20))
      }
      for _ in 0..<500 where rank.isAlive { try await Task.sleep(for: .milliseconds(20)) }
      #expect(!rank.isAlive)
    }
    #expect(end.status == 75, "\(end)")
    #expect(end.errors.components(separatedBy: "asks the run to save and stop").count == 2, "\(end)")
    let last = try #require(try log().last)
    let match = try #require(last.firstMatch(of: /stopped by SIG\w+ with status 75 after (step-\d+\.h5)$/), "\(last)")
    let verified = try apus("checkpoint", "verify", "\(run)/checkpoints/\(match.1)")
    #expect(verified.status == 0, "\(verified)")
  }

  @Test func sigquitDoesNotWaitForTheSave() async throws {
    let deaf = "trap '' USR1; trap 'exit 3' QUIT; echo ready >&2; while :; do sleep 0.05; done"
    let end = try await supervise(command: shell(deaf)) { process in
      // On a line of its own: the command is shown before it starts.
      try await wait(for: "\nready\n")
      kill(process.processIdentifier, SIGTERM)
      try await Task.sleep(for: .milliseconds(300))
      #expect(process.isRunning)
      kill(process.processIdentifier, SIGQUIT)
    }
    #expect(end.status == 3 && end.errors.contains("stopped by SIGTERM with status 3"), "\(end)")
  }

  /// What `nohup` does.
  @Test func anIgnoredSignalStaysIgnored() async throws {
    let ignoring = ["/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]
    let end = try await supervise(by: ignoring, command: shell("sleep 2")) { process in
      try await wait(for: "start 1 from the beginning")
      kill(process.processIdentifier, SIGHUP)
    }
    #expect(end.status == 0 && end.errors.contains("finished at start 1"), "\(end)")
  }

  /// Open MPI removes the memory that ranks share where mpirun outlives them, and only there.
  @Test func memoryOfKilledRanksIsFreed() async throws {
    func segments() -> Set<String> {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: "/dev/shm")) ?? []
      return Set(names.filter { $0.contains("_segment.\(ProcessInfo.processInfo.hostName).") })
    }
    let before = segments()
    let command = ranks(2, ["--set", "schedule.steps=100000"])
    let end = try await supervise("--max-restarts", "0", command: command) { _ in
      let rank = try await RankProcess(1, in: run, loggedSteps: 2)
      #expect(segments().subtracting(before).count >= 2)
      let status = try String(contentsOfFile: "/proc/\(rank.identifier)/status", encoding: .utf8)
      let mpirun = try #require(status.firstMatch(of: /PPid:\s+(\d+)/).flatMap { pid_t($0.1) })
      kill(mpirun, SIGKILL)
    }
    #expect(end.status != 0 && segments().isSubset(of: before), "\(end)")
  }

  @Test func theReasonIsTheLastLine() async throws {
    let script = "echo 'apus: stalled: rank 1 on node2 is silent; look' >&2; echo 'rank noise' >&2; exit 70"
    let result = try await supervise("--max-restarts", "0", command: shell(script))
    let last = try #require(result.errors.split(separator: "\n").last)
    #expect(
      last
        == "apus supervise: gave up after 0 restarts without a newer checkpoint; the last start ended with status 70 "
        + "on host node2: stalled: rank 1 on node2 is silent; look", "\(result)")
    let other = try await supervise("--max-restarts", "0", command: shell("echo MPI text >&2; exit 9"))
    #expect(other.status == 9 && other.errors.hasSuffix("the last start ended with status 9: MPI text\n"), "\(other)")
  }

  /// Output of the ranks goes on as it is; what they leave open keeps nobody waiting.
  @Test func outputIsPassedOnAndOrphansAreNotWaitedFor() async throws {
    let result = try await supervise(command: shell("echo out; printf 'no end' >&2; sleep 30 & exit 0"))
    #expect(result.status == 0 && result.seconds < 20, "\(result)")
    #expect(result.output == "out\n" && result.errors.contains("no end"))
  }
}
