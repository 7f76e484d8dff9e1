// Losses on relations between the vectors of an image: every one compared with every other.
// N samples, P vectors of K numbers each.

import Support
import Tensors

/// How two output vectors are compared. p is the soft-max of a vector.
public enum VectorRelation: Sendable {
  /// The cosine of the vectors as they are.
  case cosine
  /// The cross-entropy `-Σ_c p_j ln p_i` of vector i (row) against vector j (column).
  case crossEntropy
  /// The Kullback-Leibler divergence `Σ_c p_j (ln p_j - ln p_i)`.
  case divergence
}

/// All vectors of all samples in Double: the relation of row i with column j is `rows_i · columns_j + offset_j`.
private struct RelatedVectors {
  let relation: VectorRelation
  let perSample: Int
  let classes: Int
  private let rows: DoubleScratch
  private let columns: DoubleScratch
  /// Of `cosine` the lengths, of `divergence` what is added to a column.
  private let numbers: DoubleScratch

  init(_ vectors: Tensor, _ relation: VectorRelation) {
    precondition(vectors.shape.rank == 3, "vectors \(vectors.shape)")
    self.relation = relation
    (perSample, classes) = (vectors.shape[1], vectors.channels)
    let count = vectors.samples * perSample
    rows = DoubleScratch(rows: count, columns: classes)
    columns = DoubleScratch(rows: relation == .cosine ? 0 : count, columns: classes)
    numbers = DoubleScratch(rows: count, columns: 1)
    for vector in 0..<count { fill(vector, vectors.pointer + vector * classes) }
  }

  private func fill(_ vector: Int, _ source: UnsafePointer<Float>) {
    let row = rows.row(vector)
    guard relation != .cosine else {
      let squares = (0..<classes).reduce(0.0) { $0 + Double(source[$1]) * Double(source[$1]) }
      let length = squares.squareRoot()
      for index in 0..<classes { row[index] = length > 0 ? Double(source[index]) / length : 0 }
      numbers.row(vector).pointee = length
      return
    }
    let column = columns.row(vector)
    let largest = (0..<classes).reduce(-Double.infinity) { max($0, Double(source[$1])) }
    let sum = (0..<classes).reduce(0.0) { $0 + (Double(source[$1]) - largest).exponential }
    let normaliser = largest + sum.logarithm
    var entropy = 0.0
    for index in 0..<classes {
      let logarithm = Double(source[index]) - normaliser
      row[index] = -logarithm
      column[index] = logarithm.exponential
      entropy += column[index] * logarithm
    }
    numbers.row(vector).pointee = relation == .divergence ? entropy : 0
  }

  func row(_ vector: Int) -> UnsafeMutablePointer<Double> { rows.row(vector) }
  func column(_ vector: Int) -> UnsafeMutablePointer<Double> {
    relation == .cosine ? rows.row(vector) : columns.row(vector)
  }

  /// Relation of two vectors of one sample, each counted over all samples.
  func callAsFunction(_ first: Int, _ second: Int) -> Double {
    let (row, column) = (row(first), column(second))
    var product = 0.0
    for index in 0..<classes { product += row[index] * column[index] }
    return relation == .cosine ? product : product + numbers.row(second).pointee
  }

  /// The gradient by a vector, given those by its row and its column.
  /// - Parameter total: sum of the gradients of its column's relations.
  func write(
    _ vector: Int, row toRow: UnsafeMutablePointer<Double>, column toColumn: UnsafeMutablePointer<Double>,
    total: Double, to result: UnsafeMutablePointer<Float>
  ) {
    let (row, column, number) = (row(vector), column(vector), numbers.row(vector).pointee)
    var along = 0.0
    for index in 0..<classes {
      switch relation {
      case .cosine:
        toRow[index] += toColumn[index]
        along += toRow[index] * row[index]
      case .crossEntropy, .divergence:
        // By the logarithms of p, of which a column is a function too.
        let byColumn = toColumn[index] + (relation == .divergence ? total * (1 - row[index]) : 0)
        toRow[index] = column[index] * byColumn - toRow[index]
        along += toRow[index]
      }
    }
    for index in 0..<classes {
      switch relation {
      case .cosine: result[index] = number > 0 ? Float((toRow[index] - along * row[index]) / number) : 0
      case .crossEntropy, .divergence: result[index] = Float(toRow[index] - column[index] * along)
      }
    }
  }
}

/// The relations of the vectors of each sample, row by row.
///
/// Shapes: `vectors` [N, P, K]; result [N, P, P]. A vector of zeros has cosine 0 with every one.
public func relations(_ vectors: Tensor, _ relation: VectorRelation) -> Tensor {
  let related = RelatedVectors(vectors, relation)
  let count = related.perSample
  let result = Tensor(uninitialized: [vectors.samples, count, count])
  WorkerPool.shared.run(tiles: vectors.samples * count) { first in
    let start = first / max(count, 1) * count
    for second in 0..<count { result.pointer[first * count + second] = Float(related(first, start + second)) }
  }
  return result
}

/// Per sample, the sum over all pairs of the squared difference between two networks' relations, and the gradient of
/// `factor` times all by the first one's vectors.
///
/// Shapes: `vectors` and `references` [N, P, K]. All is formed in Double.
/// Source: Koh, Fernando: Consistency Regularization for Domain Adaptation, ECCV workshops 2022.
public func relationDifferences(
  _ vectors: Tensor, _ references: Tensor, _ relation: VectorRelation, factor: Float?
) -> LossSums {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  precondition(vectors.shape == references.shape, "\(vectors.shape) and \(references.shape)")
  let own = RelatedVectors(vectors, relation)
  let apart = RelationDifferences(own, RelatedVectors(references, relation), samples: vectors.samples)
  return (apart.squares(samples: vectors.samples), factor.map { apart.gradient(of: own, vectors.shape, factor: $0) })
}

/// By how much the relations of two networks' vectors differ, row by row.
private struct RelationDifferences {
  private let count: Int
  private let rows: DoubleScratch
  private let partial: DoubleScratch

  init(_ own: RelatedVectors, _ other: RelatedVectors, samples: Int) {
    count = own.perSample
    rows = DoubleScratch(rows: samples * count, columns: count)
    partial = DoubleScratch(rows: samples * count, columns: 1)
    WorkerPool.shared.run(tiles: samples * count) { [count, rows, partial] first in
      let (start, row) = (first / max(count, 1) * count, rows.row(first))
      var sum = 0.0
      for second in 0..<count {
        row[second] = own(first, start + second) - other(first, start + second)
        sum += row[second] * row[second]
      }
      partial.row(first).pointee = sum
    }
    withExtendedLifetime((own, other)) {}
  }

  /// Per sample, the sum of all squares.
  func squares(samples: Int) -> [Double] { partial.sums(samples: samples, tiles: count) }

  /// The gradient of `factor` times all squares by the first network's vectors.
  func gradient(of own: RelatedVectors, _ shape: Shape, factor: Float) -> Tensor {
    let result = Tensor(uninitialized: shape)
    let (classes, twice) = (own.classes, 2 * Double(factor))
    WorkerPool.shared.run(tiles: shape[0] * count) { vector in
      let start = vector / max(count, 1) * count
      let scratch = DoubleScratch(rows: 2, columns: classes)
      let (toRow, toColumn) = (scratch.row(0), scratch.row(1))
      toRow.update(repeating: 0, count: classes)
      toColumn.update(repeating: 0, count: classes)
      var total = 0.0
      for partner in 0..<count {
        let byRow = twice * rows.row(vector)[partner]
        let byColumn = twice * rows.row(start + partner)[vector - start]
        let (column, row) = (own.column(start + partner), own.row(start + partner))
        for index in 0..<classes {
          toRow[index] += byRow * column[index]
          toColumn[index] += byColumn * row[index]
        }
        total += byColumn
      }
      own.write(vector, row: toRow, column: toColumn, total: total, to: result.pointer + vector * classes)
      withExtendedLifetime(scratch) {}
    }
    withExtendedLifetime((own, rows)) {}
    return result
  }
}
