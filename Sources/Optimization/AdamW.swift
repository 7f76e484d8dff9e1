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
  /// Average of the gradient, `[count]`, or of the elements advanced here, without gaps; written by `advance` and when
  /// a checkpoint is read.
  public let firstMoment: Tensor
  /// Average of the squared gradient; its shape, and who writes it, likewise.
  public let secondMoment: Tensor
  private let count: Int
  /// What has one setting, and where its moments begin.
  private let runs: [(slice: ParameterSlice, place: Int)]

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
    for (slice, next) in zip(slices, slices.dropFirst()) {
      precondition(slice.range.upperBound <= next.range.lowerBound, "\(slice.name) overlaps \(next.name)")
    }
    self.slices = slices
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    count = slices.last?.range.upperBound ?? 0
    let owned = owned ?? [0..<count]
    runs = AdamW.cut(AdamW.merged(slices), to: owned)
    let kept = owned.reduce(0) { $0 + $1.count }
    firstMoment = Tensor(zeros: [kept])
    secondMoment = Tensor(zeros: [kept])
  }

  /// Updates parameters and moments in place.
  /// - Parameters:
  ///   - parameters: the arena, changed.
  ///   - gradient: an arena of the same layout.
  ///   - rate: learning rate before the slices' factors.
  ///   - step: number of this update, from 1.
  /// - Precondition: both arenas have the size of that of the slices, the gradient only where something is advanced.
  public func advance(parameters: Tensor, gradient: Tensor, rate: Double, step: Int) {
    precondition(
      parameters.count == count && (gradient.count == count || runs.isEmpty),
      "parameters \(parameters.shape), gradient \(gradient.shape) for \(count) elements")
    for (slice, place) in runs {
      adamW(
        parameters: parameters, gradient: gradient, firstMoment: firstMoment, secondMoment: secondMoment,
        range: slice.range, rate: Float(rate * slice.rateFactor), decay: Float(slice.decay), beta1: beta1,
        beta2: beta2, epsilon: epsilon, step: step, place: place)
    }
  }

  /// What lies in the owned ranges, with its place among them.
  private static func cut(
    _ slices: [ParameterSlice], to owned: [Range<Int>]
  ) -> [(slice: ParameterSlice, place: Int)] {
    var place = 0
    var runs: [(slice: ParameterSlice, place: Int)] = []
    for range in owned {
      for slice in slices where slice.range.overlaps(range) {
        let part = slice.range.clamped(to: range)
        let cut = ParameterSlice(name: slice.name, range: part, rateFactor: slice.rateFactor, decay: slice.decay)
        runs.append((cut, place + part.lowerBound - range.lowerBound))
      }
      place += range.count
    }
    return runs
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
