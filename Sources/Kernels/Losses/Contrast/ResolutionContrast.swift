// Vectors of two resolutions compared in pairs: a coarse vector with coarse ones, and with fine ones where a detail crop
// shows them, each pair weighed by how much both places trust the coarse one. A anchors of a sample among M places of all
// samples; places labelled 255 take no part. Rows are computed in Double.

import Support
import Tensors

/// What a contrast of two resolutions knows of every place.
public struct ContrastedPlaces {
  private let vectors: ContrastedVectors
  private let labels: [UInt8]
  private let inside: [Bool]
  private let attention: [Float]
  private let anchorsAlone: Bool

  /// - Parameters:
  ///   - labels: M classes, 255 where a place takes no part.
  ///   - inside: whether the detail crop shows the place.
  ///   - attention: how much the coarse vector is trusted.
  ///   - weights: M numbers, of which a pair's two are multiplied; nil for 1.
  ///   - unpaired: classes whose places do not attract each other.
  ///   - anchorsAlone: as the released code of CLUDA has it: pairs are compared with fine vectors whether the crop shows
  ///     the other place or not, and of places outside, or of class 0, with fine ones alone.
  public init(
    labels: [UInt8], inside: [Bool], attention: [Float], weights: [Float]?, unpaired: Set<UInt8> = [],
    anchorsAlone: Bool = false
  ) {
    precondition(
      inside.count == labels.count && attention.count == labels.count,
      "\(inside.count) marks and \(attention.count) shares of \(labels.count) places")
    vectors = ContrastedVectors(labels: labels, weights: weights, unpaired: unpaired)
    self.labels = labels
    self.inside = inside
    self.attention = attention
    self.anchorsAlone = anchorsAlone
  }

  /// Places that take part.
  public var count: Int { vectors.count }
  /// Numbers that gradients need of every anchor.
  public static let numbersPerAnchor = 4

  /// Whether the pair's weight is the product of both attentions.
  private func isShared(_ anchor: Int, _ other: Int) -> Bool {
    anchorsAlone ? inside[anchor] && labels[anchor] != 0 : inside[anchor] && inside[other]
  }

  /// The weight of the coarse comparison; the fine one has the rest.
  private func share(_ anchor: Int, _ other: Int) -> Double {
    guard isShared(anchor, other) else { return anchorsAlone ? 0 : 1 }
    return Double(attention[anchor]) * Double(attention[other])
  }

  /// Whether a fine vector repels the anchor.
  private func crosses(_ anchor: Int, _ other: Int) -> Bool { anchorsAlone || inside[anchor] && inside[other] }

  private func isPartner(_ anchor: Int, _ other: Int) -> Bool {
    labels[anchor] == labels[other] && anchor != other && vectors.attracts(labels[anchor])
  }

  /// `s - ln(exp s + others)`.
  private func level(_ score: Double, _ others: Double) -> Double { score - (score.exponential + others).logarithm }

  /// Of every anchor the loss `-mean over partners j of w (a s' + (1 - a) t')` with `x' = x - ln(exp x + Σ over others of
  /// exp x_k)`, and four numbers that gradients need of it: both sums over others, and how strongly others repel.
  /// - Parameters:
  ///   - coarse: s, products of coarse vectors, [1, A, M].
  ///   - fine: t, products of this rank's coarse vectors with all fine ones, [1, A, M].
  ///   - first: the first anchor's place.
  public func anchors(coarse: Tensor, fine: Tensor, first: Int) -> (losses: [Double], numbers: [Double]) {
    let (count, width) = (coarse.perSample / coarse.channels, coarse.channels)
    precondition(width == labels.count && fine.shape == coarse.shape, "\(coarse.shape) and \(fine.shape)")
    let found = DoubleScratch(rows: count, columns: 5)
    WorkerPool.shared.run(tiles: count) { row in
      let result = found.row(row)
      result.update(repeating: 0, count: 5)
      guard vectors.takesPart(first + row) else { return }
      describe(first + row, coarse.pointer + row * width, fine.pointer + row * width, result)
    }
    return (
      (0..<count).map { found.row($0)[0] }, (0..<count).flatMap { row in (1...4).map { found.row(row)[$0] } }
    )
  }

  private func describe(
    _ anchor: Int, _ coarse: UnsafePointer<Float>, _ fine: UnsafePointer<Float>, _ result: UnsafeMutablePointer<Double>
  ) {
    for other in labels.indices where vectors.takesPart(other) && labels[other] != labels[anchor] {
      result[1] += Double(coarse[other]).exponential
      if crosses(anchor, other) { result[2] += Double(fine[other]).exponential }
    }
    for other in labels.indices where isPartner(anchor, other) {
      let (weight, share) = (vectors.weight(anchor, other), share(anchor, other))
      let (s, t) = (Double(coarse[other]), Double(fine[other]))
      result[0] -= weight * share * level(s, result[1])
      result[3] += weight * share / (s.exponential + result[1])
      guard share != 1 else { continue }
      result[0] -= weight * (1 - share) * level(t, result[2])
      result[4] += weight * (1 - share) / (t.exponential + result[2])
    }
  }

  /// Turns scores into derivatives of all anchors' losses by them.
  /// - Parameters:
  ///   - coarse: s of this rank's coarse vectors with all coarse ones, [1, A, M], overwritten; each pair in both roles.
  ///   - fine: t of this rank's coarse vectors with all fine ones, overwritten.
  ///   - turned: t of all coarse vectors with this rank's fine ones, [1, A, M], overwritten.
  ///   - first: the place of the first of this rank's vectors.
  ///   - numbers: 4·M, those of `anchors` for all places.
  /// - Returns: derivatives by the attentions of this rank's places.
  public func differentiate(
    coarse: Tensor, fine: Tensor, turned: Tensor, first: Int, numbers: [Double]
  ) -> [Double] {
    let (count, width) = (coarse.perSample / coarse.channels, coarse.channels)
    precondition(
      fine.shape == coarse.shape && turned.shape == coarse.shape && numbers.count == 4 * width,
      "\(coarse.shape), \(fine.shape), \(turned.shape), \(numbers.count) numbers")
    let slopes = DoubleScratch(rows: count, columns: 1)
    WorkerPool.shared.run(tiles: count) { row in
      let own = first + row
      let (s, t) = (coarse.pointer + row * width, fine.pointer + row * width)
      let u = turned.pointer + row * width
      slopes.row(row)[0] = 0
      for other in 0..<width {
        guard other != own, vectors.takesPart(own), vectors.takesPart(other) else {
          (s[other], t[other], u[other]) = (0, 0, 0)
          continue
        }
        let scores = SIMD3(Double(s[other]), Double(t[other]), Double(u[other]))
        let (share, back) = (share(own, other), share(other, own))
        slopes.row(row)[0] += attentionSlope(own, other, scores, numbers)
        s[other] = Float(
          slope(scores[0], own, other, share, true, numbers) + slope(scores[0], other, own, back, true, numbers))
        t[other] = Float(slope(scores[1], own, other, 1 - share, crosses(own, other), numbers, 1))
        u[other] = Float(slope(scores[2], other, own, 1 - back, crosses(other, own), numbers, 1))
      }
    }
    return (0..<count).map { slopes.row($0)[0] }
  }

  /// The derivative of one anchor's loss by its score with another place.
  /// - Parameters:
  ///   - share: weight of this resolution.
  ///   - repels: whether the other place counts as one of another class.
  ///   - level: 0 for coarse scores, 1 for fine ones.
  private func slope(
    _ score: Double, _ anchor: Int, _ other: Int, _ share: Double, _ repels: Bool, _ numbers: [Double], _ level: Int = 0
  ) -> Double {
    if labels[anchor] != labels[other] { return repels ? score.exponential * numbers[4 * anchor + 2 + level] : 0 }
    guard isPartner(anchor, other), share != 0 else { return 0 }
    let others = numbers[4 * anchor + level]
    return -vectors.weight(anchor, other) * share * others / (score.exponential + others)
  }

  /// The derivative by this place's attention of what the pair costs in both roles.
  private func attentionSlope(_ own: Int, _ other: Int, _ scores: SIMD3<Double>, _ numbers: [Double]) -> Double {
    guard isPartner(own, other) else { return 0 }
    var slope = 0.0
    if isShared(own, other) {
      slope -=
        vectors.weight(own, other)
        * (level(scores[0], numbers[4 * own]) - level(scores[1], numbers[4 * own + 1]))
    }
    if isShared(other, own) {
      slope -=
        vectors.weight(other, own)
        * (level(scores[0], numbers[4 * other]) - level(scores[2], numbers[4 * other + 1]))
    }
    return slope * Double(attention[other])
  }
}
