// Adam over arenas.

import Tensors

/// Adam with bias correction, on parameters that lie in one arena: what companions of published methods learn with.
///
/// Rank behaviour: no communication; equal gradients give equal bits on every rank.
/// Source: Kingma and Ba, ICLR 2015, in the form of `torch.optim.Adam`; differs from it in: there is no weight decay,
/// without which it is AdamW.
public final class Adam: ArenaOptimizer {
  /// Every parameter with its settings, in arena order.
  public var slices: [ParameterSlice] { update.slices }
  /// Averages of the gradient and of its square.
  public var moments: [Tensor] { update.moments }
  /// As AdamW's.
  public var momentNames: [String] { update.momentNames }
  private let update: AdamW

  /// An optimizer with zero moments for an arena that ends with the last slice.
  /// - Parameters:
  ///   - slices: every parameter with its settings, in arena order.
  ///   - beta1: decay of the first moment.
  ///   - beta2: decay of the second moment.
  ///   - epsilon: added to the root of the second moment.
  /// - Precondition: slices ascend, do not overlap and have no decay.
  public init(slices: [ParameterSlice], beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8) {
    for slice in slices { precondition(slice.decay == 0, "\(slice.name) decays by \(slice.decay)") }
    update = AdamW(slices: slices, beta1: beta1, beta2: beta2, epsilon: epsilon)
  }

  /// Updates parameters and moments in place; see `ArenaOptimizer`.
  public func advance(parameters: Tensor, gradient: Tensor, rate: Double, step: Int) {
    update.advance(parameters: parameters, gradient: gradient, rate: rate, step: step)
  }
}
