// AdamW over arenas: one sweep over runs of neighbouring parameters with equal settings.

import Kernels
import Tensors

/// Adam with decoupled weight decay and bias correction, on parameters that lie in one arena.
///
/// Rank behaviour: no communication; equal gradients give equal bits on every rank.
/// Source: Loshchilov and Hutter, ICLR 2019; differs from `torch.optim.AdamW` in: nothing.
public final class AdamW {
  /// Every parameter with its settings, in arena order.
  public let slices: [ParameterSlice]
  /// Decay of the first moment.
  public let beta1: Double
  /// Decay of the second moment.
  public let beta2: Double
  /// Added to the root of the second moment.
  public let epsilon: Double
  /// Average of the gradient, `[count]`; written by `advance` and when a checkpoint is read.
  public let firstMoment: Tensor
  /// Average of the squared gradient, `[count]`; written likewise.
  public let secondMoment: Tensor
  private let runs: [ParameterSlice]

  /// An optimizer with zero moments for an arena that ends with the last slice.
  /// - Precondition: slices ascend and do not overlap.
  public init(slices: [ParameterSlice], beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8) {
    for (slice, next) in zip(slices, slices.dropFirst()) {
      precondition(slice.range.upperBound <= next.range.lowerBound, "\(slice.name) overlaps \(next.name)")
    }
    self.slices = slices
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    runs = AdamW.merged(slices)
    let count = slices.last?.range.upperBound ?? 0
    firstMoment = Tensor(zeros: [count])
    secondMoment = Tensor(zeros: [count])
  }

  /// Updates parameters and moments in place.
  /// - Parameters:
  ///   - parameters: the arena, changed.
  ///   - gradient: an arena of the same layout.
  ///   - rate: learning rate before the slices' factors.
  ///   - step: number of this update, from 1.
  /// - Precondition: both arenas have the moments' size.
  public func advance(parameters: Tensor, gradient: Tensor, rate: Double, step: Int) {
    precondition(
      parameters.count == firstMoment.count && gradient.count == firstMoment.count,
      "parameters \(parameters.shape), gradient \(gradient.shape), moments \(firstMoment.shape)")
    for run in runs {
      adamW(
        parameters: parameters, gradient: gradient, firstMoment: firstMoment, secondMoment: secondMoment,
        range: run.range, rate: Float(rate * run.rateFactor), decay: Float(run.decay), beta1: beta1, beta2: beta2,
        epsilon: epsilon, step: step)
    }
  }

  /// Slices that touch and have equal settings as one.
  private static func merged(_ slices: [ParameterSlice]) -> [ParameterSlice] {
    slices.reduce(into: []) { runs, slice in
      guard let last = runs.last, last.range.upperBound == slice.range.lowerBound, last.rateFactor == slice.rateFactor,
        last.decay == slice.decay
      else { return runs.append(slice) }
      runs[runs.count - 1] = ParameterSlice(
        name: last.name, range: last.range.lowerBound..<slice.range.upperBound, rateFactor: last.rateFactor,
        decay: last.decay)
    }
  }
}
