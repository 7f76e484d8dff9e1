// One group's computation on a tape: inputs and parameters come from the file, the output and every gradient are compared
// with it. Layers declare their parameters under `Replay.layer`, which stands for the group.

import Autograd
import Collectives
import Kernels
import Networks
import Support
import Tensors

/// A computation with inputs, parameters, one output and a gradient for each.
struct Replay {
  /// What layers of the group call themselves.
  static let layer = "layer"

  let group: String
  let fixture: Fixture
  let registry = ParameterRegistry()
  let tape = Tape()
  private var inputs: [(name: String, variable: Variable)] = []
  private var parameters: NetworkParameters?

  init(_ group: String, _ fixture: Fixture) {
    self.group = group
    self.fixture = fixture
  }

  /// The path of a dataset of the group.
  func path(_ name: String) -> String { "\(group)/\(name)" }

  /// A dataset's extents.
  func shape(_ name: String) throws -> [Int] { try fixture.floats(path(name)).shape }

  /// An input whose gradient is compared, as [N, …, C]; tokens are put on a map if one is given.
  mutating func input(_ name: String, map: (height: Int, width: Int)? = nil) throws -> Variable {
    var value = try fixture.tensor(path(name))
    guard value.shape.rank > 1, value.count > 0 else { throw fixture.bad(path(name), "shape \(value.shape)") }
    if let map {
      guard value.shape.rank == 3, value.shape[1] == map.height * map.width else {
        throw fixture.bad(path(name), "shape \(value.shape) for a map of \(map.height)x\(map.width)")
      }
      value = value.reshaped([value.shape[0], map.height, map.width, value.shape[2]])
    }
    let variable = Variable(tracked: value)
    inputs.append((name, variable))
    return variable
  }

  /// A parameter of the group, in the shape it has there.
  func declare(_ name: String) throws -> Parameter {
    let shape = try self.shape(name)
    guard (1...4).contains(shape.count) else { throw fixture.bad(path(name), "a parameter of shape \(shape)") }
    return registry.declare("\(Replay.layer).\(name)", shape, .constant(0))
  }

  /// Reads everything that was declared.
  /// - Throws: `Failure` 65 if a shape is another than the layer's.
  mutating func load(samples: Int) throws {
    let arenas = NetworkParameters(registry, gradientSlots: samples, seed: 0)
    for slice in arenas.slices {
      let path = self.path(of: slice)
      let (values, shape) = try fixture.floats(path)
      guard shape == slice.officialShape else {
        throw fixture.bad(path, "shape \(shape) instead of \(slice.officialShape)")
      }
      arenas.load(values, named: slice.name, into: arenas.values)
    }
    parameters = arenas
  }

  /// Running statistics of a batch norm named `layer`, before and after.
  func statistics(_ name: String) throws -> [Float] {
    guard let found = parameters?.officialBuffers().first(where: { $0.name == "\(Replay.layer).\(name)" }) else {
      throw fixture.bad(path(name), "the layer keeps no such statistics")
    }
    return found.values
  }

  /// Overwrites a running statistic.
  func setStatistics(_ name: String, _ values: [Float]) throws {
    guard let known = try? statistics(name), known.count == values.count else {
      throw fixture.bad(path(name), "\(values.count) running statistics")
    }
    parameters?.loadBuffer(values, named: "\(Replay.layer).\(name)")
  }

  /// A pass of one process over that many samples.
  func context(samples: Int, normalization: NormalizationMode = .running) -> ForwardContext {
    ForwardContext(
      tape: tape, normalization: normalization, communicator: SoloCommunicator(), globalBatch: samples, firstSample: 0)
  }

  /// Compares the output, walks back from the file's cotangent, and compares every gradient.
  func compare(
    _ output: Variable, output name: String = "output", cotangent: String = "grad_output",
    into verifier: inout Verifier
  ) throws {
    try verifier.element(path(name), output.value)
    let upstream = try fixture.tensor(path(cotangent))
    guard upstream.count == output.value.count else {
      throw fixture.bad(path(cotangent), "shape \(upstream.shape) for an output of \(output.value.shape)")
    }
    output.cell?.accumulate(upstream)
    try compareGradients(into: &verifier)
  }

  /// Walks the tape back, whose losses have placed their gradients, and compares every gradient.
  func compareGradients(into verifier: inout Verifier) throws {
    tape.walkBack()
    for input in inputs {
      try verifier.gradient(path("grad_\(input.name)"), input.variable.gradient)
    }
    guard let parameters, let slots = parameters.gradients else { return }
    treeSum(slots)
    for slice in parameters.slices {
      let gradient = NetworkParameters.official(slice, of: slots.sample(0))
      try verifier.element(path(of: slice, prefix: "grad_"), actual: gradient)
    }
  }

  private func path(of slice: NetworkParameters.Slice, prefix: String = "") -> String {
    path(prefix + slice.name.dropFirst(Replay.layer.count + 1))
  }
}

extension Verifier {
  /// Compares the gradient of a single operator's input. Such operators have no ReLU, so that the rule by element holds.
  mutating func gradient(_ path: String, _ gradient: Tensor?) throws {
    guard let gradient else { return failed(path, "no gradient arrived") }
    try element(path, gradient)
  }
}
