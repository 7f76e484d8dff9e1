// Crops and pastes of maps with a box for each sample. N samples, H×W pixels, C channels; a single box serves all samples.

import Support
import Tensors

/// The part of every map inside its box; see `cropped`.
/// - Precondition: one box, or one for each sample; all of one size.
public func cropped(_ x: Tensor, to boxes: [Box]) -> Tensor {
  eachWithItsBox(x, boxes) { cropped($0, to: $1) }
}

/// Every map pasted at its box of a larger one that is zero elsewhere; see `padded`.
/// - Precondition: one box, or one for each sample.
public func padded(_ x: Tensor, into boxes: [Box], height: Int, width: Int) -> Tensor {
  eachWithItsBox(x, boxes) { padded($0, into: $1, height: height, width: width) }
}

/// Every map inside its box, zero outside; see `maskOutside`.
/// - Precondition: one box, or one for each sample.
public func maskOutside(_ x: Tensor, _ boxes: [Box]) -> Tensor {
  eachWithItsBox(x, boxes) { maskOutside($0, $1) }
}

private func eachWithItsBox(_ x: Tensor, _ boxes: [Box], _ body: (Tensor, Box) -> Tensor) -> Tensor {
  guard boxes.count != 1 else { return body(x, boxes[0]) }
  precondition(
    boxes.count == x.samples && boxes.allSatisfy { ($0.height, $0.width) == (boxes[0].height, boxes[0].width) },
    "boxes \(boxes) for \(x.shape)")
  let parts = boxes.enumerated().map { body(x.sample($0), $1) }
  let result = Tensor(uninitialized: parts[0].shape.withSamples(x.samples))
  for (sample, part) in parts.enumerated() { result.sample(sample).assign(part) }
  return result
}
