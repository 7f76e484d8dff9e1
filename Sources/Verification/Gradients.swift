// Gradients of a network's parameters against stored ones, and against stored norms.

import Collectives
import DataParallel
import Foundation
import Networks
import Tensors

/// A network's gradient, summed over samples, by published name.
struct NamedGradients {
  private let values: [String: [Float]]
  private let names: [String]

  /// From a sum that lies as the parameters do.
  init(_ sum: Tensor, of parameters: NetworkParameters) {
    values = Dictionary(uniqueKeysWithValues: parameters.official(of: sum).map { ($0.name, $0.values) })
    names = inByteOrder(parameters.slices).map(\.name)
  }

  /// From a network's gradient slots, which are used up.
  init(summing network: SegmentationNetwork) throws {
    guard let slots = network.parameters.gradients else { preconditionFailure("a network without gradients") }
    self.init(try GradientReduction(on: SoloCommunicator()).sum(slots), of: network.parameters)
  }

  /// Compares every gradient stored below a group, and all together.
  func compare(with group: String, _ verifier: inout Verifier) throws {
    try verifier.norms(group, inFile(group, verifier.fixture.datasets(under: group)) { values[$0] })
  }

  /// Compares the norm of every parameter's gradient, the names in byte order.
  func compareNorms(with path: String, _ verifier: inout Verifier) throws {
    try verifier.gradientNorms(path, names.map { ($0, values[$0] ?? []) })
  }
}

/// Stored paths with what was computed under their names; nothing where there is no such name, which then fails.
func inFile(
  _ group: String, _ paths: [String], _ value: (String) -> [Float]?
) -> [(path: String, actual: [Float])] {
  paths.map { ($0, value(String($0.dropFirst(group.count + 1))) ?? []) }
}

extension Verifier {
  /// Compares a list of gradient norms: each `|‖g‖ - r| <= max(10 * f32_noise, 5e-4 * r)`, the list itself likewise by norm.
  ///
  /// The norm of a gradient that is zero in exact arithmetic may be rounding: 3e-6 of the largest of the list besides ten times
  /// the noise.
  public mutating func gradientNorms(_ path: String, _ gradients: [(name: String, values: [Float])]) throws {
    let reference = try fixture.floats(path)
    let norms = gradients.map { $0.values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot() }
    let difference = Difference(norms, reference.values.map(Double.init))
    guard difference.isComparable else {
      return append(path, difference, reference.shape, times: .infinity, "")
    }
    let noise = try 10 * fixture.noise(path)
    var sums = NormSums()
    sums.add(norms.map(Float.init), reference.values, skipping: 0..<0, noise: noise / 10)
    var worst = (times: sums.times(tolerance), name: "all together")
    for (index, (name, values)) in gradients.enumerated() {
      let stored = Double(reference.values[index])
      let isNull = Verifier.nullDirections(of: name, count: values.count).count == values.count
      let allowed =
        isNull ? noise + Verifier.elementShare * difference.scale : max(noise, Verifier.normShare * stored)
      let times = ratio(abs(norms[index] - stored), tolerance * allowed)
      if times > worst.times { worst = (times, name) }
    }
    append(path, difference, reference.shape, times: worst.times, "worst \(worst.name)")
  }
}
