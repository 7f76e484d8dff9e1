// Terms of domain generalisation by hallucinated styles (Zhao et al., SHADE, ECCV 2022; Hoyer et al., TPAMI 2024): 02-dg.h5.
// Maps and logits of 2N samples are those of N images, then those of the same images in another style.

import Adaptation
import Autograd
import Kernels
import Methods
import Networks
import Tensors

/// Feature maps followed by themselves in blends of base styles.
enum HallucinationKind: Kind {
  static let stems = ["hallucinate"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let feature = try replay.input("feature")
    let (samples, channels) = (feature.value.samples, feature.value.channels)
    let cotangent = try replay.map("cotangent")
    let base = try ["means", "stds"].map { try fixture.floats(replay.path("state_before/\($0)")) }
    let weights = try fixture.floats(replay.path("draws/weights"))
    guard base.allSatisfy({ $0.shape.count == 2 && $0.shape == base[0].shape && $0.shape[1] == channels }),
      weights.shape == [samples, base[0].shape[0]],
      cotangent.shape == feature.value.shape.withSamples(2 * samples)
    else { throw fixture.bad(group, "styles, weights and cotangent of different sizes") }
    let tensors = base.map { Tensor($0.values, Shape($0.shape)) }
    let styles = ChannelStyles(means: tensors[0], deviations: tensors[1])
    let blends = (0..<samples).map { sample in
      weights.values[sample * styles.means.samples..<(sample + 1) * styles.means.samples].map { Double($0) }
    }
    let styled = restyled(feature, to: styles.blended(blends), replay.context(samples: samples))
    feature.cell?.accumulate(cotangent.samples(0..<samples))
    styled.cell?.accumulate(cotangent.samples(samples..<2 * samples))
    let both = stacked([feature.value, styled.value])
    let loss = zip(both.values, cotangent.values).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    try verifier.element(replay.path("out/feature"), both)
    try verifier.element(replay.path("out/loss"), actual: [Float(loss)])
    try replay.compareGradients(into: &verifier)
  }
}

/// Rows of means and deviations, and those of them that are farthest from each other.
enum BaseStylesKind: Kind {
  static let stems = ["base_styles"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let rows = ChannelStyles(of: try replay.map("feature")).rows
    let start = try fixture.integers(replay.path("draws/start")).values
    let count = Int(replay.number("styles", 64))
    guard let start = start.first, rows.samples > start, start >= 0, (1...rows.samples).contains(count) else {
      throw fixture.bad(group, "\(count) styles of \(rows.samples), from \(start)")
    }
    let chosen = farthestPoints(rows, count: count, start: start)
    let styles = baseStyles(rows, chosen)
    try verifier.element(replay.path("out/rows"), actual: rows.values)
    try verifier.integers(replay.path("out/index"), actual: chosen)
    try verifier.element(replay.path("out/means"), actual: styles.means.values)
    try verifier.element(replay.path("out/stds"), actual: styles.deviations.values)
  }
}

/// The divergence of predictions for both versions.
enum ConsistencyKind: Kind {
  static let stems = ["consistency"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let logits = try replay.halves("logits")
    let term = styleConsistency(
      logits[0], logits[1], factor: Float(replay.number("weight", 10)), name: group,
      replay.context(samples: logits[0].value.samples))
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradient("logits", of: logits, into: &verifier)
  }
}

/// All terms of the source pass: cross-entropy, feature distance and consistency, each over both versions.
enum GeneralisedSourceKind: Kind {
  static let stems = ["source"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let (logits, features) = (try replay.halves("logits"), try replay.halves("feature"))
    let frozen = try replay.map("frozen")
    let classes = logits[0].value.channels
    let labels = try replay.labels("label", classes: classes)
    guard frozen.shape == features[0].value.shape, labels.samples == frozen.samples,
      labels.width.isMultiple(of: frozen.shape[2])
    else { throw fixture.bad(group, "labels, features and logits of different sizes") }
    let context = replay.context(samples: labels.samples)
    let things: Set<UInt8> = Set(replay.option("things", [2, 3, 4]).compactMap { UInt8(exactly: $0) })
    let owners = dominantLabels(
      labels, factor: labels.width / frozen.shape[2], minimumShare: Float(replay.number("fd_min_ratio", 0.75)),
      classCount: classes)
    let cells = owners.values.map { things.contains($0) ? UInt8(1) : 0 }
    let entropies = logits.map {
      crossEntropy($0, labels: labels, weights: nil, factor: 0.5, name: group, context)
    }
    let distances = features.map {
      featureDistance(
        $0, reference: frozen, cells: cells, globalCells: cells.count { $0 == 1 },
        factor: Float(replay.number("fd_weight", 0.005) / 2), name: group)
    }
    let consistency = styleConsistency(
      logits[0], logits[1], factor: Float(replay.number("consistency", 10)), name: group, context)
    try replay.compare("loss_ce", entropies, into: &verifier)
    try replay.compare("loss_fd", distances, into: &verifier)
    try replay.compare("loss_consistency", [consistency], into: &verifier)
    try replay.compareGradient("logits", of: logits, into: &verifier)
    try replay.compareGradient("feature", of: features, into: &verifier)
  }
}

extension TermReplay {
  /// A map of 2N samples as two of N.
  fileprivate func halves(_ name: String) throws -> [Variable] {
    let whole = try map(name)
    guard whole.samples.isMultiple(of: 2) else { throw fixture.bad(path("in/\(name)"), "\(whole.samples) samples") }
    let half = whole.samples / 2
    return [0..<half, half..<2 * half].map { Variable(tracked: whole.samples($0).copy()) }
  }

  /// Walks back and compares the gradient of both halves.
  fileprivate func compareGradient(_ name: String, of halves: [Variable], into verifier: inout Verifier) throws {
    tape.walkBack()
    try verifier.element(path("grad/\(name)"), stacked(halves.map { $0.gradient ?? Tensor(zeros: $0.value.shape) }))
  }
}

/// Samples of several maps, one after the other.
private func stacked(_ maps: [Tensor]) -> Tensor {
  Tensor(maps.flatMap(\.values), maps[0].shape.withSamples(maps.reduce(0) { $0 + $1.samples }))
}
