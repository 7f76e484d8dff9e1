// The second view of source images in made-up styles: its weight, its styles, and what becomes of the feature distance.

import Adaptation
import Autograd
import Collectives
import Domains
import Kernels
import Methods
import Networks
import Tensors
import TestSupport
import Testing

@Suite struct StyleHallucinationTests {
  private static let image = randomTensor([2, 64, 64, 3], seed: 1)
  private static let labels = LabelMap(samples: 2, height: 64, width: 64, values: (0..<8192).map { UInt8($0 / 64 % 5) })
  private static let box = Box(top: 16, bottom: 48, left: 8, right: 40)

  private func step(_ network: SegmentationNetwork) throws -> StepView {
    try stepView(
      DomainBatch(
        step: 0, samples: 0..<2, source: DomainSamples(image: Self.image, labels: Self.labels), target: nil), network)
  }

  private func objective(
    _ network: SegmentationNetwork, _ change: (inout StyleHallucinationOptions) -> Void = { _ in }
  ) throws -> StyleHallucination {
    var options = StyleHallucinationOptions()
    options.styles = 3
    change(&options)
    let objective = StyleHallucination(
      options, channels: 16,
      ObjectiveSetup(
        configuration: network.configuration, host: .sourceOnly, seed: 5, scheduledSteps: 10, decaySteps: 10,
        share: share(of: 2, on: SoloCommunicator())))
    objective.base.means.assign(randomTensor([3, 16], seed: 2))
    objective.base.deviations.assign(randomTensor([3, 16], seed: 3, scale: 0.2, offset: 1))
    return objective
  }

  private func views(_ objective: StyleHallucination, _ step: StepView) throws -> [View] {
    var views = [View("source", image: Variable(constant: Self.image), labels: Self.labels, box: Self.box)]
    try objective.before(&views, of: "source", step)
    return views
  }

  private func runs(
    _ views: [View], _ network: SegmentationNetwork, _ step: StepView, _ tape: Tape?, keeping sites: Set<Site> = []
  ) throws -> [StudentRun] {
    try views.map { view in
      var context = step.share.context(tape: tape, normalization: .batch)
      context.restyle = view.restyle
      return StudentRun(
        view: view, output: try network.train(view.image, box: view.box, keeping: sites, context), context: context)
    }
  }

  @Test func bothViewsWeighHalf() throws {
    let network = try smallNetwork()
    let views = try views(try objective(network), try step(network))
    #expect(views.map(\.name) == ["source", "source.styled"] && views.map(\.factor) == [0.5, 0.5])
    #expect(views[0].restyle == nil && views[1].restyle != nil && views[1].labels == Self.labels)
    var others = [View("target", image: Variable(constant: Self.image), box: Self.box)]
    try objective(network).before(&others, of: "target", step(network))
    #expect(others.count == 1 && others[0].factor == 1)
  }

  @Test func stylesAreBlendsOfBaseStylesByImageAndCrop() throws {
    let network = try smallNetwork()
    let objective = try objective(network) { $0.concentration = 1 }
    let step = try step(network)
    let restyle = try #require(try views(objective, step)[1].restyle)
    let map = Variable(constant: randomTensor([2, 8, 8, 16], seed: 4))
    let context = step.share.context(normalization: .batch)
    let found = ["context", "detail"].map { unit in
      ChannelStyles(of: restyle(map, context.with(unit: unit, rank: 0)).value)
    }
    // A blend of three numbers lies between the least and the greatest of them.
    for styles in found {
      for sample in 0..<2 {
        for channel in 0..<16 {
          let base = (0..<3).map { objective.base.means.values[$0 * 16 + channel] }
          let mean = styles.means.values[sample * 16 + channel]
          #expect(mean >= (base.min() ?? 0) - 1e-4 && mean <= (base.max() ?? 0) + 1e-4)
        }
      }
      #expect(styles.means.sample(0).values != styles.means.sample(1).values)
    }
    #expect(found[0].means.values != found[1].means.values)
  }

  @Test(arguments: [Resolution.hrda, .contextOnly, .detailOnly]) func consistency(resolution: Resolution) throws {
    let network = try smallNetwork(resolution, slots: 2)
    let objective = try objective(network)
    let step = try step(network)
    let tape = Tape()
    let runs = try runs(try views(objective, step), network, step, tape)
    let totals = try PassTotals.exchanged([PassStatistics()], samples: 2, on: SoloCommunicator())[0]
    let terms = try objective.losses(runs, of: "source", totals, step)
    let logits = runs.compactMap { $0.output.fused ?? $0.output.detail }
    let expected = styleConsistencySums(logits[0].value, logits[1].value).map { sum in
      10 * sum / Double(2 * logits[0].value.perSample / 5)
    }
    #expect(terms.map(\.name) == ["source.hrda-dg"] && expected.allSatisfy { $0 > 0 })
    #expect(zip(terms[0].perSample, expected).allSatisfy { abs($0 - $1) < 1e-12 })
    tape.walkBack()
    let slots = try #require(network.parameters.gradients).values
    #expect(slots.contains { $0 != 0 } && slots.allSatisfy(\.isFinite))
  }

  @Test func theFeatureDistanceIsTheMeanOfBothViews() throws {
    let network = try smallNetwork()
    let step = try step(network)
    let runs = try runs(try views(try objective(network), step), network, step, nil, keeping: [.coarsest])
    var options = FeatureDistanceOptions()
    (options.classes, options.weight, options.minimumShare) = ([0, 1, 2, 3, 4], 1, 0)
    let reference = try ReferenceEncoder(network.configuration, seed: 9)
    func distance(_ runs: [StudentRun]) throws -> [LossTerm] {
      let objective = FeatureDistance(reference, options, classCount: 5)
      let totals = try PassTotals.exchanged(
        [try objective.statistics(runs, of: "source", step)], samples: 2, on: SoloCommunicator())
      return try objective.losses(runs, of: "source", totals[0], step)
    }
    let both = try distance(runs)
    #expect(both.map(\.name) == ["source.feature-distance", "source.styled.feature-distance"])
    for (run, term) in zip(runs, both) {
      let alone = try distance([run])[0].perSample
      #expect(zip(term.perSample, alone).allSatisfy { abs($0 - $1 / 2) < 1e-6 * $1 && $1 > 0 })
    }
  }

  @Test func distortionChangesColoursByImage() throws {
    let network = try smallNetwork()
    var step = try step(network)
    // Colours of photographs, not noise far outside of them.
    step.batch.source?.image = Tensor(repeating: 0.2, [2, 64, 64, 3])
    let plain = step.sourceSamples.image.values
    try objective(network) { $0.distortion = false }.prepare(&step)
    #expect(step.sourceSamples.image.values == plain)
    var changed: [[Float]] = []
    for seed in 0..<8 {
      var other = StepView(
        step: seed, batch: step.batch, share: step.share, student: network, teacher: nil, seed: 1,
        draws: SeededDraws(seed: 1, configuration: network.configuration, augmentation: AugmentationOptions()))
      try objective(network).prepare(&other)
      changed += (0..<2).map { other.sourceSamples.image.sample($0).values }
    }
    #expect(Set(changed).count > 8, "each image and step has draws of its own")
    #expect(changed.allSatisfy { $0.allSatisfy(\.isFinite) })
  }
}
