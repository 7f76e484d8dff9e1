// Launch/mpirun against the real mpirun, with a shell in the place of apus.

import Testing

@Suite("Launcher", .serialized) struct LauncherTests {
  private let launcher = Checkout.root.appendingPathComponent("Launch/mpirun").path

  private func launch(_ arguments: String...) throws -> ProcessResult {
    try run(
      Checkout.root.appendingPathComponent("Launch/mpirun").path, arguments, environment: ["APUS_EXECUTABLE": "/bin/sh"]
    )
  }

  @Test("ranks and threads reach the program") func environmentIsSet() throws {
    let result = try launch("-n", "2", "--threads", "3", "--", "-c", "echo $OMPI_COMM_WORLD_SIZE $APUS_THREADS")
    #expect(result.status == 0)
    #expect(result.output == "2 3\n2 3\n")
    #expect(result.errors == "")
  }

  @Test("a rank's exit status and reason come through without banners") func statusComesThrough() throws {
    let script = "[ $OMPI_COMM_WORLD_RANK = 1 ] && { echo apus: bad key >&2; exit 65; }; exec sleep 20"
    let result = try launch("-n", "2", "--", "-c", script)
    #expect(result.status == 65)
    #expect(result.errors == "apus: bad key\n")
  }

  @Test("the status that ranks report replaces mpirun's 1 after a signal") func stoppedStatusIsRestored() throws {
    let trap = "trap 'echo apus: exit status 75 >&2; exit 75' TERM"
    let script = "\(trap); sleep 1; kill -TERM $PPID; while :; do sleep 0.1; done"
    let result = try launch("-n", "1", "--", "-c", script)
    #expect(result.status == 75)
    #expect(!result.errors.contains("exit status"))
  }

  @Test("Open MPI's own errors are kept") func ownErrorsAreKept() throws {
    let result = try launch("--hostfile", "/nonexistent", "--", "-c", "true")
    #expect(result.status != 0)
    #expect(result.errors.contains("/nonexistent"))
  }

  @Test("wrong usage is 64, a missing program 66") func usageIsChecked() throws {
    #expect(try launch("--ranks", "2").status == 64)
    #expect(try launch().status == 64)
    let missing = try run(launcher, ["-n", "1", "train"], environment: ["APUS_EXECUTABLE": "/nonexistent"])
    #expect(missing.status == 66)
  }
}
