// The key `stages` of a recipe: what each stage is called, and what it changes in the common part.

import Support

/// What a labels stage does: a finished network labels all target images.
public struct LabelsStage: SettingGroup {
  /// Weights that label.
  public enum Network: String, SettingChoice {
    /// The trained network.
    case student
    /// Its exponential average.
    case teacher
  }

  /// Weights that label, of the training stage before.
  public var network = Network.student
  /// Whether labels are the mean of two predictions: of the image and of its mirror image.
  public var flip = false
  /// Whether every logit is the larger one of two: of the image, and of the image at half its size.
  public var halfSize = false

  /// The student, one prediction.
  public init() {}
  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("network", &network)
    try settings.value("flip", &flip)
    try settings.value("halfSize", &halfSize)
  }
}

/// A stage as it is written.
struct WrittenStage {
  private(set) var name = ""
  /// Where it stands.
  let place: String
  /// Dotted keys with their values, each at its place.
  private(set) var changes: [SettingNode.Entry] = []
  /// What it labels with; nil for a stage that trains.
  private(set) var labels: LabelsStage?
  private static let keys = ["name", "set", "labels"]

  /// All stages of a list.
  /// - Throws: `Failure` 65 at the first that is not one.
  static func all(_ node: SettingNode) throws -> [WrittenStage] {
    guard case .list(let nodes) = node.content, !nodes.isEmpty else {
      throw Failure(
        .badData, "stages is \(node.inline); expected a list of stages, such as {name: warm-up, set: {method: hrda}}",
        at: node.place)
    }
    return try nodes.map(WrittenStage.init)
  }

  private init(_ node: SettingNode) throws {
    place = node.place
    guard case .group(let entries) = node.content else {
      throw Failure(
        .badData, "a stage is \(node.inline); expected a mapping with the keys name, set, labels", at: place)
    }
    for entry in entries {
      switch entry.key {
      case "name": name = entry.node.text ?? ""
      case "set": changes = try WrittenStage.changes(entry)
      case "labels": labels = try WrittenStage.labels(entry)
      default:
        let near = nearestSpelling(to: entry.key, among: WrittenStage.keys).map { "did you mean \($0)?" }
        throw Failure(
          .badData, "unknown key \(entry.key) of a stage", at: entry.place,
          remedy: near ?? "keys here: \(WrittenStage.keys.joined(separator: ", "))")
      }
    }
    let fault = faultOfFileName(name)
    guard fault == nil else {
      throw Failure(
        .badData, "the name of a stage is \(name.debugDescription), which \(fault ?? "")", at: place,
        remedy: "give it the name of a folder, such as name: warm-up")
    }
  }

  private static func changes(_ entry: SettingNode.Entry) throws -> [SettingNode.Entry] {
    guard case .group(let changes) = entry.node.content else {
      if entry.node.isNothing { return [] }
      throw Failure(
        .badData, "set is \(entry.node.inline); expected a mapping of dotted keys to values", at: entry.place)
    }
    return changes
  }

  private static func labels(_ entry: SettingNode.Entry) throws -> LabelsStage {
    var stage = LabelsStage()
    guard !entry.node.isNothing else { return stage }
    guard case .group = entry.node.content else {
      throw Failure(
        .badData, "labels is \(entry.node.inline); expected a mapping such as {network: student}", at: entry.place)
    }
    var reader = SettingReader(entry.node, place: entry.place, prefix: "labels", known: [])
    try stage.visit(&reader)
    try reader.refuseUnknownKeys()
    return stage
  }

  /// Whether it says itself what a key is.
  func changes(_ key: String) -> Bool { changes.contains { $0.key == key } }

  /// The common part with the stage's changes.
  func changed(_ common: SettingNode) -> SettingNode {
    var tree = common
    for change in changes {
      // At the key, not at the value: that is where complaints belong.
      let value = SettingNode(change.node.content, place: change.place, folder: change.node.folder)
      tree.set(change.key.split(separator: ".", omittingEmptySubsequences: false).map(String.init)[...], to: value)
    }
    return tree
  }
}
