// Launch/mpirun against the real mpirun, with a shell in the place of apus.

import Foundation
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

  @Test("a host that cannot be reached is told in one line") func missingHostIsNamed() throws {
    let hosts = FileManager.default.temporaryDirectory.appendingPathComponent("hosts-\(UUID().uuidString)")
    try "no-such-host.invalid slots=2\n".write(to: hosts, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(at: hosts) }
    let result = try launch("--hosts", hosts.path, "--", "-c", "true")
    #expect(result.status == 74)
    #expect(result.errors.hasPrefix("Launch/mpirun: cannot reach host no-such-host.invalid: "))
    #expect(result.errors.split(separator: "\n").count == 1)
    let crowded = try launch("-n", "3", "--hosts", hosts.path, "--", "-c", "true")
    #expect(crowded.status == 64)
  }

  @Test(
    "a host file that cannot be meant is refused with its line",
    arguments: [
      ("here slots=two\n", "1: slots=two;"), ("# first\n\nhere slots=0\n", "3: slots=0;"),
      ("-oProxyCommand=x slots=2\n", "1: -oProxyCommand=x is no name"), ("here\n\u{1}\u{2};rm\n", "2: "),
    ])
  func hostFileIsChecked(text: String, words: String) throws {
    let hosts = FileManager.default.temporaryDirectory.appendingPathComponent("hosts-\(UUID().uuidString)")
    try text.write(to: hosts, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(at: hosts) }
    let result = try launch("-n", "2", "--hosts", hosts.path, "--", "-c", "true")
    #expect(result.status == 65 && result.errors.hasPrefix("Launch/mpirun: \(hosts.path):\(words)"), "\(result)")
    #expect(result.errors.split(separator: "\n").count == 1 && result.output.isEmpty)
  }

  @Test(
    "numbers, interfaces and places that this host cannot give are refused in one line",
    arguments: [
      (["-n", "0"], "\"0\" is no number of ranks"), (["-n", "08"], "\"08\" is no number of ranks"),
      (["-n", "99999999999999999999"], "is no number of ranks"), (["--ranks-per-node", "0"], "is no number of ranks"),
      (["-n", "2", "--threads", "1x"], "\"1x\" is no number of threads"),
      (["-n", "2", "--interface", "nosuch0"], "--interface nosuch0: this host has no such interface"),
      (["-n", "2", "--interface", "203.0.113.0/24"], "this host has no such interface or network; it has "),
      (["-n", "2", "--ranks-per-node", "1"], "2 ranks, but 1 on each host"),
      (
        ["-n", "2", "--bind", "core", "--threads", "4096"], "a host has too few cores to bind so many ranks and threads"
      ),
    ])
  func placesAreChecked(options: [String], words: String) throws {
    let result = try run(launcher, options + ["--", "-c", "true"], environment: ["APUS_EXECUTABLE": "/bin/sh"])
    #expect(result.status == 64 && result.errors.contains(words), "\(result)")
    #expect(result.errors.split(separator: "\n").count == 1 && result.errors.hasPrefix("Launch/mpirun: "), "\(result)")
  }

  @Test("an interface of this host, by name or network, is taken", arguments: ["lo", "nosuch0,lo", "127.0.0.0/8"])
  func interfacesAreFound(interface: String) throws {
    let result = try launch("-n", "2", "--interface", interface, "--", "-c", "echo $OMPI_MCA_btl_tcp_if_include")
    #expect(result.output == "\(interface)\n\(interface)\n", "\(result)")
  }

  @Test("a rank that ends without a word is told of") func silentEndIsTold() throws {
    let script = "[ $OMPI_COMM_WORLD_RANK = 1 ] && exit 3; exec sleep 20"
    let result = try launch("-n", "2", "--", "-c", script)
    #expect(result.status == 3)
    #expect(result.errors.hasPrefix("Launch/mpirun: ") && result.errors.split(separator: "\n").count == 1)
    #expect(
      result.errors.hasSuffix("rank 1 ended with status 3 and gave no reason\n")
        || result.errors.contains("a rank ended with status 3"))
  }

  @Test("ranks on each node and their binding reach Open MPI") func ranksArePlaced() throws {
    let result = try launch("--ranks-per-node", "1", "--bind", "core", "--", "-c", "nproc")
    #expect(result.status == 0)
    #expect(result.output == "1\n")
    #expect(try launch("--bind", "chair", "--", "-c", "true").status == 64)
  }

  @Test("a missing host file is named") func missingHostFileIsNamed() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("hosts-\(UUID().uuidString)").path
    let result = try launch("--hostfile", path, "--", "-c", "true")
    #expect(result.status == 66)
    #expect(result.errors == "Launch/mpirun: no host file \(path)\n")
  }

  @Test("Open MPI's own errors are kept") func ownErrorsAreKept() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("hosts-\(UUID().uuidString)").path
    let result = try run(
      launcher, ["-n", "1", "--", "-c", "true"],
      environment: ["APUS_EXECUTABLE": "/bin/sh", "OMPI_MCA_orte_default_hostfile": path])
    #expect(result.status != 0)
    #expect(result.errors.contains(path))
  }

  @Test("wrong usage is 64, a missing program 66") func usageIsChecked() throws {
    #expect(try launch("--ranks", "2").status == 64)
    #expect(try launch().status == 64)
  }

  @Test("only a program that can be run passes for one") func theProgramIsChecked() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try "text\n".write(to: folder.appendingPathComponent("text"), atomically: true, encoding: .utf8)
    for (path, words) in [
      ("/none", "/none is missing; "), ("", " is no program; "), ("/text", "/text is no program; "),
    ] {
      let result = try run(launcher, ["-n", "1", "train"], environment: ["APUS_EXECUTABLE": folder.path + path])
      #expect(result.status == 66 && result.errors.contains(words), "\(result)")
      #expect(result.errors.split(separator: "\n").count == 1 && result.output.isEmpty, "\(result)")
    }
  }

  @Test("a host file with the line ends and the mark of Windows is read") func windowsLineEnds() throws {
    let hosts = FileManager.default.temporaryDirectory.appendingPathComponent("hosts-\(UUID().uuidString)")
    try Data("\u{feff}# ranks\r\nlocalhost slots=2\r\n\r\n".utf8).write(to: hosts)
    defer { try? FileManager.default.removeItem(at: hosts) }
    let result = try launch("--hosts", hosts.path, "--", "-c", "echo $OMPI_COMM_WORLD_SIZE")
    #expect(result.status == 0 && result.output == "2\n2\n" && result.errors.isEmpty, "\(result)")
  }

  /// Makes an agent, which stands for ssh, and runs the launcher through it.
  private func launch(
    by agent: String, hosts: String, program: String = "/bin/sh", in folder: URL
  ) throws -> ProcessResult {
    let (script, list) = (folder.appendingPathComponent("agent"), folder.appendingPathComponent("hosts"))
    try "#!/bin/bash\n\(agent)\n".write(to: script, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: script.path)
    try hosts.write(to: list, atomically: true, encoding: .utf8)
    return try run(
      launcher, ["--hosts", list.path, "-n", "2", "--", "-c", "echo $OMPI_COMM_WORLD_SIZE"],
      environment: ["APUS_EXECUTABLE": program, "OMPI_MCA_plm_rsh_agent": script.path])
  }

  /// Of those that Debian has, the ones that are here.
  private static let shells = ["bash", "dash", "tcsh -f", "fish"].filter { shell in
    FileManager.default.isExecutableFile(atPath: "/usr/bin/\(shell.prefix { $0 != " " })")
  }

  @Test("hosts may have any login shell", arguments: shells) func loginShells(shell: String) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    // A name that shells would take apart.
    let program = folder.appendingPathComponent("it's a $HOME;program").path
    try FileManager.default.createSymbolicLink(atPath: program, withDestinationPath: "/bin/sh")
    let result = try launch(
      by: "shift; exec \(shell) -c \"$*\"", hosts: "nodeA slots=2\n", program: program, in: folder)
    #expect(result.status == 0 && result.output == "2\n2\n" && result.errors.isEmpty, "\(result)")
  }

  @Test("every host that cannot take ranks has its line") func allBadHostsAreNamed() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let hosts = "nodeA slots=1\nnodeB slots=1\nnodeC slots=1\n"
    let lacking = try launch(by: "[ $1 = nodeB ] || exit 41", hosts: hosts, in: folder)
    #expect(lacking.status == 66 && lacking.output.isEmpty)
    let ending = " lacks /bin/sh: the same path must lead to it on every host\n"
    #expect(lacking.errors == ["A", "C"].map { "Launch/mpirun: host node\($0)\(ending)" }.joined())
    // An agent may lead past the network that ranks would use.
    let cut = try launch(by: "[ $1 = nodeA ] || exit 44", hosts: hosts, in: folder)
    #expect(cut.status == 74)
    #expect(cut.errors.hasPrefix("Launch/mpirun: cannot reach host nodeB: it gets no answer from "), "\(cut)")
  }

  @Test("few open files are raised to what the ranks need, or refused in one line") func openFiles() throws {
    func limited(_ limit: String) throws -> ProcessResult {
      try run(
        "/bin/bash", ["-c", "ulimit \(limit) && exec \(launcher) -n 8 -- -c 'ulimit -Sn'"],
        environment: ["APUS_EXECUTABLE": "/bin/sh"])
    }
    let raised = try limited("-Sn 40")
    #expect(raised.status == 0 && raised.output == String(repeating: "200\n", count: 8), "\(raised)")
    let refused = try limited("-n 40")
    #expect(
      refused.status == 64 && refused.errors.contains("8 ranks need 200 open files, but the limit is 40"), "\(refused)")
    #expect(refused.errors.split(separator: "\n").count == 1 && refused.output.isEmpty, "\(refused)")
  }
}
