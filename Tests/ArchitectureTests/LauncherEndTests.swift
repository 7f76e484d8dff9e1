// How Launch/mpirun ends: signals, a start or an end that does not come, a launcher that is killed. Real mpirun, with a
// shell in the place of apus that says what apus would tell the launcher.

import Foundation
import Testing

@Suite("Launcher's end", .serialized) struct LauncherEndTests {
  private let launcher = Checkout.root.appendingPathComponent("Launch/mpirun").path
  private let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  /// Runs a script as the only rank, which finds the launcher in `$launcher`. Its process, and those it starts, can be
  /// told by `mark` in their arguments.
  private func launch(_ script: String, environment: [String: String] = [:]) throws -> (
    result: ProcessResult, seconds: Double
  ) {
    let start = Date()
    let setUp = "launcher=$(ps -o ppid= -p $PPID); report() { echo \"apus: $1\" >&2; }; "
    let result = try run(
      launcher, ["-n", "1", "--", "-c", setUp + script, mark],
      environment: ["APUS_EXECUTABLE": "/bin/sh"].merging(environment) { $1 })
    return (result, -start.timeIntervalSinceNow)
  }

  private var mark: String { folder.lastPathComponent }

  /// Waits for the ranks to be gone, and whatever watched over them.
  private func expectNothingLeft() throws {
    for _ in 0..<150 where try !marked().isEmpty { usleep(100_000) }
    #expect(try marked().isEmpty)
  }

  private func marked() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { process in
      let line = try? FileHandle(forReadingFrom: URL(fileURLWithPath: "/proc/\(process)/cmdline")).readToEnd()
      return line.map { String(decoding: $0, as: UTF8.self).contains(mark) } ?? false
    }
  }

  @Test("any number of signals asks the ranks to stop, and what they saved is 75", arguments: [1, 2, 5])
  func signalsAskToStop(count: Int) throws {
    let signals = ["USR1", "TERM", "INT", "HUP", "TERM"].prefix(count).joined(separator: " ")
    let script = """
      asked=0; trap 'asked=$((asked + 1))' USR1; report started; sleep 0.5
      for name in \(signals); do kill -s $name $launcher; sleep 0.3; done
      for second in 1 2 3 4; do sleep 1; done; echo $asked; report 'exit status 75'; exit 75
      """
    let (result, _) = try launch(script)
    #expect(result.status == 75 && result.output == "\(count)\n", "\(result)")
    try expectNothingLeft()
  }

  @Test("a signal before the ranks have started ends the job with 75") func earlySignal() throws {
    let (result, seconds) = try launch("trap '' USR1; kill -TERM $launcher; sleep 60")
    #expect(result.status == 75 && seconds < 20, "\(result)")
    #expect(result.errors.hasPrefix("Launch/mpirun: stopped by a signal before the ranks had started"), "\(result)")
    #expect(result.errors.split(separator: "\n").count == 1)
    try expectNothingLeft()
  }

  @Test("SIGQUIT ends ranks that hear no other signal") func quitting() throws {
    let (result, seconds) = try launch(
      "trap '' USR1 TERM; report started; kill -QUIT $launcher; sleep 60 & wait; sleep 60")
    #expect(result.status == 131 && seconds < 20, "\(result)")
    #expect(result.errors == "Launch/mpirun: ended by SIGQUIT, without saving\n")
    try expectNothingLeft()
  }

  @Test("a start that takes too long is told in one line and ended") func startHasALimit() throws {
    let (result, seconds) = try launch("sleep 60", environment: ["APUS_START_SECONDS": "2"])
    #expect(result.status == 74 && seconds < 20, "\(result)")
    #expect(result.errors.hasPrefix("Launch/mpirun: the ranks have not started within 2 s; "), "\(result)")
    #expect(result.errors.split(separator: "\n").count == 1)
    try expectNothingLeft()
    let patient = try launch("report started; sleep 4", environment: ["APUS_START_SECONDS": "2"])
    #expect(patient.result.status == 0 && patient.result.errors.isEmpty, "\(patient)")
    let wrong = try launch("true", environment: ["APUS_START_SECONDS": "soon"])
    #expect(wrong.result.status == 64 && wrong.result.errors.hasPrefix("Launch/mpirun: \"soon\" is no number"))
  }

  /// As where a rank's last words cannot be passed on: its host is cut off.
  @Test("an mpirun that does not end after its ranks is ended") func endHasALimit() throws {
    let line = "apus: stalled: rank 2 on node2 has given no sign of life for 10 s"
    let (result, seconds) = try launch(
      "trap '' TERM; report started; echo '\(line)' >&2; report 'exit status 70'; sleep 60")
    #expect(result.status == 70 && result.errors == line + "\n", "\(result)")
    #expect(seconds > 8 && seconds < 25)
    try expectNothingLeft()
  }

  @Test("a launcher that is killed leaves nothing behind", arguments: ["", "-"]) func killedLauncher(group: String)
    throws
  {
    let kill = "kill -s KILL -- \(group)$(echo $launcher)"
    // In a session of its own, so that its group holds nobody else.
    let result = try run(
      "/usr/bin/setsid",
      [
        "--wait", launcher, "-n", "2", "--", "-c",
        "launcher=$(ps -o ppid= -p $PPID); echo apus: started >&2; sleep 1; \(kill); sleep 60", mark,
      ], environment: ["APUS_EXECUTABLE": "/bin/sh"])
    #expect(result.status != 0)
    try expectNothingLeft()
  }
}
