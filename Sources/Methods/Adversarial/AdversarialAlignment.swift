// Adversarial alignment of output maps: discriminators learn to tell source from target predictions, and the student
// learns target predictions that they take for source. AdaptSegNet and AdvEnt differ in what discriminators see.

import Adaptation
import Autograd
import Networks
import Optimization
import Support
import Tensors

/// Options that adversarial methods share, keys of their `methodOptions`.
public struct AdversarialOptions: SettingGroup {
  /// What a discriminator's answer is compared by.
  public enum Loss: String, SettingChoice {
    /// Binary cross-entropy of its logits.
    case crossEntropy = "cross-entropy"
    /// Squared error of its answers (Mao et al., LSGAN, ICCV 2017).
    case leastSquares = "least-squares"
  }

  /// Weight of the adversarial term on the network's prediction; 0 leaves it alone.
  public var weight = 0.001
  /// Weight of the adversarial term on the auxiliary head's prediction, where the network has one.
  public var auxiliaryWeight = 0.0002
  /// What a discriminator's answer is compared by.
  public var loss = Loss.crossEntropy
  /// The discriminators.
  public var discriminator = DiscriminatorOptions()

  /// The published values of two levels.
  public init() {}
  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("weight", &weight, .atLeast(0))
    try settings.value("auxiliaryWeight", &auxiliaryWeight, .atLeast(0))
    try settings.value("loss", &loss)
    try settings.group("discriminator", &discriminator)
  }

  /// Crops must be large enough for a discriminator.
  func misfit(cropHeight: Int, cropWidth: Int) -> OptionMisfit? {
    guard weight > 0 || auxiliaryWeight > 0 else { return nil }
    return DiscriminatorOptions.misfit(
      of: weight > 0 ? "weight" : "auxiliaryWeight", cropHeight: cropHeight, cropWidth: cropWidth)
  }
}

/// Size and optimizer of discriminators.
public struct DiscriminatorOptions: SettingGroup {
  /// Channels after the first convolution; the others follow.
  public var width = 64
  /// Learning rate of Adam at the beginning, whatever the batch.
  public var learningRate = 1e-4
  /// Power of its decay over the schedule's length.
  public var power = 0.9
  /// Decay of the first and the second moment.
  public var betas = [0.9, 0.99]

  /// The published values.
  public init() {}
  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("width", &width, .from(1, to: 4096))
    try settings.value("learningRate", &learningRate, .from(0, to: 1))
    try settings.value("power", &power, .atLeast(0))
    try settings.value("betas", &betas, .each(.from(0, below: 1), count: 2))
  }

  /// A discriminator halves the sides of its map five times; the map may be half of the crop.
  static func misfit(of key: String, cropHeight: Int, cropWidth: Int) -> OptionMisfit? {
    guard min(cropHeight, cropWidth) < 64 else { return nil }
    return OptionMisfit(
      key: key,
      what: "needs a discriminator, which halves its map five times: crop.size \(cropWidth)x\(cropHeight) is too small",
      remedy: "choose crops of at least 64x64")
  }
}

/// Alignment of output maps by discriminators, one for each level.
///
/// In the source pass discriminators learn to answer 0, in the target pass 1, each with weight ½ and on detached maps; in
/// the target pass the student learns maps that the frozen discriminators take for 0. All of them see the predictions and
/// the discriminators from before the step, as in the released code; means run over all patches of the micro-batch of all
/// ranks. In a team every place runs the discriminators on the gathered maps.
final class AdversarialAlignment: Objective {
  /// What a discriminator sees of logits.
  enum Input {
    /// Class probabilities (Tsai et al., AdaptSegNet, CVPR 2018, section 3.2).
    case probabilities
    /// Their self-information (Vu et al., ADVENT, CVPR 2019, section 3.3).
    case information
  }

  let name: String
  var companions: [any TrainedCompanion] { levels.map(\.discriminator) }
  private let levels: [(output: OutputLevel, discriminator: Companion<Discriminator>)]
  private let input: Input
  private let loss: AdversarialOptions.Loss
  private let prior: ClassPrior?

  /// The answer that a discriminator shall give for the images of a pass; none for passes of other methods.
  private static let answers: [String: Float] = ["source": 0, "target": 1]

  /// The objective; nil where the options leave every level alone.
  /// - Throws: nothing from outside.
  init?(
    _ name: String, _ input: Input, _ options: AdversarialOptions, prior: ClassPriorOptions = ClassPriorOptions(),
    _ setup: ObjectiveSetup
  ) throws {
    let outputs = OutputLevel.all(
      of: setup.configuration, weight: options.weight, auxiliaryWeight: options.auxiliaryWeight)
    self.prior = ClassPrior(prior, setup)
    guard !outputs.isEmpty || self.prior != nil else { return nil }
    self.name = name
    self.input = input
    loss = options.loss
    let own = options.discriminator
    let schedule = LearningRateSchedule(
      baseRate: own.learningRate, warmUpSteps: 0, power: own.power, totalSteps: setup.decaySteps)
    levels = try outputs.map { output in
      let discriminator = try Companion(
        owner: name, name: output.name, setup, betas: (own.betas[0], own.betas[1]), schedule: schedule
      ) { registry, prefix in
        Discriminator(registry, prefix: prefix, inputs: setup.configuration.classCount, width: own.width)
      }
      return (output, discriminator)
    }
  }

  /// The terms `target.adversarial.main`, `source.discriminator.main`, `target.discriminator.main` and the like.
  func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] {
    guard let answer = Self.answers[pass] else { return [] }
    let run = runs[0]
    let terms = try levels.flatMap { output, discriminator in
      var terms: [LossTerm] = []
      var context = run.context
      if pass == "source" { context.tape = nil }
      let map = seen(output.logits(run, context), context)
      if pass == "target" {
        terms.append(
          compared(
            discriminator.frozen(map, context), towards: Self.answers["source"] ?? 0, factor: output.weight,
            name: "\(pass).adversarial.\(output.name)", context))
      }
      return terms
        + (try discriminator.learn(step) { network, context in
          let judged = network(Variable(constant: map.value), context)
          let name = "\(pass).discriminator.\(output.name)"
          return [compared(judged, towards: answer, factor: 0.5, name: name, context)]
        })
    }
    return terms + (pass == "target" ? prior?.terms(run) ?? [] : [])
  }

  /// What discriminators see, `[N, H, W, K]`.
  private func seen(_ logits: Variable, _ context: ForwardContext) -> Variable {
    let probabilities = softmax(logits, context)
    return input == .probabilities ? probabilities : selfInformation(probabilities, context)
  }

  private func compared(
    _ judged: Variable, towards answer: Float, factor: Float, name: String, _ context: ForwardContext
  ) -> LossTerm {
    switch loss {
    case .crossEntropy: binaryCrossEntropy(judged, towards: answer, factor: factor, name: name, context)
    case .leastSquares: leastSquares(judged, towards: answer, factor: factor, name: name, context)
    }
  }
}
