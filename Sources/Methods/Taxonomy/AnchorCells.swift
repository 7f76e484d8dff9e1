// Which cells of a map are contrasted: of every class of every image some that are predicted wrongly and some that are
// predicted rightly (Wang et al., ICCV 2021, section 3.3; TADA: Gong et al., ECCV 2022). N samples, h×w cells.

import Support
import Tensors

/// The rules by which cells are drawn.
public struct AnchorRules: Sendable, Equatable {
  /// Classes that take no part.
  public var excluded: Set<UInt8> = []
  /// A class of an image takes part if it has more cells than this.
  public var least = 100
  /// Cells of the micro-batch of all ranks at most.
  public var most = 1024
  /// Cells of one class of an image at most.
  public var each = 100

  /// The published values.
  public init() {}

  /// A class of an image.
  public struct Pair: Sendable, Equatable {
    /// The sample.
    public let sample: Int
    /// The class.
    public let label: UInt8
  }

  /// Those that take part: samples in their order, classes ascending.
  public func pairs(_ labels: LabelMap) -> [Pair] {
    let cells = labels.height * labels.width
    return (0..<labels.samples).flatMap { sample -> [Pair] in
      var counts = [Int](repeating: 0, count: 256)
      for label in labels.values[sample * cells..<(sample + 1) * cells] { counts[Int(label)] += 1 }
      return (UInt8.min..<LabelMap.ignored).filter { counts[Int($0)] > least && !excluded.contains($0) }
        .map { Pair(sample: sample, label: $0) }
    }
  }

  /// Cells of each pair, where there are so many pairs on all ranks.
  public func cells(pairs: Int) -> Int { pairs == 0 ? 0 : min(most / pairs, each) }

  /// How many wrong and right cells are drawn of a pair that has so many: half of `cells` each, and more of those that
  /// there are more of.
  public static func taken(hard: Int, easy: Int, of cells: Int) -> (hard: Int, easy: Int) {
    let first = min(hard, max(cells / 2, cells - easy))
    return (first, min(easy, cells - first))
  }

  /// The cells of a pair, `y · w + x`, wrong ones first.
  /// - Parameters:
  ///   - pair: a class of an image.
  ///   - labels: of all cells.
  ///   - predicted: what the network sees there.
  ///   - cells: how many are drawn.
  ///   - order: a permutation of so many wrong (true) or right cells, of which the first are taken.
  public func positions(
    _ pair: Pair, _ labels: LabelMap, predicted: LabelMap, cells: Int, _ order: (_ count: Int, _ hard: Bool) -> [Int]
  ) -> [Int32] {
    let perSample = labels.height * labels.width
    var (hard, easy): ([Int32], [Int32]) = ([], [])
    for cell in 0..<perSample where labels.values[pair.sample * perSample + cell] == pair.label {
      if predicted.values[pair.sample * perSample + cell] == pair.label {
        easy.append(Int32(cell))
      } else {
        hard.append(Int32(cell))
      }
    }
    let taken = AnchorRules.taken(hard: hard.count, easy: easy.count, of: cells)
    return order(hard.count, true).prefix(taken.hard).map { hard[$0] }
      + order(easy.count, false).prefix(taken.easy).map { easy[$0] }
  }
}
