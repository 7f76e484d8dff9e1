// Writing a recipe: complete YAML that reads back as an equal recipe, a digest of it, and the difference of two.

import Support

extension Recipe {
  /// The complete recipe as YAML, every default written out and every path absolute: enough to repeat the run.
  /// Reading it with the same catalogue gives an equal recipe.
  public var resolvedYAML: String { tree.yaml }

  /// SHA-256 of the complete recipe, in hexadecimal; ranks agree on it at start.
  public var fingerprint: String {
    let hash = SHA256()
    hash.update(resolvedYAML)
    return hash.hexadecimal()
  }

  /// SHA-256 of the settings that decide the weights, in hexadecimal: a run may go on with another recipe of the same.
  /// Places of data are left out: `DatasetIdentity` tells what lies there.
  public var weightFingerprint: String { fingerprint { $0.affectsWeights } }

  /// `weightFingerprint` as checkpoints and caches have it that tell data by their places alone.
  public var formerWeightFingerprint: String { fingerprint { $0.affectsWeights || $0.isPlaceOfData } }

  private func fingerprint(of isIncluded: (Difference) -> Bool) -> String {
    let hash = SHA256()
    // Pseudo-labels of runs that began before there were these keys are theirs still.
    let later = [
      "batch.accumulate": "1", "optimizer.name": "adamw", "optimizer.momentum": "0.9", "schedule.decaySteps": "null",
      "objectives": "{}", "data.fewShot": "null",
      "labels.source": "teacher", "labels.cache": "null", "labels.quantile": "0.0", "labels.cap": "1.0",
      "labels.threshold": "0.0",
      "head.correlates": "true", "head.initialOnTrunk": "false",
      "encoder.batchNorm": "batch", "network.auxiliary.stage": "3", "network.auxiliary.weight": "0.0",
      "network.auxiliary.predicts": "false", "schedule.warmUpTo": "decayed",
      "network.fusionOrder": "damp-first", "loss.normalisation": "all",
      "teacher.average": "early", "mix.classes": "batch", "methodOptions.mode": "target",
      "methodOptions.augment": "true",
    ]
    let laterOfSets = [
      "depth": "null", "depthSuffix": "", "depthCode": "stereo", "depthScale": "null", "estimatedDepth": "false",
      "only": "[]", "list": "null", "labelCode": "index", "palette": "[]", "root": "null", "split": "null",
      "condition": "null",
    ]
    for (key, text) in tree.flattened() where isIncluded(difference(key, nil, text)) && later[key] != text {
      let parts = key.split(separator: ".")
      if parts.first == "data", let last = parts.last, laterOfSets[String(last)] == text { continue }
      hash.update("\(key): \(text)\n")
    }
    return hash.hexadecimal()
  }

  /// A setting that two recipes disagree on.
  public struct Difference: Sendable, Equatable, CustomStringConvertible {
    /// Dotted key.
    public let key: String
    /// Value in the first recipe; nil where it has no such setting.
    public let old: String?
    /// Value in the second recipe; nil where it has no such setting.
    public let new: String?
    /// Whether gradients are summed to the same bits however they are cut and shared.
    let sumsReproducibly: Bool

    /// Whether this is where images to learn from or cached labels lie: the same files in another place give the same
    /// weights.
    public var isPlaceOfData: Bool { placedData != nil }

    /// The data whose place this is: `source`, `target`, `fewShot`, or `labels` for those of a cache.
    public var placedData: String? {
      if key == "labels.cache" { return "labels" }
      return ["source", "target", "fewShot"].first { name in
        DataSet.placeKeys.contains { key == "data.\(name).\($0)" }
      }
    }

    /// Whether a run that goes on with the new value may differ from one that went on with the old one.
    public var affectsWeights: Bool {
      guard !isPlaceOfData else { return false }
      let cuts = ["batch.cropShards", "optimizer.shardMoments", "communication.bucketMB"]
      if cuts.contains(key) { return !sumsReproducibly }
      let harmlessGroups = [
        "communication.", "checkpoint.", "log.", "digest.", "watch.", "evaluation.", "data.validation.",
      ]
      return !["name", "threads", "trace", "data.pixelLimit"].contains(key)
        && !harmlessGroups.contains { key.hasPrefix($0) }
    }

    /// `key: old -> new`.
    public var description: String { "\(key): \(old ?? "(none)") -> \(new ?? "(none)")" }
  }

  private func difference(_ key: String, _ old: String?, _ new: String?) -> Difference {
    Difference(key: key, old: old, new: new, sumsReproducibly: reduction == .reproducible)
  }

  /// The settings two recipes disagree on, in the order of the documentation.
  public static func compare(_ old: Recipe, _ new: Recipe) -> [Difference] {
    let first = old.tree.flattened()
    let second = new.tree.flattened()
    let newValues = Dictionary(uniqueKeysWithValues: second.map { ($0.key, $0.text) })
    let oldKeys = Set(first.map(\.key))
    let changed = first.filter { newValues[$0.key] != $0.text }
      .map { new.difference($0.key, $0.text, newValues[$0.key]) }
    let added = second.filter { !oldKeys.contains($0.key) }.map { new.difference($0.key, nil, $0.text) }
    return changed + added
  }

  /// The complete recipe as a tree.
  var tree: SettingNode {
    var recipe = self
    var writer = SettingWriter()
    do { try recipe.visit(&writer, nil) } catch { preconditionFailure("writing settings does not throw: \(error)") }
    return SettingNode(.group(writer.entries))
  }
}

/// Collects settings into a tree.
struct SettingWriter: SettingVisitor {
  /// The settings seen so far.
  private(set) var entries: [SettingNode.Entry] = []

  mutating func value<Value: SettingValue>(_ key: String, _ value: inout Value, _ limit: Limit<Value>) throws {
    add(key, value.settingNode)
  }

  mutating func path(_ key: String, _ value: inout String?) throws { add(key, value.settingNode) }

  mutating func group<Group: SettingGroup>(_ key: String, _ group: inout Group) throws {
    var writer = SettingWriter()
    try group.visit(&writer)
    add(key, SettingNode(.group(writer.entries)))
  }

  mutating func group<Group: SettingGroup>(_ key: String, _ group: inout Group?, defaults: Group) throws {
    guard var given = group else { return add(key, String?.none.settingNode) }
    try self.group(key, &given)
  }

  mutating func groups<Group: SettingGroup>(_ key: String, _ groups: inout [Group]) throws {
    let nodes = try groups.indices.map { index in
      var writer = SettingWriter()
      try groups[index].visit(&writer)
      return SettingNode(.group(writer.entries))
    }
    add(key, SettingNode(.list(nodes)))
  }

  private mutating func add(_ key: String, _ node: SettingNode) {
    entries.append(SettingNode.Entry(key: key, place: "", node: node))
  }
}
