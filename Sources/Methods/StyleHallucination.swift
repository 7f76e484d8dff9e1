// Domain generalisation of DAFormer and HRDA (Hoyer, Dai, Van Gool, TPAMI 2024) by hallucinated styles (Zhao et al., SHADE,
// ECCV 2022): without a target image, the student sees source images in styles that it makes up, and must say the same.
// N samples, C channels of the encoder's finest map, S base styles.

import Adaptation
import Autograd
import Kernels
import Networks
import Support
import Tensors

/// Options of hallucinated styles, `methodOptions` of the method `hrda-dg`.
public struct StyleHallucinationOptions: MethodOptions {
  /// Number of base styles, of which new ones are blended.
  public var styles = 64
  /// Concentration of the blends: the smaller, the nearer each is to one base style.
  public var concentration = 1.0 / 64
  /// Share of the schedule after which base styles are chosen anew; 0 keeps the first. Published are 4000 of 40000 steps.
  public var renewal = 0.1
  /// Weight of the divergence of the two predictions.
  public var weight = 10.0
  /// Whether brightness, contrast, saturation and hue of source images are changed.
  public var distortion = true

  /// Published values.
  public init() {}

  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("styles", &styles, .from(1, to: 65536))
    try settings.value("concentration", &concentration, .above(0))
    try settings.value("renewal", &renewal, .from(0, to: 1))
    try settings.value("weight", &weight, .atLeast(0))
    try settings.value("distortion", &distortion)
  }

  /// Hangs on the source pass.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.passes = ["source"]
    requirements.needsSource = true
    return requirements
  }

  /// The objective.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? {
    StyleHallucination(self, channels: try setup.configuration.finestChannels(), setup)
  }
}

/// The second view of source images, in made-up styles, and its consistency with the first.
///
///     x' = (x - μ) / (σ + 10⁻⁷) · w Σ + w M,   w ~ Dirichlet(1/64, …)
///     10 · mean over pixels of (KL(p ‖ m) + KL(p' ‖ m)) / 2,   m = clamp((p + p') / 2, 10⁻⁷, 1)
///
/// x is the encoder's finest map, μ and σ its mean and deviation by image and channel, both constants; M and Σ are base
/// styles: of the rows (μ, σ) of all source images, those that farthest-point sampling chooses from a random start. p and p'
/// are the fused predictions at the head's stride. Cross-entropy and feature distance are means over both views.
///
/// Differs from the released code: the finest map is made for each view apart, with drop path of its own; batch statistics
/// are of a view, not of both; base styles are of whole source images as they are, not of augmented crops; distortion does
/// not round to whole numbers in between. A data set with fewer images than base styles repeats them.
public final class StyleHallucination: Objective {
  /// "hrda-dg".
  public let name = "hrda-dg"
  /// The base styles, [S, C].
  public let base: ChannelStyles
  private let options: StyleHallucinationOptions
  private let seed: UInt64
  /// Steps between two choices of base styles; 0: only the first.
  private let interval: Int
  /// The second view of the source pass.
  private static let styled = "source.styled"

  /// The objective with base styles of zero.
  /// - Parameters:
  ///   - options: its options.
  ///   - channels: C.
  ///   - setup: seed and length of the run.
  public init(_ options: StyleHallucinationOptions, channels: Int, _ setup: ObjectiveSetup) {
    self.options = options
    seed = setup.seed
    interval = options.renewal > 0 ? max(1, Int((options.renewal * Double(setup.scheduledSteps)).rounded())) : 0
    base = ChannelStyles(
      means: Tensor(zeros: [options.styles, channels]), deviations: Tensor(zeros: [options.styles, channels]))
  }

  /// The base styles.
  public var state: [NamedTensor] { [NamedTensor("means", base.means), NamedTensor("deviations", base.deviations)] }

  /// Styles of all source images, before the first step and whenever base styles are chosen anew.
  public var surveys: [Survey] {
    [
      Survey(
        "styles", of: .source, width: 2 * base.means.channels,
        isDue: { [interval] step in step == 0 || interval > 0 && step.isMultiple(of: interval) },
        row: { try ChannelStyles(of: $0.finestMap()).rows.values.map { Double($0) } },
        .rows { [self] rows, step in choose(among: rows, step: step) })
    ]
  }

  /// Takes the rows that are farthest from each other for base styles.
  private func choose(among rows: Tensor, step: Int) {
    var stream = RandomStream(seed: seed, step: step, sample: nil, purpose: Purpose(name, "first style"))
    let start = stream.nextIndex(below: rows.samples)
    let chosen = farthestPoints(rows, count: min(options.styles, rows.samples), start: start)
    let styles = baseStyles(rows, (0..<options.styles).map { chosen[$0 % chosen.count] })
    base.means.assign(styles.means)
    base.deviations.assign(styles.deviations)
  }

  /// Distorts the colours of source images, for all passes.
  public func prepare(_ step: inout StepView) throws {
    guard options.distortion, let image = step.batch.source?.image else { return }
    let jitters = step.share.samples.map { sample in
      var stream = step.stream("distortion", of: name, sample: sample)
      return ColourJitter(distortion: &stream)
    }
    step.batch.source?.image = colourJitter(image, jitters)
  }

  /// Adds the second view; each weighs half.
  public func before(_ views: inout [View], of pass: String, _ step: StepView) throws {
    guard pass == "source" else { return }
    views[0].factor /= 2
    var second = views[0].renamed(Self.styled)
    second.restyle = { [self] map, context in
      let blends = (0..<map.value.samples).map { local in
        // Context and detail crop of an image have styles of their own.
        var stream = step.stream("style of \(context.unit)", of: name, sample: context.globalSample(local))
        return stream.nextDirichlet(options.styles, concentration: options.concentration)
      }
      return restyled(map, to: base.blended(blends), context)
    }
    views.append(second)
  }

  /// The term `source.hrda-dg`; its gradient goes to both predictions.
  public func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] {
    guard pass == "source", options.weight > 0 else { return [] }
    guard let second = runs.first(where: { $0.view.name == Self.styled }) else {
      preconditionFailure("a source pass without its second view")
    }
    let logits = [runs[0], second].compactMap { $0.output.fused ?? $0.output.detail }
    return [
      styleConsistency(
        logits[0], logits[1], factor: Float(options.weight), name: "\(pass).\(name)", runs[0].context)
    ]
  }
}

/// The styles in some rows [M, 2·C] of means, then deviations.
package func baseStyles(_ rows: Tensor, _ chosen: [Int]) -> ChannelStyles {
  let values = rows.values
  let width = rows.channels
  return ChannelStyles(
    rows: Tensor(chosen.flatMap { values[$0 * width..<($0 + 1) * width] }, [chosen.count, width]))
}

extension ColourJitter {
  /// The photometric distortion of the published training: brightness ±32 of 255, contrast and saturation 0.5 to 1.5, hue a
  /// tenth of a turn to either side, each in half of the images; contrast comes second or last.
  fileprivate init(distortion stream: inout RandomStream) {
    self.init(
      brightness: 1 + stream.nextUniform(in: -32...32) / 255, contrast: stream.nextUniform(in: 0.5...1.5),
      saturation: stream.nextUniform(in: 0.5...1.5), hue: stream.nextUniform(in: -0.1...0.1), order: [])
    let order = stream.nextUniform() < 0.5 ? [0, 1, 2, 3] : [0, 2, 3, 1]
    self.order = order.filter { _ in stream.nextUniform() < 0.5 }
  }
}
