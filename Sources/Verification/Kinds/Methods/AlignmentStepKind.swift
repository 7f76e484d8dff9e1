// Whole steps of AdaptSegNet, AdvEnt and MinEnt, one after the other: the real step over the tiny network of reference
// files, with the real objectives and their discriminators.

import Adaptation
import Methods
import Networks
import Tensors
import Training

/// The group `step` of `16-advent-step.h5`, `16-minent-step.h5` and `22-adaptsegnet-step.h5`: `step0`, `step1`, … inside
/// it, from one `state_before`.
enum AlignmentStepKind: FileKind {
  private static let group = "step"
  /// Names of predictions here and in the files.
  private static let levels = [("main", "main"), ("auxiliary", "aux")]

  static func names(in fixture: Fixture) -> Set<String> {
    let marks = ["state_before/discriminator_main/conv1.weight", "step0/out/loss_entropy_main"]
    return marks.contains { fixture.contains("\(group)/\($0)") } ? [group] : []
  }

  static func verify(_ fixture: Fixture, into verifier: inout Verifier) throws {
    let before = "\(group)/state_before"
    let (general, options) = (try TinyStepOptions.read(fixture, group), try AlignmentStepOptions.read(fixture, group))
    let seen = ObservedStep()
    let student = try general.network(fixture, "\(before)/net", slots: 1, auxiliary: 1)
    let objectives = [try options.method(general).make(general.setup(student, .adversarial, samples: 1))]
    let step = try general.step(
      student, nil, .adversarial, objectives: objectives.compactMap(\.self),
      sites: ["source": [.fused], "target": [.fused]], samples: 1, draws: WholeImages(), observer: seen
    ) { $0.auxiliaryWeight = Float(options.segmentationAux) }
    for discriminator in discriminators(of: step.parts) {
      try fixture.load(
        "\(before)/discriminator_\(discriminator.stored)", into: discriminator.parameters, name: discriminator.name)
    }
    for index in 0..<fixture.names(under: group).count(where: { $0 != "state_before" }) {
      let path = "\(group)/step\(index)"
      let batch = try fixture.batch(index, "\(path)/in", classes: general.classes)
      guard batch.samples.count == 1 else { throw fixture.bad(path, "more than one image of a domain") }
      seen.stepBegins()
      let record = try step.run(batch, step: index)
      try compareLosses(record, "\(path)/out", &verifier)
      for pass in seen.passes where fixture.contains("\(path)/out/logits_\(pass.name)_main") {
        try verifier.element(
          "\(path)/out/logits_\(pass.name)_main", pass.output.maps[.fused]?.value ?? Tensor(zeros: [0]))
      }
      if let gradient = seen.gradient {
        try NamedGradients(gradient, of: student.parameters).compare(with: "\(path)/grad/net", &verifier)
      }
      try compareDiscriminators(step.parts, path, &verifier)
      try verifier.network("\(path)/state_after/net", student.parameters)
    }
  }

  private struct Discriminator {
    let stored: String
    let prefix: String
    let parameters: NetworkParameters

    /// The file's name of a parameter.
    func name(_ parameter: String) -> String { String(parameter.dropFirst(prefix.count)) }
  }

  private static func discriminators(of parts: StepParts) -> [Discriminator] {
    parts.objectives.flatMap { objective in
      objective.companions.map { companion in
        Discriminator(
          stored: levels.first { $0.0 == companion.name }?.1 ?? companion.name,
          prefix: "\(objective.name).\(companion.name).", parameters: companion.parameters)
      }
    }
  }

  // MARK: What a step makes

  private static func compareLosses(_ record: StepRecord, _ path: String, _ verifier: inout Verifier) throws {
    func total(_ names: String...) -> [Float] {
      [Float(record.losses.filter { names.contains($0.name) }.reduce(0) { $0 + $1.value })]
    }
    try verifier.element("\(path)/loss_segmentation", actual: total("source.fused", "source.auxiliary"))
    for (level, stored) in levels {
      for (name, terms) in [
        ("adversarial", total("target.adversarial.\(level)")), ("entropy", total("target.entropy.\(level)")),
        ("discriminator", total("source.discriminator.\(level)", "target.discriminator.\(level)")),
      ] where verifier.fixture.contains("\(path)/loss_\(name)_\(stored)") {
        try verifier.element("\(path)/loss_\(name)_\(stored)", actual: terms)
      }
    }
  }

  /// Gradients, which the file has of the first step, by norm; parameters by element.
  private static func compareDiscriminators(_ parts: StepParts, _ path: String, _ verifier: inout Verifier) throws {
    for discriminator in discriminators(of: parts) {
      let parameters = discriminator.parameters
      let group = "\(path)/grad/discriminator_\(discriminator.stored)"
      let stored = verifier.fixture.datasets(under: group)
      if !stored.isEmpty, let slots = parameters.gradients {
        // The sum over samples ends in the first one's slot.
        let sum = parameters.official(of: slots.sample(0).reshaped([slots.perSample]))
        let named = Dictionary(uniqueKeysWithValues: sum.map { (discriminator.name($0.name), $0.values) })
        try verifier.norms(group, inFile(group, stored) { named[$0] })
      }
      try verifier.network(
        "\(path)/state_after/discriminator_\(discriminator.stored)", parameters, name: discriminator.name)
    }
  }
}

/// What `options` of the group and `config` of the file say of the method.
private struct AlignmentStepOptions: Decodable {
  let transform: String?
  let kind: String?
  let rateDiscriminator: Double?
  let lambdaMain: Double
  let lambdaAux: Double
  let segmentationAux: Double
  private(set) var width = 0

  private enum CodingKeys: String, CodingKey {
    case transform, kind, rateDiscriminator, lambdaMain, lambdaAux, segmentationAux
  }

  /// Reads what a group says.
  /// - Throws: `Failure` 65 if something is missing or out of range.
  static func read(_ fixture: Fixture, _ group: String) throws -> AlignmentStepOptions {
    var options: AlignmentStepOptions = try fixture.options(of: group)
    options.width = try fixture.config("width", Int.self) ?? 0
    guard 1...4096 ~= options.width, options.kind.map({ ["bce", "ls"].contains($0) }) ?? true else {
      throw fixture.bad(group, "options or config out of range")
    }
    return options
  }

  func method(_ general: TinyStepOptions) -> any MethodOptions {
    var adversarial = AdversarialOptions()
    adversarial.weight = lambdaMain
    adversarial.auxiliaryWeight = lambdaAux
    adversarial.loss = kind == "ls" ? .leastSquares : .crossEntropy
    adversarial.discriminator.width = width
    adversarial.discriminator.learningRate = rateDiscriminator ?? 0
    adversarial.discriminator.power = general.power
    switch transform {
    case "softmax":
      var options = AdaptSegNetOptions()
      options.adversarial = adversarial
      return options
    case "information":
      var options = AdvEntOptions()
      options.adversarial = adversarial
      return options
    default:
      var options = MinEntOptions()
      options.weight = lambdaMain
      options.auxiliaryWeight = lambdaAux
      return options
    }
  }
}
