// The command of a launch: what a user would type, and what `--print` lists.

import Foundation
import Launching
import Recipes
import Support

/// Makes commands of launches.
public struct StudyLauncher: Sendable {
  private let launching: StudyLaunching
  private let folder: StudyFolder
  /// Launch/ of the checkout or installation.
  private let scripts: String
  /// Environment of launches besides this process's.
  public let environment: [String: String]

  /// - Parameters:
  ///   - launching: how ranks are started.
  ///   - folder: the study's.
  ///   - program: this program's file.
  /// - Throws: `Failure` 66 if no launcher belongs to the program.
  public init(_ launching: StudyLaunching, folder: StudyFolder, program: String) throws {
    self.launching = launching
    self.folder = folder
    scripts = try StudyLauncher.scripts(of: program)
    environment = ["APUS_EXECUTABLE": program]
  }

  /// Launch/ beside a folder that the program is in, however deep.
  private static func scripts(of program: String) throws -> String {
    var folder = parentFolder(of: program)
    while !folder.isEmpty {
      let candidate = (folder == "/" ? "" : folder) + "/Launch"
      if FileManager.default.isExecutableFile(atPath: "\(candidate)/mpirun") { return candidate }
      folder = folder == "/" ? "" : parentFolder(of: folder)
    }
    throw Failure(
      .missingInput, "there is no Launch/mpirun in a folder above", at: program,
      remedy: "run apus from its checkout, or install it by Launch/install")
  }

  /// The words of a launch.
  public func words(_ launch: StudyLaunch) -> [String] {
    let cell = launch.cell
    let work = [
      "scaling", "launch", folder.path, "--cell", cell.name, "--block", "\(launch.block)", "--place", "\(launch.place)",
    ]
    let ranks = ["-n", "\(cell.ranks)"]
    let threads = ["--threads", "\(cell.threads)"]
    switch launching.method {
    case .mpirun:
      var options: [String] = []
      if let hosts = launching.hosts { options += ["--hosts", hosts] }
      if let perNode = launching.ranksPerNode { options += ["--ranks-per-node", "\(min(perNode, cell.ranks))"] }
      if launching.bind != .none { options += ["--bind", launching.bind.rawValue] }
      if let interface = launching.interface { options += ["--interface", interface] }
      return ["\(scripts)/mpirun"] + ranks + threads + options + ["--"] + work
    case .slurm: return job(launch, work)
    case .cluster:
      let perNode = launching.ranksPerNode ?? 1
      let hosts = (cell.ranks + perNode - 1) / perNode
      return ["\(scripts)/local-cluster", "run"] + ranks
        + ["--hosts", "\(hosts)", "--ranks-per-host", "\(perNode)"] + threads + ["--"] + work
    }
  }

  /// Name of all jobs of the study: Slurm runs one of them at a time.
  var jobName: String {
    let hash = SHA256()
    hash.update(folder.path)
    return "apus-\(hash.hexadecimal().prefix(12))"
  }

  /// A job of Slurm, whose nodes Launch/mpirun finds by itself.
  private func job(_ launch: StudyLaunch, _ work: [String]) -> [String] {
    let cell = launch.cell
    let perNode = min(cell.ranks, launching.ranksPerNode ?? cell.ranks)
    let ranks = ["\(scripts)/mpirun", "-n", "\(cell.ranks)", "--threads", "\(cell.threads)", "--"]
    return [
      "sbatch", "--parsable", "--job-name", jobName, "--dependency", "singleton", "--comment", launch.name, "--output",
      folder.log(launch.name), "--nodes", "\((cell.ranks + perNode - 1) / perNode)", "--ntasks", "\(cell.ranks)",
      "--ntasks-per-node", "\(perNode)", "--cpus-per-task", "\(cell.threads)",
    ] + launching.options + ["--wrap", "exec " + StudyLauncher.line(ranks + work)]
  }

  /// The command as a line of a shell.
  public func line(_ launch: StudyLaunch) -> String { StudyLauncher.line(words(launch)) }

  private static func line(_ words: [String]) -> String {
    words.map { word in
      let isPlain =
        !word.isEmpty && word.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_./,=:".contains($0)) }
      return isPlain ? word : "'\(word.replacing("'", with: "'\\''"))'"
    }.joined(separator: " ")
  }
}
