// Gradients of loss terms by central differences, and terms of one pixel or element.

import Autograd
import Kernels
import Support
import Tensors
import TestSupport
import Testing

/// Expects that the gradient of a term is the derivative of its value, and that a constant has the same value.
func expectTermGradient(
  at point: Tensor, tolerance: Double = 1e-3, step: Double = 1e-2, sourceLocation: SourceLocation = #_sourceLocation,
  _ term: (Variable, ForwardContext) throws -> LossTerm
) throws {
  let tape = Tape()
  let x = Variable(tracked: point)
  let found = try term(x, soloContext(point.samples, tape: tape))
  tape.walkBack()
  let gradient = try #require(x.gradient, sourceLocation: sourceLocation)
  let constant = try term(Variable(constant: point), soloContext(point.samples))
  let apart = zip(found.perSample, constant.perSample).map { abs($0 - $1) }.max() ?? 0
  #expect(apart < 1e-6 * (1 + (found.perSample.map(abs).max() ?? 0)), sourceLocation: sourceLocation)
  let direction = doubles(randomTensor(point.shape, seed: 99))
  func value(_ side: Double) throws -> Double {
    let moved = zip(doubles(point), direction).map { Float($0 + side * step * $1) }
    return try term(Variable(constant: Tensor(moved, point.shape)), soloContext(point.samples)).perSample.reduce(0, +)
  }
  let measured = (try value(1) - value(-1)) / (2 * step)
  let claimed = innerProduct(doubles(gradient), direction)
  #expect(
    abs(measured - claimed) < tolerance * max(abs(measured), abs(claimed), 1e-12), "\(claimed), not \(measured)",
    sourceLocation: sourceLocation)
}

/// Logits whose soft-max is given, of pixels side by side: [1, 1, W, K].
func logits(of probabilities: [[Double]]) -> Variable {
  Variable(
    tracked: Tensor(
      probabilities.flatMap { $0.map { Float($0.logarithm) } }, [1, 1, probabilities.count, probabilities[0].count]))
}

/// Labels of pixels side by side.
func line(_ labels: [UInt8]) -> LabelMap { LabelMap(height: 1, width: labels.count, values: labels) }
