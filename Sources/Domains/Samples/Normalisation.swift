// Images as the networks take them.

import Imagery
import Kernels
import Tensors

/// Images of one size as `[n, H, W, 3]`, less the ImageNet mean and divided by its deviation.
/// - Precondition: there is an image and all have one size.
public func normalisedTensor(_ images: [RGBImage]) -> Tensor {
  precondition(!images.isEmpty, "no images to normalise")
  let (height, width) = (images[0].height, images[0].width)
  precondition(images.allSatisfy { $0.height == height && $0.width == width }, "images of different sizes")
  let pixels = images.count == 1 ? images[0].pixels : images.flatMap(\.pixels)
  return normalised(pixels, samples: images.count, height: height, width: width)
}
