// `apus doctor`: what this machine offers, what would go wrong on it, and how to mend that.

import ArgumentParser
import Foundation
import Support
import Training

/// Prints what was found and what to do about it; ends with 1 if training would not work.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Tell what this machine offers, what would go wrong and how to mend it.",
    discussion: """
      Exit status 1 means that something must be mended before training works. Under mpirun or srun every process tells
      what it finds in its own place, such as the cores that the launcher has left to it.
      """)

  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  /// The JSON object.
  private struct Report: Encodable {
    let version: String
    let machine: Machine
    let findings: [Finding]
  }

  func run() throws {
    try runHere {
      let machine = Machine()
      let findings = machine.findings(ProcessInfo.processInfo.environment)
      say(machine.description, json: json, lines: true)
      for finding in findings { say("\n\(finding)", json: json, lines: true) }
      say(findings.isEmpty ? "\nNothing stands in the way." : "", json: json, lines: true)
      if json { print(try jsonLine(Report(version: programVersion, machine: machine, findings: findings))) }
      return findings.contains { $0.isObstacle } ? .checkFailed : .done
    }
  }
}

/// Something that would go wrong.
struct Finding: Encodable, CustomStringConvertible {
  /// Whether training cannot work before it is mended; else it is slower or less safe.
  let isObstacle: Bool
  let what: String
  let remedy: String

  var description: String { "\(isObstacle ? "PROBLEM" : "note"): \(what)\n  -> \(remedy)" }
}

extension Machine: CustomStringConvertible {
  /// One line a fact.
  var description: String {
    var rows = [
      ("apus", programVersion), ("host", "\(host), \(system)"), ("processor", "\(cpu), vector loops: \(cpuLevel)"),
      ("cores", "\(cores), usable here: \(usableCores.formatted())"),
      ("memory", "\(gigabytes(memoryBytes)), available: \(gigabytes(availableMemoryBytes))"),
      ("/dev/shm", sharedMemoryBytes.map(gigabytes) ?? "missing"),
      ("free disk here", freeDiskBytes.map(gigabytes) ?? "unknown"),
    ]
    rows += libraries.map { ($0.name, $0.file ?? "not loaded") }
    rows.append(("mpirun", mpirun ?? "not found"))
    return rows.map { $0.padding(toLength: 15, withPad: " ", startingAt: 0) + $1 }.joined(separator: "\n")
  }

  /// What would go wrong, obstacles first.
  func findings(_ environment: [String: String]) -> [Finding] {
    (memoryFindings + mpiFindings(environment) + processorFindings(environment))
      .sorted { $0.isObstacle && !$1.isObstacle }
  }

  private var memoryFindings: [Finding] {
    var findings: [Finding] = []
    if availableMemoryBytes < 1 << 30 {
      findings.append(
        Finding(
          isObstacle: true, what: "only \(gigabytes(availableMemoryBytes)) of memory is available",
          remedy: "end other programs or ask the scheduler for more; the smallest recipe needs about 1 GB a rank"))
    }
    if let free = freeDiskBytes, free < 1 << 30 {
      findings.append(
        Finding(
          isObstacle: true, what: "only \(gigabytes(free)) of disk is free here",
          remedy: "make room, or put the run elsewhere with --run-directory"))
    }
    return findings
  }

  private func mpiFindings(_ environment: [String: String]) -> [Finding] {
    var findings: [Finding] = []
    if mpirun == nil {
      findings.append(
        Finding(
          isObstacle: false, what: "there is no mpirun on PATH: only one rank can be used",
          remedy: "install openmpi-bin, or load the cluster's Open MPI module"))
    } else if mpirun?.contains("Open MPI") == false {
      findings.append(
        Finding(
          isObstacle: true, what: "mpirun is \(mpirun ?? ""), but apus is built with Open MPI",
          remedy: "put Open MPI's mpirun first on PATH"))
    }
    if let shared = sharedMemoryBytes, shared < 256 << 20 {
      findings.append(
        Finding(
          isObstacle: false, what: "/dev/shm holds only \(gigabytes(shared)), which ranks on one machine share",
          remedy: "enlarge it (docker run --shm-size=1g), or set OMPI_MCA_btl=self,tcp"))
    }
    if environment["SLURM_JOB_ID"] != nil, environment["SLURM_STEP_ID"] != nil, environment["PMIX_RANK"] == nil {
      findings.append(
        Finding(
          isObstacle: false, what: "this Slurm step offers no PMIx: srun would start separate programs of one rank",
          remedy: "use srun --mpi=pmix, or mpirun inside the allocation"))
    }
    return findings
  }

  private func processorFindings(_ environment: [String: String]) -> [Finding] {
    var findings: [Finding] = []
    if cpuLevel == "portable" {
      findings.append(
        Finding(
          isObstacle: false, what: "the processor has no AVX2: vector loops run several times slower",
          remedy: "use another kind of node if there is one"))
    }
    if usableCores < Double(cores) {
      findings.append(
        Finding(
          isObstacle: false, what: "\(usableCores.formatted()) of \(cores) cores may be used here",
          remedy: "ask the scheduler for more, or start ranks with --bind-to none as Launch/mpirun does"))
    }
    if let threads = environment["APUS_THREADS"].flatMap({ Double($0) }), threads > usableCores {
      findings.append(
        Finding(
          isObstacle: false, what: "APUS_THREADS is \(Int(clamping: threads)), more than the usable cores",
          remedy: "set it to the cores of a rank; threads that wait for a core slow every other one"))
    }
    return findings
  }
}

private func gigabytes(_ bytes: Int) -> String {
  let value = Double(bytes) / Double(1 << 30)
  return value < 10 ? "\((value * 10).rounded() / 10) GB" : "\(Int(value.rounded())) GB"
}
