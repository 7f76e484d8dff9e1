// Class mixing of two domains and masking of image blocks. N samples, H height, W width, C channels.

import CKernels
import Support
import Tensors

/// 1 where a pixel's label is among the sample's chosen classes (its pixel is pasted), else 0; N·H·W bytes.
/// - Precondition: one list of classes per sample. 255 may be chosen.
/// Source: ClassMix (Olsson et al., WACV 2021) as used by DACS.
public func classMask(_ labels: LabelMap, chosen: [[UInt8]]) -> [UInt8] {
  let mark = KernelMeter.begin(.augmentation)
  defer { KernelMeter.end(mark) }
  precondition(chosen.count == labels.samples, "\(chosen.count) choices for \(labels.samples) label maps")
  let perSample = labels.height * labels.width
  var mask = [UInt8](repeating: 0, count: labels.values.count)
  for (sample, classes) in chosen.enumerated() {
    var pasted = [UInt8](repeating: 0, count: 256)
    for label in classes { pasted[Int(label)] = 1 }
    for pixel in sample * perSample..<(sample + 1) * perSample { mask[pixel] = pasted[Int(labels.values[pixel])] }
  }
  return mask
}

/// Source pixels where the mask is set, target pixels elsewhere.
///
/// Shapes: `source`, `target` and result [N, H, W, C]; `mask` N·H·W bytes.
/// - Precondition: shapes as above.
public func mix(_ source: Tensor, _ target: Tensor, mask: [UInt8]) -> Tensor {
  let mark = KernelMeter.begin(.augmentation)
  defer { KernelMeter.end(mark) }
  let channels = source.channels
  precondition(source.shape == target.shape, "mix \(source.shape) with \(target.shape)")
  precondition(mask.count * channels == source.count, "\(mask.count) mask pixels for \(source.shape)")
  let result = Tensor(uninitialized: source.shape)
  mask.withUnsafeBufferPointer { mask in
    guard let base = mask.baseAddress else { return }
    forEachPixelRange(mask.count) { first, count in
      let offset = first * channels
      ck_augment_mix(
        source.pointer + offset, target.pointer + offset, base + first, result.pointer + offset, count, channels)
    }
  }
  return result
}

/// Source labels where the mask is set, target labels elsewhere.
/// - Precondition: equal sizes; one mask byte per pixel.
public func mix(_ source: LabelMap, _ target: LabelMap, mask: [UInt8]) -> LabelMap {
  let mark = KernelMeter.begin(.augmentation)
  defer { KernelMeter.end(mark) }
  precondition(
    source.samples == target.samples && source.height == target.height && source.width == target.width
      && mask.count == source.values.count,
    "mix labels \(source.samples)x\(source.height)x\(source.width) with "
      + "\(target.samples)x\(target.height)x\(target.width) by \(mask.count) mask pixels")
  var result = target
  for pixel in 0..<mask.count where mask[pixel] != 0 { result.values[pixel] = source.values[pixel] }
  return result
}

/// 1 where the mask is set (source labels are trusted), the given weight elsewhere.
///
/// Shapes: `weights` and result [N, H, W]; `mask` N·H·W bytes.
/// - Precondition: one mask byte per weight.
public func mix(weights: Tensor, mask: [UInt8]) -> Tensor {
  let mark = KernelMeter.begin(.augmentation)
  defer { KernelMeter.end(mark) }
  precondition(mask.count == weights.count, "\(mask.count) mask pixels for weights \(weights.shape)")
  let result = weights.copy()
  for pixel in 0..<mask.count where mask[pixel] != 0 { result.pointer[pixel] = 1 }
  return result
}

/// Blocks along a side of the mask grid: side / block, rounded to nearest, ties to even.
/// Source: MIC (Hoyer et al., CVPR 2023); its published code rounds as Python does.
public func blockCount(side: Int, block: Int) -> Int {
  Int((Double(side) / Double(block)).rounded(.toNearestOrEven))
}

/// Keep mask of blocks: 1 where a block's uniform number exceeds the ratio, else 0, resized to pixels (nearest).
///
/// Shapes: `uniforms` [N, h, w], in [0, 1); result [N, height, width]. A number equal to the ratio is hidden.
/// - Precondition: `uniforms` has rank 3 and all sizes are positive.
/// Source: MIC (Hoyer et al., CVPR 2023), equations 3 and 4.
public func blockMask(_ uniforms: Tensor, height: Int, width: Int, ratio: Float) -> Tensor {
  let mark = KernelMeter.begin(.augmentation)
  defer { KernelMeter.end(mark) }
  precondition(uniforms.shape.rank == 3 && uniforms.count > 0, "block mask of \(uniforms.shape)")
  precondition(height > 0 && width > 0, "block mask of \(height)x\(width)")
  let rows = nearestPositions(input: uniforms.shape[1], output: height)
  let columns = nearestPositions(input: uniforms.shape[2], output: width)
  let result = Tensor(uninitialized: [uniforms.samples, height, width])
  for sample in 0..<uniforms.samples {
    for row in 0..<height {
      let source = uniforms.pointer + sample * uniforms.perSample + rows[row] * uniforms.shape[2]
      let target = result.pointer + sample * result.perSample + row * width
      for column in 0..<width { target[column] = source[columns[column]] > ratio ? 1 : 0 }
    }
  }
  return result
}

/// Every channel of a pixel times the pixel's mask: a hidden pixel of a normalised image becomes the mean colour.
///
/// Shapes: `image` and result [N, H, W, C]; `mask` [N, H, W].
/// - Precondition: shapes as above.
public func masked(_ image: Tensor, _ mask: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.augmentation)
  defer { KernelMeter.end(mark) }
  let channels = image.channels
  precondition(mask.count * channels == image.count, "mask \(mask.shape) for image \(image.shape)")
  let result = Tensor(uninitialized: image.shape)
  forEachPixelRange(mask.count) { first, count in
    let offset = first * channels
    ck_augment_scale_pixels(image.pointer + offset, mask.pointer + first, result.pointer + offset, count, channels)
  }
  return result
}

/// 1 along the borders of masks: what a square of 2x2 pixels adds by dilation and erosion together.
///
/// The square covers rows y-1 and y, columns x-1 and x, so that a border lies on the first pixel inside and the first one
/// behind. Pixels outside of the map are left out.
/// - Parameters:
///   - mask: 0 or 1, `height · width` bytes for each sample.
///   - height: rows.
///   - width: columns.
/// - Precondition: the mask has whole samples.
public func maskBorders(_ mask: [UInt8], height: Int, width: Int) -> [UInt8] {
  precondition(height > 0 && width > 0 && mask.count.isMultiple(of: height * width), "\(mask.count) bytes")
  return mask.indices.map { place in
    let (row, column) = (place % (height * width) / width, place % width)
    let square = (max(0, row - 1)...row).flatMap { other in
      (max(0, column - 1)...column).map { mask[place - (row - other) * width - (column - $0)] }
    }
    return (square.max() ?? 0) - (square.min() ?? 0)
  }
}
