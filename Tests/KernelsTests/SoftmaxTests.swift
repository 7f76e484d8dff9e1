// Soft-max, class choice and cross-entropy against their Double twins; bits over threads and samples.

import Kernels
import Support
import Tensors
import TestSupport
import Testing

/// Shapes [N, H, W, K]: one class, primes, one vector, the usual 19, more rows than a block, more columns than a block.
private let mapShapes = [
  [1, 1, 1, 1], [2, 3, 5, 7], [1, 4, 4, 16], [2, 29, 31, 19], [1, 2, 3, 255], [3, 67, 11, 2],
]

extension KernelTests {
  @Suite struct SoftmaxTests {
    @Test("output and gradient agree with the twin", arguments: mapShapes + [[1, 1, 2, 5000]])
    func twin(_ extents: [Int]) {
      let columns = extents[3]
      let x = randomTensor(Shape(extents), seed: 1, scale: 4)
      let upstream = randomTensor(Shape(extents), seed: 2)
      let expected = naiveSoftmax(doubles(x), columns: columns)
      let gradient = naiveSoftmaxGradient(doubles(x), gradient: doubles(upstream), columns: columns)
      onEveryLevel {
        let output = softmax(x)
        #expect(relativeError(output, expected) < 1e-6)
        let dx = softmaxGradient(output: output, gradient: upstream).values
        // One column has gradient zero, up to the rounding of the output.
        #expect(relativeError(dx + [1], gradient + [1]) < 2e-6)
      }
    }

    @Test("the twin's gradient is the derivative of the twin")
    func derivative() {
      let x = doubles(randomTensor([15], seed: 3))
      let upstream = doubles(randomTensor([15], seed: 4))
      let error = directionalError(
        at: x, direction: doubles(randomTensor([15], seed: 5)),
        gradient: naiveSoftmaxGradient(x, gradient: upstream, columns: 5)
      ) { innerProduct(upstream, naiveSoftmax($0, columns: 5)) }
      #expect(error < 1e-7)
    }

    @Test("large logits do not overflow; not-a-number spoils its row only")
    func extremes() {
      let x = Tensor([1e30, 1e30, -1e30, -3e38, -3e38, -3e38, 0, .nan, 0], [3, 3])
      onEveryLevel {
        let y = softmax(x).values
        #expect(y[0] == 0.5 && y[1] == 0.5 && y[2] < 1e-37)
        #expect(relativeError(Array(y[3..<6]), [1 / 3.0, 1 / 3.0, 1 / 3.0]) < 1e-6)
        #expect(y[6].isNaN && y[7].isNaN && y[8].isNaN)
      }
    }

    @Test("classes and confidence agree with the twin", arguments: mapShapes)
    func classes(_ extents: [Int]) {
      let x = randomTensor(Shape(extents), seed: 6, scale: 3)
      let expected = naiveArgMax(doubles(x), columns: extents[3])
      let probabilities = naiveSoftmax(doubles(x), columns: extents[3])
      let confidence = expected.enumerated().map { probabilities[$0 * extents[3] + Int($1)] }
      onEveryLevel {
        let result = pseudoLabels(x)
        #expect(result.labels.values == expected)
        #expect(result.confidence.shape == [extents[0], extents[1], extents[2]])
        #expect(relativeError(result.confidence, confidence) < 1e-6)
        #expect(argMax(x) == result.labels)
      }
    }

    @Test("the lowest class wins ties, also of zeros of both signs")
    func ties() {
      let logits = Tensor([1, 5, 5, -1, -1, -1, -2, 0, 0], [1, 1, 3, 3])
      onEveryLevel { #expect(argMax(logits).values == [1, 0, 1]) }
      onEveryLevel { #expect(argMax(Tensor([-0.0, 0, -1], [1, 1, 1, 3])).values == [0]) }
    }

    @Test("the label beside not-a-number: the last class if it is positive, else the largest number's")
    func labelsBesideNotANumber() {
      let logits = Tensor([5, .nan, 3, -.nan, 5, 3], [1, 1, 2, 3])
      onEveryLevel {
        let found = pseudoLabels(logits)
        #expect(found.labels.values == [2, 1] && found.confidence.values.allSatisfy { $0.isNaN })
      }
    }

    @Test("counting is per sample and includes the threshold")
    func counting() {
      let confidence = Tensor([0.5, 0.968, 0.9, 1, 0.968, 0.97], [2, 3])
      onEveryLevel { #expect(countAtLeast(confidence, 0.968) == [1, 3]) }
    }

    @Test("bits depend on neither threads nor other samples")
    func invariance() {
      func run(_ samples: Int) -> [Float] {
        let x = randomTensor([samples, 37, 41, 19], seed: 7)
        let pseudo = pseudoLabels(x)
        let parts = [softmax(x), softmaxGradient(output: x, gradient: x), pseudo.confidence]
        return (0..<samples).flatMap { sample in
          parts.flatMap { $0.sample(sample).values } + pseudo.labels.sample(sample).values.map(Float.init)
        }
      }
      onEveryLevel {
        expectSameBitsOnThreads { run(3) }
        expectIndependentSamples(run)
      }
    }

    @Test("soft-max fixture", .enabled(if: hasSharedFolder, "needs ../shared"))
    func fixture() throws {
      let file = try #require(try FixtureFile("ops"))
      let output = softmax(try file.tensor("softmax_last/input"))
      let dx = softmaxGradient(output: output, gradient: try file.tensor("softmax_last/grad_output"))
      #expect(try file.timesAllowed(output, "softmax_last/output") <= 1)
      #expect(try file.timesAllowed(dx, "softmax_last/grad_input") <= 1)
    }

    @Test("pseudo-label fixture", .enabled(if: hasSharedFolder, "needs ../shared"))
    func pseudoLabelFixture() throws {
      let file = try #require(try FixtureFile("augment"))
      let result = pseudoLabels(try file.tensor("pseudo/logits"))
      let expected = try file.labels("pseudo/label")
      #expect(result.labels == expected)
    }
  }

  @Suite struct CrossEntropyTests {
    static func labels(_ extents: [Int]) -> LabelMap {
      var stream = RandomStream(seed: 8, step: 0, sample: nil, purpose: Purpose("labels"))
      let values = (0..<extents[0] * extents[1] * extents[2]).map { _ in
        stream.nextUniform() < 0.2 ? 255 : UInt8(stream.nextIndex(below: extents[3]))
      }
      return LabelMap(samples: extents[0], height: extents[1], width: extents[2], values: values)
    }

    @Test("sums and gradient agree with the twin", arguments: mapShapes, [false, true])
    func twin(_ extents: [Int], _ weighted: Bool) {
      let logits = randomTensor(Shape(extents), seed: 9, scale: 3)
      let labels = Self.labels(extents)
      let weights =
        weighted ? randomTensor([extents[0], extents[1], extents[2]], seed: 10, scale: 0.3, offset: 1) : nil
      let expected = (0..<extents[0]).map { sample in
        naiveCrossEntropy(
          doubles(logits.sample(sample)), labels: labels.sample(sample).values,
          weights: weights.map { doubles($0.sample(sample)) }, classes: extents[3])
      }
      let gradient = naiveCrossEntropyGradient(
        doubles(logits), labels: labels.values, weights: weights.map(doubles), classes: extents[3]
      ).map { $0 * -3 }
      onEveryLevel {
        let sums = crossEntropySums(logits, labels: labels, weights: weights)
        #expect(sums.count == extents[0])
        for (sum, twin) in zip(sums, expected) { #expect(abs(sum - twin) <= 2e-6 * abs(twin) + 1e-7) }
        let both = crossEntropy(logits, labels: labels, weights: weights, factor: -3)
        #expect(both.sums == sums)
        #expect(relativeError(both.gradient.values + [1], gradient + [1]) < 1e-6)
      }
    }

    @Test("the twin's gradient is the derivative of the twin")
    func derivative() {
      let logits = doubles(randomTensor([4, 5], seed: 11))
      let labels: [UInt8] = [0, 255, 4, 2]
      let weights = [0.5, 1, 2, 0]
      let error = directionalError(
        at: logits, direction: doubles(randomTensor([20], seed: 12)),
        gradient: naiveCrossEntropyGradient(logits, labels: labels, weights: weights, classes: 5)
      ) { naiveCrossEntropy($0, labels: labels, weights: weights, classes: 5) }
      #expect(error < 1e-7)
    }

    @Test("a map of ignored pixels costs nothing, even beside not-a-number")
    func ignored() {
      let logits = Tensor(repeating: .nan, [1, 2, 2, 3])
      let labels = LabelMap(height: 2, width: 2)
      onEveryLevel {
        #expect(crossEntropySums(logits, labels: labels, weights: nil) == [0])
        let both = crossEntropy(logits, labels: labels, weights: nil, factor: 1)
        #expect(both.sums == [0] && both.gradient.values == [Float](repeating: 0, count: 12))
      }
    }

    @Test("bits depend on neither threads nor other samples")
    func invariance() {
      func run(_ samples: Int) -> (sums: [Double], gradient: [Float]) {
        let logits = randomTensor([samples, 53, 47, 19], seed: 13)
        let labels = Self.labels([samples, 53, 47, 19])
        let both = crossEntropy(logits, labels: labels, weights: nil, factor: 0.1)
        return (both.sums, both.gradient.values)
      }
      onEveryLevel {
        expectSameBitsOnThreads { run(3).gradient + run(3).sums.map { Float($0) } }
        expectIndependentSamples { run($0).gradient }
        let all = run(9).sums
        for samples in 1...4 { #expect(run(samples).sums == Array(all[..<samples])) }
      }
    }

    @Test(
      "cross-entropy fixtures", .enabled(if: hasSharedFolder, "needs ../shared"), arguments: ["plain", "weighted"])
    func fixture(_ kind: String) throws {
      let file = try #require(try FixtureFile("ops"))
      let group = "cross_entropy_\(kind)/"
      let logits = try file.tensor(group + "logits")
      let labels = try file.labels(group + "label")
      let weights = kind == "weighted" ? try file.tensor(group + "weight") : nil
      let pixels = Double(labels.values.count)
      let loss = crossEntropySums(logits, labels: labels, weights: weights).reduce(0, +) / pixels
      let gradient = crossEntropy(logits, labels: labels, weights: weights, factor: Float(1 / pixels)).gradient
      #expect(try file.timesAllowed([Float(loss)], group + "loss") <= 1)
      #expect(try file.timesAllowed(gradient, group + "grad_logits") <= 1)
    }
  }
}
