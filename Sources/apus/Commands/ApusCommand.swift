// The executable: its commands, one line each, and how wrong usage is told.

import ArgumentParser
import Collectives
import Support
import Training

/// Trains domain-adaptive semantic segmentation on CPU clusters.
@main
struct Apus: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apus",
    abstract: "Train domain-adaptive semantic segmentation on CPU clusters.",
    discussion: """
      Under mpirun or srun a command uses the ranks it was given, or refuses them if it is for one process; Launch/mpirun
      sets them up.
      Recipes are explained in docs/recipes.md; apus doctor tells whether this machine is ready.
      """,
    version: programVersion,
    subcommands: [
      TrainCommand.self,
      SuperviseCommand.self,
      EvaluateCommand.self,
      PredictCommand.self,
      DataCommand.self,
      CheckpointCommand.self,
      CacheCommand.self,
      MethodsCommand.self,
      VerifyCommand.self,
      BenchmarkCommand.self,
      ScalingCommand.self,
      DoctorCommand.self,
      SelfTestCommand.self,
    ])

  /// Parses and runs the command; every failure becomes one line and an exit status.
  static func main() {
    occupyStandardDescriptors()
    MemoryLimit.prepare()
    do {
      try checkArgumentsAreText()
      var command = try parseAsRoot()
      try command.run()
    } catch let status as ExitCode {
      // The command has said why.
      exit(withError: status)
    } catch let failure as Failure {
      refuse(failure)
    } catch {
      guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
      let message = message(for: error).split(whereSeparator: \.isNewline).joined(separator: " ")
      refuse(Failure(.usage, message, remedy: "see \(usage(for: error))"))
    }
  }

  /// Ends the command with a failure that all ranks have found, so that it is printed once.
  private static func refuse(_ failure: Failure) -> Never {
    do {
      try runOnRanks { communicator in try communicator.together { throw failure } }
      exit()
    } catch {
      exit(withError: error)
    }
  }

  /// The command whose help explains a usage error, such as `apus train --help`.
  private static func usage(for error: any Error) -> String {
    let words = fullMessage(for: error).split(separator: "\n").first { $0.hasPrefix("Usage: ") }?
      .dropFirst("Usage: ".count).split(separator: " ").prefix { $0.first?.isLetter ?? false }
    return (words ?? ["apus"]).joined(separator: " ") + " --help"
  }
}
