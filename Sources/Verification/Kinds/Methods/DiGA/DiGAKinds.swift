// Terms and state of DiGA (Shen et al., CVPR 2023): 05-diga.h5. N samples, K classes, C channels. Maps are enlarged with
// corners on corners there.

import Adaptation
import Autograd
import Kernels
import Methods
import Optimization
import Support
import Tensors

/// Chosen classes and ignored pixels of a perturbed view on translated images.
enum MixedViewKind: Kind {
  static let stems = ["mixedView"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let images = try ["image", "jittered", "translated"].map { try replay.map($0) }
    let mask = try replay.mask(of: images)
    let view = blended(images[1], images[0], beta: replay.number("beta", 0.4))
    try verifier.integers(replay.path("out/mask"), bytes: mask)
    try verifier.element(replay.path("out/view"), view)
    try verifier.element(replay.path("out/mixed"), mix(view, images[2], mask: mask))
  }
}

/// Chosen source classes on the target's view.
enum CrossMixKind: Kind {
  static let stems = ["crossMix"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let images = try ["source", "target_view"].map { try replay.map($0) }
    let mask = try replay.mask(of: images)
    let target = try fixture.labels(replay.path("in/target_labels"))
    guard target.values.count == mask.count else { throw fixture.bad(group, "\(target.values.count) target labels") }
    let mixed = pasted(
      LabelledImages(image: images[0], labels: try fixture.labels(replay.path("in/labels"))),
      onto: LabelledImages(image: images[1], labels: target), where: mask)
    try verifier.integers(replay.path("out/mask"), bytes: mask)
    try verifier.element(replay.path("out/mixed"), mixed.image)
    try verifier.integers(replay.path("out/mixed_labels"), bytes: mixed.labels.values)
  }
}

/// Cross-entropy over all pixels.
enum AllPixelsKind: Kind {
  static let stems = ["crossEntropy"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let logits = try replay.input("logits")
    let labels = try replay.labels("labels", classes: logits.value.channels)
    let term = crossEntropy(
      logits, labels: labels, weights: nil, factor: 1, name: group, replay.context(samples: labels.samples))
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// Cross-entropy over hard pixels, and which ones they are.
enum HardPixelsKind: Kind {
  static let stems = ["ohem"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let logits = try replay.input("logits")
    let labels = try replay.labels("labels", classes: logits.value.channels)
    let context = replay.context(samples: labels.samples)
    let (threshold, kept) = replay.hardness
    let hard = try hardPixels(logits.value, labels: labels, threshold: threshold, kept: kept, context)
    try verifier.integers(replay.path("out/kept"), actual: hard.marks.values.map { Int($0) })
    let term = try hardPixelCrossEntropy(
      logits, labels: labels, threshold: threshold, kept: kept, factor: 1, name: group, context)
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// Symmetric distillation of given logits.
enum DistillationKind: Kind {
  static let stems = ["distillation"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let views = try TwoViews(replay)
    let map = views.plain.value
    try replay.compare("loss", views.distillation(replay, (map.shape[1], map.shape[2]), weight: 1), into: &verifier)
    try views.compareGradient(replay, into: &verifier)
  }
}

/// The losses of a step of the warm-up or of self-training, given all predictions.
enum DiGAStepKind: Kind {
  static let stems = ["warmUp", "selfTraining"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let views = try TwoViews(replay)
    let labels = try replay.labels("labels", classes: views.plain.value.channels)
    let own = replay.number("segWeight", 1)
    var terms = [try replay.supervised(views.plain, labels, weight: own)]
    try verifier.element(replay.path("out/part/segmentation"), actual: [sum(terms, over: own)])
    if replay.contains("in/student_mixed") {
      let logits = try replay.input("student_mixed")
      let mixed = try replay.supervised(
        logits, try replay.labels("labels_mixed", classes: logits.value.channels), weight: own)
      try verifier.element(replay.path("out/part/mixed"), actual: [sum([mixed], over: own)])
      terms.append(mixed)
    }
    let weight = replay.number("distilWeight", group.hasPrefix("warmUp") ? 0.5 : 0.25)
    let distillation = views.distillation(replay, (labels.height, labels.width), weight: weight)
    try verifier.element(replay.path("out/part/distillation"), actual: [sum(distillation, over: weight)])
    try replay.compare("loss", terms + distillation, into: &verifier)
    try replay.compareGradients(into: &verifier)
    try views.compareGradient(replay, into: &verifier)
  }

  private static func sum(_ terms: [LossTerm], over weight: Double) -> Float {
    Float(terms.flatMap(\.perSample).reduce(0, +) / weight)
  }
}

/// The student's logits for the plain and the perturbed view, and the teacher's for both.
private struct TwoViews {
  let plain: Variable
  let perturbed: Variable
  private let teacher: Tensor

  init(_ replay: TermReplay) throws {
    teacher = try replay.map("teacher")
    let student = try replay.map("student")
    guard student.shape == teacher.shape, student.samples.isMultiple(of: 2) else {
      throw replay.fixture.bad(replay.group, "student \(student.shape), teacher \(teacher.shape)")
    }
    let half = student.samples / 2
    plain = Variable(tracked: student.samples(0..<half).copy())
    perturbed = Variable(tracked: student.samples(half..<2 * half).copy())
  }

  func distillation(_ replay: TermReplay, _ size: (height: Int, width: Int), weight: Double) -> [LossTerm] {
    let half = plain.value.samples
    let context = replay.context(samples: half)
    func term(_ taught: Range<Int>, _ student: Variable, _ factor: Double) -> LossTerm {
      distilled(
        teacher.samples(taught).copy(), to: student, size: size, factor: Float(factor), name: replay.group, context)
    }
    return [
      term(0..<half, perturbed, weight), term(half..<2 * half, plain, weight * replay.number("second", 0.5)),
    ]
  }

  /// Compares the gradient of both views as one.
  func compareGradient(_ replay: TermReplay, into verifier: inout Verifier) throws {
    replay.tape.walkBack()
    let values = [plain, perturbed].flatMap { ($0.gradient ?? Tensor(zeros: $0.value.shape)).values }
    try verifier.element(replay.path("grad/student"), Tensor(values, teacher.shape))
  }
}

/// Labels by the larger logits of two sizes.
enum TwoSizesKind: Kind {
  static let stems = ["offlineLabels"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let maps = try ["full", "half"].map { try replay.map($0) }
    let shape = try fixture.integers(replay.path("out/labels")).shape
    guard shape.count == 3, maps[0].channels == maps[1].channels, maps.allSatisfy({ $0.samples == shape[0] }) else {
      throw fixture.bad(group, "labels \(shape)")
    }
    let labels = argMax(largestLogits(maps, height: shape[1], width: shape[2]))
    try verifier.integers(replay.path("out/labels"), bytes: labels.values)
  }
}

/// The teacher at the start of an iteration.
enum StartOfStepAverageKind: Kind {
  static let stems = ["ema"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let teacher = try fixture.parameter(replay.path("state_before/teacher"))
    let student = try fixture.parameter(replay.path("in/student"))
    let steps = try fixture.integers(replay.path("in/iteration")).values
    guard student.shape == teacher.shape, steps.count == 1, steps[0] >= 0 else {
      throw fixture.bad(group, "a student of \(student.shape)")
    }
    let momentum = TeacherMomentum(alpha: replay.number("alpha", 0.999))
    exponentialAverage(teacher, student, momentum: Float(momentum.momentum(at: steps[0])))
    try verifier.element(replay.path("state_after/teacher"), parameter: teacher)
  }
}

/// Rates that fall from the first step on, and after a warm-up.
enum DelayedRateKind: Kind {
  static let stems = ["learningRate"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let steps = try fixture.integers(replay.path("in/iteration")).values
    for (name, warmUp) in [("poly", 0), ("warm", 1000)] {
      let schedule = LearningRateSchedule(
        baseRate: 2.5e-4, warmUpSteps: warmUp, warmUpRatio: 0, warmUpTo: .delayed, power: 0.9, totalSteps: 80_000)
      try verifier.element(replay.path("out/\(name)"), actual: steps.map { Float(schedule.rate(at: $0)) })
    }
  }
}

/// Difference of images on edges of labels.
enum LabelEdgeKind: Kind {
  static let stems = ["edges"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let (image, translated) = (try replay.map("image"), try replay.input("translated"))
    let labels = try fixture.labels(replay.path("in/labels"))
    guard labels.height > 2, labels.width > 2, image.shape == translated.value.shape,
      image.shape == [labels.samples, labels.height, labels.width, image.channels]
    else { throw fixture.bad(group, "images \(image.shape) and \(translated.value.shape)") }
    try verifier.integers(replay.path("out/edges"), bytes: labelEdges(labels))
    let term = edgeDistance(
      translated, reference: image, labels: labels, factor: 1, name: group, replay.context(samples: labels.samples))
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

extension TermReplay {
  /// Threshold and number of hard pixels.
  fileprivate var hardness: (threshold: Float, kept: Int) {
    (Float(number("threshold", 0.7)), Int(number("kept", 100_000)))
  }

  /// Pixels of the chosen classes and ignored ones.
  fileprivate func mask(of images: [Tensor]) throws -> [UInt8] {
    let labels = try fixture.labels(path("in/labels"))
    let chosen = try lists("draws/chosen")
    guard chosen.count == labels.samples,
      images.allSatisfy({ $0.shape == [labels.samples, labels.height, labels.width, images[0].channels] })
    else { throw fixture.bad(group, "images, labels and classes of different sizes") }
    return classMask(labels, chosen: chosen.map { $0 + [LabelMap.ignored] })
  }

  /// Cross-entropy of all pixels, or of hard ones.
  fileprivate func supervised(_ logits: Variable, _ labels: LabelMap, weight: Double) throws -> LossTerm {
    let context = context(samples: labels.samples)
    guard option("useOhem", false) else {
      return crossEntropy(
        logits, labels: labels, weights: nil, alignCorners: true, factor: Float(weight), name: group, context)
    }
    return try hardPixelCrossEntropy(
      bilinear(logits, height: labels.height, width: labels.width, alignCorners: true, context), labels: labels,
      threshold: hardness.threshold, kept: hardness.kept, factor: Float(weight), name: group, context)
  }
}
