// The executable's commands.

import ArgumentParser

/// Trains domain-adaptive semantic segmentation on CPU clusters.
@main
struct Apus: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "apus", subcommands: [SelfTestCommand.self])
}
