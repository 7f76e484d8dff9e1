// The draws of a step: detail boxes, class choice, jitter and blur, and what each depends on.

import Adaptation
import Kernels
import Networks
import Support
import Tensors
import Testing

@Suite struct StepDrawsTests {
  private static let present: [UInt8] = [0, 3, 7, 9, 18, 255]

  private static func source(seed: UInt64 = 1, detail: Int = 512) -> SeededDraws {
    SeededDraws(
      seed: seed,
      configuration: NetworkConfiguration(encoder: "tiny", classCount: 19, detailHeight: detail, detailWidth: detail),
      augmentation: AugmentationOptions())
  }

  private static func draws(
    _ source: SeededDraws = source(), pass: String = "mixed", step: Int, samples: Range<Int> = 0..<2, size: Int = 1024,
    present: [UInt8] = present
  ) -> PassDraws {
    source.draws(
      DrawRequest(
        pass: pass, step: step, samples: samples, height: size, width: size,
        candidates: present.isEmpty ? [] : samples.map { _ in present }))
  }

  @Test(arguments: [(512, 512), (512, 600), (256, 512)]) func cropsOfTheWholeImageStartAtZero(size: Int, detail: Int) {
    let source = StepDrawsTests.source(detail: detail)
    let boxes = (0..<50).map { StepDrawsTests.draws(source, step: $0, size: size).box }
    #expect(boxes.allSatisfy { $0 == Box(top: 0, bottom: size, left: 0, right: size) })
  }

  @Test func smallMarginsLeaveFewOffsets() {
    // A margin of m pixels has (m + 1) / 8 choices, at least one.
    for (size, expected) in [(518, [0]), (519, [0]), (527, [0, 8]), (535, [0, 8, 16])] as [(Int, Set<Int>)] {
      let boxes = (0..<200).map { StepDrawsTests.draws(step: $0, size: size).box }
      #expect(Set(boxes.map(\.top)) == expected, "\(size)")
    }
  }

  @Test func sourceAndMixedPassDrawTheirOwnBoxes() {
    let equal = (0..<200).count {
      StepDrawsTests.draws(pass: "source", step: $0).box == StepDrawsTests.draws(pass: "mixed", step: $0).box
    }
    #expect(equal < 5)
  }

  @Test(arguments: 1...7) func halfOfThePresentClassesIsChosenRoundedUp(count: Int) {
    let present = Array([0, 3, 7, 9, 11, 18, 255].suffix(count)) as [UInt8]
    for step in 0..<200 {
      for chosen in StepDrawsTests.draws(step: step, samples: 0..<3, present: present).chosen {
        #expect(chosen.count == (count + 1) / 2)
        #expect(chosen == chosen.sorted() && Set(chosen).count == chosen.count)
        #expect(Set(chosen).isSubset(of: present))
      }
    }
  }

  @Test func everyClassIsChosenEquallyOften() {
    var counts: [UInt8: Int] = [:]
    for step in 0..<2000 {
      for chosen in StepDrawsTests.draws(step: step, samples: 0..<3).chosen {
        for label in chosen { counts[label, default: 0] += 1 }
      }
    }
    // 6000 choices of 3 among 6: 3000 each, with a deviation of √1500.
    #expect(counts.keys.sorted() == StepDrawsTests.present)
    #expect(counts.values.allSatisfy { abs($0 - 3000) < 194 }, "\(counts)")
  }

  @Test func everySetOfClassesOccurs() {
    let present: [UInt8] = [1, 2, 3, 255]
    let sets = (0..<600).flatMap { StepDrawsTests.draws(step: $0, present: present).chosen }
    #expect(Set(sets).count == 6)
  }

  @Test func samplesChooseAmongTheirOwnCandidates() {
    let own: [[UInt8]] = [[4], [2, 9, 255], [0, 1, 3, 5]]
    func chosen(_ samples: Range<Int>) -> [[UInt8]] {
      StepDrawsTests.source().draws(
        DrawRequest(
          pass: "mixed", step: 3, samples: samples, height: 64, width: 64, candidates: Array(own[samples]))
      ).chosen
    }
    let all = chosen(0..<3)
    #expect(zip(all, own).allSatisfy { Set($0).isSubset(of: $1) } && all.map(\.count) == [1, 2, 2])
    #expect((0..<3).map { chosen($0..<$0 + 1)[0] } == all, "a sample draws alike on every rank")
  }

  @Test func nothingIsChosenFromNothing() {
    #expect(StepDrawsTests.draws(step: 0, samples: 0..<2, present: []).chosen == [[], []])
  }

  @Test func jitterAndBlurHappenAtThePublishedShares() {
    let draws = (0..<5000).map { StepDrawsTests.draws(step: $0, samples: 0..<1) }
    let jitter = Double(draws.count { $0.jitter != nil }) / 5000
    let blur = Double(draws.count { $0.blur != nil }) / 5000
    let both = Double(draws.count { $0.jitter != nil && $0.blur != nil }) / 5000
    #expect(abs(jitter - 0.8) < 0.03 && abs(blur - 0.5) < 0.036 && abs(both - 0.4) < 0.035)
  }

  @Test func factorsFillTheirRanges() {
    let draws = (0..<2000).map { StepDrawsTests.draws(step: $0) }
    let jitters = draws.flatMap { $0.jitter ?? [] }
    let factors: [(KeyPath<ColourJitter, Float>, ClosedRange<Float>)] = [
      (\.brightness, 0.8...1.2), (\.contrast, 0.8...1.2), (\.saturation, 0.8...1.2), (\.hue, -0.2...0.2),
    ]
    for (path, range) in factors {
      let values = jitters.map { $0[keyPath: path] }.sorted()
      #expect(values.allSatisfy { range.contains($0) })
      #expect(values[0] < range.lowerBound + 0.01 && values[values.count - 1] > range.upperBound - 0.01)
      #expect(abs(values[values.count / 2] - (range.lowerBound + range.upperBound) / 2) < 0.02)
    }
    #expect(Set(jitters.map(\.order)).count == 24, "all orders of four operations")
    let sigmas = draws.flatMap { $0.blur ?? [] }.sorted()
    #expect(sigmas.allSatisfy { (0.15...1.15).contains($0) })
    #expect(sigmas[0] < 0.17 && sigmas[sigmas.count - 1] > 1.13)
  }

  @Test func drawsDependOnTheGlobalSampleAndNotOnTheRank() {
    for step in 0..<40 {
      let all = StepDrawsTests.draws(step: step, samples: 0..<8)
      for range in [0..<4, 4..<8, 3..<4] {
        let part = StepDrawsTests.draws(step: step, samples: range)
        #expect(part.box == all.box)
        #expect(part.jitter == all.jitter.map { Array($0[range]) })
        #expect(part.blur == all.blur.map { Array($0[range]) })
        #expect(part.chosen == Array(all.chosen[range]))
      }
    }
  }

  private static func microBatch(_ index: Int, step: Int, samples: Range<Int>) -> PassDraws {
    var request = DrawRequest(
      pass: "masked", step: step, microBatch: index, samples: samples, height: 1024, width: 1024,
      candidates: samples.map { _ in present })
    request.augmentsAlike = true
    return source().draws(request)
  }

  @Test func microBatchesShareNoDraw() {
    var differences = [0, 0, 0, 0]
    for step in 0..<200 {
      let first = StepDrawsTests.microBatch(0, step: step, samples: 0..<2)
      let second = StepDrawsTests.microBatch(1, step: step, samples: 0..<2)
      let third = StepDrawsTests.microBatch(2, step: step, samples: 0..<2)
      #expect(first.chosen == second.chosen, "what is drawn for a sample depends on its index alone")
      if first.box != second.box, second.box != third.box { differences[0] += 1 }
      if (first.jitter == nil) != (second.jitter == nil) { differences[1] += 1 }
      if (first.blur == nil) != (second.blur == nil) { differences[2] += 1 }
      if let one = first.jitter, let other = second.jitter, one[0].order != other[0].order { differences[3] += 1 }
    }
    // Chances of 0.999, 0.32, 0.5 and 0.64 · 23/24 a step.
    #expect(differences[0] > 190 && (30...100).contains(differences[1]) && (65...135).contains(differences[2]))
    #expect((80...160).contains(differences[3]), "\(differences)")
  }

  @Test("a batch that is not cut draws by the keys it always had: weights of published runs depend on them")
  func keysOfWholeBatches() {
    for step in 0..<50 {
      let drawn = StepDrawsTests.microBatch(0, step: step, samples: 3..<5)
      func stream(_ draw: String, _ sample: Int?) -> RandomStream {
        RandomStream(seed: 1, step: step, sample: sample, purpose: Purpose("masked", draw))
      }
      var box = stream("box", nil)
      let (top, left) = (box.nextIndex(below: 64) * 8, box.nextIndex(below: 64) * 8)
      #expect(drawn.box == Box(top: top, bottom: top + 512, left: left, right: left + 512))
      #expect((drawn.jitter != nil) == (stream("shared", nil).uniform(at: 0) > 0.2))
      #expect((drawn.blur != nil) == (stream("shared", nil).uniform(at: 1) > 0.5))
      if let jitter = drawn.jitter {
        var order = stream("order", nil)
        #expect(jitter[1].order == Array(0..<4).shuffled(using: &order))
        var factors = stream("jitter", 4)
        #expect(jitter[1].brightness == factors.nextUniform(in: 0.8...1.2))
      }
    }
  }

  @Test func samplesStepsPassesAndSeedsDiffer() {
    let many = Array(UInt8(0)...40)
    let chosen = [
      StepDrawsTests.draws(step: 0, present: many).chosen,
      StepDrawsTests.draws(step: 1, present: many).chosen,
      StepDrawsTests.draws(pass: "masked", step: 0, present: many).chosen,
      StepDrawsTests.draws(StepDrawsTests.source(seed: 2), step: 0, present: many).chosen,
    ].flatMap { $0 }
    #expect(Set(chosen).count == 8)
  }

  private static func maskedDraws(step: Int, samples: Range<Int>, height: Int = 160, width: Int = 96) -> PassDraws {
    var request = DrawRequest(pass: "masked", step: step, samples: samples, height: height, width: width)
    request.augmentsAlike = true
    request.blockGrid = BlockGrid(height: height, width: width, block: 64)
    return source(detail: 64).draws(request)
  }

  @Test func changingABatchAlikeSharesOrderAndBlurButNotFactors() {
    var orders: Set<[Int]> = []
    for step in 0..<300 {
      let drawn = StepDrawsTests.maskedDraws(step: step, samples: 0..<3)
      if let jitter = drawn.jitter {
        #expect(Set(jitter.map(\.order)).count == 1 && Set(jitter.map(\.brightness)).count == 3)
        orders.insert(jitter[0].order)
      }
      if let blur = drawn.blur { #expect(Set(blur).count == 1) }
    }
    #expect(orders.count == 24)
  }

  @Test func blocksAreDrawnForTheGlobalSample() throws {
    let all = StepDrawsTests.maskedDraws(step: 5, samples: 0..<4)
    let uniforms = try #require(all.blockUniforms)
    #expect(uniforms.shape == [4, 2, 2], "160 and 96 pixels are 2.5 and 1.5 blocks of 64, rounded to even")
    #expect(Set(uniforms.values).count == 16 && uniforms.values.allSatisfy { (0..<1).contains($0) })
    let part = StepDrawsTests.maskedDraws(step: 5, samples: 2..<4)
    #expect(part.blockUniforms?.values == Array(uniforms.values[8...]))
    #expect(part.blur == all.blur.map { Array($0[2...]) } && part.jitter == all.jitter.map { Array($0[2...]) })
    #expect(StepDrawsTests.maskedDraws(step: 6, samples: 0..<4).blockUniforms?.values != uniforms.values)
    #expect(StepDrawsTests.draws(step: 5).blockUniforms == nil, "only passes that ask for blocks have them")
  }

  @Test func strongAugmentationIsJitterThenBlur() {
    let image = Tensor((0..<64 * 64 * 3).map { Float($0 * 37 % 101) / 50 - 1 }, [1, 64, 64, 3])
    let jitter = ColourJitter(brightness: 1.1, contrast: 0.9, saturation: 1.2, hue: 0.1, order: [2, 0, 3, 1])
    let box = Box(top: 0, bottom: 8, left: 0, right: 8)
    #expect(strongAugmentation(image, PassDraws(box: box)).values == image.values)
    let both = strongAugmentation(image, PassDraws(box: box, jitter: [jitter], blur: [0.9])).values
    #expect(both == gaussianBlur(colourJitter(image, [jitter]), sigmas: [0.9]).values)
    #expect(both != colourJitter(gaussianBlur(image, sigmas: [0.9]), [jitter]).values)
    #expect(
      strongAugmentation(image, PassDraws(box: box, jitter: [jitter])).values == colourJitter(image, [jitter]).values)
    #expect(
      strongAugmentation(image, PassDraws(box: box, blur: [0.4])).values == gaussianBlur(image, sigmas: [0.4]).values)
  }
}
