// Unit checks of CAMix's specification: the limit of entropies, classes that belong together, the loss, the direction of
// mixing; and the prior of crops.

import Adaptation
import Autograd
import Collectives
import Domains
import Kernels
import Networks
import Support
import Tensors
import TestSupport
import Testing

@Suite("CAMix checks") struct CAMixChecks {
  @Test(
    "1: the limit rises to the largest entropy",
    arguments: [(0, 2.2132891), (500, 2.4192282), (1000, 2.9444390), (9999, 2.9444390)])
  func limits(step: Int, expected: Double) {
    #expect(abs(significanceLimit(at: step, ramp: 1000, classes: 19) - expected) < 1e-6)
    #expect(significanceLimit(at: 0, ramp: 0, classes: 19) == significanceLimit(at: 9, ramp: 5, classes: 19))
  }

  @Test("2: classes that are pasted together")
  func companions() {
    #expect(CompanionClasses.extended([6], among: [5, 6, 7, 12, 17]) == [5, 6, 7])
    #expect(CompanionClasses.extended([12], among: [5, 6, 7, 12, 17]) == [12, 17])
    #expect(CompanionClasses.extended([6], among: [6, 7]) == [6])
    #expect(CompanionClasses.extended([], among: [6, 7]).isEmpty)
  }

  @Test("3: half of the classes, rounded up; the prior decides")
  func halvesAndPrior() {
    let draws = SeededDraws(
      seed: 1, configuration: smallConfiguration, augmentation: AugmentationOptions())
    for (count, half) in [(5, 3), (4, 2), (1, 1)] {
      let request = DrawRequest(
        pass: "mixed", step: 0, samples: 0..<1, height: 64, width: 64, candidates: [(0..<UInt8(count)).map { $0 }])
      #expect(draws.draws(request).chosen[0].count == half)
    }
    let labels = contextLabels(
      prior: Tensor([0.1, 0.9], [1, 1, 1, 2]), probabilities: Tensor([0.6, 0.4], [1, 1, 1, 2]))
    #expect(labels.values == [1])
  }

  private var smallConfiguration: NetworkConfiguration {
    NetworkConfiguration(encoder: "tiny", classCount: 5, detailHeight: 32, detailWidth: 32)
  }

  @Test("4: the mean over significance, as intended and as released", arguments: [(false, 1.5), (true, 2.5)])
  func loss(isLiteral: Bool, expected: Double) {
    // Cross-entropies 1, 2, 3 and 4 of a two-class prediction.
    let others = [1.0, 2, 3, 4].map { Float(($0.exponential - 1).logarithm) }
    let logits = Tensor(others.flatMap { [0, $0] }, [1, 1, 4, 2])
    let labels = LabelMap(height: 1, width: 4, values: [0, 0, 0, 0])
    let factors = significanceFactors(Tensor([1, 1, 0, 0], [1, 1, 4]), total: 2, pixels: 4, isLiteral: isLiteral)
    let term = crossEntropy(
      Variable(constant: logits), labels: labels, weights: factors, factor: 1, name: "", soloContext(1))
    #expect(abs(term.perSample[0] - expected) < 1e-5)
  }

  @Test("4: nothing significant is no loss")
  func nothing() {
    for isLiteral in [false, true] {
      let factors = significanceFactors(Tensor(zeros: [1, 1, 4]), total: 0, pixels: 4, isLiteral: isLiteral)
      #expect(factors?.values == [0, 0, 0, 0])
    }
  }

  @Test(
    "4: target pixels go onto the source, in the warm-up source pixels onto the target",
    arguments: [(true, [1, 20]), (false, [10, 2])] as [(Bool, [Float])])
  func directions(pastesTarget: Bool, expected: [Float]) {
    func images(_ values: [Float], _ label: UInt8, _ weight: Float?) -> LabelledImages {
      LabelledImages(
        image: Tensor(values, [1, 1, 2, 1]), labels: LabelMap(height: 1, width: 2, values: [label, label]),
        weights: weight.map { Tensor(repeating: $0, [1, 1, 2]) })
    }
    let mixed = contextMixed(
      source: images([10, 20], 3, nil), target: (images([1, 2], 4, 0.5), Tensor([0.25, 0.25], [1, 1, 2])),
      mask: [1, 0], pastesTarget: pastesTarget)
    #expect(mixed.images.image.values == expected)
    #expect(mixed.images.labels.values == (pastesTarget ? [4, 3] : [3, 4]))
    #expect(mixed.images.weights?.values == (pastesTarget ? [0.5, 1] : [1, 0.5]))
    #expect(mixed.significance.values == (pastesTarget ? [0.25, 1] : [1, 0.25]))
  }

  @Test("a prior is cut as the crop was, and mirrored with it")
  func crops() {
    let prior = randomTensor([4, 8, 3], seed: 1)
    let whole = bilinear(prior.reshaped([1, 4, 8, 3]), height: 32, width: 64)
    let box = Box(top: 5, bottom: 21, left: 11, right: 43)
    func place(_ flipped: Bool) -> SampleProvenance {
      SampleProvenance(
        image: 0, name: "", imageSize: PixelSize(height: 32, width: 64), box: box, flipped: flipped, rareClass: nil)
    }
    let parts = croppedPrior(prior, to: [place(false), place(true)])
    #expect(parts.shape == [2, 16, 32, 3])
    let cut = cropped(whole, to: box)
    #expect(parts.sample(0).values == cut.values)
    for row in 0..<16 {
      for column in 0..<32 {
        let (own, other) = ((row * 32 + column) * 3, (row * 32 + 31 - column) * 3)
        #expect(Array(parts.sample(1).values[own..<own + 3]) == Array(cut.values[other..<other + 3]))
      }
    }
  }

  @Test("a prior is largest where its class is, and nowhere for a class that is nowhere")
  func priors() {
    // Class 0 at the left, class 1 in one pixel of one of two images, class 2 nowhere.
    let maps = [[0, 0, 255, 255], [0, 255, 255, 1]].map { row in
      LabelMap(height: 2, width: 4, values: (row + row).map(UInt8.init))
    }
    let sums = maps.map { classCells($0, height: 2, width: 4, classes: 3) }
    let prior = spatialPrior(zip(sums[0], sums[1]).map(+), images: 2, shape: [2, 4, 3]).values
    func plane(_ label: Int) -> [Float] { (0..<4).map { prior[$0 * 3 + label] } }
    #expect(plane(0)[0] == 1 && plane(0)[1] < 0.6 && plane(0)[3] < 1e-6)
    #expect(plane(1)[3] == 1 && plane(1)[0] < 1e-6)
    #expect(plane(2) == [0, 0, 0, 0])
  }
}
