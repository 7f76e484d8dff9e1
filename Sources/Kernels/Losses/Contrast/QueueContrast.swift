// Contrast of vectors with queues of vectors. A anchors, Q queued vectors, C channels.

import Support
import Tensors

/// For each anchor, the mean over its positives of `ln(exp z_p + Σ_n exp z_n) - z_p`, with z the product of two vectors over
/// the temperature, and the gradient of `factor` times all by the anchors. An anchor without positives gives 0.
///
/// Shapes: `anchors` [A, C], `queue` [Q, C]. All is formed in Double.
/// - Parameters:
///   - anchors: vectors that take a gradient.
///   - queue: constants.
///   - temperature: above 0.
///   - factor: of the gradient; nil forms none.
///   - role: what a queued vector is to an anchor: true a positive, false a negative, nil neither.
/// Source: Jiang et al., ProCA, ECCV 2022, official code (memory bank), after Oord et al., 2018.
public func queueContrast(
  _ anchors: Tensor, queue: Tensor, temperature: Double, factor: Float?, role: (_ anchor: Int, _ row: Int) -> Bool?
) -> LossSums {
  let channels = anchors.channels
  precondition(
    queue.channels == channels && queue.shape.rank == 2 && anchors.shape.rank == 2 && temperature > 0,
    "anchors \(anchors.shape), queue \(queue.shape), temperature \(temperature)")
  let (vectors, rows) = (anchors.values.map(Double.init), queue.values.map(Double.init))
  var gradient = [Float](repeating: 0, count: anchors.count)
  let sums = (0..<anchors.samples).map { anchor in
    let similarities = (0..<queue.samples).map { row in
      (0..<channels).reduce(0.0) { $0 + vectors[anchor * channels + $1] * rows[row * channels + $1] } / temperature
    }
    let roles = (0..<queue.samples).map { role(anchor, $0) }
    let (value, slopes) = contrast(similarities, roles)
    guard let factor else { return value }
    for (row, slope) in slopes.enumerated() where slope != 0 {
      for channel in 0..<channels {
        gradient[anchor * channels + channel] += Float(
          Double(factor) * slope * rows[row * channels + channel] / temperature)
      }
    }
    return value
  }
  return (sums, factor.map { _ in Tensor(gradient, anchors.shape) })
}

/// One anchor's loss and its derivative by each similarity. Exponentials are of differences from the largest similarity.
private func contrast(_ similarities: [Double], _ roles: [Bool?]) -> (value: Double, slopes: [Double]) {
  let positives = roles.indices.filter { roles[$0] == true }
  var slopes = [Double](repeating: 0, count: similarities.count)
  guard !positives.isEmpty, let largest = similarities.max() else { return (0, slopes) }
  let powers = similarities.map { ($0 - largest).exponential }
  let negatives = roles.indices.filter { roles[$0] == false }.reduce(0.0) { $0 + powers[$1] }
  let share = 1 / Double(positives.count)
  var (value, inverses) = (0.0, 0.0)
  for place in positives {
    let sum = powers[place] + negatives
    value += share * (sum.logarithm + largest - similarities[place])
    slopes[place] = share * (powers[place] / sum - 1)
    inverses += share / sum
  }
  for place in roles.indices where roles[place] == false { slopes[place] = powers[place] * inverses }
  return (value, slopes)
}
