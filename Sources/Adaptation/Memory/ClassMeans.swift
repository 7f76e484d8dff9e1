// Means of vectors by class over all that was ever seen, with exact counts. K classes, C channels.

import Support
import Tensors

/// Whose vectors a class's counter counts where means move by a momentum, which reads no counter.
public enum CountedVectors: String, SettingChoice {
  /// Those of the class.
  case own
  /// For a class that is there, those of all classes, as in the released code of ProCA.
  case literal
}

/// A running mean for each class. The same on all ranks, if all move by the same sums.
///
/// Counts grow without bound: they are whole numbers, kept as words of 16 bits, which a checkpoint of Float32 holds exactly.
/// Source: Jiang et al., ProCA, ECCV 2022, equation 4.
public final class ClassMeans {
  /// The means, `[K, C]`; 0 for a class that was never seen.
  public let means: Tensor
  /// Words of the counts, the lowest first, `[K, 4]`.
  public let words: Tensor

  /// Means of nothing.
  public init(classes: Int, channels: Int) {
    means = Tensor(zeros: [classes, channels])
    words = Tensor(zeros: [classes, 4])
  }

  /// Numbers of vectors seen.
  public var counts: [Int] {
    get {
      let words = words.values
      return (0..<means.samples).map { label in
        (0..<4).reduce(0) { $0 | Int(words[4 * label + $1]) << (16 * $1) }
      }
    }
    set {
      words.assign(
        Tensor(newValue.flatMap { count in (0..<4).map { Float(count >> (16 * $0) & 0xffff) } }, words.shape))
    }
  }

  /// Takes in new vectors.
  /// - Parameters:
  ///   - sums: as of `Kernels.classSums`, of all samples of all ranks: K · (C + 1) numbers.
  ///   - momentum: share of the new mean, where means do not run over all that was seen; a class without vectors stays.
  ///   - counted: whose vectors are counted with a momentum.
  public func move(by sums: [Double], momentum: Double? = nil, counting counted: CountedVectors = .own) {
    let (classes, channels) = (means.samples, means.channels)
    precondition(sums.count == classes * (channels + 1), "\(sums.count) sums for means \(means.shape)")
    let added = (0..<classes).map { Int(sums[$0 * (channels + 1) + channels]) }
    let all = added.reduce(0, +)
    var (values, counts) = (means.values, counts)
    for label in 0..<classes where added[label] > 0 {
      let share = momentum ?? Double(added[label]) / Double(added[label] + counts[label])
      for channel in 0..<channels {
        let mean = sums[label * (channels + 1) + channel] / Double(added[label])
        let place = label * channels + channel
        values[place] = Float((1 - share) * Double(values[place]) + share * mean)
      }
      counts[label] += momentum != nil && counted == .literal ? all : added[label]
    }
    means.assign(Tensor(values, means.shape))
    self.counts = counts
  }
}
