// Terms of AdaptSegNet (Tsai et al., CVPR 2018): 22-adaptsegnet.h5. N samples, K classes.

import Autograd
import Kernels
import Tensors

/// The discriminator's map, walked back from a cotangent to the input and all parameters.
enum DiscriminatorKind: Kind {
  static let stems = ["discriminator"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let input = try replay.input("input")
    let discriminator = try DiscriminatorReplay(replay, slots: input.value.samples)
    let map = try discriminator(input, replay.context(samples: input.value.samples))
    try replay.compare("map", map, into: &verifier)
    try replay.compareGradients(into: &verifier)
    try discriminator.compareGradients(rate: 0, into: &verifier)
  }
}

/// Cross-entropy of one or two heads over labelled pixels, as one number.
enum TwoHeadsKind: Kind {
  static let stems = ["segmentation"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    var terms: [LossTerm] = []
    for (level, weight) in [("main", 1), ("aux", replay.number("lambda_aux", 0.1))]
    where replay.contains("in/\(level)") {
      let logits = try replay.input(level)
      let labels = try replay.labels("label", classes: logits.value.channels)
      terms.append(
        crossEntropy(
          logits, labels: labels, weights: nil, valid: labels.labelled, alignCorners: true, factor: Float(weight),
          name: level, replay.context(samples: labels.samples)))
    }
    try replay.compare("loss", terms, into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// The adversarial term on class probabilities.
enum OutputAdversaryKind: Kind {
  static let stems = ["adversarial"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    try verifyAdversarial(group, .probabilities, fixture, into: &verifier)
  }
}

/// The discriminator's loss on class probabilities.
enum OutputDiscriminatorKind: Kind {
  static let stems = ["discriminator_loss"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    try verifyDiscriminatorLoss(group, .probabilities, fixture, into: &verifier)
  }
}

extension LabelMap {
  /// Number of pixels that have a label.
  var labelled: Int { values.count { $0 != LabelMap.ignored } }
}
