// Three whole self-training steps against reference numbers, with every random choice replayed.

import Adaptation
import Autograd
import Collectives
import DataParallel
import Domains
import Kernels
import Networks
import Optimization
import Support
import Tensors
import TestSupport
import Testing
import Training

/// Draws read from a fixture.
private struct ReplayedDraws: DrawSource {
  let fixture: FixtureFile

  func draws(_ request: DrawRequest) -> PassDraws {
    do { return try read(request.pass, "step\(request.step)/draws/") } catch { preconditionFailure("\(error)") }
  }

  private func read(_ pass: String, _ place: String) throws -> PassDraws {
    let edges = try fixture.integers("\(place)\(pass)_box").values
    var draws = PassDraws(box: Box(top: edges[0], bottom: edges[1], left: edges[2], right: edges[3]))
    guard pass != "source" else { return draws }
    let chosen = try fixture.integers("\(place)chosen")
    let samples = chosen.shape[0]
    // The mixed pass's draws bear no prefix.
    let prefix = pass == "mixed" ? place : "\(place)\(pass)_"
    if try fixture.file.contains("\(prefix)jitter") {
      let factors = try fixture.floats("\(prefix)jitter").values
      let order = try fixture.integers("\(prefix)jitter_order").values
      draws.jitter = (0..<samples).map { row in
        ColourJitter(
          brightness: factors[4 * row], contrast: factors[4 * row + 1], saturation: factors[4 * row + 2],
          hue: factors[4 * row + 3], order: Array(order[4 * row..<4 * row + 4]))
      }
    }
    if try fixture.file.contains("\(prefix)blur_sigma") {
      let sigmas = try fixture.floats("\(prefix)blur_sigma").values
      draws.blur = sigmas.count == 1 ? Array(repeating: sigmas[0], count: samples) : sigmas
    }
    if pass == "masked" {
      let (values, shape) = try fixture.floats("\(place)masked_uniform")
      draws.blockUniforms = Tensor(values, [shape[0], shape[2], shape[3]])
    } else {
      draws.chosen = (0..<samples).map { row in
        chosen.values[row * chosen.shape[1]..<(row + 1) * chosen.shape[1]].filter { $0 >= 0 }.map { UInt8($0) }
      }
    }
    return draws
  }
}

@Suite(.enabled(if: hasSharedFolder, "needs ../shared"))
struct StepFixtureTests {
  @Test(arguments: ["steps", "steps_mic"]) func threeStepsAgreeWithTheReference(_ file: String) throws {
    let fixture = try #require(try FixtureFile(file))
    let student = try #require(try fixtureNetwork())
    let teacher = Teacher(try #require(try fixtureNetwork(slots: 0)), threshold: 0.968)
    let reference = try #require(try fixtureReferenceEncoder())
    let solo = SoloCommunicator()
    var distance = FeatureDistanceOptions()
    distance.classes = [3, 4, 5]
    var masking = MaskedConsistencyOptions()
    masking.block = try #require(try fixture.config("uda.mic_block", Int.self))
    let isMasked = file == "steps_mic"
    let groups = ParameterGroups(headFactor: 10, weightDecay: 0.01)
    let step = TrainingStep(
      StepParts(
        share: BatchShare(communicator: solo, globalBatch: 2, samples: 0..<2), student: student, teacher: teacher,
        featureDistance: FeatureDistanceTerm(reference, distance, classCount: 7),
        extraTargetPasses: isMasked ? masking.extraTargetPasses : [], draws: ReplayedDraws(fixture: fixture),
        reduction: GradientReduction(on: solo),
        optimizer: AdamW(
          slices: student.parameters.slices.map { groups.slice(name: $0.name, range: $0.range) }, beta1: 0.9,
          beta2: 0.999, epsilon: 1e-8),
        schedule: LearningRateSchedule(baseRate: 6e-4, warmUpSteps: 2, warmUpRatio: 0.25, power: 1, totalSteps: 40),
        momentum: TeacherMomentum(alpha: 0.999)),
      StepOptions(detailWeight: 0.1, augmentSource: false, stochasticSeed: nil))
    for number in 0..<3 {
      let record = try step.run(try batch(fixture, number), step: number)
      #expect(record.losses.count == (isMasked ? 7 : 5))
      try expectLog(record, fixture, number)
      let pseudo = try #require(record.pseudoLabels)
      let wrong = zip(pseudo.labels.values, try fixture.integers("step\(number)/pseudo_label").values)
        .filter { Int($0) != $1 }.count
      #expect(wrong <= 5, "step \(number): \(wrong) pseudo-labels differ")
      if number == 0 { try expectFirstGradients(student, fixture) }
    }
    try expectFinal(student, "final/student", fixture)
    // The file with the masked pass stores no teacher.
    if !isMasked { try expectFinal(teacher.network, "final/teacher", fixture) }
  }

  private func batch(_ fixture: FixtureFile, _ step: Int) throws -> DomainBatch {
    let valid = try fixture.integers("step\(step)/valid")
    return DomainBatch(
      step: step, samples: 0..<2, sourceImage: try image(fixture, "step\(step)/source_rgb"),
      sourceLabels: try fixture.labels("step\(step)/source_label"),
      targetImage: try image(fixture, "step\(step)/target_rgb"),
      validMask: Tensor(valid.values.map { Float($0) }, Shape(valid.shape)), sourceProvenance: [], targetProvenance: [])
  }

  private func image(_ fixture: FixtureFile, _ path: String) throws -> Tensor {
    let (values, shape) = try fixture.bytes(path)
    let pixels = nchwToNHWC(values.map { Float($0) }, shape).values.map { UInt8($0) }
    return normalised(pixels, samples: shape[0], height: shape[2], width: shape[3])
  }

  private func expectLog(_ record: StepRecord, _ fixture: FixtureFile, _ step: Int) throws {
    let names = [
      "source.fused": "source_fused", "source.detail": "source_detail", "source.feature-distance": "source_fd",
      "mixed.fused": "mixed_fused", "mixed.detail": "mixed_detail",
      "masked.fused": "masked_fused", "masked.detail": "masked_detail",
    ]
    for (name, value) in record.losses {
      let path = "step\(step)/log/\(try #require(names[name]))"
      // Later steps start from parameters that already differ by rounding times Adam.
      let allowed = try step == 0 ? fixture.allowedError(path) : 1e-3 * fixture.maximum(path)
      #expect(abs(value - Double(try fixture.scalar(path))) <= allowed, "step \(step) \(name): \(value)")
    }
    #expect(abs(record.learningRate - Double(try fixture.scalar("step\(step)/log/lr"))) < 1e-9)
    #expect(record.confidentShare == (try fixture.scalar("step\(step)/log/confidence")))
  }

  private func expectFirstGradients(_ student: SegmentationNetwork, _ fixture: FixtureFile) throws {
    let sum = try #require(student.parameters.gradients).sample(0).reshaped([student.parameters.values.count])
    for (name, _, values) in student.parameters.official(of: sum) where !isNullDirection(name) {
      let error = normError(values, try fixture.floats("step0/gradients/\(name)").values)
      #expect(error < 5e-4, "\(name): \(error)")
    }
  }

  private func expectFinal(_ network: SegmentationNetwork, _ group: String, _ fixture: FixtureFile) throws {
    let own = network.parameters.official(of: network.parameters.values) + network.parameters.officialBuffers()
    for (name, _, values) in own where !isNullDirection(name) {
      let error = normError(values, try fixture.floats("\(group)/\(name)").values)
      #expect(error < 1e-3, "\(group)/\(name): \(error)")
    }
  }
}
