// The discriminator: published sizes, how it starts, reference numbers.

import Autograd
import Networks
import Tensors
import TestSupport
import Testing

/// Loads a group of parameters of a reference file under a prefix of names.
func load(_ file: FixtureFile, _ group: String, into parameters: NetworkParameters, prefix: String) throws {
  for name in file.names(under: group) {
    let values = try file.floats("\(group)/\(name)").values
    #expect(
      parameters.load(values, named: prefix + name, into: parameters.values)
        || parameters.loadBuffer(values, named: prefix + name), "\(name)")
  }
}

/// Norm of the difference between a gradient, summed over samples, and that of a reference file, relative to the latter.
func gradientError(_ parameters: NetworkParameters, _ name: String, _ file: FixtureFile, _ path: String) throws
  -> Double
{
  let gradients = try #require(parameters.gradients)
  let slice = try #require(parameters.slices.first { $0.name == name })
  let own = (0..<gradients.samples).map {
    NetworkParameters.official(slice, of: gradients.sample($0).reshaped([parameters.values.count]))
  }
  let expected = try file.floats(path).values.map(Double.init)
  let sums = expected.indices.map { index in own.reduce(0.0) { $0 + Double($1[index]) } }
  let difference = zip(sums, expected).map { $0 - $1 }
  return (innerProduct(difference, difference) / innerProduct(expected, expected)).squareRoot()
}

@Suite struct DiscriminatorTests {
  private static func make(inputs: Int, width: Int = 64, slots: Int = 0) -> (Discriminator, NetworkParameters) {
    let registry = ParameterRegistry()
    let network = Discriminator(registry, prefix: "d", inputs: inputs, width: width)
    return (network, NetworkParameters(registry, gradientSlots: slots, seed: 3))
  }

  @Test func publishedSize() {
    let (_, parameters) = Self.make(inputs: 19)
    #expect(parameters.values.count == 2_781_121)
    let shapes = Dictionary(uniqueKeysWithValues: parameters.slices.map { ($0.name, $0.officialShape) })
    #expect(shapes["d.conv1.weight"] == [64, 19, 4, 4] && shapes["d.conv4.bias"] == [512])
    #expect(shapes["d.classifier.weight"] == [1, 512, 4, 4] && shapes.count == 10)
  }

  @Test(arguments: [(512, 512, 16, 16), (512, 1024, 16, 32), (720, 1280, 22, 40), (32, 63, 1, 1)])
  func sidesAreHalvedFiveTimes(height: Int, width: Int, outputHeight: Int, outputWidth: Int) {
    let (network, _) = Self.make(inputs: 2, width: 1)
    let map = Variable(constant: Tensor(zeros: [1, height, width, 2]))
    #expect(network(map, soloContext(1)).value.shape == [1, outputHeight, outputWidth, 1])
  }

  /// PyTorch draws weights and biases uniformly within 1/√fan-in: a third of the bound's square is their variance.
  @Test func startsAsPyTorchDoes() {
    let (_, parameters) = Self.make(inputs: 19)
    for (name, fanIn) in [("conv1", 19 * 16), ("conv3", 128 * 16), ("conv4", 256 * 16), ("classifier", 512 * 16)] {
      let bound = 1 / Double(fanIn).squareRoot()
      for (slice, official) in zip(parameters.slices, parameters.official(of: parameters.values))
      where slice.name.hasPrefix("d.\(name).") {
        let values = official.values.map(Double.init)
        #expect(values.allSatisfy { abs($0) <= bound }, "\(slice.name)")
        guard values.count > 1000 else { continue }
        #expect(abs(innerProduct(values, values) / Double(values.count) / (bound * bound / 3) - 1) < 0.05)
        #expect(abs(values.reduce(0, +) / Double(values.count)) < 0.05 * bound)
      }
    }
  }

  @Test func gradientsAreDifferences() throws {
    let registry = ParameterRegistry()
    let network = Discriminator(registry, prefix: "d", inputs: 3, width: 2)
    let parameters = NetworkParameters(registry, gradientSlots: 2, seed: 3)
    try expectDifferences(parameters, randomTensor([2, 33, 40, 3], seed: 1)) { network($0, $1) }
  }

  /// Whatever lies near a kink of leaky ReLU within a step changes its slope: the step is small, and a slope changes by
  /// four fifths only.
  private func expectDifferences(
    _ parameters: NetworkParameters, _ input: Tensor, _ run: (Variable, ForwardContext) -> Variable
  ) throws {
    let tape = Tape()
    let x = Variable(tracked: input)
    let output = run(x, soloContext(2, tape: tape))
    let cotangent = randomTensor(output.value.shape, seed: 4)
    output.cell?.accumulate(cotangent)
    tape.walkBack()
    let slots = try #require(parameters.gradients)
    let direction = randomTensor([parameters.values.count], seed: 5, scale: 0.1)
    let along = randomTensor(input.shape, seed: 6, scale: 0.1)
    let claimed =
      innerProduct(doubles(slots.sample(0)), doubles(direction))
      + innerProduct(doubles(slots.sample(1)), doubles(direction))
      + innerProduct(doubles(try #require(x.gradient)), doubles(along))
    let origin = parameters.values.copy()
    let sides = [1.0, -1.0].map { side -> Double in
      func moved(_ point: Tensor, _ direction: Tensor) -> Tensor {
        Tensor(zip(doubles(point), doubles(direction)).map { Float($0 + 1e-3 * side * $1) }, point.shape)
      }
      parameters.values.assign(moved(origin, direction))
      let value = run(Variable(constant: moved(input, along)), soloContext(2)).value
      return innerProduct(doubles(value), doubles(cotangent))
    }
    #expect(abs((sides[0] - sides[1]) / 2e-3 - claimed) < 1e-2 * abs(claimed), "\(sides), \(claimed)")
  }

  @Test(.enabled(if: hasSharedFolder, "needs ../shared")) func referenceNumbers() throws {
    let file = try #require(try FixtureFile("methods/22-adaptsegnet"))
    let (network, parameters) = Self.make(inputs: 5, width: 2, slots: 1)
    try load(file, "discriminator/state_before", into: parameters, prefix: "d.")
    let tape = Tape()
    let x = Variable(tracked: try file.tensor("discriminator/in/input"))
    let map = network(x, soloContext(1, tape: tape))
    #expect(try file.timesAllowed(map.value, "discriminator/out/map") <= 1)
    map.cell?.accumulate(try file.tensor("discriminator/in/cotangent"))
    tape.walkBack()
    #expect(try file.timesAllowed(try #require(x.gradient), "discriminator/grad/input") <= 1)
    for slice in parameters.slices {
      let path = "discriminator/grad/\(slice.name.dropFirst(2))"
      #expect(try gradientError(parameters, slice.name, file, path) < 3e-6, "\(slice.name)")
    }
  }
}
