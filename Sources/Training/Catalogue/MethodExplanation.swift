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
    /// Objectives that read maps of it.
    public let readBy: [String]
    /// Maps of the student that they read.
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
    let experiment = try Experiment(Recipe(trying: entry), on: SoloCommunicator())
    let record = try experiment.step.run(try experiment.loader.batches(step: 0), step: 0)
    method = MethodSummary(entry)
    options = entry.options.listed
    labelsTarget = experiment.teacher != nil
    passes = MethodExplanation.passes(experiment, losses: record.losses.map(\.name))
    messages = MethodExplanation.messages(experiment)
    refuses = MethodExplanation.refusals(entry)
    example = entry.example
  }

  private static func passes(_ experiment: Experiment, losses: [String]) -> [Pass] {
    let parts = experiment.step.parts
    let own = parts.host.passes.map { (name: $0, by: "host") }
    let added = parts.objectives.flatMap { objective in objective.passes(at: 0).map { ($0.name, objective.name) } }
    return (own + added).map { name, owner in
      let sites = (parts.sites[name] ?? []).sorted()
      let mixes = owner == "host" && name == "mixed"
      let isRead = !sites.isEmpty || owner != "host"
      return Pass(
        name: name, by: owner, readBy: isRead ? parts.objectives.map(\.name) : [], maps: sites.map(\.words),
        losses: losses.filter { $0.hasPrefix(name + ".") },
        messages: (mixes ? ["the classes of the source labels"] : [])
          + (isRead ? ["what its objectives ask: sums, maxima, a pair for rows"] : []))
    }
  }

  private static func messages(_ experiment: Experiment) -> [String] {
    (experiment.teacher == nil ? [] : ["the share of confident pixels, for each micro-batch"])
      + ["gradients", "losses", "whether the step is used"]
  }

  /// Tries every setting that decides the network's form; what supervised training refuses too is no trait of the method.
  private static func refusals(_ entry: MethodEntry) -> [Refusal] {
    let resolutions = Recipe.Network.Resolution.allCases.map { ("network.resolution", $0.rawValue) }
    let settings = resolutions + HeadCatalogue.names.map { ("head.name", $0) }
    return settings.compactMap { key, value in
      guard complaint("source-only", key, value) == nil, let reason = complaint(entry.name, key, value) else {
        return nil
      }
      return Refusal(setting: "\(key): \(value)", reason: reason)
    }
  }

  private static func complaint(_ method: String, _ key: String, _ value: String) -> String? {
    let data = "{source: {kind: procedural}, target: {kind: procedural, domain: target}}"
    do {
      _ = try Recipe(
        yaml: "method: \(method)\ndata: \(data)\n", file: "recipe", folder: "", overrides: ["\(key)=\(value)"],
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
    let given = options.listed.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
    var lines = ["method: \(name)"]
    if !given.isEmpty { lines.append("methodOptions: {\(given)}") }
    lines.append("data:")
    if host.hasSource { lines.append("  source: {images: path/to/source/images, labels: path/to/source/labels}") }
    if host.hasTarget { lines.append("  target: {images: path/to/target/images}") }
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
    case .attached(let name): "head \(name)" + crop
    }
  }
}
