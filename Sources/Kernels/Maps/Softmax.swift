// Soft-max along the last axis, and the choice of classes. N samples, H×W pixels, K classes.

import CKernels
import Support
import Tensors

/// Soft-max of every row of the last axis, the largest element subtracted first. Result as `x`.
public func softmax(_ x: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  let columns = x.channels
  let output = Tensor(uninitialized: x.shape)
  SampleTiles(rowsOf: x).run { _, _, first, rows in
    ck_softmax(x.pointer + first * columns, output.pointer + first * columns, rows, columns)
  }
  return output
}

/// Gradient of `softmax` from its output: `output · (gradient - Σ output · gradient)` per row.
/// - Precondition: the shapes agree.
public func softmaxGradient(output: Tensor, gradient: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  precondition(output.shape == gradient.shape, "gradient \(gradient.shape) of \(output.shape)")
  let columns = output.channels
  let result = Tensor(uninitialized: output.shape)
  SampleTiles(rowsOf: output).run { _, _, first, rows in
    let at = first * columns
    ck_softmax_gradient(output.pointer + at, gradient.pointer + at, result.pointer + at, rows, columns)
  }
  return result
}

/// The class of the largest logit of every pixel (the lowest such class), and its soft-max probability.
///
/// Shapes: `logits` [N, H, W, K] with K ≤ 255; `confidence` [N, H, W]. A pixel with not-a-number gets confidence
/// not-a-number and a meaningless class.
public func pseudoLabels(_ logits: Tensor) -> (labels: LabelMap, confidence: Tensor) {
  let confidence = Tensor(uninitialized: [logits.shape[0], logits.shape[1], logits.shape[2]])
  return (bestClasses(logits, confidence: confidence), confidence)
}

/// The class of the largest logit of every pixel; the lowest such class wins ties.
///
/// Shape: `logits` [N, H, W, K] with K ≤ 255.
public func argMax(_ logits: Tensor) -> LabelMap { bestClasses(logits, confidence: nil) }

private func bestClasses(_ logits: Tensor, confidence: Tensor?) -> LabelMap {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  precondition(logits.shape.rank == 4, "class choice takes [N, H, W, K], not \(logits.shape)")
  let classes = logits.channels
  precondition((1...255).contains(classes), "\(classes) classes do not fit into a label map")
  var map = LabelMap(samples: logits.samples, height: logits.shape[1], width: logits.shape[2])
  map.values.withUnsafeMutableBufferPointer { labels in
    guard let target = labels.baseAddress else { return }
    SampleTiles(rowsOf: logits).run { _, _, first, rows in
      BufferPool.shared.withScratch(confidence == nil ? 0 : ck_softmax_scratch(classes)) { scratch in
        ck_best_class(
          logits.pointer + first * classes, target + first, confidence.map { $0.pointer + first }, scratch, rows,
          classes)
      }
    }
  }
  return map
}

/// Per sample, how many values are at least the threshold.
///
/// Shape: `confidence` [N, ...].
public func countAtLeast(_ confidence: Tensor, _ threshold: Float) -> [Int] {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  return (0..<confidence.samples).map { sample in
    var count = 0
    ck_count_at_least(
      confidence.pointer + sample * confidence.perSample, threshold, confidence.perSample, &count)
    return count
  }
}
