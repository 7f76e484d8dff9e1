// Whole steps of CAMix from given logits: what the teacher says, the mixed images and both losses. N samples, K classes.

import Adaptation
import Autograd
import Collectives
import Kernels
import Support
import Tensors

/// A step of the warm-up or after it.
enum ContextStepKind: Kind {
  static let stems = ["step"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let logits = try replay.input("source_logits")
    let mixedLogits = try replay.input("mixed_logits")
    let labels = try replay.labels("source_label", classes: logits.value.channels)
    let context = replay.context(samples: labels.samples)
    let step = try ContextStep(replay, labels)
    let mixed = step.mixed
    try verifier.element(replay.path("out/limit"), actual: [Float(step.limit)])
    try verifier.element(replay.path("out/uncertainty"), actual: step.entropies.values)
    try verifier.element(replay.path("out/confidence"), actual: [step.believed.confidentShare])
    try verifier.integers(replay.path("out/pseudo_label"), bytes: step.believed.labels.values)
    try verifier.integers(replay.path("out/mask"), bytes: step.mask)
    try verifier.element(replay.path("out/mixed_image"), mixed.images.image)
    try verifier.integers(replay.path("out/mixed_label"), bytes: mixed.images.labels.values)
    try verifier.element(replay.path("out/mixed_weight"), actual: mixed.images.weights?.values ?? [])
    try verifier.element(replay.path("out/mixed_significance"), actual: mixed.significance.values)
    let supervised = crossEntropy(
      logits, labels: labels, weights: nil, valid: labels.labelled, alignCorners: true, factor: 1, name: group, context)
    try replay.compare("loss_source", [supervised], into: &verifier)
    let large = bilinear(mixedLogits, height: labels.height, width: labels.width, alignCorners: true, context)
    let consistency = replay.consistency(
      large, mixed.images.labels, weights: mixed.images.weights, significance: mixed.significance)
    try replay.compare("loss_consistency", [consistency], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// What a step makes before the student sees the mixed images.
private struct ContextStep {
  let believed: PseudoLabels
  let limit: Double
  let entropies: Tensor
  let mask: [UInt8]
  let mixed: (images: LabelledImages, significance: Tensor)

  init(_ replay: TermReplay, _ labels: LabelMap) throws {
    let logits = try replay.map("teacher_logits")
    let noisy = try replay.stack("in/noisy_logits")
    let (source, target) = (try replay.map("source"), try replay.map("target"))
    guard logits.samples == labels.samples, source.shape == target.shape,
      source.shape.array.dropLast() == [labels.samples, labels.height, labels.width][...],
      noisy.allSatisfy({ $0.samples == labels.samples })
    else { throw replay.fixture.bad(replay.group, "images, labels and logits of different sizes") }
    let step = Int(replay.number("t", 0))
    let (height, width) = (labels.height, labels.width)
    let large = bilinear(logits, height: height, width: width, alignCorners: true)
    believed = try PseudoLabels(
      large, valid: nil, threshold: 0.968,
      BatchShare(communicator: SoloCommunicator(), globalBatch: labels.samples, samples: 0..<labels.samples))
    limit = significanceLimit(at: step, ramp: replay.ramp, classes: logits.channels)
    entropies = uncertainty(ofCopies: noisy)
    let isWarm = step < Int(replay.number("warm_until", 0))
    let shown =
      try isWarm ? labels : contextLabels(prior: replay.prior(like: large), probabilities: Kernels.softmax(large))
    mask = try replay.choice(shown, extends: !isWarm).mask
    mixed = contextMixed(
      source: LabelledImages(image: source, labels: labels),
      target: (
        LabelledImages(image: target, labels: believed.labels, weights: believed.weights),
        significance(entropies, limit: limit, height: height, width: width)
      ), mask: mask, pastesTarget: !isWarm)
  }
}

extension TermReplay {
  /// Steps of the significance's ramp.
  var ramp: Int { max(1, Int(number("ramp_until", 10_000))) }

  fileprivate func prior(like logits: Tensor) throws -> Tensor {
    let prior = try map("prior")
    guard prior.shape == logits.shape else { throw fixture.bad(group, "prior \(prior.shape)") }
    return prior
  }

  /// Several maps `[K, N, C, H, W]` as [N, H, W, C] each.
  func stack(_ name: String) throws -> [Tensor] {
    let (values, shape) = try fixture.floats(path(name))
    guard shape.count == 5, !values.isEmpty else { throw fixture.bad(path(name), "shape \(shape)") }
    let each = values.count / shape[0]
    return (0..<shape[0]).map {
      FileLayout.permuted(Array(values[$0 * each..<($0 + 1) * each]), Array(shape[1...]), [0, 2, 3, 1])
    }
  }

  /// Sets of classes, from a row of marks each.
  func flags(_ name: String) throws -> [[UInt8]] {
    let (values, shape) = try fixture.bytes(path(name))
    guard shape.count == 2, 1...255 ~= shape[1] else { throw fixture.bad(path(name), "shape \(shape)") }
    return (0..<shape[0]).map { row in (0..<UInt8(shape[1])).filter { values[row * shape[1] + Int($0)] != 0 } }
  }

  /// A mark for each class, 1 for those of the set.
  func marks(_ set: [UInt8], of classes: Int) -> [Int] { (0..<classes).map { set.contains(UInt8($0)) ? 1 : 0 } }

  /// The classes present in each image, those that the file draws with what they bring, and their pixels.
  func choice(
    _ labels: LabelMap, extends: Bool
  ) throws -> (present: [[UInt8]], chosen: [[UInt8]], mask: [UInt8]) {
    let present = try ClassScope.image.candidates(labels, on: SoloCommunicator())
    let chosen = try present.enumerated().map { image, present in
      let picks = try fixture.integers(path("draws/picks\(image)")).values
      guard picks.count == (present.count + 1) / 2, picks.allSatisfy(present.indices.contains) else {
        throw fixture.bad(path("draws/picks\(image)"), "\(picks) of \(present.count) classes")
      }
      let chosen = picks.map { present[$0] }
      return extends ? CompanionClasses.extended(chosen, among: present) : chosen
    }
    return (present, chosen, classMask(labels, chosen: chosen))
  }

  /// Weighted cross-entropy of logits at image size, over significance.
  func consistency(_ logits: Variable, _ labels: LabelMap, weights: Tensor?, significance: Tensor) -> LossTerm {
    let total = significance.values.reduce(0.0) { $0 + Double($1) }
    let factors = significanceFactors(
      significance, total: total, pixels: significance.count, isLiteral: option("literal", false))
    let all = factors.map { factors in weights.map { Kernels.multiply($0, factors) } ?? factors } ?? weights
    return crossEntropy(
      logits, labels: labels, weights: all, factor: 1, name: group, context(samples: labels.samples))
  }
}

extension FileLayout {
  /// A map's values channel after channel, as files have them.
  static func planes(_ map: Tensor) -> [Float] { permuted(map.values, map.shape.array, [0, 3, 1, 2]).values }
}
