// Whole steps of CLAN, one after the other: the real step over the tiny network of reference files, both of whose heads
// read the last feature map, with the real objective and its discriminator.

import Adaptation
import Methods
import Networks
import Tensors
import Training

/// The group `step` of `18-clan-step.h5`: `step0`, `step1`, … inside it, from one `state_before`.
enum CategoryStepKind: FileKind {
  private static let group = "step"

  static func names(in fixture: Fixture) -> Set<String> {
    fixture.contains("\(group)/state_before/discriminator/conv1.weight") ? [group] : []
  }

  static func verify(_ fixture: Fixture, into verifier: inout Verifier) throws {
    let before = "\(group)/state_before"
    let (general, options) = (try TinyStepOptions.read(fixture, group), try CategoryStepOptions.read(fixture, group))
    let seen = ObservedStep()
    let student = try general.network(fixture, "\(before)/net", slots: 1, auxiliary: 2, predicts: true)
    let objective = try CategoryAlignment(options.method(general), general.setup(student, .adversarial, samples: 1))
    let step = try general.step(
      student, nil, .adversarial, objectives: [objective], samples: 1, draws: WholeImages(),
      warmUpSteps: options.preheat, observer: seen
    ) { $0.auxiliaryWeight = 1 }
    for companion in objective.companions {
      try fixture.load("\(before)/discriminator", into: companion.parameters, name: name)
    }
    for index in 0..<fixture.names(under: group).count(where: { $0 != "state_before" }) {
      let path = "\(group)/step\(index)"
      let batch = try fixture.batch(index, "\(path)/in", classes: general.classes)
      guard batch.samples.count == 1 else { throw fixture.bad(path, "more than one image of a domain") }
      seen.stepBegins()
      try compareLosses(try step.run(batch, step: index), "\(path)/out", &verifier)
      if let gradient = seen.gradient {
        try NamedGradients(gradient, of: student.parameters).compare(with: "\(path)/grad/net", &verifier)
      }
      for companion in objective.companions { try compare(companion.parameters, path, &verifier) }
      try verifier.network("\(path)/state_after/net", student.parameters)
    }
  }

  /// The file's name of a parameter of the discriminator.
  private static func name(_ parameter: String) -> String { String(parameter.dropFirst("clan.main.".count)) }

  private static func compareLosses(_ record: StepRecord, _ path: String, _ verifier: inout Verifier) throws {
    let stored = [
      "segmentation": ["source.fused", "source.auxiliary"], "adversarial": ["target.adversarial"],
      "weight": ["source.discrepancy"], "discriminator_source": ["source.discriminator"],
      "discriminator_target": ["target.discriminator"],
    ]
    for (name, terms) in stored.sorted(by: { $0.key < $1.key }) {
      let sum = record.losses.filter { terms.contains($0.name) }.reduce(0) { $0 + $1.value }
      try verifier.element("\(path)/loss_\(name)", actual: [Float(sum)])
    }
  }

  /// Gradients of the discriminator by norm, its parameters by element.
  private static func compare(
    _ discriminator: NetworkParameters, _ path: String, _ verifier: inout Verifier
  ) throws {
    if let slots = discriminator.gradients {
      let group = "\(path)/grad/discriminator"
      let sum = discriminator.official(of: slots.sample(0).reshaped([slots.perSample]))
      let named = Dictionary(uniqueKeysWithValues: sum.map { (name($0.name), $0.values) })
      try verifier.norms(group, inFile(group, verifier.fixture.datasets(under: group)) { named[$0] })
    }
    try verifier.network("\(path)/state_after/discriminator", discriminator, name: name)
  }
}

/// What `options` of the group and `config` of the file say of the method.
private struct CategoryStepOptions: Decodable {
  let preheat: Int
  let eps: Double
  let local: Double
  let weight: Double
  let weightDiscrepancy: Double
  let rateDiscriminator: Double
  private(set) var width = 0

  private enum CodingKeys: String, CodingKey {
    case preheat, eps, local, weight, weightDiscrepancy, rateDiscriminator
  }

  /// Reads what a group says.
  /// - Throws: `Failure` 65 if something is missing or out of range.
  static func read(_ fixture: Fixture, _ group: String) throws -> CategoryStepOptions {
    var options: CategoryStepOptions = try fixture.options(of: group)
    options.width = try fixture.config("width", Int.self) ?? 0
    guard 1...4096 ~= options.width, options.preheat >= 0 else {
      throw fixture.bad(group, "options or config out of range")
    }
    return options
  }

  /// The released code doubles the weight of the heads' difference.
  func method(_ general: TinyStepOptions) -> CategoryAlignmentOptions {
    var options = CategoryAlignmentOptions()
    options.weight = weight
    options.discrepancyWeight = 2 * weightDiscrepancy
    options.agreementWeight = eps
    options.disagreementWeight = local
    options.preheat = Double(preheat) / Double(general.total)
    options.discriminator.width = width
    options.discriminator.learningRate = rateDiscriminator
    options.discriminator.power = general.power
    return options
  }
}
