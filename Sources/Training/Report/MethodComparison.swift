// A comparison of methods: the summaries of runs of several recipes with several seeds, as a table.

import Foundation
import Support

/// A finished run of a comparison.
public struct ComparedRun: Sendable, Equatable {
  /// Name of the recipe that was run.
  public let method: String
  /// The run's seed.
  public let seed: Int
  /// Its figures.
  public let summary: Summary

  /// A run.
  public init(method: String, seed: Int, summary: Summary) {
    self.method = method
    self.seed = seed
    self.summary = summary
  }

  /// Training runs that it is made of: one, or those of a chain's stages.
  private var parts: [Summary] { summary.stages?.compactMap(\.summary) ?? [summary] }
  /// Completed training steps, over all stages.
  var steps: Int { parts.reduce(0) { $0 + $1.step } }
  /// Seconds of a training step.
  var secondsPerStep: Double { steps > 0 ? parts.reduce(0) { $0 + $1.seconds } / Double(steps) : 0 }
  /// Most memory a rank has held, in bytes.
  var peakMemoryBytes: Int { parts.map(\.peakMemoryBytes).max() ?? 0 }
}

/// What methods reach with equal data and equal steps, by method.
public struct MethodComparison: Sendable {
  /// All runs, methods in the order of their names, seeds ascending.
  public let runs: [ComparedRun]

  /// Reads `<folder>/<method>/seed-<number>/summary.json` of every method and seed; unfinished runs are left out.
  /// - Throws: `Failure` 66 if the folder holds no finished run, 65 if a summary cannot be read.
  public init(of folder: String) throws {
    var runs: [ComparedRun] = []
    for method in folders(in: folder) {
      for run in folders(in: "\(folder)/\(method)") where run.hasPrefix("seed-") {
        let path = "\(folder)/\(method)/\(run)/summary.json"
        guard let seed = Int(run.dropFirst("seed-".count)), FileManager.default.fileExists(atPath: path) else {
          continue
        }
        runs.append(ComparedRun(method: method, seed: seed, summary: try Summary(contentsOf: path)))
      }
    }
    guard !runs.isEmpty else {
      throw Failure(
        .missingInput, "there is no finished run", at: folder, remedy: "Launch/compare trains them")
    }
    self.init(runs)
  }

  /// Of these runs.
  public init(_ runs: [ComparedRun]) { self.runs = runs.sorted { ($0.method, $0.seed) < ($1.method, $1.seed) } }

  private var methods: [(name: String, runs: [ComparedRun])] {
    Dictionary(grouping: runs, by: \.method).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// One line for each run: method, seed, steps, mean IoU of student and teacher, seconds of a step, memory, digest.
  public var csv: String {
    let lines = runs.map { run in
      let figures = run.summary
      return [
        run.method, "\(run.seed)", "\(run.steps)", figures.student.mIoU.map { "\($0)" } ?? "",
        figures.teacher.mIoU.map { "\($0)" } ?? "", "\(run.secondsPerStep)", "\(run.peakMemoryBytes)",
        "\(figures.worldSize)", "\(figures.threads)", figures.studentDigest,
      ].joined(separator: ",")
    }
    let head = "method,seed,steps,studentMeanIoU,teacherMeanIoU,secondsPerStep,peakMemoryBytes,ranks,threads,digest"
    return ([head] + lines).joined(separator: "\n") + "\n"
  }

  /// One line for each method: medians over seeds, with the range of the mean IoU.
  public var markdown: String {
    let rows = methods.map { method in
      let student = method.runs.compactMap(\.summary.student.mIoU),
        teacher = method.runs.compactMap(\.summary.teacher.mIoU)
      let seconds = median(method.runs.map(\.secondsPerStep))
      let memory = median(method.runs.map { Double($0.peakMemoryBytes) / 0x1p20 })
      return "| \(method.name) | \(spread(student)) | \(spread(teacher)) | "
        + "\(rounded(seconds, 4)) | \(Int(memory.rounded())) | \(method.runs.count) |"
    }
    return
      ([
        "| method | student, mIoU % | teacher, mIoU % | seconds a step | memory, MiB | seeds |",
        "|---|---|---|---|---|---|",
      ] + rows).joined(separator: "\n") + "\n"
  }

  /// Writes `results.csv` and `results.md` into a folder.
  /// - Throws: `Failure` 74 that names the file.
  public func write(into folder: String) throws {
    for (name, text) in [("results.csv", csv), ("results.md", markdown)] {
      try writeWhole(text, to: "\(folder)/\(name)")
    }
  }

  private func spread(_ values: [Double]) -> String {
    guard let least = values.min(), let most = values.max() else { return "–" }
    return "\(rounded(median(values), 1)) (\(rounded(least, 1)) – \(rounded(most, 1)))"
  }
}

/// The middle value, or the mean of the two middle ones.
private func median(_ values: [Double]) -> Double {
  guard !values.isEmpty else { return .nan }
  let sorted = values.sorted()
  return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
}

/// Names of the folders in a folder, ascending; none where it cannot be read.
private func folders(in folder: String) -> [String] {
  ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { name in
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: "\(folder)/\(name)", isDirectory: &isFolder) && isFolder.boolValue
  }
  .sorted()
}
