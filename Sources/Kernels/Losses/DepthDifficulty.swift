// How far two predictions of depth disagree, pixel by pixel.

import Support
import Tensors

/// What is added to every pixel's agreement, so that none is left out.
private let leastAgreement: Float = 1e-3

/// How easy a pixel is to adapt: 1 where a source and a target classifier agree on its depth, 0.001 where they are as far
/// apart as the depth itself, 1 where its depth is not known.
///
///     h = clip(max(0, 1 - |source - target| / depth) + 0.001 + [depth = 1], 0, 1)
///
/// Shapes: `source`, `target` of N·H·W elements; `depth` [N, H, W], in which exactly 1 is not known; the result is like
/// `depth`.
/// Source: Wang et al., CorDA, ICCV 2021, equation 5 (the additions are those of the code).
public func depthAgreement(source: Tensor, target: Tensor, depth: Tensor) -> Tensor {
  precondition(
    source.count == depth.count && target.count == depth.count,
    "depths \(source.shape) and \(target.shape) beside \(depth.shape)")
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  let result = Tensor(uninitialized: depth.shape)
  let (first, second, truth, agreement) = (source.pointer, target.pointer, depth.pointer, result.pointer)
  let tiles = SampleTiles(elementsOf: depth)
  tiles.run { _, _, start, count in
    for index in start..<start + count {
      let apart = abs(first[index] - second[index]) / truth[index]
      let known = max(0, 1 - apart) + leastAgreement
      agreement[index] = min(1, max(0, truth[index] == 1 ? known + 1 : known))
    }
  }
  return result
}
