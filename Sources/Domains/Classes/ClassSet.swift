// Names, colours and evaluation rules of a set of classes.

import Imagery
import Support

/// The classes a network tells apart: names, colours, how label files spell them, and how predictions are scored.
public struct ClassSet: Sendable, Equatable {
  /// Name, as in recipes and `--classes`.
  public let name: String
  /// Class names and colours by train id.
  public let palette: ClassPalette
  /// Ids of this set's label files.
  public let ids: LabelIdMap
  /// Class a predicted class is counted as, where the labels do not tell the two apart; by train id.
  public let merges: [Int: Int]

  /// Class names by train id.
  public var names: [String] { palette.names }
  /// Number of train ids.
  public var count: Int { palette.classCount }

  /// A set from plain values.
  ///
  /// - Parameters:
  ///   - name: what the set is called.
  ///   - names: of the classes, by train id.
  ///   - colours: red, green and blue of each class, or empty for generated ones.
  ///   - ids: nil takes train ids as they are.
  ///   - merges: predicted class -> class it counts as.
  /// - Throws: a `Failure` (65) if there are no names or more than 255, two are equal, there are more or fewer colours
  ///   than names, or an id or a merge lies outside the classes.
  public init(
    name: String, names: [String], colours: [SIMD3<UInt8>] = [], ids: LabelIdMap? = nil, merges: [Int: Int] = [:]
  ) throws {
    let place = "class set \(name)"
    guard (1...255).contains(names.count) else {
      throw Failure(.badData, "\(names.count) classes", at: place, remedy: "name 1 to 255 classes")
    }
    if let twice = Dictionary(grouping: names, by: { $0 }).filter({ $0.value.count > 1 }).keys.min() {
      throw Failure(.badData, "class \"\(twice)\" is listed twice", at: place, remedy: "give every class its own name")
    }
    guard colours.isEmpty || colours.count == names.count else {
      throw Failure(
        .badData, "\(colours.count) colours for \(names.count) classes", at: place, remedy: "give one colour per class")
    }
    if let largest = ids?.largestTrainId, largest >= names.count {
      throw Failure(
        .badData, "its label ids map to train id \(largest), but there are \(names.count) classes", at: place,
        remedy: "map to 0..<\(names.count), or to 255 for ignored pixels")
    }
    let outside = merges.sorted { $0.key < $1.key }
      .first { !names.indices.contains($0.key) || !names.indices.contains($0.value) }
    if let outside {
      throw Failure(
        .badData, "merge \(outside.key) -> \(outside.value) is outside 0..<\(names.count)", at: place,
        remedy: "merge listed classes")
    }
    self.init(
      name,
      ClassPalette(names: names, colours: colours.isEmpty ? ClassSet.distinctColours(names.count) : colours),
      ids ?? .identity(classCount: names.count), merges)
  }

  private init(_ name: String, _ palette: ClassPalette, _ ids: LabelIdMap, _ merges: [Int: Int] = [:]) {
    self.name = name
    self.palette = palette
    self.ids = ids
    self.merges = merges
  }

  /// Class each predicted class is counted as: `merges`, the identity elsewhere; one entry per class.
  public var scoredAs: [UInt8] { (0..<count).map { UInt8(merges[$0] ?? $0) } }

  /// The same classes under other label ids.
  /// - Throws: a `Failure` (65) if the map holds a train id outside the classes.
  public func with(ids: LabelIdMap) throws -> ClassSet {
    try ClassSet(name: name, names: names, colours: palette.colours, ids: ids, merges: merges)
  }

  /// The built-in sets.
  public static let builtIn = [cityscapes19, cityscapesFiles, carlascapes19, camvid11, camvidAsCityscapes19]

  /// A built-in set.
  /// - Throws: a `Failure` (65) with the nearest spelling, if there is no such set.
  public static func named(_ name: String) throws -> ClassSet {
    if let found = builtIn.first(where: { $0.name == name }) { return found }
    let names = builtIn.map(\.name)
    let hint = nearestSpelling(to: name, among: names).map { "did you mean \($0)? " } ?? ""
    throw Failure(.badData, "no class set \"\(name)\"", remedy: "\(hint)known: \(names.joined(separator: ", "))")
  }

  /// The 19 Cityscapes classes, labels as train ids.
  public static let cityscapes19 = ClassSet("cityscapes19", .cityscapes, .identity(classCount: 19))
  /// The 19 Cityscapes classes, labels as the data set's own ids (Cityscapes, GTA5).
  public static let cityscapesFiles = ClassSet("cityscapes19-ids", .cityscapes, .cityscapesIds)
  /// The 19 Cityscapes classes, labels as CARLA's ids.
  public static let carlascapes19 = ClassSet("carlascapes19", .cityscapes, .carlascapes)
  /// A network of the 19 Cityscapes classes scored on 11-class CamVid labels.
  ///
  /// Predicted classes CamVid does not have count as the one that holds them: motorcycle and bicycle as bicyclist
  /// (rider), truck, bus and train as car, traffic light as sign, wall as building, terrain as tree (vegetation).
  public static let camvidAsCityscapes19 = ClassSet(
    "camvid-as-cityscapes19", .cityscapes, .camvidToCityscapes,
    [3: 2, 6: 7, 9: 8, 14: 13, 15: 13, 16: 13, 17: 12, 18: 12])

  /// The 11 classes of CamVid in SegNet's order; index 11 is unlabelled.
  public static let camvid11 = ClassSet("camvid11", .camVid, .camvid11)

  /// Colours far apart: bits of the class number, most significant colour bits first (the PASCAL VOC rule, from 1 on).
  static func distinctColours(_ count: Int) -> [SIMD3<UInt8>] {
    (1...count).map { number in
      var colour = SIMD3<UInt8>(repeating: 0)
      for level in 0..<3 {
        for channel in 0..<3 where number >> (3 * level + channel) & 1 == 1 { colour[channel] |= 0x80 >> UInt8(level) }
      }
      return colour
    }
  }
}
