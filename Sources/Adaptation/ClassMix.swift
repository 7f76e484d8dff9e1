// ClassMix (Olsson et al., WACV 2021) across domains (DACS, Tranheden et al., WACV 2021): half of the classes of the
// source labels are pasted onto the target image, with their labels and weight 1.

import Collectives
import Domains
import Kernels
import Tensors

/// Target images with source classes pasted in.
public struct MixedBatch {
  /// Mixed, jittered and blurred images `[N, H, W, 3]`.
  public let image: Tensor
  /// Source labels where pasted, pseudo-labels elsewhere.
  public let labels: LabelMap
  /// 1 where pasted, pseudo-weights elsewhere, `[N, H, W]`.
  public let weights: Tensor
}

/// Classes in the labels of the whole global batch, ascending; 255 among them where it occurs, as in the published
/// code, which looks at the batch of its one process.
///
/// A collective: called by all ranks.
public func classesPresent(_ labels: LabelMap, on communicator: any Communicator) throws -> [UInt8] {
  var words = [UInt64](repeating: 0, count: 4)
  var seen = [Bool](repeating: false, count: 256)
  for label in labels.values { seen[Int(label)] = true }
  for (label, isSeen) in seen.enumerated() where isSeen { words[label / 64] |= 1 << (label % 64) }
  let all = try communicator.orBits(words)
  return (UInt8.min...UInt8.max).filter { label in
    let word = all[Int(label) / 64]
    return (word >> UInt64(label % 64)) & 1 == 1
  }
}

/// Mixes source and target images by the drawn classes, then jitters and blurs them.
public func classMix(_ batch: DomainBatch, _ pseudo: PseudoLabels, _ draws: PassDraws) -> MixedBatch {
  let mask = classMask(batch.sourceLabels, chosen: draws.chosen)
  return MixedBatch(
    image: strongAugmentation(mix(batch.sourceImage, batch.targetImage, mask: mask), draws),
    labels: mix(batch.sourceLabels, pseudo.labels, mask: mask), weights: mix(weights: pseudo.weights, mask: mask))
}
