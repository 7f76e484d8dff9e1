// In-place updates of arenas: optimizer, exponential average, and the tree over samples.

import CKernels
import Support
import Tensors

/// Elements of one tile of an arena.
private let arenaTile = 32768

/// Runs `body(first, count)` over stretches of a range.
private func forEachStretch(of range: Range<Int>, _ body: (_ first: Int, _ count: Int) -> Void) {
  WorkerPool.shared.run(tiles: (range.count + arenaTile - 1) / arenaTile) { tile in
    let first = range.lowerBound + tile * arenaTile
    body(first, min(arenaTile, range.upperBound - first))
  }
}

/// One AdamW update of the elements in `range`, in place.
///
/// Decoupled decay first (`p ← p · (1 - rate · decay)`), then
/// `p ← p - rate / (1 - beta1^t) · m / (√v / √(1 - beta2^t) + epsilon)`, as `torch.optim.AdamW` does. Corrections are
/// formed in Double; `beta1` and `beta2` are Double because 1 - 0.999 has few digits left in Float.
/// - Parameters:
///   - parameters: p, changed.
///   - gradient: of the loss by p.
///   - firstMoment: m, changed.
///   - secondMoment: v, changed.
///   - range: elements to update.
///   - place: element of the moments that belongs to the first of `range`; nil where they lie like parameters.
///   - rate: learning rate.
///   - decay: weight decay.
///   - beta1: share of m that is kept.
///   - beta2: share of v that is kept.
///   - epsilon: added to the denominator.
///   - step: number of this update, from 1.
/// - Precondition: parameters and gradient have equal counts; they and the moments hold the range.
/// Source: Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
public func adamW(
  parameters: Tensor, gradient: Tensor, firstMoment: Tensor, secondMoment: Tensor, range: Range<Int>, rate: Float,
  decay: Float, beta1: Double, beta2: Double, epsilon: Double, step: Int, place: Int? = nil
) {
  let mark = KernelMeter.begin(.optimizer)
  defer { KernelMeter.end(mark) }
  let count = parameters.count
  let place = place ?? range.lowerBound
  precondition(
    gradient.count == count && firstMoment.count == secondMoment.count && place >= 0
      && place + range.count <= firstMoment.count,
    "\(parameters.shape), \(gradient.shape), \(firstMoment.shape), \(secondMoment.shape) from \(place)")
  precondition(range.lowerBound >= 0 && range.upperBound <= count, "elements \(range) of \(parameters.shape)")
  precondition(step > 0, "updates are numbered from 1, not \(step)")
  let correctedRate = Float(Double(rate) / (1 - beta1.power(Double(step))))
  let secondShare = Float(1 / (1 - beta2.power(Double(step))).squareRoot())
  let keep = Float(1 - Double(rate) * Double(decay))
  forEachStretch(of: range) { first, count in
    ck_adamw(
      parameters.pointer + first, gradient.pointer + first, firstMoment.pointer + (place + first - range.lowerBound),
      secondMoment.pointer + (place + first - range.lowerBound), count, keep, Float(1 - beta1), Float(beta2),
      Float(1 - beta2), correctedRate,
      secondShare, Float(epsilon))
  }
}

/// One update of the elements in `range` by stochastic gradient descent with momentum, in place.
///
/// `v ← momentum · v + g + decay · p`, then `p ← p - rate · v`, as `torch.optim.SGD` does without dampening: decay is
/// part of the gradient.
/// - Parameters:
///   - parameters: p, changed.
///   - gradient: g, of the loss by p.
///   - velocity: v, changed.
///   - range: elements to update.
///   - place: element of the velocity that belongs to the first of `range`; nil where it lies like parameters.
///   - rate: learning rate.
///   - decay: weight decay.
///   - momentum: share of v that is kept.
/// - Precondition: parameters and gradient have equal counts; they and the velocity hold the range.
public func stochasticGradientDescent(
  parameters: Tensor, gradient: Tensor, velocity: Tensor, range: Range<Int>, rate: Float, decay: Float,
  momentum: Float, place: Int? = nil
) {
  let mark = KernelMeter.begin(.optimizer)
  defer { KernelMeter.end(mark) }
  let place = place ?? range.lowerBound
  precondition(
    gradient.count == parameters.count && place >= 0 && place + range.count <= velocity.count,
    "\(parameters.shape), \(gradient.shape), \(velocity.shape) from \(place)")
  precondition(
    range.lowerBound >= 0 && range.upperBound <= parameters.count, "elements \(range) of \(parameters.shape)")
  forEachStretch(of: range) { first, count in
    ck_sgd(
      parameters.pointer + first, gradient.pointer + first, velocity.pointer + (place + first - range.lowerBound),
      count, decay, momentum, rate)
  }
}

/// `teacher ← momentum · teacher + (1 - momentum) · student`, in place; momentum 0 copies the bits.
/// - Precondition: the counts agree.
public func exponentialAverage(_ teacher: Tensor, _ student: Tensor, momentum: Float) {
  let mark = KernelMeter.begin(.optimizer)
  defer { KernelMeter.end(mark) }
  precondition(teacher.count == student.count, "teacher \(teacher.shape), student \(student.shape)")
  if momentum == 0 { return teacher.assign(student) }
  forEachStretch(of: 0..<teacher.count) { first, count in
    ck_exponential_average(
      teacher.pointer + first, student.pointer + first, momentum, Float(1 - Double(momentum)), count)
  }
}

/// Adds the slots of all samples up a binary tree, in place: neighbours 2i and 2i+1 are added, an odd last one moves
/// up. The sum ends in sample 0's slot; the others hold partial sums.
///
/// Shape: `slots` [samples, count].
/// - Parameters:
///   - slots: gradients by sample.
///   - range: elements of every slot that are added; nil for all.
public func treeSum(_ slots: Tensor, _ range: Range<Int>? = nil) {
  let mark = KernelMeter.begin(.optimizer)
  defer { KernelMeter.end(mark) }
  let samples = slots.samples
  let count = slots.perSample
  // Every stretch climbs the whole tree while it is in cache.
  forEachStretch(of: range ?? 0..<count) { first, length in
    var distance = 1
    while distance < samples {
      for sample in stride(from: 0, to: samples - distance, by: 2 * distance) {
        ck_add_in_place(
          slots.pointer + sample * count + first, slots.pointer + (sample + distance) * count + first, length)
      }
      distance *= 2
    }
  }
}

/// Whether no value is infinite or not-a-number.
public func isFinite(_ x: Tensor) -> Bool {
  let mark = KernelMeter.begin(.optimizer)
  defer { KernelMeter.end(mark) }
  let tiles = (x.count + arenaTile - 1) / arenaTile
  let flags = Tensor(uninitialized: [tiles])
  forEachStretch(of: 0..<x.count) { first, count in
    var finite: Int32 = 0
    ck_is_finite(x.pointer + first, count, &finite)
    flags.pointer[first / arenaTile] = Float(finite)
  }
  return !flags.values.contains(0)
}

/// Sums of squares of stretches of an arena, in Double.
///
/// Each square is exact and each stretch is added in one fixed order, so the bits depend on the values alone: not on
/// threads, and not on the CPU level.
/// - Precondition: every stretch lies in the arena.
public func sumsOfSquares(_ x: Tensor, _ stretches: [Range<Int>]) -> [Double] {
  let mark = KernelMeter.begin(.optimizer)
  defer { KernelMeter.end(mark) }
  let group = 16
  var sums = [Double](repeating: 0, count: stretches.count)
  sums.withUnsafeMutableBufferPointer { sums in
    nonisolated(unsafe) let sums = sums
    WorkerPool.shared.run(tiles: (stretches.count + group - 1) / group) { tile in
      for index in tile * group..<min((tile + 1) * group, stretches.count) {
        let stretch = stretches[index]
        precondition(stretch.lowerBound >= 0 && stretch.upperBound <= x.count, "elements \(stretch) of \(x.shape)")
        ck_sum_of_squares(x.pointer + stretch.lowerBound, stretch.count, &sums[index])
      }
    }
  }
  return sums
}
