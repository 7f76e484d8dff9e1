// Activations against libm in Double; special values; bits over threads and samples.

import Foundation
import Kernels
import Support
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct ActivationTests {
    /// Every float distance around zero matters, so the line is sampled densely rather than at random.
    static let line = Tensor((0...48000).map { Float($0 - 24000) / 2000 }, [1, 48001])

    @Test("GELU and its slope are accurate over the line")
    func geluAccuracy() {
      let x = Self.line
      onEveryLevel {
        for (value, twin) in zip(gelu(x).values, doubles(x).map(naiveGelu)) {
          #expect(abs(Double(value) - twin) < 2e-7 * max(1, abs(twin)))
        }
        let slope = geluGradient(x, gradient: Tensor(repeating: 1, x.shape))
        #expect(largestDifference(slope, doubles(x).map(naiveGeluSlope)) < 4e-7)
      }
    }

    @Test("GELU in its lower tail keeps its relative accuracy", arguments: [-3, -4, -5, -6] as [Float])
    func geluTail(_ x: Float) {
      onEveryLevel {
        let expected = naiveGelu(Double(x))
        #expect(abs(Double(gelu(Tensor([x], [1])).scalar) / expected - 1) < 1e-4)
      }
    }

    @Test("the logistic function is accurate over the line")
    func sigmoidAccuracy() {
      onEveryLevel {
        #expect(largestDifference(sigmoid(Self.line), doubles(Self.line).map(naiveSigmoid)) < 1.5e-7)
      }
    }

    @Test("the hyperbolic tangent keeps its relative accuracy, near zero too")
    func tanhAccuracy() {
      let tiny = Tensor((1...2000).map { Float($0) * 1e-6 }, [2000])
      onEveryLevel {
        for x in [Self.line, tiny] {
          for (value, twin) in zip(tanh(x).values, doubles(x).map { Foundation.tanh($0) }) {
            #expect(abs(Double(value) - twin) <= 2e-7 * abs(twin))
          }
        }
      }
    }

    @Test("leaky ReLU and the tangent's gradient agree with the twins", arguments: [[1, 1], [3, 17], [2, 33000]])
    func leakyAndTangent(_ extents: [Int]) {
      let x = randomTensor(Shape(extents), seed: 4, scale: 2)
      let upstream = randomTensor(Shape(extents), seed: 5)
      let leaky = x.values.map { $0 < 0 ? 0.2 * $0 : $0 }
      let leakySlopes = zip(x.values, upstream.values).map { $0 > 0 ? $1 : 0.2 * $1 }
      let slopes = zip(doubles(x), doubles(upstream)).map { naiveTanhSlope($0) * $1 }
      onEveryLevel {
        let output = leakyRelu(x, slope: 0.2)
        #expect(output.values == leaky)
        #expect(leakyReluGradient(output: output, slope: 0.2, gradient: upstream).values == leakySlopes)
        #expect(largestDifference(tanhGradient(output: tanh(x), gradient: upstream), slopes) < 1e-6)
      }
    }

    @Test("gradients agree with the twins", arguments: [[1, 1], [3, 17], [2, 33000]])
    func gradients(_ extents: [Int]) {
      let x = randomTensor(Shape(extents), seed: 1, scale: 2)
      let upstream = randomTensor(Shape(extents), seed: 2)
      let geluTwin = zip(doubles(x), doubles(upstream)).map { naiveGeluSlope($0) * $1 }
      let sigmoidTwin = zip(doubles(x), doubles(upstream)).map { naiveSigmoidSlope($0) * $1 }
      let reluTwin = x.values.map { max($0, 0) }
      let maskTwin = zip(x.values, upstream.values).map { $0 > 0 ? $1 : 0 }
      onEveryLevel {
        #expect(relativeError(geluGradient(x, gradient: upstream), geluTwin) < 1e-6)
        #expect(relativeError(sigmoidGradient(output: sigmoid(x), gradient: upstream), sigmoidTwin) < 1e-6)
        #expect(relu(x).values == reluTwin)
        #expect(reluGradient(output: relu(x), gradient: upstream).values == maskTwin)
      }
    }

    @Test("the twins' slopes are derivatives", arguments: [-2.3, -0.4, 0, 0.7, 3.1])
    func derivatives(_ x: Double) {
      let slope = (naiveGelu(x + 1e-6) - naiveGelu(x - 1e-6)) / 2e-6
      #expect(abs(slope - naiveGeluSlope(x)) < 1e-8)
      let tangent = (Foundation.tanh(x + 1e-6) - Foundation.tanh(x - 1e-6)) / 2e-6
      #expect(abs(tangent - naiveTanhSlope(x)) < 1e-8)
    }

    @Test("huge values saturate and not-a-number passes")
    func extremes() {
      let x = Tensor([-1e30, 1e30, .nan, -200, 200], [5])
      onEveryLevel {
        let (g, s, r) = (gelu(x).values, sigmoid(x).values, relu(x).values)
        let (t, l) = (tanh(x).values, leakyRelu(x, slope: 0.5).values)
        #expect(t[0] == -1 && t[1] == 1 && t[2].isNaN && t[3] == -1 && t[4] == 1)
        #expect(l[0] == -5e29 && l[1] == 1e30 && l[2].isNaN && l[3] == -100)
        #expect(abs(g[0]) < 1e-6 && g[1] == 1e30 && g[2].isNaN && abs(g[3]) < 1e-30 && g[4] == 200)
        #expect(s[0] < 1e-37 && s[1] == 1 && s[2].isNaN && s[3] < 1e-37 && s[4] == 1)
        #expect(r[0] == 0 && r[1] == 1e30 && r[2].isNaN)
      }
    }

    @Test("bits depend on neither threads nor other samples")
    func invariance() {
      func run(_ samples: Int) -> [Float] {
        let x = randomTensor([samples, 211, 157], seed: 3)
        let parts = [
          gelu(x), geluGradient(x, gradient: x), sigmoid(x), sigmoidGradient(output: x, gradient: x), tanh(x),
          tanhGradient(output: x, gradient: x), leakyRelu(x, slope: 0.2),
          leakyReluGradient(output: x, slope: 0.2, gradient: x),
        ]
        // Sample-major, so that the first samples' values come first.
        return (0..<samples).flatMap { sample in parts.flatMap { $0.sample(sample).values } }
      }
      onEveryLevel {
        expectSameBitsOnThreads { run(3) }
        expectIndependentSamples(run)
      }
    }

    @Test("GELU fixture", .enabled(if: hasSharedFolder, "needs ../shared"))
    func fixture() throws {
      let file = try #require(try FixtureFile("ops"))
      let x = try file.tensor("gelu/input")
      let dx = geluGradient(x, gradient: try file.tensor("gelu/grad_output"))
      #expect(try file.timesAllowed(gelu(x), "gelu/output") <= 1)
      #expect(try file.timesAllowed(dx, "gelu/grad_input") <= 1)
    }
  }
}

private func largestDifference(_ actual: Tensor, _ expected: [Double]) -> Double {
  zip(actual.values, expected).reduce(0) { max($0, abs(Double($1.0) - $1.1)) }
}
