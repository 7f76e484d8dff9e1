// Terms of CLAN (Luo et al., CVPR 2019): 18-clan.h5. N samples, K classes.

import Autograd
import Kernels
import Optimization
import Support
import Tensors

/// Focal loss over labelled pixels.
enum FocalKind: Kind {
  static let stems = ["focal"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let logits = try replay.input("logits")
    let labels = try replay.labels("label", classes: logits.value.channels)
    let term = focal(
      logits, labels: labels, gamma: replay.number("gamma", 2), valid: labels.labelled, factor: 1, name: group,
      replay.context(samples: labels.samples))
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// How far two class distributions are apart, walked back from a cotangent.
enum DisagreementKind: Kind {
  static let stems = ["disagreement"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let logits = try [replay.input("logits1"), replay.input("logits2")]
    let cotangent = try replay.map("cotangent")
    try replay.checkAlike(logits)
    let apart = disagreement(logits, replay.context(samples: logits[0].value.samples))
    guard cotangent.shape == apart.value.shape else { throw fixture.bad(group, "cotangent \(cotangent.shape)") }
    try verifier.element(replay.path("out/weight"), apart.value)
    try verifier.element(replay.path("out/loss"), actual: [Float(dot(apart.value, cotangent))])
    apart.cell?.accumulate(cotangent)
    try replay.compareGradients(into: &verifier)
  }
}

/// Binary cross-entropy with weights that take a gradient, or without.
enum WeightedDomainLossKind: Kind {
  static let stems = ["weighted_bce"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let map = try replay.input("map")
    let weights = replay.contains("in/weight") ? try replay.input("weight") : nil
    try replay.checkAlike([map] + [weights].compactMap(\.self))
    let term = replay.compared(
      map, towards: Float(replay.number("domain", 0)), weights, factor: 1, replay.context(samples: map.value.samples))
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// The student's term against a frozen discriminator.
enum CategoryAdversaryKind: Kind {
  static let stems = ["adversarial"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let logits = try [replay.input("logits1"), replay.input("logits2")]
    try replay.checkAlike(logits)
    let context = replay.context(samples: logits[0].value.samples)
    let large = try replay.enlarged(logits, "size", context)
    var weights = replay.isWeighted ? disagreement(large, context) : nil
    if replay.option("detach_weight", false) { weights = weights.map { Variable(constant: $0.value) } }
    let answers = try replay.answers(try DiscriminatorReplay(replay, slots: 0), large, context)
    let damping = 1 - replay.number("iteration", 0) / replay.number("total", 100_000)
    let term = replay.compared(
      answers, towards: 0, weights, factor: replay.number("weight", 1e-3) * damping, context)
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// The discriminator's losses on detached logits of both domains.
enum CategoryDiscriminatorKind: Kind {
  static let stems = ["discriminator"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let source = try ["source1", "source2"].map { Variable(constant: try replay.map($0)) }
    let target = try ["target1", "target2"].map { Variable(constant: try replay.map($0)) }
    try replay.checkAlike(source + target)
    let context = replay.context(samples: source[0].value.samples)
    let discriminator = try DiscriminatorReplay(replay, slots: context.globalBatch)
    for (domain, maps, answer) in [("source", source, Float(0)), ("target", target, 1)] {
      let large = try replay.enlarged(maps, "size_\(domain)", context)
      let weights = domain == "target" && replay.isWeighted ? disagreement(large, context) : nil
      let term = replay.compared(
        try replay.answers(discriminator, large, context), towards: answer, weights, factor: 1, context)
      try replay.compare("loss_discriminator_\(domain)", [term], into: &verifier)
    }
    replay.tape.walkBack()
    try discriminator.compareGradients(rate: replay.number("rate", 1e-3), into: &verifier)
  }
}

/// The cosine between the weights of two heads.
enum WeightDiscrepancyKind: Kind {
  static let stems = ["weight_discrepancy"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let names = ["a.weight", "a.bias", "b.weight", "b.bias"]
    let heads = try ["head1", "head2"].map { head in try names.map { try parameter(replay, "\(head)/\($0)") } }
    guard heads[0].map(\.officialShape) == heads[1].map(\.officialShape) else {
      throw fixture.bad(group, "heads of two forms")
    }
    let damping = 1 - replay.number("iteration", 0) / replay.number("total", 100_000)
    let term = weightCosine(
      heads[0], heads[1], factor: Float(2 * replay.number("weight", 0.01) * damping), name: group, samples: 1,
      replay.context(samples: 1))
    try replay.compare("loss", [term], into: &verifier)
    replay.tape.walkBack()
    for parameter in heads.joined() {
      let gradient = parameter.slots?.values(0) ?? []
      try verifier.element(
        replay.path("grad/\(parameter.name)"),
        actual: ParameterLayout.toOfficial(gradient, officialShape: parameter.officialShape))
    }
  }

  private static func parameter(_ replay: TermReplay, _ name: String) throws -> Parameter {
    let (values, shape) = try replay.fixture.floats(replay.path("state_before/\(name)"))
    guard !values.isEmpty else { throw replay.fixture.bad(replay.path(name), "shape \(shape)") }
    let parameter = Parameter(name: name, officialShape: shape) { _, count in [Float](repeating: 0, count: count) }
    let inner = Tensor(ParameterLayout.toInternal(values, officialShape: shape), parameter.internalShape)
    parameter.bind(inner, slots: GradientSlots(zeros: parameter.count, samples: 1))
    return parameter
  }
}

/// The learning rate, whose warm-up is of the base rate, and the damping.
enum CategoryScheduleKind: Kind {
  static let stems = ["schedules"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let total = Int(replay.number("total", 100_000))
    guard total > 0 else { throw fixture.bad(group, "a schedule of \(total) steps") }
    let schedule = LearningRateSchedule(
      baseRate: replay.number("base", 2.5e-4), warmUpSteps: Int(replay.number("preheat", 5000)), warmUpRatio: 0,
      warmUpTo: .base, power: replay.number("power", 0.9), totalSteps: total)
    let steps = try fixture.integers(replay.path("in/iteration")).values
    try verifier.element(replay.path("out/rate"), actual: steps.map { Float(schedule.rate(at: $0) * 1e4) })
    try verifier.element(replay.path("out/damping"), actual: steps.map { Float(1 - Double($0) / Double(total)) })
  }
}

private func disagreement(_ logits: [Variable], _ context: ForwardContext) -> Variable {
  cosineDistance(softmax(logits[0], context), softmax(logits[1], context), context)
}

extension TermReplay {
  fileprivate var isWeighted: Bool { number("iteration", 0) > number("preheat", 5000) }

  fileprivate func checkAlike(_ maps: [Variable]) throws {
    let shapes = Set(maps.map { $0.value.shape.array })
    guard shapes.count == 1 else { throw fixture.bad(group, "maps of \(shapes.count) shapes") }
  }

  fileprivate func enlarged(_ logits: [Variable], _ name: String, _ context: ForwardContext) throws -> [Variable] {
    let size = try size(name)
    return logits.map { bilinear($0, height: size.height, width: size.width, alignCorners: true, context) }
  }

  fileprivate func answers(
    _ discriminator: DiscriminatorReplay, _ logits: [Variable], _ context: ForwardContext
  ) throws -> Variable {
    let shape = logits[0].value.shape
    let map = try discriminator(softmax(add(logits[0], logits[1], context), context), context)
    return bilinear(map, height: shape[1], width: shape[2], alignCorners: true, context)
  }

  fileprivate func compared(
    _ map: Variable, towards domain: Float, _ apart: Variable?, factor: Double, _ context: ForwardContext
  ) -> LossTerm {
    guard let apart else {
      return binaryCrossEntropy(map, towards: domain, factor: Float(factor), name: group, context)
    }
    let weights = affine(
      apart, factor: Float(number("local", 40)), offset: Float(number("eps", 0.4)), context)
    return binaryCrossEntropy(
      map, towards: domain, trainedWeights: weights, factor: Float(factor), name: group, context)
  }
}
