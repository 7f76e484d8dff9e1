// The sections of a recipe that describe data sets, evaluation and what a run writes.

import Domains
import Imagery
import Support

extension Recipe {
  /// The data sets of a run.
  public struct Data: SettingGroup {
    /// Labelled images to learn from; required.
    public var source: DataSet?
    /// Unlabelled images to adapt to; labels are never read from it.
    public var target: DataSet?
    /// Labelled images to evaluate on.
    public var validation: DataSet?
    /// A few labelled images of the target domain, for methods that learn from them.
    public var fewShot: FewShot?
    /// Most pixels that an image file may have: more are refused before memory is taken for them.
    public var pixelLimit = standardPixelLimit

    /// No data sets.
    public init() {}
    /// Shows the data sets and the limit.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.group("source", &source)
      try settings.group("target", &target)
      try settings.group("validation", &validation)
      try settings.group("fewShot", &fewShot)
      try settings.value("pixelLimit", &pixelLimit, .atLeast(1))
    }
  }

  /// One data set: a folder of files, scenes that are drawn on demand, or another kind of the catalogue.
  public struct DataSet: SettingGroup {
    /// Look of procedural scenes.
    public enum Domain: String, SettingChoice {
      /// The labelled domain.
      case source
      /// The domain to adapt to.
      case target
    }

    /// Where images come from: a name in the catalogue of data sets.
    public var kind = "folder"
    /// Procedural: look of the scenes.
    public var domain = Domain.source
    /// Procedural: number of scenes.
    public var count = 1000
    /// Procedural: size of a scene.
    public var size = PixelSize(height: 256, width: 512)
    /// Procedural: seed of the scenes; two data sets with one seed and domain hold the same scenes.
    public var seed: UInt64 = 0
    /// Folder: where the images are.
    public var images: String?
    /// Folder: where the labels are.
    public var labels: String?
    /// Folder: end of image stems that label stems lack, such as `_leftImg8bit`.
    public var imageSuffix = ""
    /// Folder: end of label stems that image stems lack, such as `_gtFine_labelIds`.
    public var labelSuffix = ""
    /// Folder: patterns of the images that belong to the set; none takes all.
    public var only: [String] = []
    /// Folder: a text file that names the images that belong to the set, one on each line.
    public var list: String?
    /// Folder: how pixels of label files say their id.
    public var labelCode = LabelCodeSetting.index
    /// Folder: colours of ids 0, 1, … for `labelCode: palette`; none takes the colours of the classes.
    public var palette: [[Int]] = []
    /// From the ids in labels to train ids. Public sets: `identity` is the set's own map.
    public var map = LabelMapSetting.identity
    /// Public sets: the folder that the download was unpacked in.
    public var root: String?
    /// Public sets: which part; nil is `train`, for validation `val`.
    public var split: String?
    /// Public sets: which weather or light.
    public var condition: String?
    /// Images are resized to fit into this size, keeping their aspect; nil leaves them as they are.
    public var resize: PixelSize?
    /// Borders of the resized image in which the teacher is not trusted.
    public var margins = Margins()
    /// Folder: where depth files are, for methods that need depth.
    public var depth: String?
    /// Folder: end of depth stems that image stems lack.
    public var depthSuffix = ""
    /// Folder: what the numbers of depth files mean.
    public var depthCode = DepthCode.stereo
    /// Folder: what these numbers are multiplied by; nil is the code's.
    public var depthScale: Double?
    /// Procedural: whether depth is degraded as a network's estimate is.
    public var estimatedDepth = false

    /// A folder without paths.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("kind", &kind)
      try settings.value("domain", &domain)
      try settings.value("count", &count, .atLeast(1))
      try settings.value("size", &size)
      try settings.value("seed", &seed)
      try settings.path("images", &images)
      try settings.path("labels", &labels)
      try settings.value("imageSuffix", &imageSuffix)
      try settings.value("labelSuffix", &labelSuffix)
      try settings.value("only", &only)
      try settings.path("list", &list)
      try settings.value("labelCode", &labelCode)
      try settings.value("palette", &palette)
      try settings.value("map", &map)
      try settings.path("root", &root)
      try settings.value("split", &split)
      try settings.value("condition", &condition)
      try settings.value("resize", &resize)
      try settings.group("margins", &margins)
      try settings.path("depth", &depth)
      try settings.value("depthSuffix", &depthSuffix)
      try settings.value("depthCode", &depthCode)
      try settings.value("depthScale", &depthScale, Limit(" above 0") { ($0 ?? 1) > 0 })
      try settings.value("estimatedDepth", &estimatedDepth)
    }
  }

  /// Rows and columns at an image's borders.
  public struct Margins: SettingGroup {
    /// Rows at the top.
    public var top = 0
    /// Rows at the bottom.
    public var bottom = 0
    /// Columns at the left.
    public var left = 0
    /// Columns at the right.
    public var right = 0

    /// None.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("top", &top, .atLeast(0))
      try settings.value("bottom", &bottom, .atLeast(0))
      try settings.value("left", &left, .atLeast(0))
      try settings.value("right", &right, .atLeast(0))
    }
  }

  /// Evaluation during and after training.
  public struct Evaluation: SettingGroup {
    /// Which weights are evaluated.
    public enum Network: String, SettingChoice {
      /// The trained network.
      case student
      /// Its exponential average.
      case teacher
      /// Both.
      case both
    }

    /// Steps between evaluations; 0 evaluates at the end only.
    public var every = 4000
    /// Sliding window.
    public var crop = PixelSize(height: 1024, width: 1024)
    /// Advance of the sliding window.
    public var stride = PixelSize(height: 512, width: 512)
    /// Predicted classes that count as another one, by name or train id: for labels that tell fewer classes apart.
    public var merges: [String: String] = [:]
    /// Which weights are evaluated.
    public var network = Network.both

    /// The published windows.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("every", &every, .atLeast(0))
      try settings.value("crop", &crop, .multiple(of: 8))
      try settings.value("stride", &stride)
      try settings.value("merges", &merges)
      try settings.value("network", &network)
    }
  }

  /// When checkpoints are written and how many are kept.
  public struct Checkpoint: SettingGroup {
    /// Steps between checkpoints; 0 writes the final one only.
    public var every = 1000
    /// Newest checkpoints that are kept.
    public var keep = 2
    /// Checkpoints of steps divisible by this are kept for good; 0 keeps none besides the newest.
    public var keepEvery = 0
    /// Whether every rank writes a part of the tensors as a file of its own, at the same time as the others.
    public var sharded = false
    /// What happens when a checkpoint cannot be written.
    public var onFailure = SavingFailure.warn

    /// Every 1000 steps, two kept, going on without one that cannot be written.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("every", &every, .atLeast(0))
      try settings.value("keep", &keep, .atLeast(1))
      try settings.value("keepEvery", &keepEvery, .atLeast(0))
      try settings.value("sharded", &sharded)
      try settings.value("onFailure", &onFailure)
    }
  }

  /// What happens when a checkpoint cannot be written.
  public enum SavingFailure: String, SettingChoice {
    /// Training goes on, with a warning; the older checkpoints stay. The last checkpoint must be written all the same.
    case warn
    /// The run ends with the failure, on all ranks.
    case stop
  }

  /// Something that happens every so many steps.
  public struct Every: SettingGroup {
    /// Steps between two times; 0 is never.
    public var every: Int

    /// Never.
    public init() { every = 0 }
    /// Every `every` steps.
    public init(_ every: Int) { self.every = every }
    /// Shows the setting.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("every", &every, .atLeast(0))
    }

    /// Whether it happens when `completed` steps are complete.
    public func includes(_ completed: Int) -> Bool { every > 0 && completed % every == 0 }
  }
}
