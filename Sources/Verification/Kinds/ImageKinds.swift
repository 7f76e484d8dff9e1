// Normalisation, colour space, colour jitter and blur of images. Groups of one file share `image/raw_rgb` and
// `image/normalised`.

import Kernels
import Tensors

private let rawImage = "image/raw_rgb"
private let image = "image/normalised"

/// Normalisation of 8-bit images.
enum ImageKind: Kind {
  static let stems = ["image"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let raw = try raw(fixture)
    let bytes = raw.values.map { UInt8($0) }
    let result = Kernels.normalised(bytes, samples: raw.samples, height: raw.shape[1], width: raw.shape[2])
    try verifier.element(image, result)
  }

  /// 8-bit images [N, H, W, 3], as floating-point numbers.
  static func raw(_ fixture: Fixture) throws -> Tensor {
    let (values, shape) = try fixture.bytes(rawImage)
    guard shape.count == 4, shape[1] == 3 else { throw fixture.bad(rawImage, "shape \(shape)") }
    return FileLayout.tensor(values.map { Float($0) }, shape, layout: "NCHW")
  }

  /// Normalised images [N, H, W, 3].
  static func normalised(_ fixture: Fixture) throws -> Tensor {
    let tensor = try fixture.tensor(image)
    guard tensor.shape.rank == 4, tensor.channels == 3 else { throw fixture.bad(image, "shape \(tensor.shape)") }
    return tensor
  }
}

/// Hue, saturation and value of raw/255, and back.
enum ColourSpaceKind: Kind {
  static let stems = ["hsv"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let raw = try ImageKind.raw(fixture)
    let hsv = hueSaturationValue(Tensor(raw.values.map { $0 / 255 }, raw.shape))
    try verifier.element("\(group)/hsv", hsv)
    try verifier.element("\(group)/round_trip", redGreenBlue(hsv))
  }
}

/// One operation of the colour jitter, named by the dataset; its factor is in the remark.
enum SingleJitterKind: Kind {
  static let stems = ["jitter_single"]
  private static let operations = ["brightness", "contrast", "saturation", "hue"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let image = try ImageKind.normalised(fixture)
    for path in fixture.datasets(under: group) {
      guard let operation = operations.firstIndex(of: String(path.dropFirst(group.count + 1))) else { continue }
      guard let factor = Float(try fixture.read(/factor ([-+.\de]+)/, in: path, "factor").1), abs(factor) <= 2 else {
        throw fixture.bad(path, "the factor is out of range")
      }
      var factors: [Float] = [1, 1, 1, 0]
      factors[operation] = factor
      let jitter = ColourJitter(
        brightness: factors[0], contrast: factors[1], saturation: factors[2], hue: factors[3], order: [operation])
      try verifier.element(path, colourJitter(image, [ColourJitter](repeating: jitter, count: image.samples)))
    }
  }
}

/// All operations of the colour jitter, in a given order for each image.
enum JitterKind: Kind {
  static let stems = ["jitter"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let image = try ImageKind.normalised(fixture)
    let factors = try fixture.floats("\(group)/factors").values
    let order = try fixture.integers("\(group)/order").values
    guard factors.count == 4 * image.samples, order.count == 4 * image.samples,
      order.allSatisfy({ (0...3).contains($0) }), factors.allSatisfy({ abs($0) <= 2 })
    else { throw fixture.bad(group, "factors or orders do not fit \(image.samples) images") }
    let jitters = (0..<image.samples).map { sample in
      ColourJitter(
        brightness: factors[4 * sample], contrast: factors[4 * sample + 1], saturation: factors[4 * sample + 2],
        hue: factors[4 * sample + 3], order: Array(order[4 * sample..<4 * sample + 4]))
    }
    try verifier.element("\(group)/output", colourJitter(image, jitters))
  }
}

/// Gaussian blur (`sigma_0.6`: deviation 0.6), and its window by side length.
enum BlurKind: Kind {
  static let stems = ["blur"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    for path in fixture.datasets(under: group) where path.hasPrefix("\(group)/sigma_") {
      let image = try ImageKind.normalised(fixture)
      guard let sigma = Float(path.dropFirst(group.count + "/sigma_".count)), sigma > 0, sigma < 1000 else {
        throw fixture.bad(path, "the name gives no deviation")
      }
      let sigmas = [Float](repeating: sigma, count: image.samples)
      try verifier.element(path, gaussianBlur(image, sigmas: sigmas))
    }
    if fixture.contains("\(group)/windows") {
      let sides = try fixture.integers("\(group)/sides").values
      try verifier.integers("\(group)/windows", actual: sides.map { blurWindow(side: $0) })
    }
  }
}
