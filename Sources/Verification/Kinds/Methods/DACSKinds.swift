// Terms of DACS (Tranheden et al., WACV 2021) and of its form in HRDA's code: 22-dacs.h5. N samples, K classes.

import Adaptation
import Autograd
import Collectives
import Kernels
import Optimization
import Tensors

/// Labels, their weights and the share of confident pixels, of one batch or pixel by pixel.
enum DACSLabelKind: Kind {
  static let stems = ["pseudo_labels"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let logits = try replay.map("logits")
    let threshold = Float(replay.number("tau", 0.968))
    let samples = logits.samples
    let labels = try PseudoLabels(
      logits, valid: nil, threshold: threshold,
      BatchShare(communicator: SoloCommunicator(), globalBatch: samples, samples: 0..<samples))
    try verifier.integers(replay.path("out/label"), bytes: labels.labels.values)
    try verifier.element(replay.path("out/share"), actual: [labels.confidentShare])
    guard replay.option("weighting", "share") == "pixel" else {
      return try verifier.element(replay.path("out/weight"), labels.weights)
    }
    let confidence = Kernels.pseudoLabels(logits).confidence
    try verifier.element(replay.path("out/weight"), actual: confidence.values.map { $0 >= threshold ? 1 : 0 })
  }
}

/// Which classes may be pasted, and images, labels and weights after pasting given ones.
enum ClassMixKind: Kind {
  static let stems = ["class_mix"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let source = try fixture.labels(replay.path("in/source_label"))
    let target = try fixture.labels(replay.path("in/target_label"))
    let weights = try fixture.tensor(replay.path("in/target_weight"))
    let plane: Shape = [source.samples, source.height, source.width]
    let images =
      try replay.contains("in/source_image")
      ? (replay.map("source_image"), replay.map("target_image"))
      : (
        Tensor(zeros: [source.samples, source.height, source.width, 1]),
        Tensor(zeros: [source.samples, source.height, source.width, 1])
      )
    let chosen = try replay.lists("draws/chosen")
    guard target.values.count == source.values.count, weights.shape == plane, images.0.shape == images.1.shape,
      images.0.shape.array.dropLast() == plane.array[...], chosen.count == source.samples
    else { throw fixture.bad(group, "images, labels and weights of different sizes") }
    try verifyCandidates(source, replay, into: &verifier)
    let mask = classMask(source, chosen: chosen)
    let mixed = pasted(
      LabelledImages(image: images.0, labels: source),
      onto: LabelledImages(image: images.1, labels: target, weights: weights), where: mask)
    try verifier.integers(replay.path("out/mask"), bytes: mask)
    try verifier.integers(replay.path("out/label"), bytes: mixed.labels.values)
    try verifier.element(replay.path("out/weight"), actual: mixed.weights?.values ?? [])
    if replay.contains("out/image") { try verifier.element(replay.path("out/image"), mixed.image) }
  }

  private static func verifyCandidates(
    _ labels: LabelMap, _ replay: TermReplay, into verifier: inout Verifier
  ) throws {
    let whole = replay.option("scope", "image") == "batch"
    let lists = try (0..<labels.samples).map {
      try classesPresent(whole ? labels : labels.sample($0), on: SoloCommunicator()).map { Int($0) }
    }
    let width = lists.map(\.count).max() ?? 0
    try verifier.integers(
      replay.path("out/candidates"),
      actual: lists.flatMap { $0 + [Int](repeating: -1, count: width - $0.count) })
  }
}

/// Weighted cross-entropy of mixed images over all pixels.
enum MixedLossKind: Kind {
  static let stems = ["mixed_loss"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let logits = try replay.input("logits")
    let labels = try replay.labels("label", classes: logits.value.channels)
    let weights = try fixture.tensor(replay.path("in/weight"))
    guard weights.shape == [labels.samples, labels.height, labels.width] else {
      throw fixture.bad(group, "weights \(weights.shape)")
    }
    let term = crossEntropy(
      logits, labels: labels, weights: weights, alignCorners: replay.option("align_corners", true), factor: 1,
      name: group, replay.context(samples: labels.samples))
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// Cross-entropy of source images, over labelled pixels or over all.
enum SourceLossKind: Kind {
  static let stems = ["source_loss"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let logits = try replay.input("logits")
    let labels = try replay.labels("label", classes: logits.value.channels)
    let isOverAll = replay.option("mean", "valid") == "all"
    let term = crossEntropy(
      logits, labels: labels, weights: nil, valid: isOverAll ? nil : labels.labelled,
      alignCorners: replay.option("align_corners", true), factor: 1, name: group,
      replay.context(samples: labels.samples))
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// The teacher at some iterations; with `start` it follows at the beginning of a step, with `end` after it, by the same
/// momentum.
enum FollowingKind: Kind {
  static let stems = ["teacher"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let momentum = TeacherMomentum(alpha: replay.number("alpha", 0.99))
    let iterations = fixture.names(under: group).compactMap { Int($0.trimmingPrefix("iteration")) }.sorted()
    for name in fixture.names(under: replay.path("state_before")) {
      let teacher = try fixture.parameter(replay.path("state_before/\(name)"))
      for iteration in iterations {
        let student = try fixture.parameter(replay.path("iteration\(iteration)/in/\(name)"))
        guard student.shape == teacher.shape else { throw fixture.bad(group, "students of \(student.shape)") }
        exponentialAverage(teacher, student, momentum: Float(momentum.momentum(at: iteration)))
        try verifier.element(replay.path("iteration\(iteration)/state_after/\(name)"), parameter: teacher)
      }
    }
  }
}

/// Learning rate and momentum of the teacher by iteration.
enum DACSScheduleKind: Kind {
  static let stems = ["schedules"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let steps = try fixture.integers(replay.path("in/iteration")).values
    let schedule = replay.decayingRate(total: 250_000)
    let momentum = TeacherMomentum(alpha: replay.number("alpha", 0.99))
    // The file holds rates times 10⁴.
    try verifier.element(replay.path("out/rate"), actual: steps.map { Float(1e4 * schedule.rate(at: $0)) })
    try verifier.element(replay.path("out/alpha"), actual: steps.map { Float(momentum.momentum(at: $0)) })
  }
}
