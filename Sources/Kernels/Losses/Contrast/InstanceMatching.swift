// Two sets of rows matched by index: each row looks for its partner among all others. n rows of K numbers in either set.

import Support
import Tensors

/// What a matching of two sets of rows costs.
public struct MatchedRows {
  /// The mean over all 2n rows.
  public let loss: Double
  /// Derivatives by both sets, [n, K] each; nil where none were asked for.
  public let gradients: (first: Tensor, second: Tensor)?
}

/// Rows of a tile hold about this many scores.
private let tileScores = 1 << 20

/// The mean over the rows of both sets of `-ln(exp g_m / Σ_k exp g_k)`, where g are products with the 2n - 1 other rows
/// times a scale, and m is the row of the same index in the other set.
///
/// Scores are never held all at once: 2n rows have (2n)² of them. Differences from 0 are summed in Double, so that a partner
/// that is found for sure has a loss of its own size, not of rounding.
/// Shapes: `first` and `second` [n, K].
/// - Parameters:
///   - first: one set, such as class probabilities.
///   - second: the other.
///   - scale: the inverse of a temperature. Products times scale may differ by 80.
///   - factor: of the gradients; nil: none are wanted.
/// - Complexity: O(n² · K) time.
/// Source: multi-level contrast of EHTDI (Li et al., ACM MM 2022, code), after Chen et al., SimCLR, ICML 2020.
public func matchedRows(_ first: Tensor, _ second: Tensor, scale: Float, factor: Float?) -> MatchedRows {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  precondition(
    first.shape.rank == 2 && first.shape == second.shape && scale >= 0, "\(first.shape) and \(second.shape)")
  let matching = Matching(first, second, scale: scale)
  let rows = matching.described()
  let loss = rows.losses.reduce(0, +) / Double(max(1, rows.losses.count))
  guard let factor else { return MatchedRows(loss: loss, gradients: nil) }
  let gradient = matching.gradient(rows, factor: Double(factor) * Double(scale) / Double(max(1, rows.losses.count)))
  let half = first.samples
  return MatchedRows(loss: loss, gradients: (gradient.samples(0..<half), gradient.samples(half..<2 * half)))
}

/// Both sets one after the other.
private struct Matching {
  /// What gradients need of every row.
  struct Rows {
    var losses: [Double]
    /// Logarithms of the sums of exponentials.
    var normalisers: [Double]
  }

  private let all: Tensor
  private let weight: Tensor
  private let count: Int
  private var partner: Int { count / 2 }

  init(_ first: Tensor, _ second: Tensor, scale: Float) {
    count = 2 * first.samples
    let values = first.values + second.values
    let columns = first.channels
    all = Tensor(values, [count, columns])
    var turned = [Float](repeating: 0, count: values.count)
    for row in 0..<count {
      for column in 0..<columns { turned[column * count + row] = scale * values[row * columns + column] }
    }
    weight = Tensor(turned, [columns, count])
  }

  /// Losses and normalisers of all rows.
  func described() -> Rows {
    var rows = Rows(losses: [], normalisers: [])
    forEachTile { first, scores, probabilities in
      let found = DoubleScratch(rows: scores.shape[1], columns: 2)
      WorkerPool.shared.run(tiles: scores.shape[1]) { row in
        let match = (first + row + partner) % count
        let line = probabilities.pointer + row * count
        var others = 0.0
        for other in 0..<count where other != match { others += Double(line[other]) }
        // A row finds itself with the least number that the exponential has.
        let loss = (1 + others / Double(line[match])).logarithm
        found.row(row)[0] = loss
        found.row(row)[1] = Double((scores.pointer + row * count)[match]) + loss
      }
      for row in 0..<scores.shape[1] {
        rows.losses.append(found.row(row)[0])
        rows.normalisers.append(found.row(row)[1])
      }
    }
    return rows
  }

  /// The derivative by every row, in both of its roles.
  func gradient(_ rows: Rows, factor: Double) -> Tensor {
    // Of pair (i, j) the second role's probability is the first's times exp(z_i - z_j); a middle keeps both in range.
    let middle = ((rows.normalisers.min() ?? 0) + (rows.normalisers.max() ?? 0)) / 2
    let powers = rows.normalisers.map { Float(($0 - middle).exponential) }
    let inverses = rows.normalisers.map { Float((middle - $0).exponential) }
    let result = Tensor(uninitialized: all.shape)
    forEachTile { first, _, probabilities in
      WorkerPool.shared.run(tiles: probabilities.shape[1]) { row in
        let line = probabilities.pointer + row * count
        let (own, match) = (first + row, (first + row + partner) % count)
        let power = powers[own]
        inverses.withUnsafeBufferPointer { inverses in
          for other in 0..<count { line[other] *= 1 + power * inverses[other] }
        }
        line[own] = 0
        // 1 - p of both roles, from losses that keep their digits near 0.
        line[match] = Float((-rows.losses[own]).exponential - 1 + (-rows.losses[match]).exponential - 1)
      }
      let part = scaled(linear(probabilities, weight: all), by: Float(factor))
      result.samples(first..<first + probabilities.shape[1]).assign(part.reshaped([part.shape[1], part.channels]))
    }
    return result
  }

  /// Scores [1, rows, 2n] and their soft-max without the row itself, tile after tile.
  private func forEachTile(_ body: (_ first: Int, _ scores: Tensor, _ probabilities: Tensor) -> Void) {
    let size = max(1, tileScores / max(1, count))
    for first in stride(from: 0, to: count, by: size) {
      let part = all.samples(first..<min(first + size, count))
      let scores = linear(part.reshaped([1, part.samples, part.channels]), weight: weight)
      for row in 0..<part.samples { scores.pointer[row * count + first + row] = -1e5 }
      body(first, scores, softmax(scores))
    }
  }
}

/// The mean of every class of a map's cells.
public struct CellMeans {
  /// Classes that occur, ascending.
  public let classes: [UInt8]
  /// Their means, [classes, C].
  public let means: Tensor
  private let counts: [Int]
  private let labels: LabelMap

  /// Of one sample: `x` [1, h, w, C]; cells labelled 255 take no part. Sums are formed in Double.
  /// - Precondition: `labels` has one sample of the same size.
  public init(_ x: Tensor, labels: LabelMap) {
    precondition(x.samples == 1, "class means of \(x.samples) samples")
    let channels = x.channels
    let sums = classSums(x, labels: labels, classes: 255)
    let present = (0..<255).filter { sums[$0 * (channels + 1) + channels] > 0 }
    self.labels = labels
    classes = present.map { UInt8($0) }
    counts = present.map { Int(sums[$0 * (channels + 1) + channels]) }
    means = Tensor(
      zip(present, counts).flatMap { label, count in
        (0..<channels).map { Float(sums[label * (channels + 1) + $0] / Double(count)) }
      }, [present.count, channels])
  }

  /// The derivative by `x`, given that by the means, [classes, C].
  public func gradient(_ gradient: Tensor) -> Tensor {
    let channels = means.channels
    precondition(gradient.shape == means.shape, "gradient \(gradient.shape) of \(means.shape)")
    let result = Tensor(zeros: [1, labels.height, labels.width, channels])
    let places = Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })
    for (cell, label) in labels.values.enumerated() {
      guard let place = places[label] else { continue }
      let share = 1 / Float(counts[place])
      let source = gradient.pointer + place * channels
      for channel in 0..<channels { result.pointer[cell * channels + channel] = share * source[channel] }
    }
    return result
  }
}
