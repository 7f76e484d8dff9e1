// Adam against its definition, and against the reference files of discriminators.

import Optimization
import Tensors
import TestSupport
import Testing

@Suite struct AdamTests {
  private static let slices = [
    ParameterSlice(name: "a", range: 0..<37, decay: 0),
    ParameterSlice(name: "b", range: 40..<61, rateFactor: 3, decay: 0),
  ]

  @Test("five steps agree with the definition and leave gaps alone") func fiveSteps() {
    let optimizer = Adam(slices: AdamTests.slices, beta1: 0.9, beta2: 0.99)
    let parameters = randomTensor([61], seed: 1)
    let start = doubles(parameters)
    let gradients = (0..<5).map { randomTensor([61], seed: 2 + $0, scale: 0.1) }
    for (index, gradient) in gradients.enumerated() {
      optimizer.advance(parameters: parameters, gradient: gradient, rate: 0.01, step: index + 1)
    }
    for slice in AdamTests.slices {
      let expected = slice.range.map { element in
        var twin = NaiveAdamW(start[element])
        for gradient in gradients {
          twin.update(
            doubles(gradient)[element], rate: 0.01 * slice.rateFactor, decay: 0, beta1: 0.9, beta2: 0.99, epsilon: 1e-8)
        }
        return twin.parameter
      }
      #expect(relativeError(Array(parameters.values[slice.range]), expected) < 2e-6)
    }
    #expect((37..<40).allSatisfy { Double(parameters.values[$0]) == start[$0] && optimizer.moments[0].values[$0] == 0 })
    #expect(optimizer.moments.count == 2 && optimizer.moments[1].values[0] > 0)
  }

  @Test(
    "reference numbers", .enabled(if: hasSharedFolder, "needs ../shared"),
    arguments: [
      ("22-adaptsegnet", "plain"), ("22-adaptsegnet", "batch3"), ("16-advent", "plain"), ("16-advent", "batch3"),
    ])
  func fixture(file: String, name: String) throws {
    let fixture = try #require(try FixtureFile("methods/\(file)"))
    let group = "discriminator_loss_\(name)"
    let paths = fixture.datasets(under: "\(group)/state_before")
    #expect(paths.count == 10)
    for path in paths {
      let parameter = String(path.dropFirst("\(group)/state_before/".count))
      let values = try fixture.floats(path).values
      let parameters = Tensor(values, [values.count])
      let gradient = try fixture.floats("\(group)/grad/\(parameter)").values
      Adam(slices: [ParameterSlice(name: parameter, range: 0..<values.count, decay: 0)], beta1: 0.9, beta2: 0.99)
        .advance(parameters: parameters, gradient: Tensor(gradient, [values.count]), rate: 1e-3, step: 1)
      #expect(try fixture.timesAllowed(parameters.values, "\(group)/state_after/\(parameter)") <= 1, "\(parameter)")
    }
  }
}
