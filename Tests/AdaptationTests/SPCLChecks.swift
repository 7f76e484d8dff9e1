// Unit checks of SPCL's specification: moving averages, the contrast, and the temperature of the segmentation loss.

import Adaptation
import Autograd
import Kernels
import Methods
import Networks
import Support
import Tensors
import TestSupport
import Testing

@Suite("SPCL checks") struct SPCLChecks {
  @Test("1: prototypes move to nine tenths of their class's mean; absent classes stay or shrink")
  func movingAverages() {
    let objective = SemanticPrototypes(SemanticPrototypesOptions(), classes: 2, channels: 2)
    objective.prototypes.assign(Tensor([1, 0, 1, 0], [2, 2]))
    // Unit vectors (0, 1) and (0, 1) of class 0; none of class 1.
    movePrototypes(objective.prototypes, by: [0, 2, 2, 0, 0, 0], keeping: 0.1, absent: .keep)
    #expect(close(objective.prototypes.values, [0.1, 0.9, 1, 0]))
    movePrototypes(objective.prototypes, by: [0, 0, 0, 0, 0, 0], keeping: 0.1, absent: .literal)
    #expect(close(objective.prototypes.values, [0.01, 0.09, 0.1, 0]))
  }

  @Test("2: the loss of one cell, and of none")
  func contrast() {
    let prototypes = Tensor([1, 0, 0, 1], [2, 2])
    let labels = LabelMap(samples: 1, height: 1, width: 2, values: [0, 255])
    for (temperature, expected) in [(100, 0.6941477), (0.1, 2.1269280)] as [(Float, Double)] {
      let feature = Variable(tracked: Tensor([3, 4, 9, 9], [1, 1, 2, 2]))
      let term = pixelPrototypeContrast(
        feature, prototypes: prototypes, labels: labels, temperature: temperature, globalCount: 1, factor: 1,
        name: "spcl", soloContext(1))
      #expect(abs(term.perSample.reduce(0, +) - expected) < 1e-6, "\(term.perSample)")
    }
    let none = pixelPrototypeContrast(
      Variable(tracked: Tensor([3, 4], [1, 1, 1, 2])), prototypes: prototypes,
      labels: LabelMap(samples: 1, height: 1, width: 1, values: [255]), temperature: 1, globalCount: 0, factor: 1,
      name: "spcl", soloContext(1))
    #expect(none.perSample == [0])
  }

  @Test("4: logits are divided by the segmentation temperature; sums of two ranks are weighted by their pixels")
  func temperatureAndRanks() throws {
    let context = soloContext(1)
    let term = crossEntropy(
      scaled(Variable(tracked: Tensor([1.8, 0], [1, 1, 1, 2])), by: 1 / 1.8, context),
      labels: LabelMap(samples: 1, height: 1, width: 1, values: [0]), weights: nil, factor: 1, name: "", context)
    #expect(abs(term.perSample[0] - 0.3132617) < 1e-6, "\(term.perSample)")
    let box = Box(top: 16, bottom: 48, left: 8, right: 40)
    let labels = LabelMap(samples: 1, height: 64, width: 64, values: (0..<4096).map { UInt8($0 % 5) })
    let output = try smallNetwork().train(randomTensor([1, 64, 64, 3], seed: 3), box: box, context)
    func losses(_ temperature: Float) -> [Double] {
      segmentationLosses(
        output, pass: "source", labels: labels, weights: nil, boxes: [box], detailWeight: 0.5, temperature: temperature,
        context
      ).map { $0.perSample[0] }
    }
    let cooled = crossEntropy(
      scaled(try #require(output.fused), by: 0.5, context), labels: labels, weights: nil, factor: 0.5, name: "", context
    )
    #expect(losses(2).count == 2 && losses(2)[0] == cooled.perSample[0] && losses(2)[1] != losses(1)[1])
    let objective = SemanticPrototypes(SemanticPrototypesOptions(), classes: 1, channels: 2)
    movePrototypes(objective.prototypes, by: [2, 1, 3], keeping: 0, absent: .keep)
    #expect(close(objective.prototypes.values, [2.0 / 3, 1.0 / 3]))
  }

  private func close(_ values: [Float], _ expected: [Double]) -> Bool {
    values.count == expected.count && zip(values, expected).allSatisfy { abs(Double($0) - $1) < 1e-6 }
  }
}
