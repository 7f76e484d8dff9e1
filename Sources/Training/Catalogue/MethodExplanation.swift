// All about one method, as `apus methods explain` tells it. Options come from the options' own description, passes and
// losses from one step that is run with a tiny network, refusals from trying every network setting.

import Adaptation
import Collectives
import Methods
import Networks
import Recipes
import Support

/// A method with its options, its step and what it does not go with.
public struct MethodExplanation: Sendable, Equatable, Codable {
  /// A tape of the step.
  public struct Pass: Sendable, Equatable, Codable {
    /// Its name, which its losses begin with.
    public let name: String
    /// Whose pass it is: the host, or an objective.
    public let by: String
    /// Maps of the student that objectives read there.
    public let maps: [String]
    /// Names of its losses.
    public let losses: [String]
    /// Messages to other ranks for each micro-batch, batch norms and shared crops apart.
    public let messages: [String]
  }

  /// A network setting that the method does not go with.
  public struct Refusal: Sendable, Equatable, Codable {
    /// `key: value`.
    public let setting: String
    /// What is said about it.
    public let reason: String
  }

  /// The line of the table.
  public let method: MethodSummary
  /// `methodOptions` with published defaults and limits.
  public let options: [ListedSetting]
  /// Whether target images are labelled before the passes.
  public let labelsTarget: Bool
  /// The passes, in their order.
  public let passes: [Pass]
  /// Networks that are trained beside the student, with optimizers of their own.
  public let companions: [String]
  /// Messages once a step.
  public let messages: [String]
  /// What it refuses.
  public let refuses: [Refusal]
  /// A recipe to start from.
  public let example: String

  /// Looks at the method of that name; runs a step of it on this process alone.
  /// - Throws: `Failure` 64 without such a method; what the step throws.
  public init(_ name: String) throws {
    let entry = try MethodEntry.named(name)
    let recipe = Recipe(trying: entry)
    let experiment = try Experiment(recipe, on: SoloCommunicator())
    let record = try experiment.step.run(try experiment.loader.batches(step: 0), step: 0)
    method = MethodSummary(entry)
    options = entry.options.listed
    labelsTarget = experiment.labelsTarget
    companions = experiment.step.parts.objectives.flatMap { $0.companions.map(\.name) }
    passes = MethodExplanation.passes(
      experiment, recipe.requirements(experiment.student.configuration),
      losses: record.losses.map(\.name))
    messages =
      (labelsTarget ? ["the share of confident pixels, for each micro-batch"] : []) + ["gradients"]
      + companions.map { "gradients of \($0)" } + ["losses", "whether the step is used"]
    refuses = MethodExplanation.refusals(entry)
    example = entry.example
  }

  private static func passes(_ experiment: Experiment, _ requirements: Requirements, losses: [String]) -> [Pass] {
    let parts = experiment.step.parts
    let own = parts.host.passes.map { (name: $0, by: "host") }
    let added = parts.objectives.flatMap { objective in objective.passes(at: 0).map { ($0.name, objective.name) } }
    return (own + added).map { name, owner in
      let sites = (parts.sites[name] ?? []).sorted()
      let mixes = owner == "host" && name == "mixed" && parts.host.hasSource && !requirements.mixes
      let isRead = !sites.isEmpty || requirements.passes.contains(name) || owner != "host"
      return Pass(
        name: name, by: owner, maps: sites.map(\.words), losses: losses.filter { $0.hasPrefix(name + ".") },
        messages: (mixes ? ["the classes of the source labels"] : [])
          + (isRead ? ["what objectives ask: at most one of sums, one of maxima, two of rows"] : []))
    }
  }

  /// Tries every setting that decides the network's form; what supervised training refuses too is no trait of the method.
  private static func refusals(_ entry: MethodEntry) -> [Refusal] {
    let resolutions = Recipe.Network.Resolution.allCases.map { ("network.resolution", $0.rawValue) }
    let settings = resolutions + HeadCatalogue.names.map { ("head.name", $0) }
    return settings.compactMap { key, value in
      guard complaint("source-only", [], key, value) == nil,
        let reason = complaint(entry.name, NeededNetwork(entry).overrides, key, value)
      else {
        return nil
      }
      return Refusal(setting: "\(key): \(value)", reason: reason)
    }
  }

  private static func complaint(
    _ method: String, _ needed: [String], _ key: String, _ value: String
  ) -> String? {
    let given = "init: start.h5\ndata: {source: {kind: procedural}, target: {kind: procedural, domain: target}}"
    do {
      _ = try Recipe(
        yaml: "method: \(method)\n\(given)\n", file: "recipe", folder: "", overrides: needed + ["\(key)=\(value)"],
        catalogue: .standard)
      return nil
    } catch let failure as Failure {
      return failure.what
    } catch {
      return "\(error)"
    }
  }
}

extension MethodEntry {
  /// The least that a recipe says, with every option at its published value.
  fileprivate var example: String {
    var lines = ["method: \(name)"]
    if !options.listed.isEmpty { lines.append("methodOptions: \(options.inlineText)") }
    if !host.hasSource { lines.append("init: path/to/checkpoint.h5") }
    let needed = NeededNetwork(self)
    lines += needed.lines + ["data:"]
    func depth(_ domain: String) -> String { needed.depth ? ", depth: path/to/\(domain)/depth" : "" }
    if host.hasSource {
      lines.append("  source: {images: path/to/source/images, labels: path/to/source/labels\(depth("source"))}")
    }
    if host.hasTarget { lines.append("  target: {images: path/to/target/images\(depth("target"))}") }
    if needed.fewShot {
      lines.append("  fewShot: {images: path/to/few/images, labels: path/to/few/labels, classes: [8, 9], perClass: 30}")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension Site {
  /// In words.
  fileprivate var words: String {
    let crop = unit == .detail ? ", detail crop" : ""
    return switch map {
    case .encoder(fromCoarsest: 0): "coarsest encoder map" + crop
    case .encoder(let level): "encoder map \(level) above the coarsest" + crop
    case .fused: "the map before the classifier" + crop
    case .named(let name): "\(name) of the segmentation head" + crop
    case .attached(let name): "head \(name)" + crop
    }
  }
}
