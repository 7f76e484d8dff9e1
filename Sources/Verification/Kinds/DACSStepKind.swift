// Whole steps of DACS (Tranheden et al., WACV 2021), one after the other, with every random choice replayed: the real step,
// over the tiny network of reference files.

import Adaptation
import Autograd
import Domains
import Foundation
import Kernels
import Networks
import Optimization
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
    let (general, options) = (
      try TinyStepOptions.read(fixture, group), try fixture.options(DACSStepOptions.self, of: group)
    )
    let count = fixture.names(under: group).count { $0 != "state_before" }
    guard count > 0 else { throw fixture.bad(group, "no steps") }
    var draws = ReplayedDraws()
    let batches = try (0..<count).map { step in
      let batch = try batch(fixture, step, classes: general.classes)
      let (source, mixed) = try passDraws(fixture, step, batch)
      draws.put(source, pass: "source", step: step)
      draws.put(mixed, pass: "mixed", step: step)
      return batch
    }
    let samples = batches[0].samples.count
    guard batches.allSatisfy({ $0.samples.count == samples }) else { throw fixture.bad(group, "batches differ") }
    let seen = ObservedStep()
    let student = try general.network(fixture, "\(group)/state_before", slots: samples)
    let teacher = Teacher(
      try general.network(fixture, "\(group)/state_before", slots: 0), threshold: options.tau)
    let step = try general.step(
      student, teacher, .selfTraining, samples: samples, draws: draws,
      momentum: TeacherMomentum(alpha: options.alpha, average: .late), observer: seen
    ) { $0.mixClasses = .image }
    for batch in batches {
      seen.stepBegins()
      let record = try step.run(batch, step: batch.step)
      let mask = batch.source?.labels.map {
        classMask($0, chosen: draws.draws(DrawRequest(pass: "mixed", step: batch.step, of: batch)).chosen)
      }
      try compare(record, seen, mask: mask ?? [], general.tiny, "\(group)/step\(batch.step)", &verifier)
      if let gradient = seen.gradient {
        try NamedGradients(gradient, of: student.parameters).compare(
          with: "\(group)/step\(batch.step)/grad", &verifier)
      }
      try compareStates(step.parts, after: batch.step, "\(group)/step\(batch.step)", &verifier)
    }
  }

  // MARK: Inputs

  private static func batch(_ fixture: Fixture, _ step: Int, classes: Int) throws -> DomainBatch {
    let inputs = "\(group)/step\(step)/in"
    let batch = try fixture.batch(step, inputs, classes: classes)
    guard batch.source?.image.shape == batch.target?.image.shape else {
      throw fixture.bad("\(inputs)/target_rgb", "images of the domains have different sizes")
    }
    return batch
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
    _ record: StepRecord, _ seen: ObservedStep, mask: [UInt8], _ tiny: TinyNetwork, _ step: String,
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
    if let mixed = seen.pass("mixed") {
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
    let fixture = verifier.fixture
    try verifier.network(
      path, parameters, values: values,
      other: { name in
        try name.hasPrefix("aux.") ? fixture.floats("\(group)/state_before/\(name)").values : nil
      })
  }
}

/// What `options` of the group say of the method.
private struct DACSStepOptions: Decodable {
  let alpha: Double
  let tau: Float
}
