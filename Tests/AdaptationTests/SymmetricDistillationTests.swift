// The perturbed view of source images: what it shows, who teaches whom, and what options change.

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

@Suite struct SymmetricDistillationTests {
  /// Colours of photographs.
  private static let image = randomTensor([2, 64, 64, 3], seed: 1, scale: 0.2)
  private static let labels = LabelMap(
    samples: 2, height: 64, width: 64, values: (0..<8192).map { $0 % 64 < 4 ? 255 : UInt8($0 / 64 % 5) })
  private static let box = Box(top: 16, bottom: 48, left: 8, right: 40)

  private func step(
    _ network: SegmentationNetwork, target: Bool = false, samples: Range<Int> = 0..<2
  ) throws -> StepView {
    let batch = DomainBatch(
      step: 0, samples: samples, source: DomainSamples(image: Self.image, labels: Self.labels),
      target: target ? DomainSamples(image: scaled(Self.image, by: 3)) : nil)
    return StepView(
      step: 0, batch: batch,
      share: BatchShare(communicator: SoloCommunicator(), globalBatch: 2, samples: samples), student: network,
      teacher: Teacher(try smallNetwork(network.configuration.resolution, seed: 2), threshold: 0.9), seed: 1,
      draws: SeededDraws(seed: 1, configuration: network.configuration, augmentation: AugmentationOptions()))
  }

  private func objective(
    _ change: (inout SymmetricDistillationOptions) -> Void = { _ in }
  ) -> SymmetricDistillation {
    var options = SymmetricDistillationOptions()
    options.noisyTeacher = false
    change(&options)
    return SymmetricDistillation(options, seed: 5)
  }

  private func views(_ objective: SymmetricDistillation, _ step: StepView) throws -> [View] {
    var views = [View("source", image: Variable(constant: Self.image), labels: Self.labels, box: Self.box)]
    try objective.before(&views, of: "source", step)
    return views
  }

  private func terms(
    _ objective: SymmetricDistillation, _ network: SegmentationNetwork, _ step: StepView, _ tape: Tape? = nil
  ) throws -> (terms: [LossTerm], runs: [StudentRun]) {
    let context = step.share.context(tape: tape, normalization: .batch)
    let runs = try views(objective, step).map { view in
      StudentRun(view: view, output: try network.train(view.image, box: view.box, context), context: context)
    }
    let totals = try PassTotals.exchanged([PassStatistics()], samples: 2, on: SoloCommunicator())[0]
    return (try objective.losses(runs, of: "source", totals, step), runs)
  }

  @Test func theLabelsTeachThePlainViewAlone() throws {
    let network = try smallNetwork()
    let views = try views(objective { $0.hardPixels = HardPixels() }, try step(network))
    #expect(views.map(\.name) == ["source", "source.diga-dg"])
    #expect(views[0].labels == Self.labels && views[1].labels == nil && views[1].weights == nil)
    #expect(views[0].hardPixels != nil)
    #expect(views[0].image.value.values == Self.image.values && views[1].image.value.values != Self.image.values)
    var others = [View("target", image: Variable(constant: Self.image), box: Self.box)]
    try objective().before(&others, of: "target", step(network))
    #expect(others.count == 1)
  }

  @Test func colouresAreBlendedAndDrawnForEachSample() throws {
    let network = try smallNetwork()
    let (none, half) = (try views(objective { $0.beta = 0 }, step(network)), try views(objective(), step(network)))
    #expect(relativeError(none[1].image.value, doubles(Self.image)) < 1e-6)
    let full = try views(objective { $0.beta = 1 }, step(network))[1].image.value
    let expected = zip(doubles(full), doubles(Self.image)).map { 0.4 * $0 + 0.6 * $1 }
    #expect(relativeError(half[1].image.value, expected) < 1e-6)
    // The second of two samples has the draws of sample 1, whoever holds it.
    let shifted = try views(objective(), step(network, samples: 1..<3))[1].image.value
    #expect(shifted.sample(0).values != half[1].image.value.sample(0).values)
  }

  @Test func aMixtureChangesIgnoredPixelsAndHalfOfTheClasses() throws {
    let network = try smallNetwork()
    // Blur takes colours over the borders of classes.
    let changed = try views(
      objective {
        ($0.mixture, $0.colours.blur, $0.colours.grey) = (true, 0, 1)
      }, step(network))[1].image.value
    for sample in 0..<2 {
      let (now, before) = (changed.sample(sample).values, Self.image.sample(sample).values)
      let labels = Self.labels.sample(sample).values
      var isChanged: [UInt8: Set<Bool>] = [:]
      for (pixel, label) in labels.enumerated() {
        isChanged[label, default: []].insert(abs(now[3 * pixel] - before[3 * pixel]) > 1e-5)
      }
      #expect(isChanged[255]?.contains(true) == true)
      // Of five classes and ignored pixels three are drawn.
      #expect(isChanged.count == 6)
      #expect([2, 3].contains(isChanged.count { $0.key != 255 && $0.value.contains(true) }))
    }
  }

  @Test(arguments: [Resolution.hrda, .contextOnly, .detailOnly]) func eachTeachesTheOther(resolution: Resolution) throws
  {
    let network = try smallNetwork(resolution, slots: 2)
    let objective = objective()
    let step = try step(network)
    let tape = Tape()
    let (found, runs) = try terms(objective, network, step, tape)
    #expect(found.map(\.name) == ["source.diga-dg", "source.diga-dg.second"])
    let size = resolution == .detailOnly ? 32 : 64
    func prediction(_ network: SegmentationNetwork, _ view: View) throws -> [Double] {
      let output = try network.train(view.image, box: view.box, step.share.context(normalization: .batch))
      let logits = try #require(output.fused ?? output.detail).value
      return naiveSoftmax(
        doubles(bilinear(logits, height: size, width: size, alignCorners: true)), columns: 5)
    }
    let teacher = try #require(step.teacher).network
    for (term, factor, pair) in [(found[0], 0.5, (0, 1)), (found[1], 0.25, (1, 0))] {
      let (q, p) = (try prediction(teacher, runs[pair.0].view), try prediction(network, runs[pair.1].view))
      let expected = -zip(q, p).reduce(0) { $0 + $1.0 * $1.1.logarithm } * factor / Double(2 * size * size)
      #expect(abs(term.perSample.reduce(0, +) - expected) < 1e-5 * expected)
    }
    tape.walkBack()
    let slots = try #require(network.parameters.gradients).values
    #expect(slots.contains { $0 != 0 } && slots.allSatisfy(\.isFinite))
    #expect(teacher.parameters.gradients == nil)
  }

  @Test func aNoisyTeacherSaysSomethingElse() throws {
    let network = try smallNetwork()
    let quiet = try terms(objective(), network, step(network)).terms
    let noisy = try terms(objective { $0.noisyTeacher = true }, network, step(network)).terms
    #expect(quiet[0].perSample != noisy[0].perSample)
    #expect(try terms(objective { $0.weight = 0 }, network, step(network)).terms.isEmpty)
  }

  @Test func normalisationIsAdaptedOnlyWhereAskedFor() throws {
    for isOn in [false, true] {
      let network = try smallNetwork()
      let before = network.parameters.buffers.values
      _ = try views(objective { $0.adaptNormalisation = isOn }, step(network, target: true))
      #expect((network.parameters.buffers.values != before) == isOn)
    }
  }

  @Test func whatItNeeds() throws {
    var options = SymmetricDistillationOptions()
    let configuration = try smallNetwork().configuration
    let needs = options.requirements(configuration)
    #expect(needs.hasTeacher && !needs.needsLabels && !needs.needsTarget && needs.passes == ["source"])
    options.adaptNormalisation = true
    #expect(options.requirements(configuration).needsTarget)
    let all = BilateralConsensusOptions()
    #expect(all.requirements(configuration).needsLabels && all.requirements(configuration).mixes)
    #expect([all.distillation.beta, all.distillation.weight] == [0.3, 0.25] && all.distillation.mixture)
  }
}
