// `apus methods`: what recipes may choose as `method`, and what each one does.

import ArgumentParser
import Collectives
import Foundation
import Recipes
import Support
import Training

/// Parent of the commands about methods.
struct MethodsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "methods", abstract: "List the adaptation methods; explain one.",
    discussion: "Everything shown is drawn from the catalogue that recipes are read with; see docs/methods.md.",
    subcommands: [ListMethodsCommand.self, ExplainMethodCommand.self, CompareMethodsCommand.self],
    defaultSubcommand: ListMethodsCommand.self)
}

/// `apus methods [list]`: a table.
struct ListMethodsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List every method: host, needs, paper, recipe, measured figure.")

  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  /// The JSON object.
  private struct Report: Encodable {
    let methods: [MethodSummary]
  }

  func run() throws {
    try runAlone {
      let methods = MethodSummary.all
      guard !json else {
        print(try jsonLine(Report(methods: methods)))
        return .done
      }
      tell(methods)
      return .done
    }
  }

  private func tell(_ methods: [MethodSummary]) {
    let head = ["name", "host", "needs", "figure", "recipe", "paper"]
    let rows = [head] + methods.map(\.cells)
    let widths = head.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    for row in rows {
      let cells = zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }
      print(cells.joined(separator: "  ").replacing(/\ +$/, with: ""))
    }
    print("\napus methods explain NAME tells options, passes and messages of one")
  }
}

extension MethodSummary {
  /// The cells of its row.
  fileprivate var cells: [String] { [name, host, needs.joined(separator: ", "), figure ?? "-", recipe, paper] }
}

/// `apus methods compare FOLDER`.
struct CompareMethodsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare", abstract: "Tabulate the finished runs of a comparison.",
    discussion: "Launch/compare trains them. results.csv and results.md are written beside them.")

  @Argument(help: "The folder of the comparison, with METHOD/seed-NUMBER/summary.json.")
  var folder: String

  func run() throws {
    try runAlone {
      let comparison = try MethodComparison(of: folder)
      try comparison.write(into: folder)
      print(comparison.markdown, terminator: "")
      return .done
    }
  }
}

/// `apus methods explain NAME`.
struct ExplainMethodCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Tell a method's options, passes, losses, messages, and the network settings it refuses.",
    discussion: "Passes and losses are those of one step that is run with a tiny network.")

  @Argument(help: "Name of the method in recipes.")
  var name: String
  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  func run() throws {
    try runAlone {
      try setUpMachine(threads: try environmentThreads(), on: SoloCommunicator())
      let explanation = try MethodExplanation(name)
      if json { print(try jsonLine(explanation)) } else { tell(explanation) }
      return .done
    }
  }

  private func tell(_ explanation: MethodExplanation) {
    let method = explanation.method
    print("\(method.name): \(method.paper)")
    print("host: \(method.host); needs \(method.needs.joined(separator: ", "))")
    print("recipe: \(method.recipe); figure: \(method.figure ?? "-")")
    print("options (methodOptions)\(explanation.options.isEmpty ? ": none" : "")")
    for option in explanation.options { print("  \(option.key): \(option.value)   \(option.expected)") }
    print("a step")
    if explanation.labelsTarget { print("  the teacher labels the target images") }
    for pass in explanation.passes { tell(pass) }
    if !explanation.companions.isEmpty { print("companions: \(explanation.companions.joined(separator: ", "))") }
    print("messages once a step: \(explanation.messages.joined(separator: "; "))")
    print("refuses\(explanation.refuses.isEmpty ? ": no network setting" : "")")
    for refusal in explanation.refuses { print("  \(refusal.setting)   \(refusal.reason)") }
    print("example\n" + explanation.example.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n"))
  }

  private func tell(_ pass: MethodExplanation.Pass) {
    print("  pass \(pass.name) (\(pass.by)): \(pass.losses.joined(separator: ", "))")
    if !pass.maps.isEmpty { print("    maps: \(pass.maps.joined(separator: ", "))") }
    if !pass.messages.isEmpty { print("    messages: \(pass.messages.joined(separator: "; "))") }
  }
}
