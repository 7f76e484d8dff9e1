// TADA (Gong et al., TACS: Taxonomy adaptive cross-domain semantic segmentation, ECCV 2022; its official code): source
// and target have different classes, and a few target images show where the new ones are.
// N local samples, H×W crop, h×w cells of the network's last map, K classes.

import Adaptation
import Autograd
import Kernels
import Networks
import Support
import Tensors

/// Labels made finer, bilateral mixing, and a contrast of mixed images that trusts sure pairs more.
///
///     y_s ← noise(y_s) in the first run, swap(relabelled(y_s, argmax T(x_s))) in the second
///     x_a = m x_f + (1-m) x_t,  m of half of the classes of y_f, x_f a target image of which one class is labelled
///     x_m = m' x_s + (1-m') x_a, m' of half of the classes of y_s, 255 among them; then jittered and blurred
///     L = CE(S(x_s), y_s) + CE(S(x_m), y_m; w) + λ · contrast of the projected map of x_m
///
/// Labels of the host's passes are those that `prepare` leaves. The teacher looks at source images as at target images,
/// with batch statistics and without dropout; the second run swaps instead of adding noise. Cells are drawn for each
/// class of each image of the micro-batch of all ranks, as many as all ranks' classes together allow; all their vectors
/// are told to all ranks, at most 1024 as published, and the room that other images' classes would take.
///
/// Differs from the released code: the projection learns, certainties belong to their own cells, and road takes part,
/// which options undo; no class with enough cells gives 0; predictions are resized with half-pixel centres.
public final class TaxonomyAdaptation: Objective {
  /// "tada".
  public let name = "tada"
  private let options: TaxonomyAdaptationOptions
  private let taxonomy: Taxonomy
  private let embedding: Site
  /// Of the pass under way.
  private var cells: MixedCells?

  /// What the student makes of the cells of mixed images.
  private struct MixedCells {
    let labels: LabelMap
    let predicted: LabelMap
    let confidence: Tensor
    let pairs: [AnchorRules.Pair]
  }

  /// The objective.
  /// - Parameters:
  ///   - options: its options.
  ///   - embedding: where the projected map is found; read where the contrast weighs something.
  public init(_ options: TaxonomyAdaptationOptions, embedding: Site) {
    self.options = options
    taxonomy = options.relation
    self.embedding = embedding
  }

  /// Other source labels. A collective in the second run, where the teacher looks at source images.
  public func prepare(_ step: inout StepView) throws {
    let finer =
      options.relabel
      ? changed(try relabelled(step), taxonomy.swap, "swap", step)
      : changed(step.sourceSamples.labels, taxonomy.noise, "noise", step)
    step.batch.source?.labels = finer
  }

  private func relabelled(_ step: StepView) throws -> LabelMap {
    guard let teacher = step.teacher else { preconditionFailure("labels made finer without a teacher") }
    let (image, labels) = step.sourceSamples
    let logits = try teacher.network.dense(image, step.share.context(normalization: .batch)).logits
    return taxonomy.relabelled(
      labels, predicted: argMax(bilinear(logits, height: labels.height, width: labels.width)))
  }

  private func changed(_ labels: LabelMap, _ shares: LabelShares, _ draw: String, _ step: StepView) -> LabelMap {
    guard !shares.steps.isEmpty else { return labels }
    let pixels = UInt32(labels.height * labels.width)
    return shares.applied(
      to: labels,
      step.share.samples.flatMap { sample in
        let stream = step.stream(draw, of: name, sample: sample)
        return (0..<pixels).map { stream.uniform(at: $0) }
      })
  }

  /// Few-shot classes on target images, source classes on top.
  public func mixed(_ step: StepView) throws -> LabelledImages? {
    let (few, target, believed) = (step.fewShotSamples, step.targetSamples, step.pseudoLabels)
    let (image, labels) = step.sourceSamples
    let shown = try ClassScope.image.candidates(few.labels, on: step.share.communicator).map {
      $0.filter { $0 != LabelMap.ignored }
    }
    let first = pasted(
      LabelledImages(image: few.image, labels: few.labels, maps: step.batch.fewShot?.maps ?? [:]),
      onto: LabelledImages(
        image: target.image, labels: believed.labels, weights: believed.weights, maps: target.maps),
      where: classMask(few.labels, chosen: step.draws("few-shot") { $0.candidates = shown }.chosen))
    let candidates = try ClassScope.image.candidates(labels, on: step.share.communicator)
    let drawn = step.draws("mixed") { $0.candidates = candidates }
    var mixed = pasted(
      LabelledImages(image: image, labels: labels, maps: step.batch.source?.maps ?? [:]), onto: first,
      where: classMask(labels, chosen: drawn.chosen))
    mixed.image = strongAugmentation(mixed.image, drawn)
    return mixed
  }

  /// How many classes with enough cells all images have together, and one image at most.
  public func statistics(_ runs: [StudentRun], of pass: String, _ step: StepView) throws -> PassStatistics {
    var asked = PassStatistics()
    guard pass == "mixed", options.weight > 0 else { return asked }
    let cells = cells(runs[0], step)
    self.cells = cells
    let samples = cells.labels.samples
    let counts = (0..<samples).map { sample in Double(cells.pairs.count { $0.sample == sample }) }
    asked.sum("pairs", counts, samples: samples)
    asked.largest("pairs of an image", [counts.max() ?? 0])
    return asked
  }

  private func cells(_ run: StudentRun, _ step: StepView) -> MixedCells {
    guard let labels = run.view.labels, let logits = run.output.context ?? run.output.detail else {
      preconditionFailure("mixed images without labels or predictions")
    }
    let shape = run.map(embedding).value.shape
    let seen = step.student.configuration.resolution == .detailOnly ? labels.cropped(to: run.view.detailCrops) : labels
    let reduced = nearest(seen, height: shape[1], width: shape[2])
    let found = pseudoLabels(bilinear(logits.value, height: shape[1], width: shape[2]))
    return MixedCells(
      labels: reduced, predicted: found.labels, confidence: found.confidence, pairs: options.anchorRules.pairs(reduced))
  }

  /// The term `mixed.tada`; its gradient goes to the projection and through it. A collective where any rank has a cell.
  public func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] {
    guard pass == "mixed", let cells else { return [] }
    self.cells = nil
    let perPair = options.anchorRules.cells(pairs: Int(totals.sum("pairs")[0]))
    let anchors = anchors(cells, perPair: perPair, room: perPair * Int(totals.largest("pairs of an image")[0]), step)
    return [
      try anchors.contrast(
        runs[0].map(embedding), mixingCertainties: options.shuffledCertainties ? perPair : nil,
        temperature: Float(options.temperature), factor: Float(options.weight), name: "mixed.\(name)", runs[0].context)
    ]
  }

  private func anchors(_ cells: MixedCells, perPair: Int, room: Int, _ step: StepView) -> Anchors {
    var samples = [[Anchors.Cell]](repeating: [], count: cells.labels.samples)
    let (confidence, perSample) = (cells.confidence.values, cells.confidence.perSample)
    for pair in cells.pairs where perPair > 0 {
      let positions = options.anchorRules.positions(
        pair, cells.labels, predicted: cells.predicted, cells: perPair
      ) { count, hard in
        var stream = step.stream(
          "\(hard ? "wrong" : "right") cells of \(pair.label)", of: name,
          sample: step.share.samples.lowerBound + pair.sample)
        return Array(0..<count).shuffled(using: &stream)
      }
      samples[pair.sample] += positions.map { position in
        Anchors.Cell(
          position: position, label: pair.label,
          certainty: options.uncertainty ? confidence[pair.sample * perSample + Int(position)] : 1)
      }
    }
    return Anchors(samples, room: room)
  }
}
