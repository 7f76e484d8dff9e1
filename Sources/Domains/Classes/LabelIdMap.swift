// From the ids in label files to train ids.

import Support
import Tensors

/// A table from the 256 ids that labels can hold to train ids; 255 marks an ignored pixel.
public struct LabelIdMap: Sendable, Equatable {
  /// Name, as in recipes.
  public let name: String
  /// Train id by file id; nil where the file id is not allowed.
  public let trainIds: [UInt8?]

  /// A map from listed pairs.
  ///
  /// - Parameters:
  ///   - name: its name.
  ///   - entries: train id (0...255) by file id (0...255).
  ///   - unlisted: train id of every other file id; nil refuses them.
  /// - Throws: a `Failure` (65) if an id is outside 0...255.
  public init(name: String, entries: [Int: Int], unlisted: UInt8? = nil) throws {
    var table = [UInt8?](repeating: unlisted, count: 256)
    for (fileId, trainId) in entries.sorted(by: { $0.key < $1.key }) {
      guard (0...255).contains(fileId), let trainId = UInt8(exactly: trainId) else {
        throw Failure(
          .badData, "label map entry \(fileId) -> \(trainId) is outside 0...255", at: "label map \(name)",
          remedy: "list ids of 8-bit label files and train ids, 255 for ignored pixels")
      }
      table[fileId] = trainId
    }
    self.name = name
    trainIds = table
  }

  private init(name: String, _ trainIds: [UInt8?]) {
    self.name = name
    self.trainIds = trainIds
  }

  private init(name: String, listed: [(id: Int, trainId: UInt8)], unlisted: UInt8?) {
    var table = [UInt8?](repeating: unlisted, count: 256)
    for (id, trainId) in listed { table[id] = trainId }
    self.name = name
    trainIds = table
  }

  /// A map from listed pairs; `unlisted` is the train id of every other id, nil refuses them.
  static func fixed(_ name: String, _ listed: [(id: Int, trainId: UInt8)]) -> LabelIdMap {
    LabelIdMap(name: name, listed: listed, unlisted: nil)
  }

  /// Train ids as they are: 0 ..< `classCount`, and 255.
  public static func identity(classCount: Int) -> LabelIdMap {
    precondition((1...255).contains(classCount), "\(classCount) classes do not fit in 8-bit labels")
    let listed = (0..<classCount).map { (id: $0, trainId: UInt8($0)) } + [(id: 255, trainId: LabelMap.ignored)]
    return LabelIdMap(name: "train-ids", listed: listed, unlisted: nil)
  }

  /// Label ids of Cityscapes, GTA5 and SYNTHIA's Cityscapes edition (0...34, and 255 for the licence plate's -1).
  public static let cityscapesIds = LabelIdMap(
    name: "cityscapes-ids",
    listed: [0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30, 34, 255].map { ($0, LabelMap.ignored) }
      + [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33].enumerated()
      .map { ($1, UInt8($0)) },
    unlisted: nil)

  /// Class ids of SYNTHIA-RAND-CITYSCAPES as Cityscapes train ids: void, parking slots, road works and lane markings are
  /// ignored, as in the conversion of DAFormer. No image has terrain, trucks or trains, though they have ids.
  public static let synthiaIds = LabelIdMap(
    name: "synthia-ids",
    listed: [0, 13, 14, 22].map { ($0, LabelMap.ignored) }
      + [3, 4, 2, 21, 5, 7, 15, 9, 6, 16, 1, 10, 17, 8, 18, 19, 20, 12, 11].enumerated().map { ($1, UInt8($0)) },
    unlisted: nil)

  /// The 66 ids of Mapillary Vistas 1.2 as Cityscapes train ids, as RobustNet (Choi et al., CVPR 2021) has them: lane
  /// markings and manholes are road, kerbs are sidewalk, all riders are rider; what has no such class is ignored.
  public static let mapillaryIds = LabelIdMap(
    name: "mapillary-ids",
    listed: (0..<66).map { ($0, LabelMap.ignored) }
      + [
        [13, 24, 41], [2, 15], [17], [6], [3], [45, 47], [48], [50], [30], [29], [27], [19], [20, 21, 22], [55], [61],
        [54], [58], [57], [52],
      ].enumerated().flatMap { trainId, ids in ids.map { ($0, UInt8(trainId)) } },
    unlisted: nil)

  /// Label ids of CARLA 0.9.14 and later; road lines are road, everything without a Cityscapes class is ignored.
  public static let carlascapes = LabelIdMap(
    name: "carlascapes-ids", listed: (1...19).map { ($0, UInt8($0 - 1)) } + [(24, 0)], unlisted: LabelMap.ignored)

  /// The 11-class CamVid indices (SegNet order) as Cityscapes train ids.
  ///
  /// CamVid tells fewer classes apart; scoring needs the merges of `ClassSet.camvidAsCityscapes19`.
  public static let camvidToCityscapes = LabelIdMap(
    name: "camvid11-to-cityscapes",
    listed: [10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 12, LabelMap.ignored].enumerated().map { ($0, $1) }
      + [(255, LabelMap.ignored)],
    unlisted: nil)

  /// The 11-class CamVid indices as they are; 11 (unlabelled) and 255 are ignored.
  public static let camvid11 = LabelIdMap(
    name: "camvid11",
    listed: (0..<11).map { ($0, UInt8($0)) } + [(11, LabelMap.ignored), (255, LabelMap.ignored)], unlisted: nil)

  /// The 19 Cityscapes classes as a source has them that ignores some: wall, fence, pole, terrain, truck and train.
  public static let openIds = cityscapes("train-ids-open", [3: 255, 4: 255, 5: 255, 9: 255, 14: 255, 16: 255])
  /// As a source has them with coarse classes: terrain is vegetation, rider person, bicycle motorcycle.
  public static let coarseIds = cityscapes("train-ids-coarse", [9: 8, 12: 11, 18: 17])
  /// As a source has them with one class 13 for car, truck, bus and motorcycle, beside train 14 and bicycle 15.
  public static let vehicleIds = cityscapes("train-ids-vehicle", [14: 13, 15: 13, 16: 14, 17: 13, 18: 15])
  /// The same 16 classes as a target has them: 13 is car or truck, 14 bus or train, 15 motorcycle or bicycle.
  public static let sixteenIds = cityscapes("train-ids-16", [14: 13, 15: 14, 16: 14, 17: 15, 18: 15])

  /// The 19 Cityscapes classes with some of them changed.
  private static func cityscapes(_ name: String, _ changes: [Int: UInt8]) -> LabelIdMap {
    let listed = (0..<19).map { (id: $0, trainId: changes[$0] ?? UInt8($0)) }
    return LabelIdMap(name: name, listed: listed + [(id: 255, trainId: LabelMap.ignored)], unlisted: nil)
  }

  private static let builtIn = [
    cityscapesIds, synthiaIds, mapillaryIds, carlascapes, camvidToCityscapes, camvid11, openIds, coarseIds,
    vehicleIds, sixteenIds,
  ]

  /// Names `named(_:classCount:)` knows.
  public static let names = ["train-ids"] + builtIn.map(\.name)

  /// This map behind another one: ids of `first`, whose train ids are the ids of this one.
  func after(_ first: LabelIdMap) -> LabelIdMap {
    var table = first.trainIds
    for (id, step) in table.enumerated() { table[id] = step.flatMap { trainIds[Int($0)] } }
    return LabelIdMap(name: "\(first.name)+\(name)", table)
  }

  /// A built-in map.
  ///
  /// - Parameters:
  ///   - name: its name.
  ///   - classCount: number of train ids, for the map "train-ids".
  /// - Throws: a `Failure` (65) with the nearest spelling, if there is no such map.
  public static func named(_ name: String, classCount: Int) throws -> LabelIdMap {
    if name == "train-ids" { return identity(classCount: classCount) }
    if let map = builtIn.first(where: { $0.name == name }) { return map }
    let hint = nearestSpelling(to: name, among: names).map { "did you mean \($0)? " } ?? ""
    throw Failure(.badData, "no label map \"\(name)\"", remedy: "\(hint)known: \(names.joined(separator: ", "))")
  }

  /// The largest train id in the map, ignored pixels aside; nil if it ignores everything.
  public var largestTrainId: Int? { trainIds.compactMap { $0 }.filter { $0 != LabelMap.ignored }.max().map(Int.init) }

  /// Train ids of a label file's ids.
  ///
  /// - Parameters:
  ///   - ids: what the file holds.
  ///   - file: the file they came from, for messages.
  /// - Throws: a `Failure` (65) that names file, id, row and column of the first pixel whose id is not in the map, and
  ///   the other such ids of the file.
  public func apply(to ids: LabelMap, file: String) throws -> LabelMap {
    var mapped = ids
    for position in mapped.values.indices {
      guard let trainId = trainIds[Int(ids.values[position])] else {
        throw refusal(of: ids, first: position, file: file)
      }
      mapped.values[position] = trainId
    }
    return mapped
  }

  /// Ids beside the first that a refusal names.
  private static let namedIds = 5

  private func refusal(of ids: LabelMap, first position: Int, file: String) -> Failure {
    var pixels = [Int](repeating: 0, count: 256)
    for id in ids.values { pixels[Int(id)] += 1 }
    let first = Int(ids.values[position])
    func counted(_ id: Int) -> String { "(\(pixels[id]) pixel\(pixels[id] == 1 ? "" : "s"))" }
    let (row, column) = position.quotientAndRemainder(dividingBy: ids.width)
    var text = "label id \(first) at row \(row), column \(column) is not in map \"\(name)\" \(counted(first))"
    let others = trainIds.indices.filter { $0 != first && trainIds[$0] == nil && pixels[$0] > 0 }
    if !others.isEmpty {
      let named = others.prefix(LabelIdMap.namedIds).map { "\($0) \(counted($0))" }
      let rest = others.count - named.count
      text += ", nor \(others.count == 1 ? "is" : "are") " + named.joined(separator: ", ")
      if rest > 0 { text += " and \(rest) more" }
    }
    return Failure(
      .badData, text, at: file,
      remedy: "choose the label map that belongs to these files, or map \(others.isEmpty ? "this id" : "these ids") "
        + "(to 255: ignored)")
  }
}
