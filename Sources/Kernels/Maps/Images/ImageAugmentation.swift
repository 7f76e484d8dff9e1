// Normalisation and the strong augmentation of mixed and masked images: colour jitter and blur.
// Images are [N, H, W, 3] RGB. The vector loops are in CKernels/augment_body.h; mixing and masking in ImageMixing.swift.

import CKernels
import Support
import Tensors

/// Mean of red, green and blue in ImageNet, in units of 0...255.
public let pixelMean: [Float] = [123.675, 116.28, 103.53]
/// Standard deviation of red, green and blue in ImageNet, in units of 0...255.
public let pixelDeviation: [Float] = [58.395, 57.12, 57.375]

private let pixelsPerTile = 1 << 15

/// (pixel - mean) / deviation of 8-bit RGB pixels, [samples, height, width, 3].
/// - Precondition: there are samples · height · width · 3 bytes.
public func normalised(_ pixels: [UInt8], samples: Int, height: Int, width: Int) -> Tensor {
  let mark = KernelMeter.begin(.augmentation)
  defer { KernelMeter.end(mark) }
  precondition(pixels.count == samples * height * width * 3, "\(pixels.count) bytes for \(samples)x\(height)x\(width)")
  let result = Tensor(uninitialized: [samples, height, width, 3])
  pixels.withUnsafeBufferPointer { source in
    guard let base = source.baseAddress else { return }
    forEachPixelRange(samples * height * width) { first, count in
      ck_augment_normalise(base + 3 * first, result.pointer + 3 * first, count, pixelMean, pixelDeviation)
    }
  }
  return result
}

/// The 8-bit RGB pixels nearest to a normalised image (ties to even), clamped to 0...255.
/// - Precondition: `image` is [N, H, W, 3].
public func denormalised(_ image: Tensor) -> [UInt8] {
  let mark = KernelMeter.begin(.augmentation)
  defer { KernelMeter.end(mark) }
  precondition(image.shape.rank == 4 && image.channels == 3, "RGB images are [N, H, W, 3], not \(image.shape)")
  return [UInt8](unsafeUninitializedCapacity: image.count) { bytes, initialised in
    initialised = image.count
    guard let base = bytes.baseAddress else { return }
    forEachPixelRange(image.count / 3) { first, count in
      ck_augment_denormalise(image.pointer + 3 * first, base + 3 * first, count, pixelMean, pixelDeviation)
    }
  }
}

/// One image's random colour change, on RGB in 0...1.
public struct ColourJitter: Equatable, Sendable {
  /// `brightness - 1` is added; the result is clamped.
  public var brightness: Float
  /// Multiplies; the result is clamped.
  public var contrast: Float
  /// Multiplies the saturation of HSV, which is then clamped.
  public var saturation: Float
  /// Added to the hue of HSV, as a fraction of a turn between -1 and 1.
  public var hue: Float
  /// Order of application: 0 brightness, 1 contrast, 2 saturation, 3 hue. An operation left out is not applied.
  public var order: [Int]

  /// From its factors.
  public init(brightness: Float, contrast: Float, saturation: Float, hue: Float, order: [Int]) {
    self.brightness = brightness
    self.contrast = contrast
    self.saturation = saturation
    self.hue = hue
    self.order = order
  }
}

/// Hue in 0...1 (0 for greys), saturation (max - min)/(max + 10⁻⁶) and value of pixels with RGB in 0...1.
///
/// Shapes: `image` and result [N, H, W, 3].
public func hueSaturationValue(_ image: Tensor) -> Tensor { converted(image, ck_augment_hsv) }

/// RGB of pixels of hue, saturation and value; the inverse of `hueSaturationValue` up to its 10⁻⁶.
public func redGreenBlue(_ image: Tensor) -> Tensor { converted(image, ck_augment_rgb) }

private func converted(
  _ image: Tensor, _ convert: (UnsafePointer<Float>?, UnsafeMutablePointer<Float>?, Int) -> Void
) -> Tensor {
  precondition(image.shape.rank == 4 && image.channels == 3, "colour images are [N, H, W, 3], not \(image.shape)")
  let result = Tensor(uninitialized: image.shape)
  forEachPixelRange(image.count / 3) { first, count in
    convert(image.pointer + 3 * first, result.pointer + 3 * first, count)
  }
  return result
}

/// Changes the colours of normalised images, one jitter per sample.
///
/// Images are brought to 0...1, changed and normalised again. Brightness adds and contrast multiplies without a mean;
/// both clamp. HSV: saturation is (max - min)/(max + 10⁻⁶), the hue sector is that of the first largest channel.
/// Shapes: `image` and result [N, H, W, 3].
/// - Precondition: one jitter per sample, operations in 0...3, hue in -1...1.
/// Source: strong augmentation of DACS (Tranheden et al., WACV 2021) as used by DAFormer and HRDA.
public func colourJitter(_ image: Tensor, _ jitters: [ColourJitter]) -> Tensor {
  let mark = KernelMeter.begin(.augmentation)
  defer { KernelMeter.end(mark) }
  precondition(image.shape.rank == 4 && image.channels == 3, "RGB images are [N, H, W, 3], not \(image.shape)")
  precondition(jitters.count == image.samples, "\(jitters.count) jitters for \(image.samples) images")
  precondition(
    jitters.allSatisfy { abs($0.hue) <= 1 && $0.order.allSatisfy { (0...3).contains($0) } }, "jitter out of range")
  let result = Tensor(uninitialized: image.shape)
  for (sample, jitter) in jitters.enumerated() {
    let factors = [jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue]
    let order = jitter.order.map(Int32.init)
    let offset = sample * image.perSample
    forEachPixelRange(image.perSample / 3) { first, count in
      ck_augment_jitter(
        image.pointer + offset + 3 * first, result.pointer + offset + 3 * first, count, factors, order, order.count,
        pixelMean, pixelDeviation)
    }
  }
  return result
}

/// The luminance of normalised images in all three channels, normalised again (ITU-R BT.601).
///
/// Shapes: `image` and result [N, H, W, 3].
public func greyed(_ image: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.augmentation)
  defer { KernelMeter.end(mark) }
  precondition(image.shape.rank == 4 && image.channels == 3, "RGB images are [N, H, W, 3], not \(image.shape)")
  let result = Tensor(uninitialized: image.shape)
  let shares: [Float] = [0.299, 0.587, 0.114]
  forEachPixelRange(image.count / 3) { first, count in
    for pixel in first..<first + count {
      let (source, target) = (image.pointer + 3 * pixel, result.pointer + 3 * pixel)
      var luminance: Float = 0
      for channel in 0..<3 {
        luminance += shares[channel] * (source[channel] * pixelDeviation[channel] + pixelMean[channel])
      }
      for channel in 0..<3 { target[channel] = (luminance - pixelMean[channel]) / pixelDeviation[channel] }
    }
  }
  return result
}

/// Gaussian blur with reflected border, one standard deviation (in pixels) per sample.
///
/// The window is about a tenth of the side, odd (`blurWindow`); its weights sum to 1 before taps beyond six deviations,
/// which lie below Float32 resolution, are dropped. Rows first, then columns.
/// Shapes: `image` and result [N, H, W, C].
/// - Precondition: one positive sigma per sample.
/// Source: strong augmentation of DACS as used by DAFormer and HRDA.
public func gaussianBlur(_ image: Tensor, sigmas: [Float]) -> Tensor {
  let mark = KernelMeter.begin(.augmentation)
  defer { KernelMeter.end(mark) }
  precondition(image.shape.rank == 4, "images are [N, H, W, C], not \(image.shape)")
  precondition(sigmas.count == image.samples && sigmas.allSatisfy { $0 > 0 }, "sigmas \(sigmas) for \(image.shape)")
  let (height, width, channels) = (image.shape[1], image.shape[2], image.channels)
  let rowTaps = sigmas.map { blurTaps(side: height, sigma: $0) }
  let columnTaps = sigmas.map { blurTaps(side: width, sigma: $0) }
  let result = Tensor(uninitialized: image.shape)
  let tiles = RowTiles(samples: image.samples, rows: height, elementsPerRow: width * channels, elements: 1 << 16)
  let line = (width + blurWindow(side: width)) * channels
  let scratch = Tensor(uninitialized: [tiles.count, line])
  WorkerPool.shared.run(tiles: tiles.count) { index in
    let (sample, rows) = tiles.tile(index)
    let offset = sample * image.perSample
    ck_augment_blur_rows(
      image.pointer + offset, result.pointer + offset, scratch.pointer + index * line, height, width, channels,
      rowTaps[sample], rowTaps[sample].count / 2, columnTaps[sample], columnTaps[sample].count / 2, rows.lowerBound,
      rows.upperBound)
  }
  return result
}

/// Taps of the blur for a side length: odd, about a tenth of it.
public func blurWindow(side: Int) -> Int {
  let tenth = Int((0.1 * Double(side)).rounded(.up))
  return tenth % 2 == 0 ? tenth - 1 : tenth
}

/// The taps that count, normalised over the whole window.
private func blurTaps(side: Int, sigma: Float) -> [Float] {
  let half = blurWindow(side: side) / 2
  let radius = Int(min(Double(half), (6 * Double(sigma)).rounded(.up)))
  let weights = (-half...half).map { (-Double($0 * $0) / (2 * Double(sigma) * Double(sigma))).exponential }
  let sum = weights.reduce(0, +)
  return weights[half - radius...half + radius].map { Float($0 / sum) }
}

/// Runs `body(first, count)` over ranges of pixels on the worker pool.
func forEachPixelRange(_ pixels: Int, _ body: (Int, Int) -> Void) {
  WorkerPool.shared.run(tiles: (pixels + pixelsPerTile - 1) / pixelsPerTile) { tile in
    let first = tile * pixelsPerTile
    body(first, min(pixelsPerTile, pixels - first))
  }
}
