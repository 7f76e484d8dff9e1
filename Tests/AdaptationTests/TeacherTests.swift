// The teacher: how it follows the student, and its pseudo-labels over the global batch.

import Adaptation
import Autograd
import Collectives
import CollectivesTesting
import Kernels
import Networks
import Tensors
import TestSupport
import Testing

@Suite struct TeacherTests {
  /// Images of very different texture, so that the teacher is surer of some than of others.
  private static let images: Tensor = {
    let values = randomTensor([4, 64, 64, 3], seed: 1).values
    let perImage = 64 * 64 * 3
    return Tensor(
      values.enumerated().map { index, value in
        let image = index / perImage
        return value * Float(image + 1) / 4 + Float(image) / 2 + Float(index % perImage / 3000)
      }, [4, 64, 64, 3])
  }()

  private static func pseudoLabels(
    threshold: Float, valid: Tensor? = nil, by scope: ConfidenceScope = .batch,
    on communicator: any Communicator = SoloCommunicator()
  ) throws -> PseudoLabels {
    let own = share(of: 4, on: communicator)
    let valid = valid.map { $0.samples(own.samples).copy() }
    return try Teacher(smallNetwork(), threshold: threshold, confidence: scope).pseudoLabels(
      images.samples(own.samples).copy(), valid: valid, own)
  }

  /// A threshold that half of the pixels reach.
  private static func median() throws -> Float {
    let confidences = try pseudoLabels(threshold: 0).confidence.values.sorted()
    return confidences[confidences.count / 2]
  }

  @Test func momentumZeroCopiesTheStudent() throws {
    let (student, own) = (try smallNetwork(seed: 1), try smallNetwork(seed: 2))
    #expect(own.parameters.values.values != student.parameters.values.values)
    Teacher(own, threshold: 0.9).follow(student, momentum: 0)
    #expect(own.parameters.values.values == student.parameters.values.values)
  }

  @Test(arguments: [0.5, 0.9, 0.999] as [Float]) func parametersAreAveraged(momentum: Float) throws {
    let (student, own) = (try smallNetwork(seed: 1), try smallNetwork(seed: 2))
    let before = doubles(own.parameters.values)
    let target = student.parameters.values.values
    Teacher(own, threshold: 0.9).follow(student, momentum: momentum)
    let expected = zip(before, target).map { Double(momentum) * $0 + (1 - Double(momentum)) * Double($1) }
    #expect(relativeError(own.parameters.values, expected) < 1e-6)
    #expect(student.parameters.values.values == target)
  }

  @Test(arguments: [0, 0.9] as [Float]) func runningStatisticsAreNotAveraged(momentum: Float) throws {
    let (student, own) = (try smallNetwork(seed: 1), try smallNetwork(seed: 2))
    student.parameters.buffers.fill(7)
    let before = own.parameters.buffers.values
    Teacher(own, threshold: 0.9).follow(student, momentum: momentum)
    #expect(own.parameters.buffers.values == before)
    #expect(student.parameters.buffers.values.allSatisfy { $0 == 7 })
  }

  @Test func labelsAndConfidenceAreThoseOfTheDensePass() throws {
    let found = try TeacherTests.pseudoLabels(threshold: 0.5)
    let confidences = found.confidence.values
    let probabilities = softmax(try smallNetwork().logits(TeacherTests.images, soloContext(4))).values
    #expect(found.labels.samples == 4 && found.labels.height == 64 && found.labels.width == 64)
    #expect(found.confidence.shape == [4, 64, 64] && found.weights.shape == [4, 64, 64])
    for (pixel, label) in found.labels.values.enumerated() {
      let row = probabilities[pixel * 5..<pixel * 5 + 5]
      guard let best = row.max(), row[pixel * 5 + Int(label)] == best,
        abs(confidences[pixel] - best) < 1e-5
      else {
        Issue.record("pixel \(pixel): label \(label) of \(row)")
        return
      }
    }
  }

  /// The share runs over the whole batch, so that every image gets the same weight, although images differ in theirs.
  @Test func weightIsTheShareOfTheWholeBatch() throws {
    let threshold = try TeacherTests.median()
    let found = try TeacherTests.pseudoLabels(threshold: threshold)
    let confident = found.confidence.values.map { $0 >= threshold }
    let share = Float(Double(confident.count { $0 }) / Double(confident.count))
    #expect(abs(share - 0.5) < 0.01)
    #expect(found.confidentShare == share)
    #expect(found.weights.values.allSatisfy { $0 == share })
    let perImage = (0..<4).map { image in confident[image * 4096..<(image + 1) * 4096].count { $0 } }
    #expect(Set(perImage).count > 1, "images must differ, or a share per image would pass too")
  }

  @Test(arguments: [1, 2, 4]) func weightsByImageAreTheSharesOfTheImages(ranks: Int) throws {
    let threshold = try TeacherTests.median()
    let valid = Tensor((0..<4 * 4096).map { $0 % 3 == 0 ? 0 : 1 }, [4, 64, 64])
    let batch = try TeacherTests.pseudoLabels(threshold: threshold)
    let confident = batch.confidence.values.map { $0 >= threshold }
    let expected = (0..<4 * 4096).map { (pixel: Int) -> Float in
      let image = pixel / 4096
      return pixel % 3 == 0 ? 0 : Float(confident[image * 4096..<(image + 1) * 4096].count { $0 }) / 4096
    }
    let parts = try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let found = try TeacherTests.pseudoLabels(threshold: threshold, valid: valid, by: .image, on: communicator)
      return (found.weights.values, found.confidentShare)
    }
    #expect(parts.flatMap { $0.0 } == expected)
    #expect(parts.allSatisfy { $0.1 == batch.confidentShare }, "the reported share is that of the batch")
  }

  @Test func weightsByPixelAreOneWhereItIsConfident() throws {
    let threshold = try TeacherTests.median()
    let valid = Tensor((0..<4 * 4096).map { $0 % 3 == 0 ? 0 : 1 }, [4, 64, 64])
    let found = try TeacherTests.pseudoLabels(threshold: threshold, valid: valid, by: .pixel)
    let expected = zip(found.confidence.values, valid.values).map { $0 >= threshold ? $1 : 0 }
    #expect(found.weights.values == expected && expected.contains(0) && expected.contains(1))
    #expect(try TeacherTests.pseudoLabels(threshold: threshold, valid: valid, by: .none).weights.values == valid.values)
    #expect(try TeacherTests.pseudoLabels(threshold: 2, by: .none).weights.values.allSatisfy { $0 == 1 })
  }

  @Test func thresholdIsReachedFromEqualityOn() throws {
    let all = try TeacherTests.pseudoLabels(threshold: 0)
    #expect(all.confidentShare == 1)
    let highest = try #require(all.confidence.values.max())
    let one = try TeacherTests.pseudoLabels(threshold: highest)
    #expect(one.confidentShare == Float(all.confidence.values.count { $0 == highest }) / 16384)
    #expect(try TeacherTests.pseudoLabels(threshold: 1.1).weights.values.allSatisfy { $0 == 0 })
  }

  @Test(arguments: [2, 4]) func ranksAgreeWithOneProcess(ranks: Int) throws {
    let threshold = try TeacherTests.median()
    let one = try TeacherTests.pseudoLabels(threshold: threshold)
    let parts = try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let found = try TeacherTests.pseudoLabels(threshold: threshold, on: communicator)
      return (found.labels.values, bits(found.confidence.values), bits(found.weights.values), found.confidentShare)
    }
    #expect(parts.flatMap { $0.0 } == one.labels.values)
    #expect(parts.flatMap { $0.1 } == bits(one.confidence.values))
    #expect(parts.flatMap { $0.2 } == bits(one.weights.values))
    #expect(parts.allSatisfy { $0.3 == one.confidentShare })
  }

  /// Of either sign: x86 makes negative ones.
  @Test(arguments: [1, 2, 4]) func pixelsWithoutANumberAreCounted(ranks: Int) throws {
    var values = randomTensor([4, 8, 8, 5], seed: 3).values
    for (place, value) in [(7, Float.nan), (320 + 9, -.nan), (960 + 11, .nan), (960 + 12, .nan)] {
      values[place] = value
    }
    let logits = Tensor(values, [4, 8, 8, 5])
    let parts = try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let own = share(of: 4, on: communicator)
      let found = try PseudoLabels(logits.samples(own.samples).copy(), valid: nil, threshold: 0, own)
      return (found.brokenPixels, found.confidentShare)
    }
    #expect(parts.allSatisfy { $0 == (3, 253 / 256) })
    #expect(try TeacherTests.pseudoLabels(threshold: 0.5).brokenPixels == 0)
  }

  @Test func untrustedPixelsGetNoWeight() throws {
    let valid = Tensor(
      (0..<4 * 4096).map { (pixel: Int) -> Float in pixel % 64 < 7 || pixel % 4096 < 640 ? 0 : 1 }, [4, 64, 64])
    let threshold = try TeacherTests.median()
    let found = try TeacherTests.pseudoLabels(threshold: threshold, valid: valid)
    #expect(found.confidentShare == (try TeacherTests.pseudoLabels(threshold: threshold)).confidentShare)
    #expect(found.weights.values == valid.values.map { $0 * found.confidentShare })
  }

  @Test func batchStatisticsAreTheTargets() throws {
    let (first, second) = (try smallNetwork(dropout: 0.5), try smallNetwork(dropout: 0.5))
    second.parameters.buffers.fill(3)
    let own = share(of: 4, on: SoloCommunicator())
    let labels = try [first, second].map {
      try Teacher($0, threshold: 0.5).pseudoLabels(TeacherTests.images, valid: nil, own)
    }
    #expect(labels[0].confidence.values == labels[1].confidence.values)
    let fresh = try smallNetwork().parameters.buffers.values
    #expect(first.parameters.buffers.values != fresh, "the teacher keeps running statistics of its own")
  }
}
