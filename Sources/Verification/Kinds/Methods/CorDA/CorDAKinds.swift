// Terms of CorDA (Wang et al., ICCV 2021): 06-corda.h5. N samples, K classes. Predictions are enlarged with corners on
// corners there.

import Adaptation
import Autograd
import Collectives
import Domains
import Kernels
import Methods
import Optimization
import Tensors

/// Cross-entropy over labelled pixels.
enum LabelledCrossEntropyKind: Kind {
  static let stems = ["crossEntropy"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let logits = try replay.input("logits")
    let labels = try replay.labels("labels", classes: logits.value.channels)
    let term = crossEntropy(
      logits, labels: labels, weights: nil, valid: labels.labelled, alignCorners: true, factor: 1, name: group,
      replay.context(samples: labels.samples))
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// Reverse Huber loss over pixels of known depth.
enum DepthLossKind: Kind {
  static let stems = ["berhu"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let prediction = try replay.input("prediction")
    let depth = try replay.plane("depth", like: prediction.value)
    let pass = DepthPass([DepthPass.Level("depth", source: prediction)], depth: depth, mask: nil)
    let terms = pass.losses(
      try replay.totals(pass), factor: 1, prefix: group, replay.context(samples: depth.samples))
    try replay.compare("loss", terms, into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// Weights by the agreement of two classifiers of depth.
enum DifficultyKind: Kind {
  static let stems = ["difficulty"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let (source, target) = (try replay.map("d_source"), try replay.map("d_target"))
    let depth = try replay.plane("depth", like: source)
    guard target.shape == source.shape else { throw fixture.bad(group, "depths of different sizes") }
    let agreement = depthAgreement(source: source, target: target, depth: depth)
    try verifier.element(replay.path("out/h"), agreement)
    try verifier.element(replay.path("out/factor"), try replay.factors(agreement))
  }
}

/// What numbers in files mean.
enum DepthUnitsKind: Kind {
  static let stems = ["depthUnits"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let metres = try fixture.floats(replay.path("in/stereo_metres")).values
    try verifier.element(
      replay.path("out/stereo"), actual: metres.map { DepthCode.stereo.inverseDepth(Double($0)) })
    for code in [DepthCode.monocular, .synthia] {
      let values = try fixture.integers(replay.path("in/\(code.rawValue)_value")).values
      try verifier.element(
        replay.path("out/\(code.rawValue)"),
        actual: values.map { code.inverseDepth(Double($0) * code.publishedScale) })
    }
  }
}

/// The teacher at the end of an iteration.
enum EndOfStepAverageKind: Kind {
  static let stems = ["ema"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let teacher = try fixture.parameter(replay.path("state_before/teacher"))
    let student = try fixture.parameter(replay.path("in/student"))
    let steps = try fixture.integers(replay.path("in/iteration")).values
    guard student.shape == teacher.shape, steps.count == 1, steps[0] >= 0 else {
      throw fixture.bad(group, "a student of \(student.shape)")
    }
    // What ends a step is what begins the next, by the momentum of this one.
    let momentum = TeacherMomentum(alpha: replay.number("alpha", 0.999), average: .late)
    exponentialAverage(teacher, student, momentum: Float(momentum.momentum(at: steps[0] + 1)))
    try verifier.element(replay.path("state_after/teacher"), parameter: teacher)
  }
}

/// The losses of both passes of a step, given all predictions.
enum DepthGuidedStepKind: Kind {
  static let stems = ["step"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var step = try DepthGuidedStep(group, fixture)
    let supervised = try step.supervised()
    let mixed = try step.mixed(into: &verifier)
    let replay = step.replay
    try replay.compare("part/supervised", supervised, into: &verifier)
    try replay.compare("part/labels", [mixed.labels], into: &verifier)
    try replay.compare("part/initialLabels", [mixed.initial], into: &verifier)
    try replay.compare("part/depth", mixed.depth, into: &verifier)
    try replay.compare("loss", supervised + [mixed.labels, mixed.initial] + mixed.depth, into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// One case of `DepthGuidedStepKind`.
private struct DepthGuidedStep {
  var replay: TermReplay
  private let labels: LabelMap
  private let depths: (source: Tensor, target: Tensor)
  private let context: ForwardContext

  init(_ group: String, _ fixture: Fixture) throws {
    replay = try TermReplay(group, fixture)
    let teacher = try replay.map("teacher")
    labels = try replay.labels("labels", classes: teacher.channels)
    let plane = Tensor(zeros: [labels.samples, labels.height, labels.width, 1])
    depths = (try replay.plane("source_depth", like: plane), try replay.plane("target_depth", like: plane))
    guard teacher.samples == labels.samples else { throw fixture.bad(group, "batches of different sizes") }
    context = replay.context(samples: labels.samples)
  }

  /// A prediction at the size of the labels.
  private mutating func dense(_ name: String) throws -> Variable {
    let map = try replay.input(name)
    guard map.value.samples == labels.samples else {
      throw replay.fixture.bad(replay.path(name), "\(map.value.samples) samples")
    }
    return bilinear(map, height: labels.height, width: labels.width, alignCorners: true, context)
  }

  private mutating func levels(_ pass: String) throws -> [DepthPass.Level] {
    let isMixed = pass == "mixed"
    return [
      DepthPass.Level(
        "depth", source: try dense("\(pass)/Dsrc"), target: isMixed ? try dense("\(pass)/D") : nil),
      DepthPass.Level(
        "initial-depth", source: try dense("\(pass)/Dsrci"), target: isMixed ? try dense("\(pass)/Di") : nil),
    ]
  }

  mutating func supervised() throws -> [LossTerm] {
    let terms = try ["S", "Si"].map { name in
      crossEntropy(
        try dense("source/\(name)"), labels: labels, weights: nil, valid: labels.labelled, factor: 1, name: name,
        context)
    }
    let pass = DepthPass(try levels("source"), depth: depths.source, mask: nil)
    let factor = Float(replay.number("sourceDepth", 0.01))
    return terms + pass.losses(try replay.totals(pass), factor: factor, prefix: "source", context)
  }

  typealias Mixed = (labels: LossTerm, initial: LossTerm, depth: [LossTerm])

  mutating func mixed(into verifier: inout Verifier) throws -> Mixed {
    let pasted = try pasted(into: &verifier)
    guard let depth = pasted.maps[PixelMap.depth] else { preconditionFailure("depth was not pasted") }
    let pass = DepthPass(try levels("mixed"), depth: depth, mask: pasted.mask)
    let agreement = pass.agreement()
    try verifier.element(replay.path("out/difficulty"), agreement)
    let factors = try replay.factors(agreement)
    let weights = pasted.weights.map { Kernels.multiply($0, factors) } ?? factors
    try verifier.element(replay.path("out/weights"), weights)
    let consistency = Float(replay.number("consistency", 1))
    let terms = try ["S", "Si"].map { name in
      crossEntropy(
        try dense("mixed/\(name)"), labels: pasted.labels, weights: weights, factor: consistency, name: name, context)
    }
    let factor = Float(replay.number("mixedDepth", 0.001))
    return (terms[0], terms[1], pass.losses(try replay.totals(pass), factor: factor, prefix: "mixed", context))
  }

  /// Source labels and depth pasted onto what the teacher says of the target.
  private func pasted(into verifier: inout Verifier) throws -> LabelledImages {
    let chosen = try replay.lists("draws/chosen")
    guard chosen.count == labels.samples else { throw replay.fixture.bad(replay.group, "\(chosen.count) choices") }
    let believed = try PseudoLabels(
      Kernels.bilinear(try replay.map("teacher"), height: labels.height, width: labels.width, alignCorners: true),
      valid: nil, threshold: Float(replay.number("tau", 0.968)),
      BatchShare(communicator: SoloCommunicator(), globalBatch: labels.samples, samples: 0..<labels.samples))
    try verifier.integers(replay.path("out/pseudo"), bytes: believed.labels.values)
    try verifier.element(replay.path("out/q"), actual: [believed.confidentShare])
    let image = Tensor(zeros: [labels.samples, labels.height, labels.width, 1])
    let mask = classMask(labels, chosen: chosen)
    let mixed = Adaptation.pasted(
      LabelledImages(image: image, labels: labels, maps: [PixelMap.depth: depths.source]),
      onto: LabelledImages(
        image: image, labels: believed.labels, weights: believed.weights, maps: [PixelMap.depth: depths.target]),
      where: mask)
    try verifier.integers(replay.path("out/mask"), bytes: mask)
    try verifier.integers(replay.path("out/mixedLabels"), bytes: mixed.labels.values)
    return mixed
  }
}

extension TermReplay {
  /// Depth [N, H, W] of as many pixels as a map.
  fileprivate func plane(_ name: String, like map: Tensor) throws -> Tensor {
    let depth = try self.map(name)
    guard depth.shape == map.shape, depth.channels == 1 else { throw fixture.bad(path(name), "depth \(depth.shape)") }
    return depth.reshaped([depth.shape[0], depth.shape[1], depth.shape[2]])
  }

  /// What all samples together say of a pass.
  fileprivate func totals(_ pass: DepthPass) throws -> PassTotals {
    var asked = PassStatistics()
    pass.ask(&asked)
    return try PassTotals.exchanged([asked], samples: pass.depth.samples, on: SoloCommunicator())[0]
  }

  /// Factors of pixel weights, of an image's own agreement or as the released code has them.
  fileprivate func factors(_ agreement: Tensor) throws -> Tensor {
    var asked = PassStatistics()
    askAgreement(agreement, &asked)
    let totals = try PassTotals.exchanged([asked], samples: agreement.samples, on: SoloCommunicator())[0]
    return difficultyFactors(
      agreement, totals, globalBatch: agreement.samples, option("otherImagesQ", false) ? .batch : .image)
  }
}
