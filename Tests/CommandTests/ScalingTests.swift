// `apus scaling` from outside: a study of a tiny network on one and two ranks, ended, taken up again and reported.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct ScalingCommandTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private let study = """
    study: tiny
    work: {case: tiny-64, steps: 4}
    points: [{kind: strong, ranks: [1, 2], globalBatch: 2}]
    factors: {overlap: [off]}
    controls: {copies: false, links: false, storage: false}
    repeat: {least: 2, most: 2, functional: 2}
    drop: {steal: 1, foreign: 1}
    """

  private func write(_ text: String, to name: String = "study.yaml") throws {
    try folder.write(Array(text.utf8), to: name)
  }

  private func scaling(_ arguments: String...) throws -> Outcome {
    try apus(
      ["scaling"] + arguments, environment: ["OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"])
  }

  private var runs: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.file("out/runs"))) ?? []).sorted()
  }

  @Test("a study runs, goes on where it was, proves equal bits and is reported", .timeLimit(.minutes(5)))
  func wholeStudy() throws {
    try write(study)
    let out = ["--directory", folder.file("out")]
    let first = try scaling("run", folder.file("study.yaml"), out[0], out[1])
    try #require(first.status == 0, "\(first)")
    let names = ["strong-r1-b2-t1-overlap-off", "strong-r2-b2-t1-overlap-off"].flatMap {
      ["\($0)-000.h5", "\($0)-001.h5"]
    }
    #expect(runs == names)
    // What is there is not run again; what is missing is.
    let kept = try folder.bytes("out/runs/\(names[0])")
    try FileManager.default.removeItem(atPath: folder.file("out/runs/\(names[3])"))
    let second = try scaling("run", folder.file("study.yaml"), out[0], out[1])
    #expect(second.status == 0 && runs == names, "\(second)")
    #expect(try folder.bytes("out/runs/\(names[0])") == kept)
    let report = try scaling("report", folder.file("out"))
    #expect(report.status == 0 && report.output.contains("equal weights, bit by bit"), "\(report)")
    #expect(FileManager.default.fileExists(atPath: folder.file("out/report.html")))
    try refusals(names)
  }

  /// What is wrong with a folder that holds launches is one line and a status.
  private func refusals(_ names: [String]) throws {
    func expect(_ status: Int32, _ part: String, _ outcome: Outcome) {
      let lines = outcome.errors.split(separator: "\n")
      #expect(outcome.status == status && lines.count == 1 && outcome.errors.contains(part), "\(outcome)")
    }
    let (file, out) = (folder.file("study.yaml"), folder.file("out"))
    try write(study.replacing("globalBatch: 2", with: "globalBatch: 4"))
    expect(
      65, "points[0].globalBatch was 2 when the study began and is 4", try scaling("run", file, "--directory", out))
    try write(study.replacing("study: tiny", with: "study: other"))
    expect(73, "that of the study tiny, not other", try scaling("run", file, "--directory", out))
    try write(study)
    var bytes = try folder.bytes("out/runs/\(names[1])")
    bytes[2000] ^= 1
    try folder.write(bytes, to: "out/runs/\(names[1])")
    expect(65, names[1], try scaling("run", file, "--directory", out))
    expect(65, names[1], try scaling("report", out))
    try FileManager.default.createDirectory(atPath: folder.file("notes"), withIntermediateDirectories: false)
    try folder.write([1], to: "notes/first.txt")
    expect(73, "is no study's", try scaling("run", file, "--directory", folder.file("notes")))
    expect(66, "no study", try scaling("report", folder.file("absent")))
    expect(66, "there is no such study", try scaling("run", folder.file("absent.yaml")))
  }

  @Test("the commands are listed, and an impossible cell is refused before anything starts") func listing() throws {
    try write(study)
    let list = try scaling("run", folder.file("study.yaml"), "--directory", folder.file("out"), "--print")
    #expect(list.status == 0, "\(list)")
    let lines = list.output.split(separator: "\n")
    #expect(
      lines.count == 4 && lines.allSatisfy { $0.contains("Launch/mpirun -n ") && $0.contains(" scaling launch ") })
    #expect(!FileManager.default.fileExists(atPath: folder.file("out")))
    try write(study.replacing("ranks: [1, 2]", with: "ranks: [1, 3]"))
    let refused = try scaling("run", folder.file("study.yaml"), "--directory", folder.file("out"))
    #expect(refused.status == 65 && refused.errors.contains("strong-r3-b2-t1-overlap-off"), "\(refused)")
    #expect(!FileManager.default.fileExists(atPath: folder.file("out")))
    try write("study: x\nlaunch: {hosts: absent.txt}\n")
    let missing = try scaling("run", folder.file("study.yaml"))
    #expect(missing.status == 66 && missing.errors.contains("absent.txt"), "\(missing)")
  }
}
