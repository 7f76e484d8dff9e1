// The composite loss of a pass, for two resolutions and for one.

import Adaptation
import Autograd
import Foundation
import Kernels
import Networks
import Tensors
import TestSupport
import Testing

@Suite struct SegmentationLossTests {
  private static let box = Box(top: 16, bottom: 48, left: 8, right: 40)
  private static let labels = LabelMap(
    samples: 2, height: 64, width: 64,
    values: (0..<8192).map { (pixel: Int) -> UInt8 in pixel % 17 == 0 ? 255 : UInt8(pixel / 50 % 5) })
  private static let weights = Tensor((0..<8192).map { Float($0 % 7) / 4 }, [2, 64, 64])

  /// Terms of a pass of a network, and its outputs.
  private static func pass(
    _ network: SegmentationNetwork, labels: LabelMap, weights: Tensor?, detailWeight: Float
  ) throws -> (terms: [LossTerm], output: TrainingOutput, context: ForwardContext) {
    let context = soloContext(labels.samples)
    let output = try network.train(randomTensor([labels.samples, 64, 64, 3], seed: 3), box: box, context)
    let terms = segmentationLosses(
      output, pass: "source", labels: labels, weights: weights, boxes: [box], detailWeight: detailWeight, context)
    return (terms, output, context)
  }

  @Test(arguments: [false, true]) func termsAreCrossEntropiesOfTheirOutputs(isWeighted: Bool) throws {
    let weights = isWeighted ? SegmentationLossTests.weights : nil
    let labels = SegmentationLossTests.labels
    let box = SegmentationLossTests.box
    let (terms, output, context) = try SegmentationLossTests.pass(
      smallNetwork(), labels: labels, weights: weights, detailWeight: 0.25)
    let inside = weights.map { weights in
      let all = weights.values
      return Tensor(
        (0..<2).flatMap { sample in
          (box.top..<box.bottom).flatMap { row in
            (box.left..<box.right).map { all[(sample * 64 + row) * 64 + $0] }
          }
        }, [2, 32, 32])
    }
    let fused = crossEntropy(
      try #require(output.fused), labels: labels, weights: weights, factor: 0.75, name: "", context)
    let detail = crossEntropy(
      try #require(output.detail), labels: labels.cropped(to: box), weights: inside, factor: 0.25, name: "", context)
    #expect(terms.map(\.perSample) == [fused.perSample, detail.perSample])
    #expect(terms.allSatisfy { $0.perSample.allSatisfy { $0 > 0 } })
  }

  @Test func oneResolutionHasOneWholeTerm() throws {
    let labels = SegmentationLossTests.labels
    let weights = SegmentationLossTests.weights
    let context = try SegmentationLossTests.pass(
      smallNetwork(.contextOnly), labels: labels, weights: weights, detailWeight: 0.1)
    #expect(context.terms.map(\.name) == ["source.fused"])
    let whole = crossEntropy(
      try #require(context.output.fused), labels: labels, weights: weights, factor: 1, name: "", context.context)
    #expect(context.terms[0].perSample == whole.perSample)

    let detail = try SegmentationLossTests.pass(
      smallNetwork(.detailOnly), labels: labels, weights: nil, detailWeight: 0.1)
    #expect(detail.terms.map(\.name) == ["source.detail"])
    let part = crossEntropy(
      try #require(detail.output.detail), labels: labels.cropped(to: SegmentationLossTests.box), weights: nil,
      factor: 1, name: "", detail.context)
    #expect(detail.terms[0].perSample == part.perSample)
  }

  @Test(arguments: [Resolution.contextOnly, .detailOnly])
  func anAuxiliaryHeadHasATermOfItsCrop(resolution: Resolution) throws {
    let labels = SegmentationLossTests.labels
    let (box, weights) = (SegmentationLossTests.box, SegmentationLossTests.weights)
    let context = soloContext(2)
    let network = try smallNetwork(resolution, auxiliary: AuxiliaryHead(stage: 3))
    let output = try network.train(randomTensor([2, 64, 64, 3], seed: 3), box: box, context)
    func terms(_ weight: Float) -> [LossTerm] {
      segmentationLosses(
        output, pass: "mixed", labels: labels, weights: weights, boxes: [box], detailWeight: 0.1,
        auxiliaryWeight: weight,
        factor: 0.5, context)
    }
    let both = terms(0.2)
    #expect(both.map(\.name) == ["mixed.\(resolution == .contextOnly ? "fused" : "detail")", "mixed.auxiliary"])
    #expect(terms(0).map(\.name) == [both[0].name] && terms(0)[0].perSample == both[0].perSample)
    let whole = resolution == .contextOnly
    let inside = cropped(weights.reshaped([2, 64, 64, 1]), to: box).reshaped([2, 32, 32])
    let expected = crossEntropy(
      try #require(output.auxiliary), labels: whole ? labels : labels.cropped(to: box),
      weights: whole ? weights : inside, factor: 0.1, name: "", context)
    #expect(both[1].perSample == expected.perSample && both[1].perSample.allSatisfy { $0 > 0 })
  }

  @Test(arguments: [Resolution.hrda, .contextOnly, .detailOnly])
  func everyParameterOfTheResolutionGetsAGradient(resolution: Resolution) throws {
    // Large enough for several keys in every attention: with a single one, queries have no gradient.
    let network = try smallNetwork(resolution, slots: 2, detail: 64)
    let tape = Tape()
    let context = soloContext(2, tape: tape)
    let box = Box(top: 32, bottom: 96, left: 48, right: 112)
    let labels = LabelMap(samples: 2, height: 128, width: 128, values: (0..<32768).map { UInt8($0 / 50 % 5) })
    let output = try network.train(randomTensor([2, 128, 128, 3], seed: 4), box: box, context)
    _ = segmentationLosses(
      output, pass: "source", labels: labels, weights: nil, boxes: [box], detailWeight: 0.1, context)
    tape.walkBack()
    for parameter in network.parameters.parameters {
      let slots = try #require(parameter.slots)
      for sample in 0..<2 {
        let values = slots.values(sample)
        #expect(values.contains { $0 != 0 } && values.allSatisfy { $0.isFinite }, "\(parameter.name), sample \(sample)")
      }
    }
  }

  @Test(arguments: [Resolution.hrda, .contextOnly, .detailOnly])
  func hardPixelsAreAMeanOfTheirOwn(resolution: Resolution) throws {
    let (labels, box) = (SegmentationLossTests.labels, SegmentationLossTests.box)
    let network = try smallNetwork(resolution)
    let context = soloContext(labels.samples)
    let output = try network.train(randomTensor([labels.samples, 64, 64, 3], seed: 3), box: box, context)
    var hard = HardPixels()
    func terms(_ weights: Tensor?) throws -> [LossTerm] {
      try hardPixelLosses(
        output, pass: "source", labels: labels, weights: weights, boxes: [box], detailWeight: 0.25, factor: 0.5, hard,
        context)
    }
    // Every pixel is hard below probability 1: then it is the mean over labelled pixels.
    hard.threshold = 1
    let inside = labels.cropped(to: box)
    func count(_ map: LabelMap) -> Int { (0..<map.samples).reduce(0) { $0 + map.labelledCount($1) } }
    let all = segmentationLosses(
      output, pass: "source", labels: labels, weights: nil, boxes: [box], detailWeight: 0.25, factor: 0.5,
      labelled: LabelledPixels(whole: count(labels), detail: count(inside)), context)
    let found = try terms(nil)
    #expect(found.map(\.name) == all.map(\.name))
    for (one, other) in zip(found, all) {
      #expect(zip(one.perSample, other.perSample).allSatisfy { abs($0 - $1) < 1e-6 * (1 + abs($1)) })
    }
    // Few are hard, whose loss is larger than the mean; pixels of weight 0 are ignored.
    (hard.threshold, hard.kept) = (0, 5)
    func value(_ terms: [LossTerm]) -> Double { terms.flatMap(\.perSample).reduce(0, +) }
    #expect(value(try terms(nil)) > value(all))
    #expect(value(try terms(Tensor(zeros: [labels.samples, 64, 64]))) == 0)
  }
}
