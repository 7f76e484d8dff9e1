// Images as the networks take them.

import Imagery
import Tensors

/// Images of one size as `[n, H, W, 3]`, less the ImageNet mean and divided by its deviation.
/// - Precondition: there is an image and all have one size.
public func normalisedTensor(_ images: [RGBImage]) -> Tensor {
  let height = images[0].height
  let width = images[0].width
  let mean: [Float] = [123.675, 116.28, 103.53]
  let deviation: [Float] = [58.395, 57.12, 57.375]
  var values: [Float] = []
  values.reserveCapacity(images.count * height * width * 3)
  for image in images {
    precondition(image.height == height && image.width == width, "images of different sizes")
    for (index, byte) in image.pixels.enumerated() {
      values.append((Float(byte) - mean[index % 3]) / deviation[index % 3])
    }
  }
  return Tensor(values, [images.count, height, width, 3])
}
