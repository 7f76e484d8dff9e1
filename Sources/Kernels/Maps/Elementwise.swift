// Sums and products element by element, per sample or per channel, and HRDA's gated fusion.
// N samples, C channels (the last axis).

import CKernels
import Support
import Tensors

/// `x + y`, element by element.
/// - Precondition: the shapes agree.
public func add(_ x: Tensor, _ y: Tensor) -> Tensor { combined(x, y, ck_add) }

/// `x · y`, element by element.
/// - Precondition: the shapes agree.
public func multiply(_ x: Tensor, _ y: Tensor) -> Tensor { combined(x, y, ck_multiply) }

/// The larger of two numbers, element by element.
/// - Precondition: the shapes agree.
public func larger(_ x: Tensor, _ y: Tensor) -> Tensor {
  combined(x, y) { first, second, result, count in
    for index in 0..<count { result[index] = max(first[index], second[index]) }
  }
}

private func combined(
  _ x: Tensor, _ y: Tensor,
  _ kernel: (UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void
) -> Tensor {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  precondition(x.shape == y.shape, "\(x.shape) and \(y.shape)")
  let result = Tensor(uninitialized: x.shape)
  forEachStretch(of: x) { first, count in
    kernel(x.pointer + first, y.pointer + first, result.pointer + first, count)
  }
  return result
}

/// `destination += other`, in place.
/// - Precondition: the counts agree; the two do not share memory.
public func addInPlace(_ destination: Tensor, _ other: Tensor) {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  precondition(destination.count == other.count, "\(destination.shape) and \(other.shape)")
  forEachStretch(of: destination) { first, count in
    ck_add_in_place(destination.pointer + first, other.pointer + first, count)
  }
}

/// `destination += first`, then `destination += second`, in place; from zero where it `restarts`.
///
/// The bits are those of the additions one after the other; every element is read and written once.
/// - Precondition: the counts agree; none shares memory with another.
public func addInTurn(_ destination: Tensor, _ first: Tensor, _ second: Tensor, restarts: Bool) {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  precondition(
    destination.count == first.count && destination.count == second.count,
    "\(destination.shape), \(first.shape) and \(second.shape)")
  forEachStretch(of: destination) { start, count in
    let target = destination.pointer + start
    if restarts { target.update(repeating: 0, count: count) }
    ck_add_in_place(target, first.pointer + start, count)
    ck_add_in_place(target, second.pointer + start, count)
  }
}

/// `factor · x`.
public func scaled(_ x: Tensor, by factor: Float) -> Tensor {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  let result = Tensor(uninitialized: x.shape)
  forEachStretch(of: x) { first, count in ck_scale(x.pointer + first, factor, result.pointer + first, count) }
  return result
}

/// `factor · x + offset`.
public func affine(_ x: Tensor, factor: Float, offset: Float) -> Tensor {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  let result = Tensor(uninitialized: x.shape)
  forEachStretch(of: x) { first, count in
    for index in first..<first + count { result.pointer[index] = factor * x.pointer[index] + offset }
  }
  return result
}

/// `x + factors[n] · branch` for sample n: a residual sum with drop path; nil factors are 1.
/// - Precondition: the shapes agree; one factor per sample.
public func addScaled(_ x: Tensor, _ branch: Tensor, factors: [Float]?) -> Tensor {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  precondition(x.shape == branch.shape, "\(x.shape) and \(branch.shape)")
  guard let factors else { return add(x, branch) }
  precondition(factors.count == x.samples, "\(factors.count) factors for \(x.shape)")
  let result = Tensor(uninitialized: x.shape)
  SampleTiles(elementsOf: x).run { sample, _, first, count in
    ck_add_scaled(x.pointer + first, branch.pointer + first, factors[sample], result.pointer + first, count)
  }
  return result
}

/// `factors[n] · x` for sample n.
/// - Precondition: one factor per sample.
public func scaleSamples(_ x: Tensor, factors: [Float]) -> Tensor {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  precondition(factors.count == x.samples, "\(factors.count) factors for \(x.shape)")
  let result = Tensor(uninitialized: x.shape)
  SampleTiles(elementsOf: x).run { sample, _, first, count in
    ck_scale(x.pointer + first, factors[sample], result.pointer + first, count)
  }
  return result
}

/// Channel c of sample n times `factors[n, c]`; its own adjoint.
///
/// Shapes: `x` [N, ..., C], `factors` [N, C].
public func scaleChannels(_ x: Tensor, factors: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  let channels = x.channels
  precondition(factors.shape == [x.samples, channels], "factors \(factors.shape) for \(x.shape)")
  let result = Tensor(uninitialized: x.shape)
  SampleTiles(rowsOf: x).run { sample, _, first, rows in
    ck_scale_columns(
      x.pointer + first * channels, factors.pointer + sample * channels, result.pointer + first * channels, rows,
      channels)
  }
  return result
}

/// `x + bias` along the last axis.
///
/// Shapes: `x` [N, ..., C], `bias` [C].
public func addBias(_ x: Tensor, bias: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  let channels = x.channels
  precondition(bias.count == channels, "bias \(bias.shape) for \(x.shape)")
  let result = Tensor(uninitialized: x.shape)
  SampleTiles(rowsOf: x).run { _, _, first, rows in
    ck_add_to_rows(x.pointer + first * channels, bias.pointer, result.pointer + first * channels, rows, channels)
  }
  return result
}

/// Gradient of a bias: per sample the sum over rows, added once to the sample's slot.
///
/// Shapes: `gradient` [N, ..., C]; slots of C numbers.
/// - Precondition: there are at least N slots.
public func columnSums(_ gradient: Tensor, into slots: GradientSlots) {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  let channels = gradient.channels
  precondition(slots.count == channels, "slots of \(slots.count) for \(gradient.shape)")
  let tiles = SampleTiles(rowsOf: gradient, elements: 16384)
  tiles.withPartialSums(width: channels) { partial in
    tiles.run { sample, tile, first, rows in
      ck_column_sums(
        gradient.pointer + first * channels, partial + (sample * tiles.perSample + tile) * channels, rows, channels)
    }
    tiles.addPartialSums(partial, width: channels, to: slots)
  }
}

/// `(1 - gate) · context`, HRDA's damped context logits.
///
/// Shapes: all [N, H, W, K]. Source: Hoyer, Dai, Van Gool, HRDA, ECCV 2022, Eq. 9, first term.
/// - Precondition: the shapes agree.
public func gatedContext(_ gate: Tensor, _ context: Tensor) -> Tensor { combined(gate, context, ck_gated_context) }

/// Gradients of `gatedContext`: `-context · gradient` and `(1 - gate) · gradient`.
/// - Precondition: the shapes agree.
public func gatedContextGradient(
  gate: Tensor, context: Tensor, gradient: Tensor
) -> (gate: Tensor, context: Tensor) {
  let pair = pairedGradient(gate, context, gradient, ck_gated_context_gradient)
  return (gate: pair.0, context: pair.1)
}

/// `gate · detail + context`, HRDA's fused logits; `context` is already damped by `gatedContext`.
///
/// Shapes: all [N, H, W, K]. Source: Hoyer, Dai, Van Gool, HRDA, ECCV 2022, Eq. 9.
/// - Precondition: the shapes agree.
public func fuse(gate: Tensor, detail: Tensor, context: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  precondition(
    gate.shape == detail.shape && gate.shape == context.shape, "\(gate.shape), \(detail.shape), \(context.shape)")
  let result = Tensor(uninitialized: gate.shape)
  forEachStretch(of: gate) { first, count in
    ck_fuse(gate.pointer + first, detail.pointer + first, context.pointer + first, result.pointer + first, count)
  }
  return result
}

/// Gradients of `fuse`: `detail · gradient` and `gate · gradient`; that of `context` is the gradient itself.
/// - Precondition: the shapes agree.
public func fuseGradient(gate: Tensor, detail: Tensor, gradient: Tensor) -> (gate: Tensor, detail: Tensor) {
  let pair = pairedGradient(gate, detail, gradient, ck_fuse_gradient)
  return (gate: pair.0, detail: pair.1)
}

private func pairedGradient(
  _ first: Tensor, _ second: Tensor, _ gradient: Tensor,
  _ kernel: (
    UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>,
    UnsafeMutablePointer<Float>, Int
  ) -> Void
) -> (Tensor, Tensor) {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  precondition(
    first.shape == second.shape && first.shape == gradient.shape,
    "\(first.shape), \(second.shape), gradient \(gradient.shape)")
  let results = (Tensor(uninitialized: first.shape), Tensor(uninitialized: first.shape))
  forEachStretch(of: first) { start, count in
    kernel(
      first.pointer + start, second.pointer + start, gradient.pointer + start, results.0.pointer + start,
      results.1.pointer + start, count)
  }
  return results
}

/// `x` inside the box, zero outside; its own adjoint.
///
/// Shape: `x` [N, H, W, C].
/// - Precondition: the box lies inside the map.
public func maskOutside(_ x: Tensor, _ box: Box) -> Tensor {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  checkInside(box, height: x.shape[1], width: x.shape[2])
  let result = Tensor(uninitialized: x.shape)
  forEachMapRow(samples: x.samples, height: x.shape[1]) { sample, y in
    let line = (sample * x.shape[1] + y) * x.shape[2] * x.channels
    let target = result.pointer + line
    guard y >= box.top, y < box.bottom else { return target.update(repeating: 0, count: x.shape[2] * x.channels) }
    let (left, right) = (box.left * x.channels, box.right * x.channels)
    target.update(repeating: 0, count: left)
    (target + left).update(from: x.pointer + line + left, count: right - left)
    (target + right).update(repeating: 0, count: x.shape[2] * x.channels - right)
  }
  return result
}
