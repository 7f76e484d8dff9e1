// How far the directions of two maps are apart, row by row. N samples, C channels (the last axis).

import Support
import Tensors

/// Lengths and product of a pair of rows.
private struct RowPair {
  let product: Double
  let squares: (Double, Double)

  init(_ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, columns: Int) {
    var (product, first, second) = (0.0, 0.0, 0.0)
    for column in 0..<columns {
      let (own, other) = (Double(x[column]), Double(y[column]))
      product += own * other
      first += own * own
      second += other * other
    }
    self.product = product
    squares = (first, second)
  }

  /// 1 / (‖x‖ ‖y‖); 0 where one of them has no direction.
  var inverse: Double { squares.0 > 0 && squares.1 > 0 ? 1 / (squares.0.squareRoot() * squares.1.squareRoot()) : 0 }
}

/// `1 - ⟨x, y⟩ / (‖x‖ ‖y‖)` of every pair of rows, formed in Double; 1 where a row is all zeros.
///
/// Shapes: `x` and `y` [N, ..., C]; result [N, ..., 1].
/// - Precondition: the shapes agree.
public func cosineDistance(_ x: Tensor, _ y: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  precondition(x.shape == y.shape, "\(x.shape) and \(y.shape)")
  let columns = x.channels
  let result = Tensor(uninitialized: x.shape.withChannels(1))
  SampleTiles(rowsOf: x).run { _, _, first, rows in
    for row in first..<first + rows {
      let pair = RowPair(x.pointer + row * columns, y.pointer + row * columns, columns: columns)
      result.pointer[row] = Float(1 - pair.product * pair.inverse)
    }
  }
  return result
}

/// Gradients of `cosineDistance`: `-gradient · (y / (‖x‖ ‖y‖) - cos · x / ‖x‖²)`, and the same with x and y exchanged.
///
/// Zero where a row is all zeros. Shapes: `gradient` [N, ..., 1]; results as `x`.
/// - Precondition: the shapes agree.
public func cosineDistanceGradients(_ x: Tensor, _ y: Tensor, gradient: Tensor) -> (x: Tensor, y: Tensor) {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  precondition(
    x.shape == y.shape && gradient.shape == x.shape.withChannels(1), "gradient \(gradient.shape) of \(x.shape)")
  let columns = x.channels
  let results = (Tensor(uninitialized: x.shape), Tensor(uninitialized: x.shape))
  SampleTiles(rowsOf: x).run { _, _, first, rows in
    for row in first..<first + rows {
      let (own, other) = (x.pointer + row * columns, y.pointer + row * columns)
      let (toOwn, toOther) = (results.0.pointer + row * columns, results.1.pointer + row * columns)
      let pair = RowPair(own, other, columns: columns)
      let (inverse, arriving) = (pair.inverse, Double(gradient.pointer[row]))
      let cosine = pair.product * inverse
      let along = inverse == 0 ? (0, 0) : (cosine / pair.squares.0, cosine / pair.squares.1)
      for column in 0..<columns {
        let (a, b) = (Double(own[column]), Double(other[column]))
        toOwn[column] = Float(-arriving * (inverse * b - along.0 * a))
        toOther[column] = Float(-arriving * (inverse * a - along.1 * b))
      }
    }
  }
  return results
}
