// One case of a method's reference file: inputs under `in/`, choices under `draws/`, state before and after, results under
// `out/` and gradients of the sum of all losses under `grad/`; options as JSON.

import Autograd
import Collectives
import Foundation
import Kernels
import Optimization
import Support
import Tensors

/// A case's computation on a tape, whose losses and gradients are compared with the file.
struct TermReplay {
  let group: String
  let fixture: Fixture
  let tape = Tape()
  private let options: [String: Any]
  private var inputs: [(name: String, variable: Variable)] = []

  init(_ group: String, _ fixture: Fixture) throws {
    self.group = group
    self.fixture = fixture
    let text = try fixture.file.text("options", of: group) ?? "{}"
    options = (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [String: Any] ?? [:]
  }

  // MARK: What the case gives

  func path(_ name: String) -> String { "\(group)/\(name)" }

  func contains(_ name: String) -> Bool { fixture.contains(path(name)) }

  /// An option; the default where the file has none, which is the specification's.
  func option<Value>(_ name: String, _ standard: Value) -> Value { options[name] as? Value ?? standard }

  /// A number of the options.
  func number(_ name: String, _ standard: Double) -> Double { (options[name] as? NSNumber)?.doubleValue ?? standard }

  /// A map [N, H, W, C] under `in/`, or elsewhere.
  func map(_ name: String, in folder: String = "in") throws -> Tensor {
    let value = try fixture.tensor(path("\(folder)/\(name)"))
    guard value.shape.rank == 4, value.count > 0 else { throw fixture.bad(path(name), "shape \(value.shape)") }
    return value
  }

  /// A map whose gradient is compared with `grad/`.
  mutating func input(_ name: String) throws -> Variable {
    let variable = Variable(tracked: try map(name))
    inputs.append((name, variable))
    return variable
  }

  /// Labels of a map's classes or ignored.
  func labels(_ name: String, classes: Int) throws -> LabelMap {
    let labels = try fixture.labels(path("in/\(name)"))
    guard labels.values.allSatisfy({ $0 < classes || $0 == LabelMap.ignored }) else {
      throw fixture.bad(path("in/\(name)"), "not one of \(classes) classes")
    }
    return labels
  }

  /// Rows and columns.
  func size(_ name: String) throws -> (height: Int, width: Int) {
    let values = try fixture.integers(path("in/\(name)")).values
    guard values.count == 2, values.allSatisfy({ (1...4096).contains($0) }) else {
      throw fixture.bad(path("in/\(name)"), "\(values) instead of rows and columns")
    }
    return (values[0], values[1])
  }

  /// Lists of labels, row after row; -1 fills rows up.
  func lists(_ name: String) throws -> [[UInt8]] {
    let (values, shape) = try fixture.integers(path(name))
    guard shape.count == 2 else { throw fixture.bad(path(name), "shape \(shape)") }
    return (0..<shape[0]).map { row in
      values[row * shape[1]..<(row + 1) * shape[1]].compactMap { UInt8(exactly: $0) }
    }
  }

  /// A pass of one process over that many samples.
  func context(samples: Int) -> ForwardContext {
    ForwardContext(
      tape: tape, normalization: .batch, communicator: SoloCommunicator(), globalBatch: samples, firstSample: 0)
  }

  /// A learning rate that falls to 0 without a warm-up, by the options `base`, `power` and `total`.
  func decayingRate(total: Double) -> LearningRateSchedule {
    LearningRateSchedule(
      baseRate: number("base", 2.5e-4), warmUpSteps: 0, warmUpRatio: 1, power: number("power", 0.9),
      totalSteps: Int(number("total", total)))
  }

  // MARK: Comparisons

  /// Compares the sum of terms over samples.
  func compare(_ name: String, _ terms: [LossTerm], into verifier: inout Verifier) throws {
    let sum = terms.flatMap(\.perSample).reduce(0, +)
    try verifier.element(path("out/\(name)"), actual: [Float(sum)])
  }

  /// Compares a map, and its product with the cotangent that is walked back from it.
  func compare(_ name: String, _ map: Variable, cotangent: String = "cotangent", into verifier: inout Verifier) throws {
    let cotangent = try self.map(cotangent)
    guard cotangent.shape == map.value.shape else { throw fixture.bad(group, "cotangent \(cotangent.shape)") }
    try verifier.element(path("out/\(name)"), map.value)
    try verifier.element(path("out/loss"), actual: [Float(dot(map.value, cotangent))])
    map.cell?.accumulate(cotangent)
  }

  /// Walks back and compares every input's gradient: zero where none arrived.
  func compareGradients(into verifier: inout Verifier) throws {
    tape.walkBack()
    for (name, variable) in inputs {
      let gradient = variable.gradient ?? Tensor(zeros: variable.value.shape)
      try verifier.element(path("grad/\(name)"), gradient)
    }
  }
}

/// Sum of products, in Double.
func dot(_ first: Tensor, _ second: Tensor) -> Double {
  zip(first.values, second.values).reduce(0) { $0 + Double($1.0) * Double($1.1) }
}
