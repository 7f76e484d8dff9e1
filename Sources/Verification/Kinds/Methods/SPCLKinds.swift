// Terms of SPCL (Xie et al., arXiv 2111.12358, 2021): 11-spcl.h5. N samples, h×w cells, C channels, K classes. Prototypes lie as [C, K]
// in the file and as [K, C] here.

import Adaptation
import Autograd
import Kernels
import Support
import Tensors

/// Both domains' cells pick their class among constant prototypes.
enum PrototypeContrastKind: Kind {
  static let stems = ["contrast"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let prototypes = try replay.prototypes("state_before/eta")
    let terms = try ["source", "target"].map { domain in
      let labels = try replay.labels("\(domain)_mask", classes: prototypes.samples)
      return try replay.contrast("\(domain)_features", labels, prototypes, temperature: 100)
    }
    try replay.compare("loss_contrast", terms, into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// Prototypes moved by the unit vectors of a batch.
enum PrototypeMoveKind: Kind {
  static let stems = ["prototypes"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let prototypes = try replay.prototypes("state_before/eta")
    let labels = try replay.labels("mask", classes: prototypes.samples)
    let sums = try replay.unitSums(try replay.map("features"), labels, of: prototypes)
    let channels = prototypes.channels
    let vectors = sums.enumerated().filter { $0.offset % (channels + 1) < channels }.map { Float($0.element) }
    try verifier.element(replay.path("out/sums"), actual: vectors)
    try replay.compareCounts(sums, channels: channels, into: &verifier)
    movePrototypes(prototypes, by: sums, keeping: replay.number("alpha", 0.1), absent: replay.absentClass)
    try replay.compare(prototypes, into: &verifier)
  }
}

/// First prototypes: the mean over images of the means of each.
enum InitialPrototypesKind: Kind {
  static let stems = ["initial_prototypes"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let shape = try fixture.floats(replay.path("state_after/eta")).shape
    guard shape.count == 2, shape[0] > 0, shape[1] > 0 else { throw fixture.bad(group, "prototypes \(shape)") }
    let prototypes = Tensor(zeros: [shape[1], shape[0]])
    var total = [Double](repeating: 0, count: shape[1] * (shape[0] + 1))
    var image = 0
    while replay.contains("in/features\(image)") {
      let labels = try replay.labels("mask\(image)", classes: shape[1])
      let sums = try replay.unitSums(try replay.map("features\(image)"), labels, of: prototypes)
      guard labels.samples == 1 else { throw fixture.bad(group, "\(labels.samples) images at once") }
      total = zip(total, meansOfImage(sums, channels: shape[0])).map(+)
      image += 1
    }
    movePrototypes(prototypes, by: total, keeping: 0)
    try replay.compare(prototypes, into: &verifier)
  }
}

/// Cross-entropy of enlarged logits over a temperature, over labelled pixels.
enum TemperedLossKind: Kind {
  static let stems = ["seg_loss"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let logits = try replay.input("source_logits")
    let labels = try replay.labels("labels", classes: logits.value.channels)
    try replay.compare("loss_seg", [replay.temperedLoss(logits, labels)], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// Labels on the grid of features, of the source where the classifier is right.
enum FeatureMaskKind: Kind {
  static let stems = ["source_mask"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let logits = try replay.map("source_logits")
    let labels = try replay.labels("labels", classes: logits.channels)
    let believed = try replay.labels("pseudo_label", classes: logits.channels)
    let masks = try replay.masks(logits, labels, believed)
    try replay.compare(masks, into: &verifier)
  }
}

/// A whole step of the contrastive stage: prototypes move, then both losses are taken.
enum ContrastStepKind: Kind {
  static let stems = ["step"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let prototypes = try replay.prototypes("state_before/eta")
    let logits = try replay.input("source_logits")
    let labels = try replay.labels("labels", classes: logits.value.channels)
    let believed = try replay.labels("pseudo_label", classes: logits.value.channels)
    let masks = try replay.masks(logits.value, labels, believed)
    let sums = try replay.unitSums(try replay.map("source_features"), masks.source, of: prototypes)
    movePrototypes(prototypes, by: sums, keeping: replay.number("alpha", 0.1), absent: replay.absentClass)
    let contrast = [
      try replay.contrast("source_features", masks.source, prototypes, temperature: 100),
      try replay.contrast("target_features", masks.target, prototypes, temperature: 100),
    ]
    try replay.compare(masks, into: &verifier)
    try replay.compareCounts(sums, channels: prototypes.channels, into: &verifier)
    try replay.compare("loss_seg", [replay.temperedLoss(logits, labels)], into: &verifier)
    try replay.compare("loss_contrast", contrast, into: &verifier)
    try replay.compare(prototypes, into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// Thresholds by class, and the labels that reach theirs. Confidences are ranked first, so that they keep their order as the
/// 16-bit numbers that quantiles are taken of.
enum ThresholdsKind: Kind {
  static let stems = ["thresholds"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let confidences = try fixture.floats(replay.path("in/confidence")).values
    let labels = try fixture.bytes(replay.path("in/label")).values
    let classes = try fixture.floats(replay.path("out/thresholds")).values.count
    let ranked = Set(confidences).sorted()
    let places = Dictionary(uniqueKeysWithValues: ranked.enumerated().map { ($0.element, UInt16($0.offset)) })
    guard labels.count == confidences.count, labels.allSatisfy({ $0 < classes }), classes <= 255 else {
      throw fixture.bad(group, "\(labels.count) labels, \(confidences.count) confidences")
    }
    var histogram = ConfidenceHistogram(classes: classes)
    histogram.add(labels: labels, confidences: confidences.map { places[$0] ?? 0 })
    let cap = Float(replay.number("cap", 0.9))
    let thresholds = (0..<classes).map { label in
      histogram.quantile(replay.number("quantile", 0.5), of: label).map { min(cap, ranked[Int($0)]) } ?? 0
    }
    try verifier.element(replay.path("out/thresholds"), actual: thresholds)
    let kept = zip(labels, confidences).map { $1 >= thresholds[Int($0)] ? Int($0) : Int(LabelMap.ignored) }
    try verifier.integers(replay.path("out/kept"), actual: kept)
  }
}

/// Learning rate of a stage that stops early.
enum StageRateKind: Kind {
  static let stems = ["learning_rate"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let schedule = replay.decayingRate(total: 62_500)
    let steps = try fixture.integers(replay.path("in/t")).values
    try verifier.element(replay.path("out/learning_rate"), actual: steps.map { Float(schedule.rate(at: $0)) })
  }
}

extension TermReplay {
  /// Prototypes of the file, [C, K], as [K, C].
  fileprivate func prototypes(_ name: String) throws -> Tensor {
    let (values, shape) = try fixture.floats(path(name))
    guard shape.count == 2, shape[0] > 0, shape[1] > 0 else { throw fixture.bad(path(name), "prototypes \(shape)") }
    return FileLayout.permuted(values, shape, [1, 0])
  }

  fileprivate var absentClass: AbsentClass { AbsentClass(rawValue: option("absent_class", "keep")) ?? .keep }

  /// Compares prototypes with the state after the case.
  fileprivate func compare(_ prototypes: Tensor, into verifier: inout Verifier) throws {
    let values = FileLayout.permuted(prototypes.values, prototypes.shape.array, [1, 0]).values
    try verifier.element(path("state_after/eta"), actual: values)
  }

  /// Sums of unit vectors by class over all images.
  fileprivate func unitSums(_ features: Tensor, _ labels: LabelMap, of prototypes: Tensor) throws -> [Double] {
    guard features.shape == [labels.samples, labels.height, labels.width, prototypes.channels] else {
      throw fixture.bad(group, "features \(features.shape) for prototypes \(prototypes.shape)")
    }
    let rows = classSums(
      Kernels.unitLength(features, epsilon: 1e-12).output, labels: labels, classes: prototypes.samples)
    let width = rows.count / features.samples
    return (0..<width).map { column in
      (0..<features.samples).reduce(0) { $0 + rows[$1 * width + column] }
    }
  }

  fileprivate func compareCounts(_ sums: [Double], channels: Int, into verifier: inout Verifier) throws {
    let counts = stride(from: channels, to: sums.count, by: channels + 1).map { Float(sums[$0]) }
    try verifier.element(path("out/counts"), actual: counts)
  }

  /// One domain's contrast; its features' gradient is compared.
  fileprivate mutating func contrast(
    _ name: String, _ labels: LabelMap, _ prototypes: Tensor, temperature: Double
  ) throws -> LossTerm {
    let features = try input(name)
    guard features.value.shape == [labels.samples, labels.height, labels.width, prototypes.channels] else {
      throw fixture.bad(path(name), "features \(features.value.shape) for prototypes \(prototypes.shape)")
    }
    return pixelPrototypeContrast(
      features, prototypes: prototypes, labels: labels, temperature: Float(number("tau", temperature)),
      globalCount: labels.labelled, factor: Float(number("weight", 1)), name: name,
      context(samples: labels.samples))
  }

  fileprivate func temperedLoss(_ logits: Variable, _ labels: LabelMap) -> LossTerm {
    let context = context(samples: labels.samples)
    return crossEntropy(
      scaled(logits, by: Float(1 / number("temperature", 1.8)), context), labels: labels, weights: nil,
      valid: labels.labelled, alignCorners: true, factor: 1, name: group, context)
  }

  fileprivate typealias Masks = (source: LabelMap, target: LabelMap)

  /// Labels on the grid of the logits: 255 where the classifier is wrong; pseudo-labels as they are.
  fileprivate func masks(_ logits: Tensor, _ labels: LabelMap, _ believed: LabelMap) throws -> Masks {
    guard labels.samples == logits.samples else { throw fixture.bad(group, "batches of different sizes") }
    var source = nearest(labels, height: logits.shape[1], width: logits.shape[2])
    let predicted = argMax(logits)
    for cell in source.values.indices where source.values[cell] != predicted.values[cell] {
      source.values[cell] = LabelMap.ignored
    }
    return (source, nearest(believed, height: logits.shape[1], width: logits.shape[2]))
  }

  fileprivate func compare(_ masks: Masks, into verifier: inout Verifier) throws {
    try verifier.integers(path("out/source_mask"), bytes: masks.source.values)
    try verifier.integers(path("out/target_mask"), bytes: masks.target.values)
  }
}
