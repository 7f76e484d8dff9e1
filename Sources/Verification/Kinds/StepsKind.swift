// Whole self-training steps, one after the other, with every random choice replayed.

import Adaptation
import Domains
import Kernels
import Networks
import Support
import Tensors
import Training

/// Steps `step0`, `step1`, … of the real training step, and the networks after the last one.
enum StepsKind: FileKind {
  /// Pseudo-labels that may differ in a step.
  private static let allowedPseudoLabels = 5

  static func names(in fixture: Fixture) -> Set<String> {
    Set(fixture.names().filter { $0 == "final" || (number($0) != nil && fixture.contains("\($0)/source_rgb")) })
      .subtracting(fixture.contains("step0/source_rgb") ? [] : ["final"])
  }

  static func verify(_ fixture: Fixture, into verifier: inout Verifier) throws {
    let network = try NetworkDescription.read(fixture)
    let configuration = try StepsConfiguration.read(fixture)
    let count = names(in: fixture).compactMap(number).count
    var draws = ReplayedDraws()
    let batches = try (0..<count).map { step in
      let batch = try batch(fixture, step, network)
      if configuration.fdWeight != 0 { try requireWholeCells(batch, network, fixture) }
      for pass in configuration.passes {
        try draws.read(pass: pass, step: step, of: try fixture.rawImage("step\(step)/source_rgb"), network, fixture)
      }
      return batch
    }
    let samples = batches[0].samples.count
    guard batches.allSatisfy({ $0.samples.count == samples }) else { throw fixture.bad("step0", "batches differ") }
    let view = ObservedStep()
    let step = try configuration.step(network, fixture, samples: samples, draws: draws, observer: view)
    for batch in batches {
      view.stepBegins()
      let record = try step.run(batch, step: batch.step)
      try compare(record, batch, draws, view, &verifier)
      try compareGradients(batch.step, step.parts.student, view, &verifier)
    }
    try compareFinal("student", step.parts.student, configuration, steps: count, &verifier)
    if let teacher = step.parts.teacher {
      try compareFinal("teacher", teacher.network, configuration, steps: count, &verifier)
    }
  }

  /// The number of a step's group.
  private static func number(_ name: String) -> Int? { name.hasPrefix("step") ? Int(name.dropFirst(4)) : nil }

  // MARK: Inputs

  private static func batch(_ fixture: Fixture, _ step: Int, _ network: NetworkDescription) throws -> DomainBatch {
    let source = try fixture.rawImage("step\(step)/source_rgb")
    let target = try fixture.rawImage("step\(step)/target_rgb")
    guard source.shape == target.shape else {
      throw fixture.bad("step\(step)/target_rgb", "\(target.shape) beside source images of \(source.shape)")
    }
    return DomainBatch(
      step: step, samples: 0..<source.samples,
      source: DomainSamples(
        image: source, labels: try fixture.labels("step\(step)/source_label", of: source, classes: network.classes)),
      target: DomainSamples(image: target, validMask: try fixture.pixels("step\(step)/valid", of: source)))
  }

  /// The feature distance needs labels that divide into the cells of the coarsest feature.
  private static func requireWholeCells(
    _ batch: DomainBatch, _ network: NetworkDescription, _ fixture: Fixture
  ) throws {
    let sides = [batch.height, batch.width]
    let cells = sides.map { ($0 / network.reduction + 31) / 32 }
    let factor = sides[1] / cells[1]
    guard factor > 0, sides.map({ $0 / factor }) == cells else {
      throw fixture.bad("step\(batch.step)/source_label", "labels of \(sides) for features of \(cells)")
    }
  }

  // MARK: What a step makes

  private static func compare(
    _ record: StepRecord, _ batch: DomainBatch, _ draws: ReplayedDraws, _ view: ObservedStep, _ verifier: inout Verifier
  ) throws {
    let group = "step\(batch.step)"
    try compareLog(record, group, &verifier)
    if let pseudo = record.pseudoLabels.first {
      if let logits = pseudo.logits { try verifier.element("\(group)/teacher_logits", logits) }
      try verifier.integers(
        "\(group)/pseudo_label", bytes: pseudo.labels.values, allowedDifferences: allowedPseudoLabels)
    }
    let request = DrawRequest(pass: "mixed", step: batch.step, of: batch)
    let mask = batch.source?.labels.map { classMask($0, chosen: draws.draws(request).chosen) } ?? []
    try verifier.integers("\(group)/mix_mask", bytes: mask)
    for pass in view.passes {
      try comparePass(pass, group, &verifier)
      if pass.name == "mixed" { try compareMixedLabels(pass, mask: mask, "\(group)/mixed_label", &verifier) }
    }
  }

  private static func compareLog(_ record: StepRecord, _ group: String, _ verifier: inout Verifier) throws {
    for (name, value) in record.losses {
      let stored = name.replacing(".feature-distance", with: ".fd").replacing(".", with: "_")
      try verifier.element("\(group)/log/\(stored)", actual: [Float(value)])
    }
    try verifier.element("\(group)/log/lr", actual: [Float(record.learningRate)])
    if let share = record.confidentShare { try verifier.element("\(group)/log/confidence", actual: [share]) }
  }

  private static func comparePass(_ pass: ObservedPass, _ group: String, _ verifier: inout Verifier) throws {
    let path = "\(group)/\(pass.name)"
    let fixture = verifier.fixture
    if let fused = pass.output.fused, fixture.contains("\(path)_fused_logits") {
      try verifier.element("\(path)_fused_logits", fused.value)
    }
    if fixture.contains("\(path)_image") { try verifier.element("\(path)_image", pass.image) }
    if let weights = pass.weights, fixture.contains("\(path)_weight") {
      try verifier.element("\(path)_weight", weights)
    }
  }

  /// Labels of pasted pixels are exact; the others are pseudo-labels.
  private static func compareMixedLabels(
    _ pass: ObservedPass, mask: [UInt8], _ path: String, _ verifier: inout Verifier
  ) throws {
    let stored = try verifier.fixture.integers(path).values
    let labels = pass.labels?.values ?? []
    let wrong = zip(labels, stored).enumerated().contains { index, pair in
      mask[index] == 1 && Int(pair.0) != pair.1
    }
    try verifier.integers(path, bytes: labels, allowedDifferences: wrong ? 0 : allowedPseudoLabels)
  }

  private static func compareGradients(
    _ step: Int, _ student: SegmentationNetwork, _ view: ObservedStep, _ verifier: inout Verifier
  ) throws {
    guard let sum = view.gradient else { return }
    let gradients = NamedGradients(sum, of: student.parameters)
    try gradients.compareNorms(with: "step\(step)/gradient_norms", &verifier)
    let group = "step\(step)/gradients"
    if !verifier.fixture.datasets(under: group).isEmpty { try gradients.compare(with: group, &verifier) }
  }

  // MARK: Networks after the last step

  /// Parameters by norm, each and all together, then batch-norm statistics by norm.
  ///
  /// Adam turns the rounding of a gradient that is zero in exact arithmetic into steps of up to the learning rate, so such elements
  /// may be off by twice the sum of all rates.
  private static func compareFinal(
    _ name: String, _ network: SegmentationNetwork, _ configuration: StepsConfiguration, steps: Int,
    _ verifier: inout Verifier
  ) throws {
    let group = "final/\(name)"
    let paths = verifier.fixture.datasets(under: group)
    guard !paths.isEmpty else { return }
    let parameters = network.parameters
    let values = Dictionary(
      uniqueKeysWithValues: parameters.official(of: parameters.values).map { ($0.name, $0.values) })
    let statistics = Dictionary(uniqueKeysWithValues: parameters.officialBuffers().map { ($0.name, $0.values) })
    let isStatistic = { (path: String) in statistics[String(path.dropFirst(group.count + 1))] != nil }
    let rates = (0..<steps).reduce(0.0) { $0 + configuration.schedule.rate(at: $1) }
    try verifier.norms(group, inFile(group, paths.filter { !isStatistic($0) }) { values[$0] }) { path in
      2 * rates * configuration.groups.slice(name: path, range: 0..<1).rateFactor
    }
    for (path, actual) in inFile(group, paths.filter(isStatistic), { statistics[$0] }) {
      try verifier.norm(path, actual: actual)
    }
  }
}
