// The training step that a reference file was made with.

import Adaptation
import Collectives
import DataParallel
import Foundation
import Kernels
import Methods
import Networks
import Optimization
import Support
import Training

/// `config.uda` of a reference file.
struct StepsConfiguration: Decodable {
  let detailWeight: Float
  let emaAlpha: Double
  let pseudoThreshold: Float
  let ignoreTop: Int
  let ignoreBottom: Int
  let fdWeight: Float
  let fdClasses: [Int]
  let fdMinRatio: Float
  let mic: Bool
  let micWeight: Double
  let micBlock: Int
  let micRatio: Double
  let lr: Double
  let headLrFactor: Double
  let betas: [Double]
  let eps: Double
  let weightDecay: Double
  let warmupIters: Int
  let warmupRatio: Double
  let maxIters: Int
  let polyPower: Double
  let pixelMean: [Float]
  let pixelStd: [Float]

  /// Reads what a file says.
  /// - Throws: `Failure` 65 if it says nothing or asks for what is not built.
  static func read(_ fixture: Fixture) throws -> StepsConfiguration {
    struct Root: Decodable { let uda: StepsConfiguration }
    let uda = try fixture.configuration(Root.self).uda
    func require(_ holds: Bool, _ what: String) throws {
      guard holds else { throw fixture.bad("", "config.uda: \(what)") }
    }
    try require(uda.ignoreTop == 0 && uda.ignoreBottom == 0, "rows without pseudo-labels are no part of a step")
    try require(uda.pixelMean == Kernels.pixelMean && uda.pixelStd == pixelDeviation, "another normalisation")
    try require(uda.betas.count == 2 && uda.maxIters > 0 && uda.warmupIters >= 0, "no such optimizer or schedule")
    try require(uda.fdClasses.allSatisfy { 0...254 ~= $0 }, "fd_classes out of range")
    return uda
  }

  /// Names of the student's passes, in their order.
  var passes: [String] { ["source", "mixed"] + (mic ? ["masked"] : []) }

  /// Learning rate by step.
  var schedule: LearningRateSchedule {
    LearningRateSchedule(
      baseRate: lr, warmUpSteps: warmupIters, warmUpRatio: warmupRatio, power: polyPower, totalSteps: maxIters)
  }

  /// The optimizer's settings by parameter.
  var groups: ParameterGroups { ParameterGroups(headFactor: headLrFactor, weightDecay: weightDecay) }

  /// The step itself, over all samples on one rank.
  func step(
    _ network: NetworkDescription, _ fixture: Fixture, samples: Int, draws: ReplayedDraws, observer: any StepObserver
  ) throws -> TrainingStep {
    let solo = SoloCommunicator()
    let student = try fixture.network(network, gradientSlots: samples)
    let teacher = Teacher(try fixture.network(network, gradientSlots: 0), threshold: pseudoThreshold)
    var distance = FeatureDistanceOptions()
    distance.weight = Double(fdWeight)
    distance.classes = fdClasses
    distance.minimumShare = Double(fdMinRatio)
    var masking = MaskedConsistencyOptions()
    masking.weight = micWeight
    masking.block = micBlock
    masking.ratio = micRatio
    var objectives: [any Objective] = []
    if fdWeight != 0 {
      objectives.append(
        FeatureDistance(try fixture.referenceEncoder(network), distance, classCount: network.classes))
    }
    if mic { objectives.append(MaskedConsistency(masking)) }
    return TrainingStep(
      StepParts(
        share: BatchShare(communicator: solo, globalBatch: samples, samples: 0..<samples), student: student,
        teacher: teacher, host: .selfTraining, objectives: objectives,
        sites: fdWeight == 0 ? [:] : FeatureDistance.requirements.sites, draws: draws,
        reduction: try GradientReduction(on: solo),
        optimizer: AdamW(
          slices: student.parameters.slices.map { groups.slice(name: $0.name, range: $0.range) }, beta1: betas[0],
          beta2: betas[1], epsilon: eps),
        schedule: schedule, momentum: TeacherMomentum(alpha: emaAlpha), observer: observer),
      StepOptions(detailWeight: detailWeight, augmentSource: false, stochasticSeed: nil))
  }
}
