// Whole steps of DACS (Tranheden et al., WACV 2021), one after the other, with every random choice replayed: the real step,
// over the tiny network of reference files.

import Adaptation
import Autograd
import Collectives
import DataParallel
import Domains
import Foundation
import Kernels
import Networks
import Optimization
import Support
import Tensors
import Training

/// The group `step` of `22-dacs-step.h5`: `step0`, `step1`, … inside it, from one `state_before`.
enum DACSStepKind: FileKind {
  private static let file = "22-dacs-step"
  private static let group = "step"

  static func names(in fixture: Fixture) -> Set<String> {
    URL(filePath: fixture.file.path).deletingPathExtension().lastPathComponent == file
      ? Set(fixture.names().filter { $0 == group }) : []
  }

  static func verify(_ fixture: Fixture, into verifier: inout Verifier) throws {
    let options = try DACSStepOptions.read(fixture, group)
    let count = fixture.names(under: group).count { $0 != "state_before" }
    guard count > 0 else { throw fixture.bad(group, "no steps") }
    let tiny = TinyNetwork(mean: options.mean, classes: try options.classes(fixture))
    var draws = ReplayedDraws()
    let batches = try (0..<count).map { step in
      let batch = try batch(fixture, step, classes: tiny.classes)
      let (source, mixed) = try passDraws(fixture, step, batch)
      draws.put(source, pass: "source", step: step)
      draws.put(mixed, pass: "mixed", step: step)
      return batch
    }
    let samples = batches[0].samples.count
    guard batches.allSatisfy({ $0.samples.count == samples }) else { throw fixture.bad(group, "batches differ") }
    let seen = SeenStep()
    let step = try options.step(tiny, fixture, "\(group)/state_before", samples: samples, draws: draws, observer: seen)
    for batch in batches {
      let record = try step.run(batch, step: batch.step)
      let mask = batch.source?.labels.map {
        classMask($0, chosen: draws.draws(DrawRequest(pass: "mixed", step: batch.step, of: batch)).chosen)
      }
      try compare(record, seen, mask: mask ?? [], tiny, "\(group)/step\(batch.step)", &verifier)
      if let gradient = seen.gradient {
        try NamedGradients(gradient, of: step.parts.student.parameters).compare(
          with: "\(group)/step\(batch.step)/grad", &verifier)
      }
      try compareStates(step.parts, after: batch.step, "\(group)/step\(batch.step)", &verifier)
    }
  }

  // MARK: Inputs

  private static func batch(_ fixture: Fixture, _ step: Int, classes: Int) throws -> DomainBatch {
    let inputs = "\(group)/step\(step)/in"
    let source = try fixture.rawImage("\(inputs)/source_rgb")
    let target = try fixture.rawImage("\(inputs)/target_rgb")
    guard source.shape == target.shape else {
      throw fixture.bad("\(inputs)/target_rgb", "\(target.shape) beside source images of \(source.shape)")
    }
    return DomainBatch(
      step: step, samples: 0..<source.samples,
      source: DomainSamples(
        image: source, labels: try fixture.labels("\(inputs)/source_label", of: source, classes: classes)),
      target: DomainSamples(image: target))
  }

  private static func passDraws(
    _ fixture: Fixture, _ step: Int, _ batch: DomainBatch
  ) throws -> (source: PassDraws, mixed: PassDraws) {
    let drawn = "\(group)/step\(step)/draws"
    let samples = batch.samples.count
    let whole = Box(top: 0, bottom: batch.height, left: 0, right: batch.width)
    return (
      PassDraws(box: whole),
      PassDraws(
        box: whole, jitter: try fixture.jitter("\(drawn)/jitter", samples: samples),
        blur: try fixture.blur("\(drawn)/blur_sigma", samples: samples),
        chosen: try fixture.chosenClasses("\(drawn)/chosen", samples: samples))
    )
  }

  // MARK: What a step makes

  private static func compare(
    _ record: StepRecord, _ seen: SeenStep, mask: [UInt8], _ tiny: TinyNetwork, _ step: String,
    _ verifier: inout Verifier
  ) throws {
    let fixture = verifier.fixture
    for (pass, name) in [("source", "loss_source"), ("mixed", "loss_mixed")] {
      let terms = record.losses.filter { $0.name.hasPrefix("\(pass).") }
      try verifier.element("\(step)/out/\(name)", actual: [Float(terms.reduce(0) { $0 + $1.value })])
    }
    try verifier.element("\(step)/out/share", actual: [record.confidentShare ?? .nan])
    try verifier.integers("\(step)/out/pseudo_label", bytes: record.pseudoLabels.first?.labels.values ?? [])
    try verifier.integers("\(step)/out/mix_mask", bytes: mask)
    if let mixed = seen.mixed {
      try verifier.integers("\(step)/out/mixed_label", bytes: mixed.labels?.values ?? [])
      try verifier.element("\(step)/out/mixed_weight", actual: mixed.weights?.values ?? [])
      if fixture.contains("\(step)/out/mixed_image") {
        try verifier.element(
          "\(step)/out/mixed_image", renormalised(Variable(constant: mixed.image), to: tiny.normalisation).value)
      }
    }
  }

  /// Both networks after a step. The teacher moves as the next step begins: what it will be then is compared.
  private static func compareStates(
    _ parts: StepParts, after step: Int, _ path: String, _ verifier: inout Verifier
  ) throws {
    let student = parts.student.parameters
    try compare(student, student.values, "\(path)/state_after/student", &verifier)
    guard let teacher = parts.teacher?.network.parameters else { return }
    let next = teacher.values.copy()
    exponentialAverage(next, student.values, momentum: Float(parts.momentum.momentum(at: step + 1)))
    try compare(teacher, next, "\(path)/state_after/teacher", &verifier)
  }

  /// Parameters and statistics of a network. Heads that the file has and the method does not use stay as they were.
  private static func compare(
    _ parameters: NetworkParameters, _ values: Tensor, _ path: String, _ verifier: inout Verifier
  ) throws {
    var found = Dictionary(uniqueKeysWithValues: parameters.official(of: values).map { ($0.name, $0.values) })
    for buffer in parameters.officialBuffers() { found[buffer.name] = buffer.values }
    for dataset in verifier.fixture.datasets(under: path) {
      let name = String(dataset.dropFirst(path.count + 1))
      let actual = try name.hasPrefix("aux.") ? verifier.fixture.floats("\(group)/state_before/\(name)").values : nil
      try verifier.element(dataset, actual: found[name] ?? actual ?? [])
    }
  }
}

/// `options` of the group.
private struct DACSStepOptions: Decodable {
  let lr: Double
  let power: Double
  let total: Int
  let momentum: Double
  let weightDecay: Double
  let alpha: Double
  let tau: Float
  let mean: [Float]

  /// Reads what a group says.
  /// - Throws: `Failure` 65 if something is missing or out of range.
  static func read(_ fixture: Fixture, _ group: String) throws -> DACSStepOptions {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let options: DACSStepOptions
    do {
      options = try decoder.decode(
        DACSStepOptions.self, from: Data((try fixture.file.text("options", of: group) ?? "{}").utf8))
    } catch let error as DecodingError {
      throw fixture.bad(group, "options do not describe it: \(error)")
    }
    guard options.total > 0, options.mean.count == 3 else { throw fixture.bad(group, "options out of range") }
    return options
  }

  func classes(_ fixture: Fixture) throws -> Int {
    guard let classes = try fixture.config("classes", Int.self), 1...255 ~= classes else {
      throw fixture.bad("", "config.classes is missing or out of range")
    }
    return classes
  }

  /// The step over all samples on one rank.
  func step(
    _ tiny: TinyNetwork, _ fixture: Fixture, _ before: String, samples: Int, draws: ReplayedDraws,
    observer: any StepObserver
  ) throws -> TrainingStep {
    let solo = SoloCommunicator()
    let configuration = tiny.configuration
    let student = try SegmentationNetwork(configuration, gradientSlots: samples, seed: 0)
    let average = try SegmentationNetwork(configuration, gradientSlots: 0, seed: 0)
    for network in [student, average] { try fixture.load(tiny: before, into: network.parameters) }
    let groups = TinyNetwork.groups(weightDecay: weightDecay)
    return TrainingStep(
      StepParts(
        share: BatchShare(communicator: solo, globalBatch: samples, samples: 0..<samples), student: student,
        teacher: Teacher(average, threshold: tau), host: .selfTraining, draws: draws,
        reduction: try GradientReduction(on: solo),
        optimizer: SGD(
          slices: student.parameters.slices.map { groups.slice(name: $0.name, range: $0.range) }, momentum: momentum),
        schedule: LearningRateSchedule(baseRate: lr, warmUpSteps: 0, power: power, totalSteps: total),
        momentum: TeacherMomentum(alpha: alpha, average: .late), observer: observer),
      StepOptions(
        detailWeight: 0, normalisation: .labelled, augmentSource: false, mixClasses: .image, stochasticSeed: nil))
  }
}

/// Keeps what the last step showed.
private final class SeenStep: StepObserver {
  private(set) var mixed: ObservedPass?
  private(set) var gradient: Tensor?

  func passed(_ pass: ObservedPass) { if pass.name == "mixed" { mixed = pass } }
  func summed(_ gradient: Tensor) { self.gradient = gradient.copy() }
}
