// Gradients of loss terms by central differences, and terms of one pixel or element.

import Autograd
import Kernels
import Support
import Tensors
import TestSupport
import Testing

/// Expects that the gradient of a term is the derivative of its value, and that a constant has the same value.
func expectTermGradient(
  at point: Tensor, tolerance: Double = 1e-3, sourceLocation: SourceLocation = #_sourceLocation,
  _ term: (Variable, ForwardContext) throws -> LossTerm
) throws {
  let tape = Tape()
  let x = Variable(tracked: point)
  let value = try term(x, soloContext(point.samples, tape: tape))
  tape.walkBack()
  let gradient = try #require(x.gradient, sourceLocation: sourceLocation)
  let constant = try term(Variable(constant: point), soloContext(point.samples))
  let apart = zip(value.perSample, constant.perSample).map { abs($0 - $1) }.max() ?? 0
  #expect(apart < 1e-6 * (1 + (value.perSample.map(abs).max() ?? 0)), sourceLocation: sourceLocation)
  let error = try directionalErrorThrowing(
    at: doubles(point), direction: doubles(randomTensor(point.shape, seed: 99)), gradient: doubles(gradient)
  ) { values in
    try term(Variable(constant: Tensor(values.map { Float($0) }, point.shape)), soloContext(point.samples))
      .perSample.reduce(0, +)
  }
  #expect(error < tolerance, sourceLocation: sourceLocation)
}

private func directionalErrorThrowing(
  at point: [Double], direction: [Double], gradient: [Double], _ function: ([Double]) throws -> Double
) throws -> Double {
  let step = 1e-2
  let ahead = try function(zip(point, direction).map { $0 + step * $1 })
  let behind = try function(zip(point, direction).map { $0 - step * $1 })
  let measured = (ahead - behind) / (2 * step)
  let claimed = innerProduct(gradient, direction)
  return abs(measured - claimed) / max(abs(measured), abs(claimed), 1e-12)
}

/// Logits whose soft-max is given, of pixels side by side: [1, 1, W, K].
func logits(of probabilities: [[Double]]) -> Variable {
  Variable(
    tracked: Tensor(
      probabilities.flatMap { $0.map { Float($0.logarithm) } }, [1, 1, probabilities.count, probabilities[0].count]))
}

/// Labels of pixels side by side.
func line(_ labels: [UInt8]) -> LabelMap { LabelMap(height: 1, width: labels.count, values: labels) }
