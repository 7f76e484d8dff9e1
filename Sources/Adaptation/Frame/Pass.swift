// Passes of a step: one tape each, walked back once, over one or several views of the images.

import Autograd
import Kernels
import Networks
import Tensors

/// One tape of a step. Its views are made when the pass is due.
public struct Pass {
  /// Name of the pass, unique in a step: the phase it is timed as, and the name of what it draws.
  public let name: String
  /// What the student looks at.
  public let views: (StepView) throws -> [View]

  /// A pass.
  public init(_ name: String, views: @escaping (StepView) throws -> [View]) {
    self.name = name
    self.views = views
  }
}

/// One run of the student in a pass. N local samples, H×W crop.
public struct View {
  /// Prefix of its losses, and the name under which its dropout is drawn; unique in a step.
  public private(set) var name: String
  /// What the student sees, `[N, H, W, 3]`: a constant, unless a network made it.
  public var image: Variable
  /// What it shall answer; nil: objectives alone say what is learned.
  public var labels: LabelMap?
  /// Weight of every pixel, `[N, H, W]`; nil is 1.
  public var weights: Tensor?
  /// Maps of numbers that come with the image, by name, each `[N, H, W]`.
  public var maps: [String: Tensor] = [:]
  /// Where source images were pasted onto it: N·H·W bytes, not 0 there; nil for images that nothing was pasted onto.
  public var mask: [UInt8]?
  /// The detail crop, one for all samples of all ranks.
  public var box: Box
  /// Detail crops of equal size, one for each local sample; nil: `box` serves all.
  public var boxes: [Box]?
  /// The crops that are seen.
  public var crops = Crops.all
  /// Factor on its cross-entropy.
  public var factor: Float = 1
  /// What logits are divided by in its cross-entropy.
  public var temperature: Float = 1
  /// γ of the focal loss that takes the place of its cross-entropy; 0 leaves it.
  public var focal = 0.0
  /// Which pixels its cross-entropy is a mean over, where only hard ones count; nil: all. Temperature and focal loss are
  /// then left out.
  public var hardPixels: HardPixels?
  /// Changes the encoder's finest map of each crop before coarser ones are made of it; nil: nothing does.
  public var restyle: ForwardContext.Restyle?

  /// The same view under another name.
  public func renamed(_ name: String) -> View {
    var view = self
    view.name = name
    return view
  }

  /// The detail crops that are seen: one for all samples, or one for each.
  public var detailCrops: [Box] { boxes ?? [box] }

  /// A view.
  public init(_ name: String, image: Variable, labels: LabelMap? = nil, weights: Tensor? = nil, box: Box) {
    self.name = name
    self.image = image
    self.labels = labels
    self.weights = weights
    self.box = box
  }
}

/// A view and what the network made of it.
public struct StudentRun {
  /// What was seen.
  public let view: View
  /// Logits and declared maps.
  public let output: TrainingOutput
  /// Sample share, tape and draws of the run.
  public let context: ForwardContext

  /// A run.
  public init(view: View, output: TrainingOutput, context: ForwardContext) {
    self.view = view
    self.output = output
    self.context = context
  }

  /// A map that was declared for this pass.
  public func map(_ site: Site) -> Variable {
    guard let map = output.maps[site] else { preconditionFailure("\(view.name): nobody declared \(site)") }
    return map
  }
}
