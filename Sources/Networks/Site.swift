// Maps of the network that losses may read, and small heads that are trained on them.

import Autograd

/// A map of the network. Only the maps that somebody declares are kept, and shared inside a team.
public struct Site: Hashable, Sendable {
  /// Which map of a crop.
  public enum Map: Hashable, Sendable {
    /// A feature map of the encoder; 0 is the coarsest, 1 the next finer one.
    case encoder(fromCoarsest: Int)
    /// What the segmentation head classifies: its map before dropout and classifier.
    case fused
    /// What the segmentation head makes besides, by the name that its line of the catalogue has.
    case named(String)
    /// The output of the attached head of that name.
    case attached(String)
  }

  /// Which crop.
  public enum Unit: Int, Hashable, Sendable, CaseIterable {
    /// The context, or the only crop of a network of one resolution.
    case context
    /// The detail crop of a network of two resolutions.
    case detail
  }

  /// The map.
  public let map: Map
  /// The crop it is of.
  public let unit: Unit

  /// A map of a crop.
  public init(_ map: Map, _ unit: Unit = .context) {
    self.map = map
    self.unit = unit
  }

  /// The coarsest feature map of the encoder, of the context or the only crop.
  public static let coarsest = Site(.encoder(fromCoarsest: 0))
  /// What the segmentation head classifies, of the context or the only crop.
  public static let fused = Site(.fused)
}

extension Site: Comparable {
  /// Context before detail; encoder maps, the fused map, named maps, attached heads by name. The order in which a team tells maps.
  public static func < (first: Site, second: Site) -> Bool { first.order < second.order }

  private var order: (Int, Int, Int, String) {
    switch map {
    case .encoder(let level): (unit.rawValue, 0, level, "")
    case .fused: (unit.rawValue, 1, 0, "")
    case .named(let name): (unit.rawValue, 2, 0, name)
    case .attached(let name): (unit.rawValue, 3, 0, name)
    }
  }
}

/// A small network on maps of one crop of the student, trained with it: what it makes feeds losses only.
///
/// Its parameters lie last in the arenas of student and teacher, under `<owner>_head.<name>`: the rule for "head" gives
/// them the rate of heads. In a checkpoint they are with the objective, so that a network is evaluated, started from and
/// exported without them. In a team it runs on the rank that computed its maps.
public struct AttachedHead: Sendable {
  /// Runs the head on its maps, in the order of its inputs.
  public typealias Body = (_ maps: [Variable], _ context: ForwardContext) throws -> Variable
  /// Declares the head's parameters under a prefix, given the channels of each map.
  public typealias Maker = @Sendable (_ registry: ParameterRegistry, _ prefix: String, _ channels: [Int]) -> Body
  /// The same for a head on one map.
  public typealias MakerOnOneMap =
    @Sendable (
      _ registry: ParameterRegistry, _ prefix: String, _ channels: Int
    ) -> (_ map: Variable, _ context: ForwardContext) throws -> Variable

  /// Name of the objective that it belongs to.
  public let owner: String
  /// Its name, unique in the network; its output is the site `.attached(name)` of the same crop.
  public let name: String
  /// The maps that it reads.
  public let inputs: [Site.Map]
  /// The crop that they are of.
  public let unit: Site.Unit
  /// Declares the parameters.
  let make: Maker

  /// A head of an objective.
  /// - Parameters:
  ///   - owner: name of the objective.
  ///   - name: unique in the network; a part of paths in checkpoints.
  ///   - inputs: maps of one crop; none is another head's.
  ///   - unit: the crop.
  ///   - make: declares the parameters, each under the prefix that it is given, and returns what runs the head.
  public init(owner: String, name: String, inputs: [Site.Map], of unit: Site.Unit = .context, make: @escaping Maker) {
    precondition(!inputs.isEmpty, "head \(name) of \(owner) reads nothing")
    self.owner = owner
    self.name = name
    self.inputs = inputs
    self.unit = unit
    self.make = make
  }

  /// A head on one map.
  public init(owner: String, name: String, input: Site, make: @escaping MakerOnOneMap) {
    self.init(owner: owner, name: name, inputs: [input.map], of: input.unit) { registry, prefix, channels in
      let body = make(registry, prefix, channels[0])
      return { maps, context in try body(maps[0], context) }
    }
  }

  /// Where its output is found.
  public var output: Site { Site(.attached(name), unit) }

  /// Declares the parameters, given the channels of all maps of the network.
  func declared(in registry: ParameterRegistry, _ widths: [Site.Map: Int]) -> Body {
    let channels = inputs.map { input in
      guard let channels = widths[input] else {
        preconditionFailure("head \(name) of \(owner) reads \(input), which this network lacks")
      }
      return channels
    }
    return registry.declaring(for: owner) { make(registry, $0 + name, channels) }
  }

  /// What names of an objective's heads begin with in the arenas.
  static func prefix(_ owner: String) -> String { "\(owner)_head." }
}

/// What a segmentation head makes of feature maps.
public struct HeadOutput {
  /// Logits `[N, H, W, K]`.
  public let logits: Variable
  /// The map that the classifier reads, before dropout, `[N, H, W, C]`; nil for a head that is all classifier.
  public let fused: Variable?
  /// What it makes besides, by name, on the grid of the logits.
  public let maps: [String: Variable]

  /// Logits, what they were made of and what was made besides.
  public init(logits: Variable, fused: Variable? = nil, maps: [String: Variable] = [:]) {
    self.logits = logits
    self.fused = fused
    self.maps = maps
  }
}
