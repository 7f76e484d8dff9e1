// How far feature vectors are from the centroid of each class. N samples, h×w cells, C channels, K classes.

import Support
import Tensors

/// Euclidean distances `‖f - μ_c‖₂`, formed in Double.
///
/// Shapes: `features` [N, ..., C]; `centroids` [K, C]; result [N, ..., K].
/// - Precondition: equally many channels.
public func centroidDistances(_ features: Tensor, _ centroids: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  precondition(
    centroids.shape.rank == 2 && centroids.channels == features.channels,
    "centroids \(centroids.shape) for features \(features.shape)")
  let (classes, channels) = (centroids.samples, centroids.channels)
  let result = Tensor(uninitialized: features.shape.withChannels(classes))
  SampleTiles(rowsOf: features).run { _, _, first, rows in
    for row in first..<first + rows {
      let feature = features.pointer + row * channels
      for label in 0..<classes {
        let centroid = centroids.pointer + label * channels
        var sum = 0.0
        for channel in 0..<channels {
          let difference = Double(feature[channel]) - Double(centroid[channel])
          sum += difference * difference
        }
        result.pointer[row * classes + label] = Float(sum.squareRoot())
      }
    }
  }
  return result
}
