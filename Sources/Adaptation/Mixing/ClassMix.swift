// ClassMix (Olsson et al., WACV 2021) across domains (DACS, Tranheden et al., WACV 2021): half of the classes of the
// source labels are pasted onto the target image, with their labels and weight 1.

import Collectives
import Domains
import Kernels
import Support
import Tensors

/// Images with labels and pixel weights. N local samples, H×W crop.
public struct LabelledImages {
  /// The images, `[N, H, W, 3]`.
  public var image: Tensor
  /// Their labels.
  public var labels: LabelMap
  /// Weight of every pixel, `[N, H, W]`; nil is 1.
  public var weights: Tensor?
  /// Maps of numbers by name, each `[N, H, W]`.
  public var maps: [String: Tensor]
  /// What was pasted last: N·H·W bytes, not 0 where it lies on top; nil for images as they came.
  public var mask: [UInt8]?

  /// Images, their labels, weights and maps.
  public init(image: Tensor, labels: LabelMap, weights: Tensor? = nil, maps: [String: Tensor] = [:]) {
    self.image = image
    self.labels = labels
    self.weights = weights
    self.maps = maps
    mask = nil
  }
}

/// One set of images pasted onto another: `top` where the mask is set, `bottom` elsewhere. Maps that both have are pasted
/// too.
///
/// - Parameters:
///   - top: what is pasted.
///   - bottom: what it is pasted onto.
///   - mask: N·H·W bytes.
public func pasted(_ top: LabelledImages, onto bottom: LabelledImages, where mask: [UInt8]) -> LabelledImages {
  var mixed = LabelledImages(
    image: mix(top.image, bottom.image, mask: mask), labels: mix(top.labels, bottom.labels, mask: mask),
    weights: mixedWeights(top, bottom, mask))
  for (name, map) in top.maps {
    guard let below = bottom.maps[name] else { continue }
    mixed.maps[name] = mixedPlane(map, below, mask)
  }
  mixed.mask = mask
  return mixed
}

/// Numbers `[N, H, W]` of `top` where the mask is set, of `bottom` elsewhere.
private func mixedPlane(_ top: Tensor, _ bottom: Tensor, _ mask: [UInt8]) -> Tensor {
  let plane = Shape(top.shape.array + [1])
  return mix(top.reshaped(plane), bottom.reshaped(plane), mask: mask).reshaped(top.shape)
}

private func mixedWeights(_ top: LabelledImages, _ bottom: LabelledImages, _ mask: [UInt8]) -> Tensor? {
  guard let above = top.weights else { return bottom.weights.map { mix(weights: $0, mask: mask) } }
  return mixedPlane(above, bottom.weights ?? Tensor(repeating: 1, above.shape), mask)
}

/// The labels whose classes may be pasted onto an image.
public enum ClassScope: String, SettingChoice {
  /// Those of the whole global batch, as in DAFormer's and HRDA's published code: an image may be given classes that it
  /// does not have, and nothing is pasted of these.
  case batch
  /// Those of the image itself, as in the DACS paper and its code.
  case image

  /// The candidates of each local image, ascending; 255 among them where it occurs.
  ///
  /// A collective for `batch`: called by all ranks.
  public func candidates(_ labels: LabelMap, on communicator: any Communicator) throws -> [[UInt8]] {
    switch self {
    case .batch:
      return [[UInt8]](repeating: try classesPresent(labels, on: communicator), count: labels.samples)
    case .image:
      let perSample = labels.height * labels.width
      return (0..<labels.samples).map { sample in
        classes(in: labels.values[sample * perSample..<(sample + 1) * perSample])
      }
    }
  }
}

private func classes(in labels: ArraySlice<UInt8>) -> [UInt8] {
  var seen = [Bool](repeating: false, count: 256)
  for label in labels { seen[Int(label)] = true }
  return (UInt8.min...UInt8.max).filter { seen[Int($0)] }
}

/// Classes in the labels of the whole global batch, ascending; 255 among them where it occurs, as in the published
/// code, which looks at the batch of its one process.
///
/// A collective: called by all ranks.
public func classesPresent(_ labels: LabelMap, on communicator: any Communicator) throws -> [UInt8] {
  var words = [UInt64](repeating: 0, count: 4)
  for label in classes(in: labels.values[...]) { words[Int(label) / 64] |= 1 << UInt64(label % 64) }
  let all = try communicator.orBits(words)
  return (UInt8.min...UInt8.max).filter { label in
    let word = all[Int(label) / 64]
    return (word >> UInt64(label % 64)) & 1 == 1
  }
}

/// The drawn source classes pasted onto target images with what is believed of them, then jittered and blurred.
public func classMix(_ step: StepView, _ draws: PassDraws) -> LabelledImages {
  let (image, labels) = step.sourceSamples
  let pseudo = step.pseudoLabels
  var mixed = pasted(
    LabelledImages(image: image, labels: labels, maps: step.batch.source?.maps ?? [:]),
    onto: LabelledImages(
      image: step.targetSamples.image, labels: pseudo.labels, weights: pseudo.weights,
      maps: step.targetSamples.maps),
    where: classMask(labels, chosen: draws.chosen))
  mixed.image = strongAugmentation(mixed.image, draws)
  return mixed
}
