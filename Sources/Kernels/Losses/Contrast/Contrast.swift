// Feature vectors by class: their sums, and contrasts with each other.
// N samples, h×w cells, C channels.

import Support
import Tensors

/// For each sample the sums of feature vectors by label and their numbers: `classes · (C + 1)` numbers, class after class
/// the sum, then the number.
///
/// Shapes: `features` [N, h, w, C]; `labels` [N, h, w], 255 and labels from `classes` on are left out. Sums are formed in
/// Double, cell after cell.
public func classSums(_ features: Tensor, labels: LabelMap, classes: Int) -> [Double] {
  precondition(
    features.shape == [labels.samples, labels.height, labels.width, features.channels],
    "features \(features.shape) for labels of \(labels.samples)x\(labels.height)x\(labels.width)")
  let channels = features.channels
  let cells = labels.height * labels.width
  let sums = DoubleScratch(rows: labels.samples, columns: classes * (channels + 1))
  let source = features.pointer
  labels.values.withUnsafeBufferPointer { labels in
    WorkerPool.shared.run(tiles: features.samples) { sample in
      let own = sums.row(sample)
      own.update(repeating: 0, count: classes * (channels + 1))
      for cell in sample * cells..<(sample + 1) * cells where labels[cell] < classes {
        let sum = own + Int(labels[cell]) * (channels + 1)
        for channel in 0..<channels { sum[channel] += Double(source[cell * channels + channel]) }
        sum[channels] += 1
      }
    }
  }
  return sums.sums(samples: features.samples, tiles: 1)
}
