// Vectors of a whole micro-batch compared in pairs: those of one class attract, others repel. A anchors of a sample among M
// vectors of all samples; vectors labelled 255 take no part. Rows are computed in Double.

import Support
import Tensors

/// What a contrast of pairs knows of every vector.
public struct ContrastedVectors {
  /// The class of each vector, M bytes.
  public let labels: [UInt8]
  private let weights: [Float]?
  private let partners: [Int]

  /// - Parameters:
  ///   - labels: M classes, 255 where a vector takes no part.
  ///   - weights: M numbers, of which a pair's two are multiplied; nil for 1.
  ///   - unpaired: classes whose vectors do not attract each other; they repel others still, and count in means.
  public init(labels: [UInt8], weights: [Float]?, unpaired: Set<UInt8> = []) {
    precondition(weights == nil || weights?.count == labels.count, "\(weights?.count ?? 0) weights for \(labels.count)")
    self.labels = labels
    self.weights = weights
    var counts = [Int](repeating: 0, count: 256)
    for label in labels { counts[Int(label)] += 1 }
    partners = counts.enumerated().map { unpaired.contains(UInt8($0)) ? 0 : $1 - 1 }
  }

  /// Vectors that take part.
  public var count: Int { labels.count { $0 != LabelMap.ignored } }

  func takesPart(_ index: Int) -> Bool { labels[index] != LabelMap.ignored }

  /// Whether the vectors of a class attract each other.
  func attracts(_ label: UInt8) -> Bool { partners[Int(label)] > 0 }

  /// The weight of a pair in its anchor's mean.
  func weight(_ anchor: Int, _ other: Int) -> Double {
    let both = weights.map { Double($0[anchor]) * Double($0[other]) } ?? 1
    return both / Double(max(1, partners[Int(labels[anchor])]))
  }

  /// Of every anchor the loss `-mean over partners j of w (s_j - ln(exp s_j + Σ over others of exp s_k))`, and the three
  /// numbers that gradients need of it: a shift of its exponents, the sum over others, and how strongly others repel.
  ///
  /// - Parameters:
  ///   - scores: s, [1, A, M].
  ///   - first: the first anchor's place among the vectors.
  /// - Returns: A losses, and 3·A numbers.
  public func anchors(_ scores: Tensor, first: Int) -> (losses: [Double], numbers: [Double]) {
    let (count, width) = (scores.perSample / scores.channels, scores.channels)
    precondition(width == labels.count, "scores \(scores.shape) of \(labels.count) vectors")
    let result = DoubleScratch(rows: count, columns: 4)
    WorkerPool.shared.run(tiles: count) { anchor in
      let found = describe(scores.pointer + anchor * width, first + anchor)
      for (column, number) in [found.loss, found.shift, found.others, found.pull].enumerated() {
        result.row(anchor)[column] = number
      }
    }
    return (
      (0..<count).map { result.row($0)[0] }, (0..<count).flatMap { row in (1...3).map { result.row(row)[$0] } }
    )
  }

  private func describe(
    _ scores: UnsafePointer<Float>, _ anchor: Int
  ) -> (loss: Double, shift: Double, others: Double, pull: Double) {
    guard takesPart(anchor) else { return (0, 0, 0, 0) }
    let label = labels[anchor]
    var (shift, others, loss, pull) = (-Double.infinity, 0.0, 0.0, 0.0)
    for index in labels.indices where index != anchor && takesPart(index) {
      shift = max(shift, Double(scores[index]))
    }
    guard shift != -.infinity else { return (0, 0, 0, 0) }
    for index in labels.indices where labels[index] != label && takesPart(index) {
      others += (Double(scores[index]) - shift).exponential
    }
    for index in labels.indices where attracts(label) && labels[index] == label && index != anchor {
      let score = Double(scores[index]) - shift
      let sum = score.exponential + others
      loss -= weight(anchor, index) * (score - sum.logarithm)
      pull += weight(anchor, index) / sum
    }
    return (loss, shift, others, pull)
  }

  /// Turns scores into the derivative of all anchors' losses by them, each pair in both roles.
  /// - Parameters:
  ///   - scores: [1, A, M], overwritten.
  ///   - first: the first anchor's place among the vectors.
  ///   - numbers: 3·M, those of `anchors` for all vectors.
  public func differentiate(_ scores: Tensor, first: Int, numbers: [Double]) {
    let (count, width) = (scores.perSample / scores.channels, scores.channels)
    precondition(
      numbers.count == 3 * width && width == labels.count, "\(numbers.count) numbers for scores \(scores.shape)")
    WorkerPool.shared.run(tiles: count) { row in
      let line = scores.pointer + row * width
      let anchor = first + row
      for index in 0..<width {
        guard index != anchor, takesPart(anchor), takesPart(index) else {
          line[index] = 0
          continue
        }
        let score = Double(line[index])
        line[index] = Float(slope(score, anchor, index, numbers) + slope(score, index, anchor, numbers))
      }
    }
  }

  /// The derivative of one anchor's loss by its score with another vector.
  private func slope(_ score: Double, _ anchor: Int, _ other: Int, _ numbers: [Double]) -> Double {
    let power = (score - numbers[3 * anchor]).exponential
    guard labels[anchor] == labels[other] else { return power * numbers[3 * anchor + 2] }
    guard attracts(labels[anchor]) else { return 0 }
    let others = numbers[3 * anchor + 1]
    return -weight(anchor, other) * others / (power + others)
  }
}
