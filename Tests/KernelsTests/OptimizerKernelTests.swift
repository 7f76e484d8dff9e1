// AdamW, exponential average, tree sum and finiteness.

import Kernels
import Support
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct OptimizerKernelTests {
    @Test("ten updates agree with the twin", arguments: [1, 17, 33001])
    func adamWAgreesWithTwin(_ count: Int) {
      onEveryLevel {
        let parameters = randomTensor([count], seed: 1)
        var twins = doubles(parameters).map(NaiveAdamW.init)
        let (first, second) = (Tensor(zeros: [count]), Tensor(zeros: [count]))
        for step in 1...10 {
          let gradient = randomTensor([count], seed: UInt64(step) + 2, scale: 0.1)
          let rate = Float(step) * 1e-3
          adamW(
            parameters: parameters, gradient: gradient, firstMoment: first, secondMoment: second, range: 0..<count,
            rate: rate, decay: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, step: step)
          for (index, g) in doubles(gradient).enumerated() {
            twins[index].update(
              g, rate: Double(rate), decay: Double(Float(0.01)), beta1: 0.9, beta2: 0.999, epsilon: 1e-8)
          }
        }
        #expect(relativeError(parameters, twins.map(\.parameter)) < 1e-6)
        #expect(relativeError(first, twins.map(\.first)) < 1e-6)
        #expect(relativeError(second, twins.map(\.second)) < 1e-6)
      }
    }

    @Test("elements outside the range stay")
    func range() {
      let before = randomTensor([10], seed: 20)
      let (parameters, first, second) = (before.copy(), Tensor(zeros: [10]), Tensor(zeros: [10]))
      adamW(
        parameters: parameters, gradient: before, firstMoment: first, secondMoment: second, range: 3..<7, rate: 0.1,
        decay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, step: 1)
      for index in 0..<10 {
        let inside = (3..<7).contains(index)
        #expect((parameters.values[index] != before.values[index]) == inside)
        #expect((first.values[index] != 0) == inside && (second.values[index] != 0) == inside)
      }
    }

    @Test("AdamW fixture", .enabled(if: hasSharedFolder, "needs ../shared"))
    func fixture() throws {
      let file = try #require(try FixtureFile("ops"))
      let parameters = try file.tensor("adamw/parameter_0")
      let (first, second) = (Tensor(zeros: parameters.shape), Tensor(zeros: parameters.shape))
      for step in 1...5 {
        adamW(
          parameters: parameters, gradient: try file.tensor("adamw/gradient_\(step)"), firstMoment: first,
          secondMoment: second, range: 0..<parameters.count, rate: 1e-3 * Float(step), decay: 0.01, beta1: 0.9,
          beta2: 0.999, epsilon: 1e-8, step: step)
        #expect(try file.timesAllowed(parameters, "adamw/parameter_\(step)") <= 1)
      }
      #expect(try file.timesAllowed(first, "adamw/first_moment_5") <= 1)
      #expect(try file.timesAllowed(second, "adamw/second_moment_5") <= 1)
    }

    @Test("exponential average", arguments: [0, 0.5, 0.999] as [Float])
    func average(_ momentum: Float) {
      let student = randomTensor([4099], seed: 21)
      let expected = zip(doubles(randomTensor([4099], seed: 22)), doubles(student)).map {
        Double(momentum) * $0 + (1 - Double(momentum)) * $1
      }
      onEveryLevel {
        let teacher = randomTensor([4099], seed: 22)
        exponentialAverage(teacher, student, momentum: momentum)
        #expect(relativeError(teacher, expected) < 2e-7)
        if momentum == 0 { #expect(teacher.values.map(\.bitPattern) == student.values.map(\.bitPattern)) }
      }
    }

    @Test("slots are added up the binary tree, bit for bit", arguments: [1, 2, 3, 4, 5, 7, 8, 9])
    func tree(_ samples: Int) {
      onEveryLevel {
        let slots = randomTensor([samples, 40001], seed: 23)
        let expected = naiveTreeSum((0..<samples).map { slots.sample($0).values })
        treeSum(slots)
        #expect(slots.sample(0).values == expected)
      }
    }

    @Test("finiteness", arguments: [1, 16, 40000, 70001])
    func finiteness(_ count: Int) {
      onEveryLevel {
        let x = randomTensor([count], seed: 24, scale: 1e30)
        #expect(isFinite(x))
        for bad in [Float.nan, .infinity, -.infinity] {
          for place in [0, count / 2, count - 1] {
            let kept = x.pointer[place]
            x.pointer[place] = bad
            #expect(!isFinite(x))
            x.pointer[place] = kept
          }
        }
        #expect(isFinite(x))
      }
    }

    @Test("bits do not depend on threads")
    func threads() {
      onEveryLevel {
        expectSameBitsOnThreads {
          let parameters = randomTensor([100_003], seed: 25)
          let (first, second) = (Tensor(zeros: parameters.shape), Tensor(zeros: parameters.shape))
          adamW(
            parameters: parameters, gradient: parameters.copy(), firstMoment: first, secondMoment: second,
            range: 5..<100_000, rate: 0.01, decay: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, step: 1)
          exponentialAverage(first, second, momentum: 0.9)
          let slots = randomTensor([5, 70001], seed: 26)
          treeSum(slots)
          return parameters.values + first.values + slots.values
        }
      }
    }
  }
}
