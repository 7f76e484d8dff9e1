// Parts of CAMix (Zhou et al., TCSVT 2022): 20-camix.h5. N samples, K classes.

import Adaptation
import Autograd
import Kernels
import Support
import Tensors

/// The entropy below which pixels are significant, by step.
enum SignificanceLimitKind: Kind {
  static let stems = ["limit"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let steps = try fixture.integers(replay.path("in/t")).values
    let limits = steps.map { significanceLimit(at: $0, ramp: replay.ramp, classes: 19) }
    try verifier.element(replay.path("out/limit"), actual: limits.map(Float.init))
  }
}

/// Copies of target images with noise.
enum NoisyCopiesKind: Kind {
  static let stems = ["copies"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let image = try replay.map("target")
    let normals = try replay.stack("draws/normals")
    guard normals.allSatisfy({ $0.shape == image.shape }) else { throw fixture.bad(group, "noise of another size") }
    let unit: Float = replay.option("unit_range", false) ? 255 : 1
    let units = [Float](repeating: unit, count: image.channels)
    let copies = normals.map {
      replay.option("literal", false)
        ? shifted(image, by: units.map { _ in -0.2 })
        : withNoise(image, normals: $0, scale: 0.1, limit: 0.2, units: units)
    }
    try verifier.element(replay.path("out/copies"), actual: copies.flatMap(FileLayout.planes))
  }
}

/// Entropy of the mean prediction of several copies, and the enlarged marks of what is below the limit.
enum SignificanceKind: Kind {
  static let stems = ["significance"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let logits = try replay.stack("in/noisy_logits")
    let limit = significanceLimit(
      at: Int(replay.number("t", 0)), ramp: replay.ramp, classes: logits[0].channels)
    let entropies = uncertainty(ofCopies: logits)
    let marks = entropies.values.map { Double($0) < limit ? 1 : 0 }
    try verifier.integers(replay.path("out/significant"), actual: marks)
    guard replay.contains("out/limit") else { return }
    try verifier.element(replay.path("out/limit"), actual: [Float(limit)])
    try verifier.element(replay.path("out/uncertainty"), actual: entropies.values)
    let shape = try fixture.floats(replay.path("out/significance")).shape
    guard shape.count == 3, shape[1] > 0, shape[2] > 0 else { throw fixture.bad(group, "significance \(shape)") }
    let enlarged = Adaptation.significance(entropies, limit: limit, height: shape[1], width: shape[2])
    try verifier.element(replay.path("out/significance"), actual: enlarged.values)
  }
}

/// Classes that are pasted together.
enum CompanionClassesKind: Kind {
  static let stems = ["rules"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let present = try replay.flags("in/present")
    let chosen = try replay.flags("in/chosen")
    guard present.count == chosen.count, let classes = try fixture.bytes(replay.path("in/present")).shape.last else {
      throw fixture.bad(group, "\(present.count) sets of classes and \(chosen.count) choices")
    }
    let all = zip(chosen, present).map { CompanionClasses.extended($0, among: $1) }
    try verifier.integers(replay.path("out/extended"), actual: all.flatMap { replay.marks($0, of: classes) })
  }
}

/// Classes by prior and teacher, the chosen ones and what they bring, and their pixels.
enum ContextMaskKind: Kind {
  static let stems = ["context_mask"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let probabilities = try replay.map("probs")
    let prior = try replay.map("prior")
    guard prior.shape == probabilities.shape else { throw fixture.bad(group, "prior \(prior.shape)") }
    let classes = probabilities.channels
    let labels = contextLabels(prior: prior, probabilities: probabilities)
    let found = try replay.choice(labels, extends: true)
    try verifier.integers(replay.path("out/prior_label"), bytes: labels.values)
    for (name, sets) in [("present", found.present), ("chosen", found.chosen)] {
      try verifier.integers(replay.path("out/\(name)"), actual: sets.flatMap { replay.marks($0, of: classes) })
    }
    try verifier.integers(replay.path("out/mask"), bytes: found.mask)
  }
}

/// Images, labels, weights and significance mixed by a given mask.
enum ContextMixKind: Kind {
  static let stems = ["mix"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let confidence = try fixture.scalar(replay.path("in/confidence"))
    let mask = try fixture.bytes(replay.path("in/mask")).values
    let source = LabelledImages(
      image: try replay.map("source"), labels: try fixture.labels(replay.path("in/source_label")))
    let labels = try fixture.labels(replay.path("in/pseudo_label"))
    let significance = try fixture.tensor(replay.path("in/target_significance"))
    let target = LabelledImages(
      image: try replay.map("target"), labels: labels, weights: Tensor(repeating: confidence, significance.shape))
    guard mask.count == labels.values.count, source.labels.values.count == mask.count, significance.count == mask.count,
      source.image.shape == target.image.shape
    else { throw fixture.bad(group, "images and mask of different sizes") }
    let mixed = contextMixed(
      source: source, target: (target, significance), mask: mask, pastesTarget: !replay.option("warm", false))
    try verifier.element(replay.path("out/image"), mixed.images.image)
    try verifier.integers(replay.path("out/label"), bytes: mixed.images.labels.values)
    try verifier.element(replay.path("out/weight"), actual: mixed.images.weights?.values ?? [])
    try verifier.element(replay.path("out/significance"), actual: mixed.significance.values)
  }
}

/// Cross-entropy over significance.
enum SignificantLossKind: Kind {
  static let stems = ["loss"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let logits = try replay.input("logits")
    let labels = try replay.labels("label", classes: logits.value.channels)
    let (weights, significance) = (
      try fixture.tensor(replay.path("in/weight")), try fixture.tensor(replay.path("in/significance"))
    )
    let plane: Shape = [labels.samples, labels.height, labels.width]
    guard weights.shape == plane, significance.shape == plane else {
      throw fixture.bad(group, "weights \(weights.shape)")
    }
    let term = replay.consistency(logits, labels, weights: weights, significance: significance)
    try replay.compare("loss_consistency", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// Where a source has its classes.
enum SpatialPriorKind: Kind {
  static let stems = ["prior"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let size = try replay.size("size")
    let shape = try fixture.floats(replay.path("out/prior")).shape
    guard shape.count == 3, shape[1] == size.height, shape[2] == size.width, 1...255 ~= shape[0] else {
      throw fixture.bad(group, "prior \(shape)")
    }
    var images = 0
    var sums = [Double](repeating: 0, count: shape.reduce(1, *))
    while replay.contains("in/label\(images)") {
      let (labels, extents) = try fixture.bytes(replay.path("in/label\(images)"))
      guard extents.count == 2, !labels.isEmpty else { throw fixture.bad(group, "labels \(extents)") }
      let map = LabelMap(height: extents[0], width: extents[1], values: labels)
      sums = zip(sums, classCells(map, height: size.height, width: size.width, classes: shape[0])).map(+)
      images += 1
    }
    guard images > 0 else { throw fixture.bad(group, "no label maps") }
    let prior = spatialPrior(sums, images: images, shape: [size.height, size.width, shape[0]])
    try verifier.element(
      replay.path("out/prior"), actual: FileLayout.permuted(prior.values, prior.shape.array, [2, 0, 1]).values)
  }
}
