// The section of a recipe that says how ranks talk. With the reproducible reduction nothing here changes a bit.

import DataParallel
import Support

extension OverlapSetting: SettingChoice {}

extension Recipe {
  /// How ranks exchange gradients.
  public struct Communication: SettingGroup {
    /// Whether gradients travel while the last backward pass computes.
    public var overlap = OverlapSetting.auto
    /// Size of the buckets in which they travel.
    public var bucketMB = BucketSize.auto

    /// Both chosen at the start of a run.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("overlap", &overlap)
      try settings.value("bucketMB", &bucketMB)
    }
  }

  /// The size of a bucket.
  public enum BucketSize: SettingValue {
    /// Tried at the start of the run.
    case auto
    /// In units of 2²⁰ bytes.
    case megabytes(Int)

    /// A size or the word.
    public static var expected: String { "auto or a whole number from 1 to 4096" }
    /// The word.
    public static var choices: [String] { ["auto"] }

    /// From the word or decimal digits.
    public init?(_ node: SettingNode) {
      if node.text == "auto" {
        self = .auto
      } else if let number = Int(node), (1...4096).contains(number) {
        self = .megabytes(number)
      } else {
        return nil
      }
    }

    /// The word or decimal digits.
    public var settingNode: SettingNode {
      switch self {
      case .auto: SettingNode(.scalar("auto", isQuoted: false))
      case .megabytes(let number): number.settingNode
      }
    }
  }
}

extension Recipe {
  /// Whether gradients are final as soon as this rank's last backward pass has computed them. With sharded crops the
  /// ranks of a team first put theirs together.
  package var allowsOverlap: Bool { reduction != .native && batch.cropShards == 1 }

  /// Whether sizes of buckets are tried. With other sums than the reproducible ones, cuts change bits, and what is chosen
  /// by a clock would make every run another.
  package var tunesBuckets: Bool { communication.bucketMB == .auto && reduction == .reproducible }
}

extension Recipe.BucketSize {
  /// In bytes; before it has been tried, what usually does.
  package var bytes: Int {
    switch self {
    case .auto: 4 << 20
    case .megabytes(let number): number << 20
    }
  }
}
