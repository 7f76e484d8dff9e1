// Weighted cross-entropy per pixel. N samples, H×W pixels, K classes; label 255 is ignored.

import CKernels
import Support
import Tensors

/// Per sample, the sum over pixels of `weight · (log Σ exp logits - logit of the label)`.
///
/// Shapes: `logits` [N, H, W, K], `weights` [N, H, W] or nil for 1 everywhere. Ignored pixels give nothing. The caller
/// divides: by all pixels in the published code (Hoyer et al., DAFormer, CVPR 2022, Eq. 1 and 4).
/// - Precondition: sizes agree; every label is below K or 255.
public func crossEntropySums(_ logits: Tensor, labels: LabelMap, weights: Tensor?) -> [Double] {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  checkSizes(logits, labels, weights)
  let classes = logits.channels
  let tiles = SampleTiles(rowsOf: logits)
  let partial = DoubleScratch(rows: logits.samples * tiles.perSample, columns: 1)
  labels.values.withUnsafeBufferPointer { values in
    guard let source = values.baseAddress else { return }
    tiles.run { sample, tile, first, rows in
      BufferPool.shared.withScratch(ck_softmax_scratch(classes)) { scratch in
        ck_cross_entropy_sum(
          logits.pointer + first * classes, source + first, weights.map { UnsafePointer($0.pointer + first) }, scratch,
          partial.row(sample * tiles.perSample + tile), rows, classes)
      }
    }
  }
  return partial.sums(samples: logits.samples, tiles: tiles.perSample)
}

/// The same sums, and the gradient of `factor` times their sum: `factor · weight · (soft-max - one at the label)`.
///
/// Shapes as in `crossEntropySums`; `gradient` as `logits`, zero at ignored pixels. Exponentials are formed once for both.
public func crossEntropy(
  _ logits: Tensor, labels: LabelMap, weights: Tensor?, factor: Float
) -> (sums: [Double], gradient: Tensor) {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  checkSizes(logits, labels, weights)
  let classes = logits.channels
  let tiles = SampleTiles(rowsOf: logits)
  let partial = DoubleScratch(rows: logits.samples * tiles.perSample, columns: 1)
  let gradient = Tensor(uninitialized: logits.shape)
  labels.values.withUnsafeBufferPointer { values in
    guard let source = values.baseAddress else { return }
    tiles.run { sample, tile, first, rows in
      ck_cross_entropy(
        logits.pointer + first * classes, source + first, weights.map { UnsafePointer($0.pointer + first) }, factor,
        gradient.pointer + first * classes, partial.row(sample * tiles.perSample + tile), rows, classes)
    }
  }
  return (partial.sums(samples: logits.samples, tiles: tiles.perSample), gradient)
}

private func checkSizes(_ logits: Tensor, _ labels: LabelMap, _ weights: Tensor?) {
  let shape: Shape = [labels.samples, labels.height, labels.width]
  precondition(
    logits.shape == [labels.samples, labels.height, labels.width, logits.channels],
    "logits \(logits.shape) for labels \(shape)")
  precondition(weights == nil || weights?.shape == shape, "weights \(weights?.shape ?? []) for labels \(shape)")
  var largest: Int32 = -1
  labels.values.withUnsafeBufferPointer { ck_largest_label($0.baseAddress, $0.count, &largest) }
  precondition(Int(largest) < logits.channels, "label \(largest) for logits \(logits.shape)")
}
