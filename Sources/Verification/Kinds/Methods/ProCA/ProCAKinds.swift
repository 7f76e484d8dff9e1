// Terms and state of ProCA (Jiang et al., ECCV 2022): 12-proca.h5. N samples, h×w cells, C channels, K classes.

import Adaptation
import Autograd
import Kernels
import Methods
import Support
import Tensors

/// Labelled cells pick their class among constant prototypes, both of unit length.
enum MeanContrastKind: Kind {
  static let stems = ["contrast"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let means = try fixture.tensor(replay.path("state_before/proto"))
    let labels = try replay.labels("mask", classes: means.samples)
    let term = try replay.contrast(try replay.input("features"), labels, means, weight: 1)
    try replay.compare("loss_contrast", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// Running means moved by the vectors of a batch.
enum RunningMeansKind: Kind {
  static let stems = ["prototypes"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let means = try replay.means("proto", "amount")
    let labels = try replay.labels("mask", classes: means.means.samples)
    means.move(
      by: try replay.sums(try replay.map("features"), labels, of: means), momentum: replay.momentum,
      counting: CountedVectors(rawValue: replay.option("amount_of", "own")) ?? .own)
    try replay.compare(means, "proto", "amount", into: &verifier)
  }
}

/// Cross-entropy and Lovász-softmax of enlarged logits.
enum SupervisedKind: Kind {
  static let stems = ["supervised"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let logits = try replay.input("source_logits")
    let labels = try replay.labels("labels", classes: logits.value.channels)
    try replay.compareSupervision(logits, labels, weight: replay.number("weight", 0.75), into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// The network's own labels where it is sure of them.
enum ConfidentLabelsKind: Kind {
  static let stems = ["target_mask"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let found = confidentLabels(
      try replay.map("target_logits"), threshold: replay.number("delta", 0.9), on: replay.confidence("on"))
    try verifier.integers(replay.path("out/target_mask"), bytes: found.values)
  }
}

/// A whole step: means move by the target's cells, then the source's, then all losses are taken.
enum MeanStepKind: Kind {
  static let stems = ["step"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let features = try ["source", "target"].map { try replay.input("\($0)_features") }
    let outputs = try ["source", "target"].map { try replay.input("\($0)_logits") }
    let labels = try replay.labels("labels", classes: outputs[0].value.channels)
    let shape = features[0].value.shape
    guard (features + outputs).allSatisfy({ $0.value.shape.array.prefix(3) == shape.array.prefix(3) }),
      labels.samples == shape[0]
    else { throw fixture.bad(group, "features and logits of different sizes") }
    let masks = [
      nearest(labels, height: shape[1], width: shape[2]),
      confidentLabels(
        outputs[1].value, threshold: replay.number("delta", 0.9), on: replay.confidence("delta_on")),
    ]
    for (name, mask) in zip(["source", "target"], masks) {
      try verifier.integers(replay.path("out/\(name)_mask"), bytes: mask.values)
    }
    try replay.compareSupervision(outputs[0], labels, weight: 0.75, into: &verifier)
    let isUsed = ["feature": true, "output": replay.option("multi_level", true)]
    for (name, maps) in [("feature", features), ("output", outputs)] {
      let means = try replay.means("\(name)_proto", "\(name)_amount")
      if isUsed[name] == true {
        for domain in [1, 0] {
          means.move(by: try replay.sums(maps[domain].value, masks[domain], of: means), momentum: replay.momentum)
        }
        let terms = try zip(maps, masks).map { try replay.contrast($0, $1, means.means, weight: 1) }
        try replay.compare("loss_\(name)", terms, into: &verifier)
      }
      try replay.compare(means, "\(name)_proto", "\(name)_amount", into: &verifier)
    }
    try replay.compareGradients(into: &verifier)
  }
}

extension TermReplay {
  fileprivate var momentum: Double? {
    let given = number("momentum", .nan)
    return given.isNaN ? nil : given
  }

  fileprivate func confidence(_ name: String) -> PrototypeAdaptationOptions.Confidence {
    option(name, "logit") == "logit" ? .logit : .probability
  }

  /// Running means of the file, with their counts.
  fileprivate func means(_ name: String, _ counts: String) throws -> ClassMeans {
    let values = try fixture.tensor(path("state_before/\(name)"))
    let numbers = try fixture.floats(path("state_before/\(counts)")).values
    guard values.shape.rank == 2, values.count > 0, numbers.count == values.samples,
      numbers.allSatisfy({ $0 >= 0 && $0 < 0x1p40 })
    else { throw fixture.bad(path("state_before/\(name)"), "means \(values.shape) with \(numbers.count) counts") }
    let means = ClassMeans(classes: values.samples, channels: values.channels)
    means.means.assign(values)
    means.counts = numbers.map { Int($0) }
    return means
  }

  fileprivate func compare(
    _ means: ClassMeans, _ name: String, _ counts: String, into verifier: inout Verifier
  ) throws {
    try verifier.element(path("state_after/\(name)"), actual: means.means.values)
    try verifier.element(path("state_after/\(counts)"), actual: means.counts.map(Float.init))
  }

  /// Sums of vectors by class over all images.
  fileprivate func sums(_ map: Tensor, _ labels: LabelMap, of means: ClassMeans) throws -> [Double] {
    guard map.shape == [labels.samples, labels.height, labels.width, means.means.channels] else {
      throw fixture.bad(group, "map \(map.shape) for means \(means.means.shape)")
    }
    let rows = classSums(map, labels: labels, classes: means.means.samples)
    let width = rows.count / map.samples
    return (0..<width).map { column in (0..<map.samples).reduce(0) { $0 + rows[$1 * width + column] } }
  }

  fileprivate func contrast(
    _ map: Variable, _ labels: LabelMap, _ means: Tensor, weight: Float
  ) throws -> LossTerm {
    guard map.value.shape == [labels.samples, labels.height, labels.width, means.channels] else {
      throw fixture.bad(group, "map \(map.value.shape) for prototypes \(means.shape)")
    }
    return pixelPrototypeContrast(
      map, prototypes: Kernels.unitLength(means, epsilon: 1e-12).output, labels: labels,
      temperature: Float(number("tau", 50)), globalCount: labels.labelled, factor: weight, name: group,
      context(samples: labels.samples))
  }

  fileprivate func compareSupervision(
    _ logits: Variable, _ labels: LabelMap, weight: Double, into verifier: inout Verifier
  ) throws {
    let context = context(samples: labels.samples)
    let large = bilinear(logits, height: labels.height, width: labels.width, alignCorners: true, context)
    let supervised = crossEntropy(
      large, labels: labels, weights: nil, valid: labels.labelled, factor: 1, name: group, context)
    let scope: LovaszScope = option("per_image", false) ? .image : .batch
    let lovasz = try lovaszSoftmax(large, labels: labels, scope: scope, factor: Float(weight), name: group, context)
    try compare("loss_ce", [supervised], into: &verifier)
    try compare("loss_lovasz", [lovasz], into: &verifier)
  }
}
