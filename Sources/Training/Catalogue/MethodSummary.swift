// A method in one line, as `apus methods` lists it: all of it is drawn from the catalogue and from what the method's
// options require.

import Adaptation
import Methods
import Networks
import Recipes
import Support

/// A line of the table of methods.
public struct MethodSummary: Sendable, Equatable, Codable {
  /// Its name in recipes.
  public let name: String
  /// Its host.
  public let host: String
  /// Data and networks that it needs.
  public let needs: [String]
  /// Authors, title, venue.
  public let paper: String
  /// The recipe with the published setting, from the root of the repository.
  public let recipe: String
  /// What we have measured; nil before that.
  public let figure: String?

  /// Every method, in the order of the catalogue.
  public static var all: [MethodSummary] { MethodCatalogue.entries.map(MethodSummary.init) }

  /// Of one line of the catalogue.
  init(_ entry: MethodEntry) {
    let recipe = Recipe(trying: entry)
    let requirements = recipe.requirements(recipe.networkConfiguration(classCount: 2))
    (name, host, paper) = (entry.name, entry.host.rawValue, entry.paper)
    (self.recipe, figure) = (entry.recipe, entry.figure)
    needs = MethodSummary.needs(entry.host, requirements)
  }

  private static func needs(_ host: Host, _ requirements: Requirements) -> [String] {
    var needs: [String] = []
    if host.hasSource { needs.append("source labels") }
    if host.hasTarget || requirements.needsLabels || requirements.needsTarget { needs.append("target images") }
    if requirements.hasTeacher { needs.append("teacher") }
    if requirements.needsFewShot { needs.append("a few labelled target images") }
    if requirements.countsClasses { needs.append("class pixels of the source") }
    if requirements.needsSecondClassifier { needs.append("second classifier") }
    needs += requirements.maps.sorted()
    needs += requirements.heads.map { "head \($0.name)" }
    return needs
  }
}

extension MethodEntry {
  /// The line of that name.
  /// - Throws: `Failure` 64 with the nearest name.
  static func named(_ name: String) throws -> MethodEntry {
    let entries = MethodCatalogue.entries
    if let entry = entries.first(where: { $0.name == name }) { return entry }
    let names = entries.map(\.name)
    let near = nearestSpelling(to: name, among: names).map { ", did you mean \($0)?" } ?? ""
    throw Failure(
      .usage, "no method \(name.debugDescription)\(near)", at: "NAME", remedy: "apus methods lists all of them")
  }
}

extension Recipe {
  /// A small recipe that tries a method with its published options: procedural scenes, one sample, a tiny network.
  init(trying entry: MethodEntry) {
    self.init()
    (method.name, method.host, method.options) = (entry.name, entry.host, entry.options)
    let needed = NeededNetwork(entry)
    if let name = needed.head { head.name = name }
    if let resolution = needed.resolution.flatMap({ Network.Resolution(rawValue: $0.rawValue) }) {
      network.resolution = resolution
    }
    (encoder.name, head.width, attention.width) = ("tiny", 16, 16)
    crop.size = PixelSize(height: 128, width: 192)
    network.detailCrop = PixelSize(height: 64, width: 88)
    batch.global = 1
    rareClassSampling.enabled = false
    data.source = .procedural(.source)
    data.target = .procedural(.target)
    if needed.fewShot {
      var few = FewShot()
      few.set = .procedural(.target)
      // Every scene shows road.
      (few.set.seed, few.classes, few.perClass) = (1, [0], few.set.count)
      data.fewShot = few
    }
    guard needed.hasSecondClassifier else { return }
    (network.resolution, network.contextScale) = (.contextOnly, 1)
    (network.auxiliary.stage, network.auxiliary.weight, network.auxiliary.predicts) = (4, 1, true)
  }
}

extension Recipe.DataSet {
  /// A few small scenes.
  fileprivate static func procedural(_ domain: Domain) -> Recipe.DataSet {
    var set = Recipe.DataSet()
    (set.kind, set.domain, set.count) = ("procedural", domain, 2)
    set.size = PixelSize(height: 136, width: 256)
    return set
  }
}
