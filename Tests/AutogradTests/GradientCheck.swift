// Operations compared with central differences of themselves: gradients of inputs, and slots of parameters per sample.

import Autograd
import Tensors
import TestSupport
import Testing

/// A parameter of random values with gradient slots of its own.
func randomParameter(
  _ officialShape: [Int], samples: Int, seed: UInt64, scale: Double = 0.5, offset: Double = 0
) -> Parameter {
  let parameter = Parameter(name: "parameter \(seed)", officialShape: officialShape) { _, count in
    [Float](repeating: 0, count: count)
  }
  parameter.bind(
    randomTensor(parameter.internalShape, seed: seed, scale: scale, offset: offset),
    slots: GradientSlots(zeros: parameter.count, samples: samples))
  return parameter
}

/// An operation at a random point.
struct GradientCheck {
  /// Where the operation is looked at; each is tracked.
  var inputs: [Tensor]
  /// Parameters the operation uses.
  var parameters: [Parameter] = []
  /// Context without a tape.
  var context: ForwardContext
  /// Length of the step to either side, in standard deviations of a normal direction.
  var step: Double = 1e-2
  /// The operation.
  let operation: ([Variable], ForwardContext) throws -> Variable

  /// A check of an operation on `inputs` of one batch held by one rank.
  init(
    _ inputs: [Tensor], _ parameters: [Parameter] = [], context: ForwardContext? = nil, step: Double = 1e-2,
    _ operation: @escaping ([Variable], ForwardContext) throws -> Variable
  ) {
    self.inputs = inputs
    self.parameters = parameters
    self.context = context ?? soloContext(inputs[0].samples)
    self.step = step
    self.operation = operation
  }

  /// Relative errors of the directional derivatives, by input, and by parameter and sample.
  ///
  /// An error is the difference divided by the larger of both numbers and ‖gradient‖ · ‖direction‖ / √n, the usual size
  /// of such a product: a direction that happens to be level does not magnify rounding. A gradient that is missing or
  /// zero everywhere is infinitely wrong.
  func errors() throws -> [(name: String, error: Double)] {
    var context = context
    context.tape = Tape()
    let variables = inputs.map { Variable(tracked: $0) }
    let output = try operation(variables, context)
    let cotangent = randomTensor(output.value.shape, seed: 1234)
    output.cell?.accumulate(cotangent)
    context.tape?.walkBack()
    var found: [(String, Double)] = []
    for (index, variable) in variables.enumerated() {
      let direction = randomTensor(inputs[index].shape, seed: 500 + UInt64(index))
      let measured = try difference(cotangent, samples: 0..<output.value.samples) { side in
        var moved = inputs
        moved[index] = shifted(inputs[index], direction, side)
        return moved
      }
      found.append(("input \(index)", error(variable.gradient?.values, direction.values, measured)))
    }
    for parameter in parameters {
      for sample in 0..<output.value.samples {
        found.append(
          (
            "\(parameter.name), sample \(sample)", try parameterError(parameter, sample, cotangent)
          ))
      }
    }
    return found
  }

  /// The slot of one sample against the derivative of that sample's output alone.
  private func parameterError(_ parameter: Parameter, _ sample: Int, _ cotangent: Tensor) throws -> Double {
    let original = parameter.value.copy()
    defer { parameter.value.assign(original) }
    let direction = randomTensor(original.shape, seed: 700)
    let measured = try difference(cotangent, samples: sample..<sample + 1) { side in
      parameter.value.assign(shifted(original, direction, side))
      return inputs
    }
    return error(parameter.slots?.values(sample), direction.values, measured)
  }

  /// Central difference of ⟨cotangent, output⟩ over some samples.
  private func difference(
    _ cotangent: Tensor, samples: Range<Int>, _ inputs: (Double) -> [Tensor]
  ) throws -> Double {
    let sides = try [1.0, -1.0].map { side in
      let output = try operation(inputs(side * step).map { Variable(constant: $0) }, context).value
      return innerProduct(doubles(output.samples(samples)), doubles(cotangent.samples(samples)))
    }
    return (sides[0] - sides[1]) / (2 * step)
  }

  private func shifted(_ point: Tensor, _ direction: Tensor, _ length: Double) -> Tensor {
    Tensor(zip(doubles(point), doubles(direction)).map { Float($0 + length * $1) }, point.shape)
  }

  private func error(_ gradient: [Float]?, _ direction: [Float], _ measured: Double) -> Double {
    guard let gradient, gradient.contains(where: { $0 != 0 }), gradient.allSatisfy(\.isFinite) else { return .infinity }
    let values = gradient.map(Double.init)
    let claimed = innerProduct(values, direction.map(Double.init))
    let usual = innerProduct(values, values).squareRoot()
    return abs(claimed - measured) / max(abs(claimed), abs(measured), usual)
  }
}

/// Expects every directional derivative within the tolerance. The forward pass is Float32: a step of 10⁻² leaves a
/// rounding error of about 10⁻⁵ and a truncation error of about 10⁻⁴, while a wrong term or factor costs 10⁻² and more.
func expectGradients(
  _ check: GradientCheck, tolerance: Double = 1e-3, sourceLocation: SourceLocation = #_sourceLocation
) throws {
  for (name, error) in try check.errors() {
    #expect(error < tolerance, "\(name): relative error \(error)", sourceLocation: sourceLocation)
  }
}
