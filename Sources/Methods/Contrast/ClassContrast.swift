// CLUDA (Vayyat et al., Contrastive Learning in Unsupervised Domain Adaptation for Semantic Segmentation, 2022; its released
// code): cells of one class attract each other and repel those of others, in source images and, across domains, in mixed
// ones. On HRDA coarse vectors are compared with fine ones too, and a head learns how much each place trusts the coarse.
// N samples, h×w cells of a map, G×G cells of the grid that is compared, C channels.

import Adaptation
import Autograd
import Kernels
import Networks
import Support
import Tensors

/// Options of CLUDA, `methodOptions` of the method `cluda`.
public struct ClassContrastOptions: MethodOptions {
  /// Rows and columns of the grid whose cells are compared.
  public var grid = 65
  /// What products of directions are divided by, on one resolution; two have 1.
  public var temperature = 1.0
  /// Weight of both contrasts.
  public var weight = 1.0
  /// Share of the schedule after which each mixed image has the detail crop where the context is least certain; published
  /// are 12000 of 40000 steps. 1 never changes it.
  public var entropyBoxes = 0.3
  /// Classes whose cells do not attract each other, such as things; they repel others and count in means.
  public var unpaired: [Int] = []
  /// As released: features are put in order by cell, then image, their labels by image, then cell.
  public var shuffledLabels = false
  /// As released: ignored cells are a class of their own.
  public var ignoredIsClass = false
  /// As released, on two resolutions: whether the crop shows a place is asked of anchors only, never of class 0, and where
  /// it does not, fine vectors of zero are compared with.
  public var anchorsAlone = false

  /// Published values.
  public init() {}

  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("grid", &grid, .from(2, to: 4096))
    try settings.value("temperature", &temperature, .above(0))
    try settings.value("weight", &weight, .atLeast(0))
    try settings.value("entropyBoxes", &entropyBoxes, .from(0, to: 1))
    try settings.value("unpaired", &unpaired, .each(.from(0, to: 254)))
    try settings.value("shuffledLabels", &shuffledLabels)
    try settings.value("ignoredIsClass", &ignoredIsClass)
    try settings.value("anchorsAlone", &anchorsAlone)
  }

  /// The map before the classifier; on two resolutions that of both crops, and a head on all encoder maps of the context.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.passes = ["source", "mixed"]
    requirements.needsSource = true
    requirements.needsLabels = true
    var sites: Set<Site> = [.fused]
    if configuration.resolution == .hrda {
      let head = ResolutionWeight.head(width: configuration.attentionWidth, dropout: configuration.headDropout)
      requirements.heads = [head]
      sites.formUnion([Site(.fused, .detail), head.output])
    }
    requirements.sites = ["source": sites, "mixed": sites]
    return requirements
  }

  /// The objective; none with weight 0.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? {
    weight > 0 ? ClassContrast(self, setup) : nil
  }
}

/// The contrast of cells in both passes.
///
///     one resolution:  mean over cells i, and partners j of i's class, of  w_i w_j (ln(e^s_ij + Σ_k e^s_ik) - s_ij)
///     HRDA:            ½ · the same of  a_i a_j c_ij + (1 - a_i a_j) f_ij, see `resolutionContrast`
///
/// s are cosines of the map before dropout and classifier, resized to a grid with corners on corners; k runs over cells of
/// other classes; w is 1 on source images and the pixel weight on mixed ones. All cells of the micro-batch of all ranks are
/// compared: each rank tells its vectors, G·G·C numbers an image (twice as many on HRDA), so messages grow with the batch.
///
/// Differs from the released code: where a mixed image's crop is least certain is asked of the context with running
/// statistics and without dropout. Its defects are options; that the search for that crop reads overwritten numbers is none.
public final class ClassContrast: Objective {
  /// "cluda".
  public let name = "cluda"
  private let options: ClassContrastOptions
  /// The first step with a crop for each image.
  private let firstEntropyStep: Int
  private var grids: ContrastGrids?

  /// The objective with its options.
  public init(_ options: ClassContrastOptions, _ setup: ObjectiveSetup) {
    self.options = options
    firstEntropyStep =
      options.entropyBoxes < 1 ? Int((options.entropyBoxes * Double(setup.scheduledSteps)).rounded()) : Int.max
  }

  /// From a step on, the detail crop of each mixed image is the window of the context's highest mean entropy.
  public func before(_ views: inout [View], of pass: String, _ step: StepView) throws {
    guard pass == "mixed", step.step > firstEntropyStep, step.student.configuration.resolution == .hrda else { return }
    let image = views[0].image
    var context = step.share.context(normalization: .running)
    // Every place of a team asks for itself: the context is place 0's, and all need the answer.
    context.team = nil
    let output = try step.student.train(image, box: views[0].box, crops: .context, context)
    guard let logits = output.context else { preconditionFailure("a context without logits") }
    let (height, width) = (image.value.shape[1], image.value.shape[2])
    views[0].boxes =
      entropyBoxes(
        logits.value, height: height, width: width,
        windows: windows(height: height, width: width, like: views[0].box, step.student.grid)
      ).boxes
  }

  /// Windows like the crop that overlap by half, at offsets that a detail crop may have.
  private func windows(height: Int, width: Int, like box: Box, _ grid: OutputGrid) -> [Box] {
    let multiple = grid.offsetMultiple
    func rounded(_ offset: Int) -> Int { offset / multiple * multiple }
    let stride = (height: max(multiple, rounded(box.height / 2)), width: max(multiple, rounded(box.width / 2)))
    return slidingWindows(height: height, width: width, crop: (box.height, box.width), stride: stride).map {
      let (top, left) = (rounded($0.top), rounded($0.left))
      return Box(top: top, bottom: top + box.height, left: left, right: left + box.width)
    }
  }

  /// Vectors of all cells, and what is known of their places.
  public func statistics(_ runs: [StudentRun], of pass: String, _ step: StepView) throws -> PassStatistics {
    var asked = PassStatistics()
    guard ["source", "mixed"].contains(pass) else { return asked }
    let grids = try ContrastGrids(runs[0], size: options.grid, step.student)
    self.grids = grids
    asked.rows("coarse", grids.coarse.perSampleValues)
    asked.rows("places", grids.places)
    if let fine = grids.fine { asked.rows("fine", fine.perSampleValues) }
    if let attention = grids.attention { asked.rows("attention", attention.perSampleValues) }
    return asked
  }

  /// The term `source.cluda` or `mixed.cluda`; its gradient goes to the maps and to the head.
  public func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] {
    guard ["source", "mixed"].contains(pass), let grids else { return [] }
    self.grids = nil
    let (name, context) = ("\(pass).\(name)", runs[0].context)
    let places = GatheredPlaces(
      totals.rows("places"), attention: grids.attention == nil ? nil : totals.rows("attention"), options)
    func vectors(_ key: String) -> Tensor {
      let values = totals.rows(key).flatMap { $0 }
      return Tensor(values, [places.labels.count, values.count / places.labels.count])
    }
    guard let fine = grids.fine, let attention = grids.attention else {
      return [
        try pairContrast(
          grids.coarse, among: vectors("coarse"), labels: places.labels, weights: places.weights,
          unpaired: options.unpairedLabels, temperature: Float(options.temperature), factor: Float(options.weight),
          name: name, context)
      ]
    }
    return [
      try resolutionContrast(
        coarse: grids.coarse, fine: fine, attention: attention,
        among: (vectors("coarse"), vectors("fine"), places.contrasted(options)), order: places.order,
        factor: Float(options.weight), name: name, context)
    ]
  }
}

extension ClassContrastOptions {
  /// The classes that do not attract each other.
  package var unpairedLabels: Set<UInt8> { Set(unpaired.map { UInt8($0) }) }
}

extension Variable {
  /// The numbers of each sample.
  fileprivate var perSampleValues: [[Float]] { (0..<value.samples).map { value.sample($0).values } }
}
