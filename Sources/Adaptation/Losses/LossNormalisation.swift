// What the cross-entropy of a view is divided by: all pixels, or those that have a label.

import Support
import Tensors

/// What cross-entropies are divided by.
public enum LossNormalisation: String, SettingChoice {
  /// All pixels, ignored ones included (Hoyer et al., DAFormer, CVPR 2022, as published).
  case all
  /// The labelled pixels of the micro-batch of all ranks, in views whose pixels have no weights of their own; a weighted
  /// mean is over all pixels here too (Tranheden et al., DACS, WACV 2021; Tsai et al., AdaptSegNet, CVPR 2018).
  case labelled
}

/// Labelled pixels of all ranks in a micro-batch.
public struct LabelledPixels: Sendable, Equatable {
  /// In the whole images.
  public let whole: Int
  /// In the detail crops.
  public let detail: Int

  /// Known numbers.
  public init(whole: Int, detail: Int) {
    self.whole = whole
    self.detail = detail
  }
}

extension LossNormalisation {
  /// What must be known of the whole micro-batch: nothing with `all`.
  public func statistics(_ runs: [StudentRun]) -> PassStatistics {
    var asked = PassStatistics()
    for run in runs {
      guard let labels = counted(run.view) else { continue }
      let inside = labels.cropped(to: run.view.detailCrops)
      let counts = (0..<labels.samples).flatMap { [labels.labelledCount($0), inside.labelledCount($0)] }
      asked.sum(run.view.name, counts.map(Double.init), samples: labels.samples)
    }
    return asked
  }

  /// What the run's cross-entropies are divided by; nil: all pixels.
  /// - Parameters:
  ///   - run: a view and what the student made of it.
  ///   - totals: answers to what `statistics` asked.
  public func labelled(_ run: StudentRun, _ totals: PassTotals) -> LabelledPixels? {
    guard counted(run.view) != nil else { return nil }
    let counts = totals.sum(run.view.name).map { Int($0) }
    return LabelledPixels(whole: counts[0], detail: counts[1])
  }

  private func counted(_ view: View) -> LabelMap? { self == .labelled && view.weights == nil ? view.labels : nil }
}

extension LabelMap {
  /// Number of pixels of a sample that have a label.
  public func labelledCount(_ sample: Int) -> Int {
    values[sample * height * width..<(sample + 1) * height * width].count { $0 != LabelMap.ignored }
  }
}
