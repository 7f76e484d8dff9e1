// Launches as jobs of Slurm: submitted in order, run one after the other, found again by the study's folder.

import Foundation
import Launching
import Support

/// The jobs of a study.
struct StudyQueue {
  private let launcher: StudyLauncher
  private let folder: StudyFolder
  private let stop: StopRequests

  init(_ launcher: StudyLauncher, _ folder: StudyFolder, _ stop: StopRequests) {
    self.launcher = launcher
    self.folder = folder
    self.stop = stop
  }

  /// Names of launches that wait or run.
  /// - Throws: `Failure` 66 without squeue, 74 if it fails.
  func launches() async throws -> Set<String> {
    // Jobs that are over are not listed.
    let lines = try await ask(["squeue", "--noheader", "--name", launcher.jobName, "--format", "%k"])
    return Set(lines.map { $0.filter { !$0.isWhitespace } })
  }

  /// Submits a launch and returns the number of its job.
  func submit(_ launch: StudyLaunch) async throws -> String {
    let lines = try await ask(launcher.words(launch))
    guard let number = lines.last?.split(separator: ";").first, number.allSatisfy(\.isNumber) else {
      throw Failure(.inputOutput, "sbatch gave no number of a job: \(lines.last ?? "nothing")", at: launch.name)
    }
    return String(number)
  }

  /// Why a job of the launch ended that left no result; nil if there was none.
  func formerReason(_ launch: StudyLaunch) -> String? {
    guard let bytes = FileManager.default.contents(atPath: folder.log(launch.name)) else { return nil }
    var words = LastWords()
    words.hear(bytes)
    words.end()
    return words.reason ?? "no reason given"
  }

  /// Lines that a program of Slurm prints.
  private func ask(_ words: [String]) async throws -> [String] {
    let path = folder.log("slurm")
    let end = try await runJob(words, environment: launcher.environment, log: path, stop)
    let text = FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    guard end.status == 0 else {
      throw Failure(
        .inputOutput, "\(words[0]) ended with status \(end.status): \(end.words.reason ?? "no reason given")",
        remedy: "see whether Slurm is up, and launch.options of the study")
    }
    return text.split(separator: "\n").map(String.init)
  }
}
