// AdamW over arenas.

import Kernels
import Tensors

/// Adam with decoupled weight decay and bias correction, on parameters that lie in one arena.
///
/// Rank behaviour: no communication; equal gradients give equal bits on every rank.
/// Source: Loshchilov and Hutter, ICLR 2019; differs from `torch.optim.AdamW` in: nothing.
public final class AdamW: ArenaOptimizer {
  /// Every parameter with its settings, in arena order.
  public var slices: [ParameterSlice] { layout.slices }
  /// Decay of the first moment.
  public let beta1: Double
  /// Decay of the second moment.
  public let beta2: Double
  /// Added to the root of the second moment.
  public let epsilon: Double
  /// Average of the gradient, `[count]`, or of the elements advanced here, without gaps; written by `advance` and when
  /// a checkpoint is read.
  public let firstMoment: Tensor
  /// Average of the squared gradient; its shape, and who writes it, likewise.
  public let secondMoment: Tensor
  /// Both moments.
  public var moments: [Tensor] { [firstMoment, secondMoment] }
  /// Their names.
  public var momentNames: [String] { ["first moment", "second moment"] }
  private let layout: OptimizerLayout

  /// An optimizer with zero moments for an arena that ends with the last slice.
  /// - Parameters:
  ///   - slices: every parameter with its settings, in arena order.
  ///   - owned: the elements advanced here, as ascending ranges; nil for all. The others belong to other ranks.
  ///   - beta1: decay of the first moment.
  ///   - beta2: decay of the second moment.
  ///   - epsilon: added to the root of the second moment.
  /// - Precondition: slices ascend and do not overlap.
  public init(
    slices: [ParameterSlice], owned: [Range<Int>]? = nil, beta1: Double = 0.9, beta2: Double = 0.999,
    epsilon: Double = 1e-8
  ) {
    layout = OptimizerLayout(slices, owned: owned)
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    firstMoment = Tensor(zeros: [layout.kept])
    secondMoment = Tensor(zeros: [layout.kept])
  }

  /// Updates parameters and moments in place.
  /// - Parameters:
  ///   - parameters: the arena, changed.
  ///   - gradient: an arena of the same layout.
  ///   - rate: learning rate before the slices' factors.
  ///   - step: number of this update, from 1.
  /// - Precondition: both arenas have the size of that of the slices, the gradient only where something is advanced.
  public func advance(parameters: Tensor, gradient: Tensor, rate: Double, step: Int) {
    layout.forEachRun(parameters, gradient) { slice, place in
      adamW(
        parameters: parameters, gradient: gradient, firstMoment: firstMoment, secondMoment: secondMoment,
        range: slice.range, rate: Float(rate * slice.rateFactor), decay: Float(slice.decay), beta1: beta1,
        beta2: beta2, epsilon: epsilon, step: step, place: place)
    }
  }
}
