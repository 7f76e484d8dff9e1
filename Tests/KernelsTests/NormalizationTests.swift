// Layer norm and batch norm against their Double twins; bits over threads and samples.

import Kernels
import Support
import Tensors
import TestSupport
import Testing

/// Shapes [N, R, C] of rows: one element, primes, one vector, not a multiple of a vector, several tiles.
private let rowShapes = [
  [1, 1, 1], [2, 13, 7], [3, 5, 16], [2, 37, 60], [1, 300, 64], [2, 3, 257], [1, 1031, 19],
]
private let epsilon: Float = 1e-6

extension KernelTests {
  @Suite struct LayerNormTests {
    @Test("output and gradients agree with the twin", arguments: rowShapes)
    func twin(_ extents: [Int]) {
      let channels = extents[2]
      let x = randomTensor(Shape(extents), seed: 1, scale: 2, offset: 0.5)
      let scale = randomTensor([channels], seed: 2, scale: 0.2, offset: 1)
      let shift = randomTensor([channels], seed: 3)
      let upstream = randomTensor(x.shape, seed: 4)
      let expected = naiveLayerNorm(
        doubles(x), scale: doubles(scale), shift: doubles(shift), epsilon: Double(epsilon))
      let gradients = naiveLayerNormGradients(
        doubles(x), scale: doubles(scale), epsilon: Double(epsilon), gradient: doubles(upstream))
      onEveryLevel {
        let (output, statistics) = layerNorm(x, scale: scale, shift: shift, epsilon: epsilon)
        #expect(relativeError(output, expected) < 2e-6)
        let scaleSlots = GradientSlots(zeros: channels, samples: extents[0])
        let shiftSlots = GradientSlots(zeros: channels, samples: extents[0])
        let dx = layerNormGradient(
          x, scale: scale, statistics: statistics, gradient: upstream, scaleSlots: scaleSlots, shiftSlots: shiftSlots)
        // With one channel everything cancels: the difference is compared with the gradient that cancels.
        let size = channels == 1 ? 1e3 : 1.0
        #expect(relativeError(dx.values + [Float(size)], gradients.x + [size]) < 2e-6)
        #expect(relativeError(summed(scaleSlots), gradients.scale) < 2e-6)
        #expect(relativeError(summed(shiftSlots), gradients.shift) < 2e-6)
        let alone = layerNormGradient(
          x, scale: scale, statistics: statistics, gradient: upstream, scaleSlots: nil, shiftSlots: nil)
        #expect(alone.values == dx.values)
      }
    }

    @Test("statistics hold mean and inverse deviation of each row")
    func statistics() {
      let x = Tensor([1, 3, 2, 2, 10, -10], [1, 3, 2])
      let (_, statistics) = layerNorm(x, scale: Tensor(repeating: 1, [2]), shift: Tensor(zeros: [2]), epsilon: 1)
      #expect(relativeError(statistics, [2, 1 / 2.0.squareRoot(), 2, 1, 0, 1 / 101.0.squareRoot()]) < 1e-6)
    }

    @Test("the twin's gradient is the derivative of the twin")
    func derivative() {
      let channels = 5
      let scale = doubles(randomTensor([channels], seed: 5, offset: 1))
      let shift = doubles(randomTensor([channels], seed: 6))
      let x = doubles(randomTensor([3, channels], seed: 7))
      let upstream = doubles(randomTensor([3, channels], seed: 8))
      let gradients = naiveLayerNormGradients(x, scale: scale, epsilon: 1e-3, gradient: upstream)
      let point = x + scale + shift
      let error = directionalError(
        at: point, direction: doubles(randomTensor([point.count], seed: 9)),
        gradient: gradients.x + gradients.scale + gradients.shift
      ) { point in
        innerProduct(
          upstream,
          naiveLayerNorm(
            Array(point[..<15]), scale: Array(point[15..<20]), shift: Array(point[20...]), epsilon: 1e-3))
      }
      #expect(error < 1e-7)
    }

    @Test("bits depend on neither threads nor other samples")
    func invariance() {
      func run(_ samples: Int) -> (forward: [Float], backward: [Float], slots: [Float]) {
        let x = randomTensor([samples, 401, 33], seed: 10)
        let scale = randomTensor([33], seed: 11)
        let (output, statistics) = layerNorm(x, scale: scale, shift: scale, epsilon: epsilon)
        let slots = GradientSlots(zeros: 33, samples: samples)
        let dx = layerNormGradient(
          x, scale: scale, statistics: statistics, gradient: output, scaleSlots: slots, shiftSlots: nil)
        layerNormGradient(
          x, scale: scale, statistics: statistics, gradient: output, scaleSlots: nil, shiftSlots: slots
        ).fill(0)
        return (output.values, dx.values, slots.arenas.values)
      }
      onEveryLevel {
        expectSameBitsOnThreads {
          let result = run(3)
          return result.forward + result.backward + result.slots
        }
        expectIndependentSamples { run($0).forward }
        expectIndependentSamples { run($0).backward }
        expectIndependentSamples { run($0).slots }
      }
    }

    @Test("layer norm fixtures", .enabled(if: hasSharedFolder, "needs ../shared"), arguments: ["1e-05", "1e-06"])
    func fixture(_ epsilon: String) throws {
      let file = try #require(try FixtureFile("ops"))
      let group = "layer_norm_eps\(epsilon)/"
      let x = try file.tensor(group + "input")
      let scale = try file.tensor(group + "weight")
      let (output, statistics) = layerNorm(
        x, scale: scale, shift: try file.tensor(group + "bias"), epsilon: try #require(Float(epsilon)))
      let (scaleSlots, shiftSlots) = (
        GradientSlots(zeros: scale.count, samples: 2), GradientSlots(zeros: scale.count, samples: 2)
      )
      let dx = layerNormGradient(
        x, scale: scale, statistics: statistics, gradient: try file.tensor(group + "grad_output"),
        scaleSlots: scaleSlots, shiftSlots: shiftSlots)
      #expect(try file.timesAllowed(output, group + "output") <= 1)
      #expect(try file.timesAllowed(dx, group + "grad_input") <= 1)
      #expect(try file.timesAllowed(summed(scaleSlots), group + "grad_weight") <= 1)
      #expect(try file.timesAllowed(summed(shiftSlots), group + "grad_bias") <= 1)
    }
  }

  @Suite struct BatchNormTests {
    @Test("output and gradients with batch statistics agree with the twin", arguments: rowShapes, Rectifier.allCases)
    func twin(_ extents: [Int], _ rectifier: Rectifier) {
      let channels = extents[2]
      let x = randomTensor(Shape(extents), seed: 21, scale: 2, offset: 3)
      // Wide enough for values beyond 6.
      let spread: Double = rectifier == .relu6 ? 5 : 1
      let scale = randomTensor([channels], seed: 22, scale: 0.2 * spread, offset: spread)
      let shift = randomTensor([channels], seed: 23)
      let upstream = randomTensor(x.shape, seed: 24)
      // A large epsilon keeps the case of one row in all away from 0 / 0.
      let epsilon = 1e-2
      let expected = naiveBatchNorm(
        doubles(x), scale: doubles(scale), shift: doubles(shift), epsilon: epsilon, rectifier: rectifier)
      let gradients = naiveBatchNormGradients(
        doubles(x), scale: doubles(scale), shift: doubles(shift), epsilon: epsilon, rectifier: rectifier,
        gradient: doubles(upstream))
      onEveryLevel {
        let result = batchNormOverBatch(
          x, scale: scale, shift: shift, epsilon: epsilon, rectifier: rectifier, gradient: upstream)
        #expect(relativeError(result.output, expected) < 2e-6)
        let single = x.count == channels
        #expect(relativeError(result.input.values + [single ? 10 : 1], gradients.x + [single ? 10 : 1]) < 2e-6)
        #expect(relativeError(result.scale.map(Float.init), gradients.scale) < 2e-6)
        #expect(relativeError(result.shift.map(Float.init), gradients.shift) < 2e-6)
      }
    }

    @Test("the twin's gradient is the derivative of the twin", arguments: Rectifier.allCases)
    func derivative(_ rectifier: Rectifier) {
      let channels = 3
      let scale = doubles(randomTensor([channels], seed: 25, offset: rectifier == .relu6 ? 5 : 1))
      let shift = doubles(randomTensor([channels], seed: 26))
      let x = doubles(randomTensor([6, channels], seed: 27))
      let upstream = doubles(randomTensor([6, channels], seed: 28))
      let gradients = naiveBatchNormGradients(
        x, scale: scale, shift: shift, epsilon: 1e-3, rectifier: rectifier, gradient: upstream)
      let point = x + scale + shift
      let error = directionalError(
        at: point, direction: doubles(randomTensor([point.count], seed: 29)),
        gradient: gradients.x + gradients.scale + gradients.shift
      ) { point in
        innerProduct(
          upstream,
          naiveBatchNorm(
            Array(point[..<18]), scale: Array(point[18..<21]), shift: Array(point[21...]), epsilon: 1e-3,
            rectifier: rectifier))
      }
      #expect(error < 1e-7)
    }

    @Test("with constant statistics the gradient is scaled and masked only")
    func evaluation() {
      let x = Tensor([1, 2, 3, 4], [1, 2, 2])
      let scale = Tensor([2, 3], [2])
      let output = batchNormApply(
        x, mean: [1, 3], inverseDeviation: [0.5, 2], scale: scale, shift: Tensor([0.5, 1], [2]), rectifier: .relu)
      #expect(output.values == [0.5, 0, 2.5, 7])
      let dx = batchNormInputGradient(
        x, output: output, gradient: Tensor([1, 1, 2, 2], [1, 2, 2]), mean: [1, 3], inverseDeviation: [0.5, 2],
        scale: scale, gradientMean: [0, 0], gradientDotMean: [0, 0], rectifier: .relu)
      #expect(dx.values == [1, 0, 2, 12])
    }

    @Test("sums keep a small variance beside a large mean")
    func cancellation() {
      let x = Tensor((0..<4096).map { 1000 + Float($0 % 2) * 0.0625 }, [1, 4096, 1])
      let sums = batchNormSums(x)
      let mean = sums[0] / 4096
      #expect(abs(sums[1] / 4096 - mean * mean - 0.03125 * 0.03125) < 1e-8)
    }

    @Test("not-a-number passes the ReLU")
    func notANumber() {
      let one = Tensor([1], [1])
      let output = batchNormApply(
        Tensor([.nan], [1, 1]), mean: [0], inverseDeviation: [1], scale: one, shift: one, rectifier: .relu)
      #expect(output.values[0].isNaN)
    }

    @Test("slots receive each sample's values once")
    func slots() {
      let slots = GradientSlots(zeros: 2, samples: 3)
      addToSlots([1, 2, 3, 4], slots)
      addToSlots([1, 2, 3, 4, 5, 6], slots)
      #expect(slots.arenas.values == [2, 4, 6, 8, 5, 6])
    }

    @Test("bits depend on neither threads nor other samples")
    func invariance() {
      let mean = randomTensor([19], seed: 31).values
      let deviation = randomTensor([19], seed: 32, scale: 0.1, offset: 1).values
      let scale = randomTensor([19], seed: 33)
      func run(_ samples: Int) -> (sums: [Double], output: [Float], dots: [Double], input: [Float]) {
        let x = randomTensor([samples, 71, 103, 19], seed: 30)
        let output = batchNormApply(
          x, mean: mean, inverseDeviation: deviation, scale: scale, shift: scale, rectifier: .relu)
        let dots = batchNormGradientSums(
          x, output: output, gradient: x, mean: mean, inverseDeviation: deviation, rectifier: .relu)
        let input = batchNormInputGradient(
          x, output: output, gradient: x, mean: mean, inverseDeviation: deviation, scale: scale, gradientMean: mean,
          gradientDotMean: mean, rectifier: .relu)
        return (batchNormSums(x), output.values, dots, input.values)
      }
      onEveryLevel {
        expectSameBitsOnThreads {
          let result = run(3)
          return halves(result.sums) + result.output + halves(result.dots) + result.input
        }
        expectIndependentSamples { run($0).output }
        expectIndependentSamples { run($0).input }
        expectIndependentSamples { halves(run($0).sums) }
        expectIndependentSamples { halves(run($0).dots) }
      }
    }

    @Test("batch norm fixtures", .enabled(if: hasSharedFolder, "needs ../shared"), arguments: ["train", "eval"])
    func fixture(_ mode: String) throws {
      let file = try #require(try FixtureFile("ops"))
      let group = "batch_norm_\(mode)/"
      let x = try file.tensor(group + "input")
      let given = (
        mean: try file.tensor(group + "running_mean_before").values,
        deviation: try file.tensor(group + "running_var_before").values.map { 1 / ($0 + 1e-5).squareRoot() }
      )
      let result = batchNormOverBatch(
        x, scale: try file.tensor(group + "weight"), shift: try file.tensor(group + "bias"), epsilon: 1e-5,
        rectifier: .identity,
        gradient: try file.tensor(group + "grad_output"), given: mode == "eval" ? given : nil)
      #expect(try file.timesAllowed(result.output, group + "output") <= 1)
      #expect(try file.timesAllowed(result.input, group + "grad_input") <= 1)
      #expect(try file.timesAllowed(result.scale.map(Float.init), group + "grad_weight") <= 1)
      #expect(try file.timesAllowed(result.shift.map(Float.init), group + "grad_bias") <= 1)
    }
  }
}

/// The whole batch norm as its caller puts it together; with `given`, constant statistics.
private func batchNormOverBatch(
  _ x: Tensor, scale: Tensor, shift: Tensor, epsilon: Double, rectifier: Rectifier, gradient: Tensor,
  given: (mean: [Float], deviation: [Float])? = nil
) -> (output: Tensor, input: Tensor, scale: [Double], shift: [Double]) {
  let channels = x.channels
  let count = Double(x.count / channels)
  let sums = naiveColumnSums(batchNormSums(x), channels: 2 * channels).map { $0 / count }
  var mean = sums[..<channels].map { Float($0) }
  var deviation = [Float]()
  for c in 0..<channels {
    let variance = max(0, sums[channels + c] - sums[c] * sums[c])
    deviation.append(Float(1 / (variance + epsilon).squareRoot()))
  }
  if let given { (mean, deviation) = (given.mean, given.deviation) }
  let output = batchNormApply(
    x, mean: mean, inverseDeviation: deviation, scale: scale, shift: shift, rectifier: rectifier)
  let rows = batchNormGradientSums(
    x, output: output, gradient: gradient, mean: mean, inverseDeviation: deviation, rectifier: rectifier)
  let dots = naiveColumnSums(rows, channels: 2 * channels)
  let means = dots.map { given == nil ? Float($0 / count) : 0 }
  let input = batchNormInputGradient(
    x, output: output, gradient: gradient, mean: mean, inverseDeviation: deviation, scale: scale,
    gradientMean: Array(means[..<channels]), gradientDotMean: Array(means[channels...]), rectifier: rectifier)
  return (output, input, Array(dots[channels...]), Array(dots[..<channels]))
}

/// The bits of each Double as two Floats, for comparing bits.
private func halves(_ values: [Double]) -> [Float] {
  var result = [Float]()
  for value in values {
    result.append(Float(bitPattern: UInt32(truncatingIfNeeded: value.bitPattern >> 32)))
    result.append(Float(bitPattern: UInt32(truncatingIfNeeded: value.bitPattern)))
  }
  return result
}

/// Sum of all samples' slots.
func summed(_ slots: GradientSlots) -> [Float] {
  naiveColumnSums(doubles(slots.arenas), channels: slots.count).map { Float($0) }
}
