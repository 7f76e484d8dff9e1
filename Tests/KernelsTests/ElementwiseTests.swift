// Elementwise kernels, bias gradients and HRDA's fusion; bits over threads and samples.

import Kernels
import Support
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct ElementwiseTests {
    @Test("sums and products", arguments: [[1, 1], [3, 17], [2, 40000]])
    func plain(_ extents: [Int]) {
      let x = randomTensor(Shape(extents), seed: 1)
      let y = randomTensor(Shape(extents), seed: 2)
      let total = zip(x.values, y.values).map { $0 + $1 }
      let product = zip(x.values, y.values).map { $0 * $1 }
      let share = x.values.map { $0 * 0.3 }
      onEveryLevel {
        #expect(add(x, y).values == total)
        #expect(multiply(x, y).values == product)
        #expect(scaled(x, by: 0.3).values == share)
        let sum = x.copy()
        addInPlace(sum, y)
        #expect(sum.values == total)
      }
    }

    @Test("two additions in one pass are two additions, from what is there or from zero", arguments: [true, false])
    func inTurn(restarts: Bool) {
      // A negative zero becomes a positive one where it is added to zero.
      let first = concatenated(randomTensor([40_000], seed: 20), Tensor(repeating: -0.0, [2]))
      let second = concatenated(randomTensor([40_000], seed: 21, scale: 1e3), Tensor(repeating: -0.0, [2]))
      let old = randomTensor([40_002], seed: 22)
      onEveryLevel {
        let expected = restarts ? Tensor(zeros: [40_002]) : old.copy()
        addInPlace(expected, first)
        addInPlace(expected, second)
        let sum = old.copy()
        addInTurn(sum, first, second, restarts: restarts)
        #expect(sum.values.map(\.bitPattern) == expected.values.map(\.bitPattern))
      }
    }

    private func concatenated(_ first: Tensor, _ second: Tensor) -> Tensor {
      Tensor(first.values + second.values, [first.count + second.count])
    }

    @Test("factors per sample")
    func samples() {
      let x = randomTensor([3, 5, 7], seed: 3)
      let branch = randomTensor([3, 5, 7], seed: 4)
      let factors: [Float] = [0, 1.25, -2]
      let expected = x.values.indices.map {
        Double(x.values[$0]) + Double(factors[$0 / 35]) * Double(branch.values[$0])
      }
      let scaled = x.values.indices.map { x.values[$0] * factors[$0 / 35] }
      onEveryLevel {
        #expect(relativeError(addScaled(x, branch, factors: factors), expected) < 2e-7)
        #expect(addScaled(x, branch, factors: nil).values == add(x, branch).values)
        #expect(addScaled(x, branch, factors: factors).sample(0).values == x.sample(0).values)
        #expect(scaleSamples(x, factors: factors).values == scaled)
      }
    }

    @Test("factors and biases per channel", arguments: [1, 7, 16, 33])
    func channels(_ channels: Int) {
      let x = randomTensor([2, 5, 3, channels], seed: 5)
      let factors = randomTensor([2, channels], seed: 6)
      let bias = randomTensor([channels], seed: 7)
      let values = x.values
      let expected = values.indices.map { index in
        values[index] * factors.values[index / (15 * channels) * channels + index % channels]
      }
      let biased = values.indices.map { values[$0] + bias.values[$0 % channels] }
      onEveryLevel {
        #expect(scaleChannels(x, factors: factors).values == expected)
        #expect(addBias(x, bias: bias).values == biased)
      }
    }

    @Test(
      "column sums go once into each sample's slot", arguments: [[1, 1, 1], [2, 7, 5], [2, 3001, 19], [1, 50, 300]])
    func sums(_ extents: [Int]) {
      let gradient = randomTensor(Shape(extents), seed: 8, offset: 0.2)
      onEveryLevel {
        let slots = GradientSlots(zeros: extents[2], samples: extents[0])
        columnSums(gradient, into: slots)
        let once = slots.arenas.values
        for sample in 0..<extents[0] {
          let twin = naiveColumnSums(doubles(gradient.sample(sample)), channels: extents[2])
          #expect(relativeError(slots.values(sample), twin) < 1e-6)
        }
        columnSums(gradient, into: slots)
        let twice = once.map { $0 + $0 }
        #expect(slots.arenas.values == twice)
      }
    }

    @Test("a slot inside an arena leaves its neighbours alone")
    func neighbours() {
      let arenas = Tensor(zeros: [2, 10])
      columnSums(Tensor(repeating: 1, [1, 4, 3]), into: GradientSlots(arenas: arenas, offset: 5, count: 3))
      #expect(arenas.values == [0, 0, 0, 0, 0, 4, 4, 4] + [Float](repeating: 0, count: 12))
    }

    @Test("fusion and its gradients agree with the twin")
    func fusion() {
      let shape: Shape = [2, 3, 5, 19]
      let (gate, detail) = (sigmoid(randomTensor(shape, seed: 9)), randomTensor(shape, seed: 10))
      let (context, upstream) = (randomTensor(shape, seed: 11), randomTensor(shape, seed: 12))
      let count = shape.count
      let point = doubles(gate) + doubles(detail) + doubles(context)
      onEveryLevel {
        let fused = fuse(gate: gate, detail: detail, context: gatedContext(gate, context))
        let twin = naiveFusion(gate: doubles(gate), detail: doubles(detail), context: doubles(context))
        #expect(relativeError(fused, twin) < 1e-6)
        let outer = fuseGradient(gate: gate, detail: detail, gradient: upstream)
        let inner = gatedContextGradient(gate: gate, context: context, gradient: upstream)
        let gradient = doubles(add(outer.gate, inner.gate)) + doubles(outer.detail) + doubles(inner.context)
        let error = directionalError(
          at: point, direction: doubles(randomTensor([3 * count], seed: 13)), gradient: gradient
        ) { point in
          innerProduct(
            doubles(upstream),
            naiveFusion(
              gate: Array(point[..<count]), detail: Array(point[count..<2 * count]),
              context: Array(point[(2 * count)...])))
        }
        #expect(error < 1e-6)
      }
    }

    @Test("bits depend on neither threads nor other samples")
    func invariance() {
      func run(_ samples: Int) -> [Float] {
        let x = randomTensor([samples, 97, 53, 11], seed: 14)
        let factors = randomTensor([9], seed: 15).values
        let slots = GradientSlots(zeros: 11, samples: samples)
        columnSums(x, into: slots)
        let pair = fuseGradient(gate: x, detail: x, gradient: x)
        let parts = [
          addScaled(x, x, factors: Array(factors[..<samples])), fuse(gate: x, detail: x, context: x),
          gatedContext(x, x), pair.gate, pair.detail,
          scaleChannels(x, factors: randomTensor([samples, 11], seed: 16)), slots.arenas,
        ]
        return (0..<samples).flatMap { sample in parts.flatMap { $0.sample(sample).values } }
      }
      onEveryLevel {
        expectSameBitsOnThreads { run(3) }
        expectIndependentSamples(run)
      }
    }

    @Test("drop-path and channel dropout fixtures", .enabled(if: hasSharedFolder, "needs ../shared"))
    func dropoutFixtures() throws {
      let file = try #require(try FixtureFile("ops"))
      let x = try file.tensor("drop_path/input")
      let factors = try file.floats("drop_path/keep").values.map { $0 / 0.9 }
      #expect(try file.timesAllowed(scaleSamples(x, factors: factors), "drop_path/output") <= 1)
      let map = try file.tensor("channel_dropout/input")
      let kept = scaled(try file.tensor("channel_dropout/keep"), by: 1 / 0.9)
      #expect(try file.timesAllowed(scaleChannels(map, factors: kept), "channel_dropout/output") <= 1)
    }

    @Test("fusion fixtures", .enabled(if: hasSharedFolder, "needs ../shared"), arguments: ["corner", "inner"])
    func fusionFixture(_ kind: String) throws {
      let file = try #require(try FixtureFile("ops"))
      let group = "fusion_\(kind)/"
      let edges = try file.integers(group + "box").values
      let box = Box(top: edges[0], bottom: edges[1], left: edges[2], right: edges[3])
      let (context, detail) = (try file.tensor(group + "context_logits"), try file.tensor(group + "detail_logits"))
      let attention = sigmoid(try file.tensor(group + "attention_logits"))
      let upstream = try file.tensor(group + "grad_fused")
      let (height, width) = (upstream.shape[1], upstream.shape[2])
      let gate = maskOutside(attention, box.divided(by: 8))
      let wideGate = bilinear(gate, height: height, width: width)
      let canvas = padded(detail, into: box.divided(by: 4), height: height, width: width)
      let damped = bilinear(gatedContext(gate, context), height: height, width: width)
      let fused = fuse(gate: wideGate, detail: canvas, context: damped)
      #expect(try file.timesAllowed(fused, group + "fused") <= 1)
      let outer = fuseGradient(gate: wideGate, detail: canvas, gradient: upstream)
      let (low, high) = (context.shape[1], context.shape[2])
      let inner = gatedContextGradient(
        gate: gate, context: context, gradient: bilinearGradient(upstream, height: low, width: high))
      let gateGradient = add(bilinearGradient(outer.gate, height: low, width: high), inner.gate)
      let dots = sigmoidGradient(output: attention, gradient: maskOutside(gateGradient, box.divided(by: 8)))
      #expect(try file.timesAllowed(cropped(outer.detail, to: box.divided(by: 4)), group + "grad_detail_logits") <= 1)
      #expect(try file.timesAllowed(inner.context, group + "grad_context_logits") <= 1)
      #expect(try file.timesAllowed(dots, group + "grad_attention_logits") <= 1)
    }
  }
}
