// Prototypes: a mean direction of the features of each class. K classes, C channels; sums are those of
// `Kernels.classSums`, class after class C numbers and how many were added, of all ranks.

import Support
import Tensors

/// What becomes of the prototype of a class that no cell has.
public enum AbsentClass: String, SettingChoice {
  /// It stays.
  case keep
  /// It is averaged with 0, as in the released code.
  case literal
}

/// Moves prototypes, in place, to `share · old + (1 - share) · mean of the new vectors`.
///
/// - Parameters:
///   - prototypes: [K, C].
///   - sums: K · (C + 1) numbers, of all ranks.
///   - share: how much of the old value is kept; 0 replaces it.
///   - absent: what becomes of classes without vectors.
/// Source: Xie et al., SPCL, arXiv 2111.12358, 2021 (code), which keeps 0.1 and averages absent classes with 0.
public func movePrototypes(_ prototypes: Tensor, by sums: [Double], keeping share: Double, absent: AbsentClass = .keep)
{
  let (classes, channels) = (prototypes.samples, prototypes.channels)
  precondition(sums.count == classes * (channels + 1), "\(sums.count) sums for prototypes \(prototypes.shape)")
  var values = prototypes.values
  for label in 0..<classes {
    let first = label * (channels + 1)
    let count = sums[first + channels]
    guard count > 0 || absent == .literal else { continue }
    for channel in 0..<channels {
      let old = Double(values[label * channels + channel])
      values[label * channels + channel] = Float(share * old + (1 - share) * sums[first + channel] / max(count, 1))
    }
  }
  prototypes.assign(Tensor(values, prototypes.shape))
}

/// The sums of one image as its class means, each counted once: added up over images and given to `movePrototypes`, they
/// are the mean over images of the means of each.
///
/// - Parameters:
///   - sums: K · (C + 1) numbers of one image.
///   - channels: C.
public func meansOfImage(_ sums: [Double], channels: Int) -> [Double] {
  precondition(sums.count.isMultiple(of: channels + 1), "\(sums.count) sums of \(channels) channels")
  return stride(from: 0, to: sums.count, by: channels + 1).flatMap { first in
    let count = sums[first + channels]
    return sums[first..<first + channels].map { $0 / max(count, 1) } + [min(count, 1)]
  }
}
