// Thing-class feature distance to a frozen ImageNet encoder (Hoyer et al., DAFormer, CVPR 2022, section 3.3).

import Adaptation
import Autograd
import Kernels
import Networks
import Support
import Tensors

/// Keeps the coarsest source feature near that of a frozen encoder, in cells of thing classes.
///
/// Context features are compared at context scale; a network without a context compares its detail crop.
public final class FeatureDistance: Objective {
  /// "feature-distance".
  public let name = "feature-distance"
  /// The frozen encoder.
  public var frozenEncoder: ReferenceEncoder? { reference }
  private let reference: ReferenceEncoder
  private let options: FeatureDistanceOptions
  private let things: Set<UInt8>
  private let classCount: Int
  /// What the frozen encoder says of the images of the pass under way, on the rank of a team that computes it.
  private var prepared: Tensor?
  /// Marks of the thing cells in the pass under way.
  private var cells: [UInt8] = []

  /// The objective with its frozen encoder.
  public init(_ reference: ReferenceEncoder, _ options: FeatureDistanceOptions, classCount: Int) {
    self.reference = reference
    self.options = options
    self.classCount = classCount
    things = Set(options.classes.map { UInt8($0) })
  }

  /// The map that is compared.
  public static var requirements: Requirements {
    var requirements = Requirements()
    requirements.sites = ["source": [.coarsest]]
    requirements.passes = ["source"]
    return requirements
  }

  /// In a team the frozen encoder runs on place 2, or 1 in a pair, where it is work beside the context's scale attention.
  public func before(_ views: inout [View], of pass: String, _ step: StepView) throws {
    prepared = nil
    guard pass == "source", let team = step.share.team, team.rank == min(2, team.worldSize - 1) else { return }
    prepared = try frozenFeature(views[0], step)
  }

  /// Counts the thing cells: the mean runs over those of the micro-batch of all ranks. All views of the pass show the same
  /// images with the same labels.
  public func statistics(_ runs: [StudentRun], of pass: String, _ step: StepView) throws -> PassStatistics {
    var asked = PassStatistics()
    guard pass == "source" else { return asked }
    let feature = runs[0].map(.coarsest).value
    cells = thingCells(runs[0].view, step, feature)
    let perSample = cells.count / feature.samples
    let counts = (0..<feature.samples).map { sample in
      cells[sample * perSample..<(sample + 1) * perSample].reduce(0.0) { $0 + Double($1) }
    }
    asked.sum("cells", counts, samples: feature.samples)
    return asked
  }

  /// The term `source.feature-distance`, and one for every other view of the pass, of which each weighs an equal part; their
  /// gradients go to the features. The frozen encoder looks at the first view.
  public func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] {
    guard pass == "source" else { return [] }
    let told = try step.share.team?.gatheredTensors(prepared.map { [$0] } ?? []).joined().first
    prepared = nil
    let reference = try told ?? frozenFeature(runs[0].view, step)
    return runs.map { run in
      featureDistance(
        run.map(.coarsest), reference: reference, cells: cells, globalCells: Int(totals.sum("cells")[0]),
        microBatches: step.share.microBatches, factor: Float(options.weight) / Float(runs.count),
        name: "\(run.view.name).\(name)")
    }
  }

  private func frozenFeature(_ view: View, _ step: StepView) throws -> Tensor {
    let image = view.image.value
    return try reference.coarsestFeature(
      seesContext(step) ? step.student.contextImage(image) : cropped(image, to: view.box),
      step.share.context(normalization: .running))
  }

  private func seesContext(_ step: StepView) -> Bool { step.student.configuration.resolution != .detailOnly }

  /// 1 in the cells of the feature that one thing class owns.
  private func thingCells(_ view: View, _ step: StepView, _ feature: Tensor) -> [UInt8] {
    guard let labels = view.labels else { preconditionFailure("a source view without labels") }
    let seen = seesContext(step) ? labels : labels.cropped(to: view.box)
    let owners = dominantLabels(
      seen, factor: seen.width / feature.shape[2], minimumShare: Float(options.minimumShare), classCount: classCount)
    precondition(
      owners.height == feature.shape[1] && owners.width == feature.shape[2],
      "labels of \(seen.height)x\(seen.width) do not divide into cells of feature \(feature.shape)")
    return owners.values.map { things.contains($0) ? 1 : 0 }
  }
}
