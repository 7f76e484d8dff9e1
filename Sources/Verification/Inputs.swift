// Inputs of networks as reference files hold them, checked before anything is computed from them: inside the program a
// wrong shape is a defect and stops it, in a file it is an item that failed.

import Kernels
import Support
import Tensors

extension Fixture {
  /// A normalised image [N, H, W, 3] whose sides are multiples of 4.
  func image(_ path: String) throws -> Tensor {
    let image = try tensor(path)
    guard image.shape.rank == 4, image.channels == 3, image.samples > 0, image.count > 0,
      image.shape[1] % 4 == 0, image.shape[2] % 4 == 0
    else { throw bad(path, "an image of shape \(image.shape)") }
    return image
  }

  /// An image stored as bytes [N, 3, H, W], normalised by the published mean and deviation.
  func rawImage(_ path: String) throws -> Tensor {
    let (values, shape) = try bytes(path)
    guard shape.count == 4, shape[1] == 3, !values.isEmpty else { throw bad(path, "an image of shape \(shape)") }
    let plane = shape[2] * shape[3]
    var pixels = [UInt8](repeating: 0, count: values.count)
    for sample in 0..<shape[0] {
      for channel in 0..<3 {
        for pixel in 0..<plane {
          pixels[(sample * plane + pixel) * 3 + channel] = values[(sample * 3 + channel) * plane + pixel]
        }
      }
    }
    return normalised(pixels, samples: shape[0], height: shape[2], width: shape[3])
  }

  /// Labels of an image, of the network's classes or ignored.
  func labels(_ path: String, of image: Tensor, classes: Int) throws -> LabelMap {
    let labels = try labels(path)
    guard [labels.samples, labels.height, labels.width] == image.shape.array.dropLast() else {
      throw bad(path, "labels of \(labels.height)x\(labels.width) for images of \(image.shape)")
    }
    guard labels.values.allSatisfy({ $0 < classes || $0 == 255 }) else {
      throw bad(path, "not one of \(classes) classes")
    }
    return labels
  }

  /// One number for every pixel of an image, [N, H, W].
  func pixels(_ path: String, of image: Tensor) throws -> Tensor {
    let (values, shape) = try isWhole(path) ? wholes(path) : floats(path)
    guard shape == Array(image.shape.array.dropLast()) else {
      throw bad(path, "shape \(shape) for images of \(image.shape)")
    }
    return Tensor(values, Shape(shape))
  }

  /// A detail crop of an image: y0 y1 x0 x1.
  func box(_ path: String, of image: Tensor, _ network: NetworkDescription) throws -> Box {
    let edges = try integers(path).values
    guard edges.count == 4 else { throw bad(path, "\(edges.count) numbers instead of y0 y1 x0 x1") }
    let multiple = 4 * network.reduction
    guard edges[0] >= 0, edges[2] >= 0, edges[1] <= image.shape[1], edges[3] <= image.shape[2],
      edges[1] - edges[0] == network.detailCrop[0], edges[3] - edges[2] == network.detailCrop[1]
    else { throw bad(path, "box \(edges) of images \(image.shape), crops \(network.detailCrop)") }
    guard image.shape[1] % multiple == 0, image.shape[2] % multiple == 0 else {
      throw bad(path, "images of \(image.shape), whose sides are no multiples of \(multiple)")
    }
    return Box(top: edges[0], bottom: edges[1], left: edges[2], right: edges[3])
  }

  private func isWhole(_ path: String) throws -> Bool { try file.number("f32_noise", of: path) == nil }

  private func wholes(_ path: String) throws -> ([Float], [Int]) {
    let (values, shape) = try integers(path)
    return (values.map { Float($0) }, shape)
  }
}
