// The objectives of a recipe: its method's own and those that it adds.

import Adaptation
import Domains
import Networks
import Support

/// An objective that a recipe adds to its method's own.
public struct AddedObjective: Sendable, Equatable {
  /// Name of the method that it is of.
  public let name: String
  /// Its options.
  public var options: any MethodOptions
  /// The method's line of the catalogue, from 0.
  let place: Int

  /// Same name and equal options.
  public static func == (first: AddedObjective, second: AddedObjective) -> Bool {
    first.name == second.name && areEqual(first.options, second.options)
  }
}

/// The key `objectives` of a recipe: options by name. What the recipe does not name is not there.
public struct AddedObjectives: SettingGroup {
  /// Those that are added, in the order of the catalogue.
  public private(set) var all: [AddedObjective] = []
  /// Names that reading looks for; empty where nothing is read.
  var catalogue: [MethodEntry] = []

  /// None.
  public init() {}

  /// Shows the options of each: while reading those that the catalogue has, while writing those that are there.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    let known = all
    all = []
    for (place, entry) in catalogue.enumerated() where !(entry.options is NoOptions) {
      let former = known.first { $0.name == entry.name }?.options
      try visit(entry.name, former, defaults: entry.options, place, &settings)
    }
    guard catalogue.isEmpty else { return }
    for one in known { try visit(one.name, one.options, defaults: one.options, one.place, &settings) }
  }

  private mutating func visit<Options: MethodOptions>(
    _ name: String, _ former: (any MethodOptions)?, defaults: Options, _ place: Int,
    _ settings: inout some SettingVisitor
  ) throws {
    var options = former as? Options
    try settings.group(name, &options, defaults: defaults)
    if let options { all.append(AddedObjective(name: name, options: options, place: place)) }
  }

  /// Equal objectives; the catalogue they were looked up in does not matter.
  public static func == (first: AddedObjectives, second: AddedObjectives) -> Bool { first.all == second.all }
}

/// Same type and equal options.
func areEqual<Options: MethodOptions>(_ one: Options, _ other: any MethodOptions) -> Bool { one == other as? Options }

extension Recipe {
  /// An objective with the key of its options.
  public typealias KeyedOptions = (key: String, options: any MethodOptions)

  /// The key of the method's own objective.
  static let ownObjective = "methodOptions"

  /// The options of all objectives of methods, in the order of the catalogue: that of the method, and those that are
  /// added.
  public var methodObjectives: [KeyedOptions] {
    let own = (place: method.place, key: Recipe.ownObjective, options: method.options)
    let added = objectives.all.map { (place: $0.place, key: "objectives.\($0.name)", options: $0.options) }
    return (added + [own]).sorted { $0.place < $1.place }.map { ($0.key, $0.options) }
  }

  /// Whether source features are kept near those of a frozen encoder.
  public var usesFeatureDistance: Bool { featureDistance.weight > 0 && method.host.hasSource }

  /// Whether target images must be labelled: for the host's passes, or for an objective.
  func labelsTarget(_ configuration: NetworkConfiguration) -> Bool {
    method.host.needsLabels || methodObjectives.contains { $0.options.requirements(configuration).needsLabels }
  }

  /// Throws a `Failure` 65 at the first objective that does not fit the host, another one or the crop.
  func checkObjectives(_ check: RecipeCheck) throws {
    try check.require(
      !objectives.all.contains { $0.name == method.name }, "objectives.\(method.name)",
      "is given, but method \(method.name) has it", remedy: "its options are methodOptions")
    let configuration = networkConfiguration(classCount: 1)
    var mixers: [String] = []
    for (key, options) in methodObjectives {
      let needs = options.requirements(configuration)
      try checkPasses(key, needs, check)
      let owner = key == Recipe.ownObjective ? "method \(method.name)" : key
      try check.require(
        teacher.refresh == 0 || needs.sites[Requirements.labellingPass] == nil, "teacher.refresh",
        "is \(teacher.refresh), but \(owner) needs the teacher's maps at every visit", remedy: "set it to 0")
      try checkMaps(owner, needs, check)
      try check.require(
        labels.source == .teacher || needs.sites[Requirements.labellingPass] == nil, "labels.source",
        "is \(labels.source.rawValue), but \(owner) needs the teacher's maps", remedy: "use teacher")
      try check.require(
        !needs.needsSecondClassifier || configuration.auxiliary?.predicts == true, "network.auxiliary",
        "is no second classifier, which \(owner) needs", remedy: "use \(Auxiliary.secondClassifier)")
      try checkForm(owner, needs, check)
      if needs.mixes { mixers.append(key) }
      if let misfit = options.misfit(cropHeight: crop.size.height, cropWidth: crop.size.width) {
        try check.require(false, "\(key).\(misfit.key)", misfit.what, remedy: misfit.remedy)
      }
    }
    // The complaint is about what was added: the method itself comes last.
    mixers = mixers.filter { $0 != Recipe.ownObjective } + mixers.filter { $0 == Recipe.ownObjective }
    guard mixers.count > 1 else { return }
    let other = mixers[1] == Recipe.ownObjective ? "method \(method.name)" : mixers[1]
    try check.require(false, mixers[0], "and \(other) both make the mixed image", remedy: "leave one of them out")
  }

  /// The network has the maps that an objective and its attached heads read.
  private func checkMaps(_ owner: String, _ needs: Requirements, _ check: RecipeCheck) throws {
    let read =
      needs.sites.values.flatMap { $0 } + needs.heads.flatMap { head in head.inputs.map { Site($0, head.unit) } }
    try check.require(
      HeadCatalogue.entry(head.name)?.hasWidth != false || !read.contains { $0.map == .fused }, "head.name",
      "is \(head.name), which has no map before its classifiers, but \(owner) reads it", remedy: "choose another head")
    try check.require(
      network.resolution == .hrda || !read.contains { $0.unit == .detail }, "network.resolution",
      "is \(network.resolution.rawValue), but \(owner) reads maps of the detail crop", remedy: "use hrda")
  }

  /// Where a complaint about an objective goes, and how it begins.
  private func subject(_ key: String) -> (key: String, words: String) {
    key == Recipe.ownObjective ? ("method", "\(method.name) ") : (key, "")
  }

  /// What the network does not make, or the data do not bring.
  private func checkForm(_ who: String, _ needs: Requirements, _ check: RecipeCheck) throws {
    let resolution = networkConfiguration(classCount: 1).resolution
    try check.require(
      needs.resolutions.contains(resolution), "network.resolution",
      "is \(resolution.rawValue), which \(who) does not work with",
      remedy: "use \(needs.resolutions.map(\.rawValue).sorted().joined(separator: " or "))")
    let made = HeadCatalogue.entry(head.name)?.maps ?? []
    for site in needs.sites.values.joined().sorted() {
      guard case .named(let name) = site.map else { continue }
      let heads = HeadCatalogue.entries.filter { $0.maps.contains(name) }.map(\.name)
      try check.require(
        made.contains(name), "head.name", "is \(head.name), which makes no map \(name); \(who) needs it",
        remedy: "use \(heads.joined(separator: " or "))")
    }
    guard needs.maps.contains(PixelMap.depth) else { return }
    for (name, set) in [("source", data.source), ("target", data.target), ("fewShot", data.fewShot?.set)] {
      guard let set, set.kind != "procedural" else { continue }
      try check.require(
        set.depth != nil, "data.\(name).depth", "is missing; \(who) learns from it", remedy: "name a folder of depth")
    }
  }

  private func checkPasses(_ key: String, _ needs: Requirements, _ check: RecipeCheck) throws {
    let host = method.host
    let subject = subject(key)
    try check.require(
      host.hasSource || !(needs.needsSource || needs.passes.contains("source")), subject.key,
      "\(subject.words)learns from source images, but method \(method.name) has none")
    for pass in needs.passes.sorted() where !host.passes.contains(pass) {
      let option = needs.passOptions[pass].map { "\(key).\($0)" }
      try check.require(
        false, option ?? subject.key,
        option == nil
          ? "\(subject.words)hangs on the pass \(pass), but host \(host.rawValue) has none of that name"
          : "is \(pass), but host \(host.rawValue) has no such pass",
        remedy: host.passes.filter { $0 != "source" && option != nil }.first.map { "use \($0)" })
    }
  }
}
