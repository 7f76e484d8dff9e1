// Rows of unit length, chosen pixels, channel slices, element dropout and self-information against their twins.

import Kernels
import Support
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct RowTests {
    @Test("rows of unit length and their gradient", arguments: [[1, 1, 2], [2, 7, 19], [3, 401, 64]])
    func unitRows(_ extents: [Int]) {
      let x = randomTensor(Shape(extents), seed: 1, scale: 3)
      let upstream = randomTensor(Shape(extents), seed: 2)
      let (output, inverses) = unitLength(x, epsilon: 1e-12)
      #expect(relativeError(output, naiveUnitLength(doubles(x), columns: extents[2])) < 2e-7)
      let twin = naiveUnitLengthGradient(doubles(x), gradient: doubles(upstream), columns: extents[2])
      let gradient = unitLengthGradient(output: output, inverseLengths: inverses, gradient: upstream)
      #expect(relativeError(gradient, twin) < 1e-6)
    }

    @Test("a row without a direction stays nothing and takes no gradient")
    func shortRows() {
      let x = Tensor([0, 0, 3e-6, 4e-6, 3, 4], [1, 3, 2])
      let (output, inverses) = unitLength(x, epsilon: 1e-5)
      #expect(relativeError(output, [0, 0, 0.3, 0.4, 0.6, 0.8]) < 1e-6)
      let gradient = unitLengthGradient(
        output: output, inverseLengths: inverses, gradient: Tensor([1, 2, 1, 2, 1, 2], [1, 3, 2]))
      #expect(relativeError(gradient, [0, 0, 0, 0, (1 - 0.6 * 2.2) / 5, (2 - 0.8 * 2.2) / 5]) < 1e-6)
    }

    @Test("the twin's gradient is a derivative")
    func unitDerivative() {
      let x = doubles(randomTensor([6, 5], seed: 3))
      let upstream = doubles(randomTensor([6, 5], seed: 4))
      let error = directionalError(
        at: x, direction: doubles(randomTensor([6, 5], seed: 5)),
        gradient: naiveUnitLengthGradient(x, gradient: upstream, columns: 5)
      ) { innerProduct(naiveUnitLength($0, columns: 5), upstream) }
      #expect(error < 1e-7)
    }

    @Test("chosen pixels, some of them twice, and the way back")
    func chosenPixels() {
      let x = randomTensor([2, 5, 7, 3], seed: 6)
      let positions: [Int32] = [0, 34, 11, 11, 6, 11, 20, 0, 0, 33]
      let rows = gathered(x, at: positions, perSample: 5)
      #expect(rows.shape == [2, 5, 3])
      #expect(doubles(rows) == naiveGathered(doubles(x), at: positions, samples: 2, channels: 3))
      let upstream = randomTensor([2, 5, 3], seed: 7)
      let back = gatheredGradient(upstream, at: positions, height: 5, width: 7)
      let twin = naiveGatheredGradient(doubles(upstream), at: positions, samples: 2, channels: 3, perMap: 105)
      #expect(back.shape == x.shape && relativeError(back, twin) < 1e-7)
      #expect(abs(innerProduct(doubles(rows), doubles(upstream)) - innerProduct(doubles(x), doubles(back))) < 1e-5)
      #expect(gathered(x, at: [], perSample: 0).count == 0)
    }

    @Test("channel slices and their adjoint", arguments: [0..<19, 3..<8, 18..<19, 4..<4])
    func slices(_ range: Range<Int>) {
      let x = randomTensor([2, 5, 7, 19], seed: 8)
      let part = channels(x, range)
      let expected = x.values.enumerated().filter { range.contains($0.offset % 19) }.map(\.element)
      #expect(part.shape == [2, 5, 7, range.count] && part.values == expected)
      let back = placedChannels(part, at: range, of: 19)
      #expect(back.values == x.values.enumerated().map { range.contains($0 % 19) ? $1 : 0 })
    }

    @Test("self-information of probabilities, 0 and 1 among them", arguments: [2, 5, 19])
    func information(_ classes: Int) {
      var values = softmax(randomTensor([2, 41, classes], seed: 9, scale: 3)).values
      values.replaceSubrange(0..<2, with: [0, 1])
      let p = Tensor(values, [2, 41, classes])
      let twin = doubles(p).map { naiveSelfInformation($0, classes: classes) }
      #expect(relativeError(selfInformation(p), twin) < 5e-7)
      let upstream = randomTensor(p.shape, seed: 10)
      let slopes = zip(doubles(p), doubles(upstream)).map { naiveSelfInformationSlope($0, classes: classes) * $1 }
      #expect(relativeError(selfInformationGradient(p, gradient: upstream), slopes) < 5e-7)
      let equal = selfInformation(Tensor(repeating: 1 / Float(classes), [1, classes]))
      #expect(abs(doubles(equal).reduce(0, +) - 1) < 1e-6)
      #expect(selfInformation(Tensor([0, 1], [1, 2])).values == [0, 0])
    }

    @Test("the twin's slope is a derivative", arguments: [0.01, 0.3, 0.9])
    func informationDerivative(_ p: Double) {
      let ahead = naiveSelfInformation(p + 1e-7, classes: 5)
      let slope = (ahead - naiveSelfInformation(p - 1e-7, classes: 5)) / 2e-7
      #expect(abs(slope - naiveSelfInformationSlope(p, classes: 5)) < 1e-6)
    }

    @Test("bits depend on neither threads nor other samples")
    func invariance() {
      func run(_ samples: Int) -> [Float] {
        let x = randomTensor([samples, 90, 70, 5], seed: 11)
        let positions = (0..<samples * 40).map { Int32($0 * 37 % 6300) }
        let (unit, inverses) = unitLength(x, epsilon: 1e-12)
        let p = softmax(x)
        let rows = gathered(x, at: positions, perSample: 40)
        let streams = (0..<samples).map {
          RandomStream(seed: 1, step: 2, sample: $0, purpose: Purpose("test"))
        }
        let parts = [
          unit, unitLengthGradient(output: unit, inverseLengths: inverses, gradient: x), selfInformation(p),
          selfInformationGradient(p, gradient: x), rows,
          gatheredGradient(rows, at: positions, height: 90, width: 70), channels(x, 1..<3),
          placedChannels(x, at: 2..<7, of: 8), dropoutFactors(x.shape, rate: 0.3, streams: streams),
        ]
        return (0..<samples).flatMap { sample in parts.flatMap { $0.sample(sample).values } }
      }
      expectSameBitsOnThreads { run(3) }
      expectIndependentSamples(run)
    }

    @Test("self-information fixture", .enabled(if: hasSharedFolder, "needs ../shared"))
    func fixture() throws {
      let file = try #require(try FixtureFile("methods/16-advent"))
      let p = softmax(try file.tensor("information/in/logits"))
      #expect(try file.timesAllowed(selfInformation(p), "information/out/map") <= 1)
      let inner = selfInformationGradient(p, gradient: try file.tensor("information/in/cotangent"))
      #expect(try file.timesAllowed(softmaxGradient(output: p, gradient: inner), "information/grad/logits") <= 1)
    }
  }
}
