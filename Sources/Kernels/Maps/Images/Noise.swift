// Noise on images. N samples, H×W pixels, C channels.

import Support
import Tensors

/// Standard normal numbers, each sample's from a stream of its own.
///
/// Shape of the result: `shape`, whose first extent is the number of streams.
public func normals(_ shape: Shape, streams: [RandomStream]) -> Tensor {
  precondition(shape[0] == streams.count, "\(streams.count) streams for \(shape)")
  let result = Tensor(uninitialized: shape)
  WorkerPool.shared.run(tiles: streams.count) { sample in
    var stream = streams[sample]
    for index in sample * shape.perSample..<(sample + 1) * shape.perSample {
      result.pointer[index] = Float(stream.nextNormal())
    }
  }
  return result
}

/// The image with noise of limited size, `image + unit_c · min(max(scale · normal, -limit), limit)`.
///
/// Shapes: `image`, `normals` and result [N, H, W, C].
/// - Parameters:
///   - image: what noise is added to.
///   - normals: standard normal numbers.
///   - scale: standard deviation of the noise before it is limited.
///   - limit: its largest size.
///   - units: of each channel, what a unit of noise is on the image.
/// - Precondition: the shapes agree; one unit a channel.
public func withNoise(_ image: Tensor, normals: Tensor, scale: Float, limit: Float, units: [Float]) -> Tensor {
  let mark = KernelMeter.begin(.augmentation)
  defer { KernelMeter.end(mark) }
  let channels = image.channels
  precondition(image.shape == normals.shape && units.count == channels, "noise \(normals.shape) on \(image.shape)")
  let result = Tensor(uninitialized: image.shape)
  forEachStretch(of: image) { first, count in
    for index in first..<first + count {
      let noise = min(max(scale * normals.pointer[index], -limit), limit)
      result.pointer[index] = image.pointer[index] + units[index % channels] * noise
    }
  }
  return result
}

/// The image with a number added to each channel. Shapes: `image` and result [N, ..., C].
public func shifted(_ image: Tensor, by numbers: [Float]) -> Tensor {
  addBias(image, bias: Tensor(numbers, [numbers.count]))
}
