// A 1×1 convolution of resized feature maps. Both are linear and act on different axes, so the map of every level is
// multiplied at its own, smaller size and the products are resized and added. N samples, L levels, O outputs.

import Support
import Tensors

/// `Σ resize(levelᵢ · weightᵢ)`: what a 1×1 convolution of the resized and concatenated levels yields.
///
/// Shapes: levels [N, hᵢ, wᵢ, Cᵢ], `weight` [Σ Cᵢ, O] (or any shape of as many elements); the result goes to O channels
/// of a tensor [N, H, W, ...]. Resizing is bilinear with half-pixel centres.
/// - Precondition: the first level has the result's size.
public func resizedLinear(_ levels: [Tensor], weight: Tensor, into result: ChannelSlice) {
  let outputs = result.channels.count
  let rows = weight.reshaped([weight.count / outputs, outputs])
  var first = 0
  for (index, level) in levels.enumerated() {
    let own = rows.samples(first..<first + level.channels)
    first += level.channels
    if index == 0 {
      precondition(level.perSample / level.channels == result.rows, "\(level.shape) for \(result.tensor.shape)")
      linear(level, weight: own, into: result)
    } else {
      bilinear(linear(level, weight: own), into: result, adding: true)
    }
  }
  precondition(first == rows.samples, "levels of \(first) channels by weight \(weight.shape)")
}

/// Gradients of `resizedLinear`: those of the levels are returned, those of the weight added once to the slots.
public func resizedLinearGradient(
  _ levels: [Tensor], weight: Tensor, gradient: ChannelSlice, into slots: GradientSlots?
) -> [Tensor] {
  let outputs = gradient.channels.count
  let rows = weight.reshaped([weight.count / outputs, outputs])
  var first = 0
  return levels.enumerated().map { index, level in
    let own = first..<first + level.channels
    first = own.upperBound
    let share =
      index == 0
      ? gradient : ChannelSlice(bilinearGradient(gradient, height: level.shape[1], width: level.shape[2]))
    if let slots {
      linearWeightGradient(level, share, into: slots.part(own.lowerBound * outputs, own.count * outputs))
    }
    return linearInputGradient(share, weight: rows.samples(own))
  }
}
