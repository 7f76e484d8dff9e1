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
  /// Context before detail; encoder maps, the fused map, attached heads by name. The order in which a team tells maps.
  public static func < (first: Site, second: Site) -> Bool { first.order < second.order }

  private var order: (Int, Int, Int, String) {
    switch map {
    case .encoder(let level): (unit.rawValue, 0, level, "")
    case .fused: (unit.rawValue, 1, 0, "")
    case .attached(let name): (unit.rawValue, 2, 0, name)
    }
  }
}

/// A small network on one map of the student, trained with it: what it makes feeds losses only.
///
/// Its parameters lie last in the arenas of student and teacher, under `<owner>_head.<name>`. In a team it runs on the rank
/// that computed the map.
public struct AttachedHead: Sendable {
  /// Runs the head on a map.
  public typealias Body = (Variable, ForwardContext) throws -> Variable
  /// Declares the head's parameters under a prefix, given the channels of its map.
  public typealias Maker = @Sendable (_ registry: ParameterRegistry, _ prefix: String, _ channels: Int) -> Body

  /// Name of the objective that it belongs to.
  public let owner: String
  /// Its name, unique in the network; its output is the site `.attached(name)` of the same crop.
  public let name: String
  /// The map that it reads.
  public let input: Site
  /// Declares the parameters.
  public let make: Maker

  /// A head of an objective.
  public init(owner: String, name: String, input: Site, make: @escaping Maker) {
    self.owner = owner
    self.name = name
    self.input = input
    self.make = make
  }

  /// Where its output is found.
  public var output: Site { Site(.attached(name), input.unit) }
}

/// What a segmentation head makes of feature maps.
public struct HeadOutput {
  /// Logits `[N, H, W, K]`.
  public let logits: Variable
  /// The map that the classifier reads, before dropout, `[N, H, W, C]`; nil for a head that is all classifier.
  public let fused: Variable?

  /// Logits and what they were made of.
  public init(logits: Variable, fused: Variable? = nil) {
    self.logits = logits
    self.fused = fused
  }
}
