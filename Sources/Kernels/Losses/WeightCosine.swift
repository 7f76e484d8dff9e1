// The cosine between the weights of two networks of one form.

import Support
import Tensors

/// The weights of two networks of one form, each taken as one vector, and the cosine between them.
///
/// Products are added up in Double, tensor after tensor: the same bits on every rank and with any number of threads.
/// Source: co-training by different weights, Luo et al., CLAN, CVPR 2019, equation 5.
public struct WeightCosine {
  /// The cosine; 0 where one of the networks is all zeros.
  public let value: Double
  private let weights: (first: [Tensor], second: [Tensor])
  private let inverse: Double
  private let squares: (first: Double, second: Double)

  /// Weights of two networks, tensor for tensor.
  /// - Precondition: the shapes agree.
  public init(_ first: [Tensor], _ second: [Tensor]) {
    precondition(first.map(\.shape) == second.map(\.shape), "weights of two forms")
    weights = (first, second)
    var (product, squares) = (0.0, (first: 0.0, second: 0.0))
    for (one, other) in zip(first, second) {
      for index in 0..<one.count {
        let (a, b) = (Double(one.pointer[index]), Double(other.pointer[index]))
        product += a * b
        squares.first += a * a
        squares.second += b * b
      }
    }
    self.squares = squares
    inverse =
      squares.first > 0 && squares.second > 0
      ? 1 / (squares.first.squareRoot() * squares.second.squareRoot()) : 0
    value = product * inverse
  }

  /// Adds `factor` times the gradient of the cosine by both networks' weights to a sample's slots.
  /// - Parameters:
  ///   - factor: of the gradient.
  ///   - sample: the local sample whose slots take it.
  ///   - first: slots of the first network, tensor for tensor.
  ///   - second: slots of the second network.
  public func addGradients(factor: Double, sample: Int, to first: [GradientSlots], _ second: [GradientSlots]) {
    precondition(
      first.map(\.count) == weights.first.map(\.count) && second.map(\.count) == weights.second.map(\.count),
      "slots for other weights")
    guard inverse > 0 else { return }
    for (index, pair) in zip(weights.first, weights.second).enumerated() {
      let targets = (first[index].pointer(sample), second[index].pointer(sample))
      for place in 0..<pair.0.count {
        let (a, b) = (Double(pair.0.pointer[place]), Double(pair.1.pointer[place]))
        targets.0[place] += Float(factor * (inverse * b - value * a / squares.first))
        targets.1[place] += Float(factor * (inverse * a - value * b / squares.second))
      }
    }
  }
}
