// Unit checks of CLAN's specification: disagreement, weighted and focal losses, weights that differ, the schedule.

import Autograd
import Kernels
import Optimization
import Support
import Tensors
import TestSupport
import Testing

@Suite("CLAN checks") struct CLANChecks {
  private func pixel(_ values: [Float]) -> Variable { Variable(constant: Tensor(values, [1, 1, 1, values.count])) }

  @Test("1: equal predictions agree, opposite ones do not")
  func disagreement() {
    let context = soloContext(1)
    let apart = cosineDistance(pixel([0.8, 0.2]), pixel([0.2, 0.8]), context).value.values[0]
    #expect(abs(apart - 0.5294118) < 1e-6)
    #expect(abs(cosineDistance(pixel([0.8, 0.2]), pixel([0.8, 0.2]), context).value.values[0]) < 1e-7)
    #expect(cosineDistance(pixel([0, 0]), pixel([0.8, 0.2]), context).value.values[0] == 1)
  }

  @Test(
    "2: an undecided answer, weighted",
    arguments: [(40, 0.5294118, 14.9556698), (10, 0.5294118, 3.9468616), (40, 0, 0.2772589)])
  func weightedAnswer(local: Float, apart: Float, expected: Double) {
    let context = soloContext(1)
    let weights = affine(pixel([apart]), factor: local, offset: 0.4, context)
    let term = binaryCrossEntropy(pixel([0]), towards: 0, trainedWeights: weights, factor: 1, name: "", context)
    #expect(abs(term.perSample[0] - expected) < 1e-6 * expected)
  }

  @Test(
    "3: the focal loss of one pixel",
    arguments: [(0.5, 2, 0.1732868), (0.9, 2, 0.0010536), (0.5, 0, 0.6931472), (0.9, 0, 0.1053605)])
  func focalLoss(p: Float, gamma: Double, expected: Double) {
    let logits = pixel([Float(Double(p).logarithm), Float((1 - Double(p)).logarithm)])
    let labels = LabelMap(height: 1, width: 1, values: [0])
    let term = focal(logits, labels: labels, gamma: gamma, valid: 1, factor: 1, name: "", soloContext(1))
    #expect(abs(term.perSample[0] - expected) < 1e-6)
  }

  @Test(
    "4: weights at 45 degrees, equal and opposite",
    arguments: [([1, 1], 1.7071068), ([1, 0], 2), ([-1, 0], 0)] as [([Float], Double)])
  func weights(second: [Float], expected: Double) {
    func head(_ values: [Float]) -> Parameter {
      let parameter = Parameter(name: "head", officialShape: [2]) { _, _ in [0, 0] }
      parameter.bind(Tensor(values, [2]), slots: nil)
      return parameter
    }
    let term = weightCosine([head([1, 0])], [head(second)], factor: 1, name: "", samples: 1, soloContext(1))
    #expect(abs(term.perSample[0] - expected) < 1e-6)
  }

  @Test("4: the rate rises to its base, then drops onto the decay")
  func rates() {
    let schedule = LearningRateSchedule(
      baseRate: 2.5e-4, warmUpSteps: 5000, warmUpRatio: 0, warmUpTo: .base, power: 0.9, totalSteps: 100_000)
    for (step, expected) in [(0, 0), (2500, 1.25e-4), (4999, 2.4995e-4), (5000, 2.3872135e-4)] {
      #expect(abs(schedule.rate(at: step) - expected) < 1e-11)
    }
  }
}
