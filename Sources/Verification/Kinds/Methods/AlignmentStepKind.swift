// Whole steps of AdaptSegNet, AdvEnt and MinEnt, one after the other: the real step over the tiny network of reference
// files, with the real objectives and their discriminators.

import Adaptation
import Collectives
import DataParallel
import Domains
import Foundation
import Kernels
import Methods
import Networks
import Optimization
import Support
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
    let options = try AlignmentStepOptions.read(fixture, group)
    let seen = SeenPasses()
    let step = try options.step(fixture, "\(group)/state_before", seen)
    for discriminator in discriminators(of: step.parts) {
      try load(fixture, "\(group)/state_before/discriminator_\(discriminator.stored)", discriminator)
    }
    for index in 0..<fixture.names(under: group).count(where: { $0 != "state_before" }) {
      let path = "\(group)/step\(index)"
      let record = try step.run(try batch(fixture, index, "\(path)/in", options.classes), step: index)
      try compareLosses(record, "\(path)/out", &verifier)
      for (pass, logits) in seen.logits where fixture.contains("\(path)/out/logits_\(pass)_main") {
        try verifier.element("\(path)/out/logits_\(pass)_main", logits)
      }
      if let gradient = seen.gradient {
        try NamedGradients(gradient, of: step.parts.student.parameters).compare(with: "\(path)/grad/net", &verifier)
      }
      try compareDiscriminators(step.parts, path, &verifier)
      try compareNetwork(step.parts.student.parameters, "\(path)/state_after/net", &verifier)
    }
  }

  // MARK: Inputs

  /// Images of the two domains have different sizes, which no loader gives.
  private static func batch(_ fixture: Fixture, _ step: Int, _ path: String, _ classes: Int) throws -> DomainBatch {
    let source = try fixture.rawImage("\(path)/source_rgb")
    let target = try fixture.rawImage("\(path)/target_rgb")
    guard source.samples == 1, target.samples == 1 else { throw fixture.bad(path, "more than one image of a domain") }
    let labels = try fixture.labels("\(path)/source_label", of: source, classes: classes)
    var batch = DomainBatch(
      step: step, samples: 0..<1, source: DomainSamples(image: source, labels: labels), target: nil)
    batch.target = DomainSamples(image: target)
    return batch
  }

  private struct Discriminator {
    let stored: String
    let prefix: String
    let parameters: NetworkParameters
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

  private static func load(_ fixture: Fixture, _ path: String, _ discriminator: Discriminator) throws {
    let parameters = discriminator.parameters
    for slice in parameters.slices {
      let place = "\(path)/\(slice.name.dropFirst(discriminator.prefix.count))"
      let (values, shape) = try fixture.floats(place)
      guard shape == slice.officialShape else {
        throw fixture.bad(place, "shape \(shape) instead of \(slice.officialShape)")
      }
      parameters.load(values, named: slice.name, into: parameters.values)
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
      func named(_ arena: Tensor) -> [String: [Float]] {
        Dictionary(
          uniqueKeysWithValues: parameters.official(of: arena).map {
            (String($0.name.dropFirst(discriminator.prefix.count)), $0.values)
          })
      }
      let group = "\(path)/grad/discriminator_\(discriminator.stored)"
      let stored = verifier.fixture.datasets(under: group)
      if !stored.isEmpty, let slots = parameters.gradients {
        // The sum over samples ends in the first one's slot.
        let sum = named(slots.sample(0).reshaped([slots.perSample]))
        try verifier.norms(group, inFile(group, stored) { sum[$0] })
      }
      let after = "\(path)/state_after/discriminator_\(discriminator.stored)"
      let values = named(parameters.values)
      for (path, actual) in inFile(after, verifier.fixture.datasets(under: after), { values[$0] }) {
        try verifier.element(path, actual: actual)
      }
    }
  }

  private static func compareNetwork(
    _ parameters: NetworkParameters, _ group: String, _ verifier: inout Verifier
  ) throws {
    let all = parameters.official(of: parameters.values) + parameters.officialBuffers()
    let values = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0.values) })
    for (path, actual) in inFile(group, verifier.fixture.datasets(under: group), { values[$0] }) {
      try verifier.element(path, actual: actual)
    }
  }
}

/// `options` of the group, and `config` of the file.
private struct AlignmentStepOptions: Decodable {
  let transform: String?
  let kind: String?
  let lr: Double
  let rateDiscriminator: Double?
  let power: Double
  let total: Int
  let momentum: Double
  let weightDecay: Double
  let mean: [Float]
  let lambdaMain: Double
  let lambdaAux: Double
  let segmentationAux: Double
  private(set) var classes = 0
  private(set) var width = 0

  private enum CodingKeys: String, CodingKey {
    case transform, kind, lr, rateDiscriminator, power, total, momentum, weightDecay, mean, lambdaMain, lambdaAux
    case segmentationAux
  }

  /// Reads what a group says.
  /// - Throws: `Failure` 65 if something is missing or out of range.
  static func read(_ fixture: Fixture, _ group: String) throws -> AlignmentStepOptions {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    var options: AlignmentStepOptions
    do {
      options = try decoder.decode(
        AlignmentStepOptions.self, from: Data((try fixture.file.text("options", of: group) ?? "{}").utf8))
    } catch let error as DecodingError {
      throw fixture.bad(group, "options do not describe it: \(error)")
    }
    options.classes = try fixture.config("classes", Int.self) ?? 0
    options.width = try fixture.config("width", Int.self) ?? 0
    guard options.total > 0, options.mean.count == 3, 2...255 ~= options.classes, 1...4096 ~= options.width,
      options.kind.map({ ["bce", "ls"].contains($0) }) ?? true
    else { throw fixture.bad(group, "options or config out of range") }
    return options
  }

  private func method() throws -> any MethodOptions {
    var adversarial = AdversarialOptions()
    adversarial.weight = lambdaMain
    adversarial.auxiliaryWeight = lambdaAux
    adversarial.loss = kind == "ls" ? .leastSquares : .crossEntropy
    adversarial.discriminator.width = width
    adversarial.discriminator.learningRate = rateDiscriminator ?? 0
    adversarial.discriminator.power = power
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

  /// The step over one image of each domain, on one rank.
  func step(_ fixture: Fixture, _ before: String, _ observer: any StepObserver) throws -> TrainingStep {
    let solo = SoloCommunicator()
    let share = BatchShare(communicator: solo, globalBatch: 1, samples: 0..<1)
    let tiny = TinyNetwork(mean: mean, classes: classes)
    var configuration = tiny.configuration
    configuration.auxiliary = AuxiliaryHead(stage: 1)
    let student = try SegmentationNetwork(configuration, gradientSlots: 1, seed: 0)
    try fixture.load(tiny: "\(before)/net", into: student.parameters)
    let groups = TinyNetwork.groups(weightDecay: weightDecay)
    let setup = ObjectiveSetup(
      configuration: configuration, host: .adversarial, seed: 0, scheduledSteps: total, decaySteps: total,
      share: share)
    let objectives = [try method().make(setup)].compactMap(\.self)
    return TrainingStep(
      StepParts(
        share: share, student: student, teacher: nil, host: .adversarial, objectives: objectives,
        companions: try StepCompanions(of: objectives, on: solo),
        sites: ["source": [.fused], "target": [.fused]], draws: WholeImages(),
        reduction: try GradientReduction(on: solo),
        optimizer: SGD(
          slices: student.parameters.slices.map { groups.slice(name: $0.name, range: $0.range) }, momentum: momentum),
        schedule: LearningRateSchedule(baseRate: lr, warmUpSteps: 0, power: power, totalSteps: total),
        momentum: TeacherMomentum(), observer: observer),
      StepOptions(
        detailWeight: 0, auxiliaryWeight: Float(segmentationAux), normalisation: .labelled, augmentSource: false,
        stochasticSeed: nil))
  }
}

/// Nothing is drawn: a network of one resolution sees whole images.
private struct WholeImages: DrawSource {
  func draws(_ request: DrawRequest) -> PassDraws {
    PassDraws(box: Box(top: 0, bottom: request.height, left: 0, right: request.width))
  }
}

/// Keeps what the last step showed: logits before they are resized, by pass, and the gradient.
private final class SeenPasses: StepObserver {
  private(set) var logits: [String: Tensor] = [:]
  private(set) var gradient: Tensor?

  func passed(_ pass: ObservedPass) { logits[pass.name] = pass.output.maps[.fused]?.value }
  func summed(_ gradient: Tensor) { self.gradient = gradient.copy() }
}
