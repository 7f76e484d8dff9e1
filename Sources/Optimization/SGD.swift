// Stochastic gradient descent over arenas.

import Kernels
import Tensors

/// Stochastic gradient descent with momentum, on parameters that lie in one arena. Weight decay is part of the gradient.
///
/// Rank behaviour: no communication; equal gradients give equal bits on every rank.
/// Source: Sutskever et al., ICML 2013, in the form of `torch.optim.SGD`; differs from it in: nothing.
public final class SGD: ArenaOptimizer {
  /// Every parameter with its settings, in arena order.
  public var slices: [ParameterSlice] { layout.slices }
  /// Share of the velocity that is kept.
  public let momentum: Double
  /// Sum of gradients, older ones with less weight: `[count]`, or of the elements advanced here, without gaps.
  public let velocity: Tensor
  /// The velocity.
  public var moments: [Tensor] { [velocity] }
  /// Its name.
  public var momentNames: [String] { ["velocity"] }
  private let layout: OptimizerLayout

  /// An optimizer without velocity for an arena that ends with the last slice.
  /// - Parameters:
  ///   - slices: every parameter with its settings, in arena order.
  ///   - owned: the elements advanced here, as ascending ranges; nil for all. The others belong to other ranks.
  ///   - momentum: share of the velocity that is kept.
  /// - Precondition: slices ascend and do not overlap.
  public init(slices: [ParameterSlice], owned: [Range<Int>]? = nil, momentum: Double = 0.9) {
    layout = OptimizerLayout(slices, owned: owned)
    self.momentum = momentum
    velocity = Tensor(zeros: [layout.kept])
  }

  /// Updates parameters and velocity in place; see `ArenaOptimizer`.
  public func advance(parameters: Tensor, gradient: Tensor, rate: Double, step: Int) {
    layout.forEachRun(parameters, gradient) { slice, place in
      stochasticGradientDescent(
        parameters: parameters, gradient: gradient, velocity: velocity, range: slice.range,
        rate: Float(rate * slice.rateFactor), decay: Float(slice.decay), momentum: Float(momentum), place: place)
    }
  }
}
