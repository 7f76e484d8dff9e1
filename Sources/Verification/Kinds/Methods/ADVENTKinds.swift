// Terms of MinEnt and AdvEnt (Vu et al., CVPR 2019): 16-advent.h5. N samples, K classes.

import Autograd
import Kernels
import Tensors

/// Normalised entropy of resized logits of one or two levels, each with its weight.
enum EntropyKind: Kind {
  static let stems = ["entropy"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let size = try replay.size("size")
    for (level, weight) in [("main", 1e-3), ("aux", 2e-4)] where replay.contains("in/\(level)") {
      let logits = try replay.input(level)
      let context = replay.context(samples: logits.value.samples)
      let dense = bilinear(
        logits, height: size.height, width: size.width, alignCorners: replay.option("align_corners", true), context)
      let term = normalizedEntropy(
        ofLogits: dense, factor: Float(replay.number("lambda_\(level)", weight)), name: level, context)
      try replay.compare("loss_entropy_\(level)", [term], into: &verifier)
    }
    try replay.compareGradients(into: &verifier)
  }
}

/// Self-information of soft-max probabilities, walked back from a cotangent.
enum InformationKind: Kind {
  static let stems = ["information"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let logits = try replay.input("logits")
    let context = replay.context(samples: logits.value.samples)
    try replay.compare("map", selfInformation(softmax(logits, context), context), into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// The adversarial term on self-information.
enum InformationAdversaryKind: Kind {
  static let stems = ["adversarial"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    try verifyAdversarial(group, .information, fixture, into: &verifier)
  }
}

/// The discriminator's loss on self-information.
enum InformationDiscriminatorKind: Kind {
  static let stems = ["discriminator_loss"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    try verifyDiscriminatorLoss(group, .information, fixture, into: &verifier)
  }
}

/// Class shares of labels, and the prior that asks predictions for half of them.
enum ClassPriorKind: Kind {
  static let stems = ["prior"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let logits = try replay.input("logits")
    let labels = try replay.labels("label", classes: logits.value.channels)
    var counts = [Int](repeating: 0, count: logits.value.channels)
    for label in labels.values where label != LabelMap.ignored { counts[Int(label)] += 1 }
    let total = Float(max(1, counts.reduce(0, +)))
    let shares = counts.map { Float($0) / total }
    try verifier.element(replay.path("out/ratio"), actual: shares)
    let term = classPrior(
      ofLogits: logits, prior: shares, share: Float(replay.number("mu", 0.5)), factor: 1, name: group,
      replay.context(samples: logits.value.samples))
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// Entropy of the most uncertain pixels of each image.
enum RankedEntropyKind: Kind {
  static let stems = ["ranked"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let logits = try replay.input("logits")
    let share = replay.number("share", 0.3)
    try verifier.integers(
      replay.path("out/chosen"), actual: uncertainPixels(logits.value, share: share).values.map { Int($0) })
    let term = rankedEntropy(
      ofLogits: logits, share: share, factor: 1, name: group, replay.context(samples: logits.value.samples))
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// The average of two networks' logits, or of their probabilities.
enum EnsembleKind: Kind {
  static let stems = ["ensemble"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let ofLogits = replay.option("of", "logits") == "logits"
    let maps = try ["first", "second"].map { name in
      let logits = try replay.map(name)
      return Kernels.scaled(ofLogits ? logits : Kernels.softmax(logits), by: 0.5)
    }
    guard maps[0].shape == maps[1].shape else { throw fixture.bad(group, "\(maps[0].shape) and \(maps[1].shape)") }
    let mean = Kernels.add(maps[0], maps[1])
    try verifier.element(replay.path("out/mean"), mean)
    try verifier.integers(replay.path("out/label"), bytes: argMax(mean).values)
  }
}
