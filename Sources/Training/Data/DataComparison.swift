// Are the data of a resumed run those it was trained on? The same files in another place are; others are refused by
// name unless they were meant.

import Domains
import Recipes
import Storage
import Support

/// Compares data with those of a run's newest checkpoint. On rank 0 only.
public struct DataComparison {
  /// Digests of the newest checkpoint; nil where there is none, and nothing to go on with.
  private let former: [String: String]?
  /// The data that digests of the checkpoint mean, where they are known by name.
  private let names: DataIdentities?
  private let meant: Set<String>

  /// - Parameters:
  ///   - checkpoint: the newest checkpoint's description; nil if there is none.
  ///   - names: the data as the run directory has them.
  ///   - meant: keys that the user has named with `--set`.
  init(_ checkpoint: RunDescription?, _ names: DataIdentities?, meant: Set<String>) {
    former = checkpoint?.digests
    self.names = names
    self.meant = meant
  }

  /// Whether a checkpoint is there that tells nothing of its data, as those of earlier versions.
  var isImpossible: Bool { former.map { !DataIdentities.areTold(in: $0) } ?? false }

  /// Whether a set is known to be that of the checkpoint.
  func isSame(_ name: String, _ data: DataIdentities) -> Bool {
    former?[DataIdentities.key(name)].map { digest in
      data.named.contains { $0.name == name && $0.identity.digest == digest }
    } ?? false
  }

  /// Lines about what has changed.
  /// - Parameters:
  ///   - data: the data now.
  ///   - recipe: says where they lie.
  /// - Throws: `Failure` 65 if images to learn from are others and their keys were not named.
  func notes(_ data: DataIdentities, _ recipe: Recipe) throws -> [String] {
    guard let former else { return [] }
    guard !isImpossible else {
      return ["the newest checkpoint, of an earlier version, does not tell its data: they could not be compared"]
    }
    var notes: [String] = []
    var refused: [(name: String, change: String)] = []
    for (name, present) in data.named {
      guard let digest = former[DataIdentities.key(name)], digest != present.digest else { continue }
      let known = names?.named.first { $0.name == name && $0.identity.digest == digest }?.identity
      let change = "\(name): \(known?.changes(in: present) ?? "other data than the run was trained on")"
      if name == "validation" {
        notes.append("\(change); scores are of other images than before")
      } else if isMeant(name, present) {
        notes.append("\(change); the run goes on with them, as --set asks")
      } else {
        refused.append((name, change))
      }
    }
    if let first = refused.first {
      let place = recipe.place(of: first.name)
      throw Failure(
        .badData, "the data have changed since the newest checkpoint: " + refused.map(\.change).joined(separator: "; "),
        at: place?.path,
        remedy: "put the files back, or say --set \(place?.key ?? "...")=\(place?.path ?? "...") to mean it")
    }
    return notes
  }

  /// Compares the content of source labels, as far as their class counts tell it.
  /// - Throws: `Failure` 65 if files of the same names and sizes have other counts and their keys were not named.
  func check(counts: String, _ data: DataIdentities, _ recipe: Recipe) throws {
    guard let digest = former?[DataIdentities.countsKey], digest != counts, isSame("source", data),
      let source = data.source, !isMeant("source", source)
    else { return }
    let labels = recipe.data.source?.labels.map { ("data.source.labels", $0) } ?? recipe.place(of: "source")
    throw Failure(
      .badData, "labels have changed since the newest checkpoint: names and sizes are the same, class counts are not",
      at: labels?.1, remedy: "put the files back, or say --set \(labels?.0 ?? "...")=\(labels?.1 ?? "...") to mean it")
  }

  /// Files are meant by their places. What is drawn follows from the recipe, whose changes are meant key by key.
  private func isMeant(_ name: String, _ present: DatasetIdentity) -> Bool {
    guard name != "labels" else { return meant.contains("labels.cache") }
    return meant.contains { key in
      present.drawing == nil
        ? Recipe.DataSet.placeKeys.contains { key == "data.\(name).\($0)" } : key.hasPrefix("data.\(name).")
    }
  }
}

extension Recipe {
  /// The key that says where the images of a set lie, and what it says; nil for sets without files.
  fileprivate func place(of name: String) -> (key: String, path: String)? {
    let set =
      switch name {
      case "labels": nil as DataSet?
      case "fewShot": data.fewShot?.set
      default: name == "source" ? data.source : data.target
      }
    guard name != "labels" else { return labels.cache.map { ("labels.cache", $0) } }
    return set?.place.map { ("data.\(name).\($0.key)", $0.path) }
  }
}
