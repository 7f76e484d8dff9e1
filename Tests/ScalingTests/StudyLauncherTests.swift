// The commands of launches, for every launcher.

import Foundation
import Recipes
import Scaling
import Support
import TestSupport
import Testing

@Suite struct StudyLauncherTests {
  private let checkout: TemporaryFolder

  init() throws {
    checkout = try TemporaryFolder()
    for folder in ["Launch", "a b/bin"] {
      try FileManager.default.createDirectory(atPath: checkout.file(folder), withIntermediateDirectories: true)
    }
    try checkout.write(Array("#!/bin/sh\n".utf8), to: "Launch/mpirun")
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: checkout.file("Launch/mpirun"))
  }

  private func words(_ launching: String, threads: Int = 1) throws -> [String] {
    let yaml =
      "points: [{ranks: [6]}]\ncontrols: {copies: false, links: false, storage: false}\nfactors: {threads: [\(threads)]}\nlaunch: \(launching)\n"
    let file = try SettingsFile<Study>(yaml: yaml, path: "study.yaml", folder: "/data", called: "study")
    let plan = try StudyPlan(file, at: .anywhere)
    let launcher = try StudyLauncher(
      file.group.launch, folder: StudyFolder("/runs/x"), program: checkout.file("a b/bin/apus"))
    return launcher.words(plan.launches(ofBlock: 3)[0])
  }

  private let work = ["scaling", "launch", "/runs/x", "--cell", "weak-r6-b6-t2", "--block", "3", "--place", "0"]

  @Test("mpirun gets what the study says of hosts and binding") func mpirun() throws {
    let words = try words(
      "{hosts: hosts.txt, ranksPerNode: 4, bind: core, interface: ib0}", threads: 2)
    #expect(
      words == [
        checkout.file("Launch/mpirun"), "-n", "6", "--threads", "2", "--hosts", "/data/hosts.txt", "--ranks-per-node",
        "4",
        "--bind", "core", "--interface", "ib0", "--",
      ] + work)
  }

  @Test("a played cluster gets as many hosts as ranks need") func cluster() throws {
    let words = try words("{by: cluster, ranksPerNode: 4}", threads: 2)
    #expect(
      words == [
        checkout.file("Launch/local-cluster"), "run", "-n", "6", "--hosts", "2", "--ranks-per-host", "4", "--threads",
        "2",
        "--",
      ] + work)
  }

  @Test("a job of Slurm asks for nodes and cores and starts the same command") func slurm() throws {
    let words = try words("{by: slurm, ranksPerNode: 4, options: [--partition=main]}", threads: 2)
    #expect(words[0] == "sbatch" && words.contains("singleton") && words.contains("--partition=main"))
    for (option, value) in [
      ("--nodes", "2"), ("--ntasks", "6"), ("--ntasks-per-node", "4"), ("--cpus-per-task", "2"),
      ("--comment", "weak-r6-b6-t2-003"), ("--output", "/runs/x/logs/weak-r6-b6-t2-003.log"),
    ] {
      let index = try #require(words.firstIndex(of: option))
      #expect(words[index + 1] == value)
    }
    #expect(words.last == "exec \(checkout.file("Launch/mpirun")) -n 6 --threads 2 -- " + work.joined(separator: " "))
  }

  @Test("a program without its launcher is told so") func absent() throws {
    let launching = StudyLaunching()
    let failure = #expect(throws: Failure.self) {
      try StudyLauncher(launching, folder: StudyFolder("/x"), program: "/nowhere/bin/apus")
    }
    #expect(failure?.status == .missingInput && failure?.place == "/nowhere/bin/apus")
  }
}
