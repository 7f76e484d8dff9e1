// AdamW, dropped paths and channels with given draws, and weights by formula.

import Foundation
import Kernels
import Optimization
import Tensors

/// AdamW over several steps; the learning rate of each is in the remark on its gradient.
enum AdamWKind: Kind {
  static let stems = ["adamw"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let parameters = try fixture.tensor("\(group)/parameter_0")
    let steps = fixture.names(under: group).count { $0.hasPrefix("gradient_") }
    guard parameters.shape.rank == 1, steps > 0 else { throw fixture.bad(group, "no gradients") }
    let optimizer = AdamW(slices: [ParameterSlice(name: group, range: 0..<parameters.count, decay: 0.01)])
    for step in 1...steps {
      let path = "\(group)/gradient_\(step)"
      let gradient = try fixture.tensor(path)
      let rate = try fixture.read(/learning rate ([-+.\de]+)/, in: path, "learning rate").1
      guard let rate = Double(rate), gradient.count == parameters.count else {
        throw fixture.bad(path, "\(gradient.count) elements, rate \(rate)")
      }
      optimizer.advance(parameters: parameters, gradient: gradient, rate: rate, step: step)
      try verifier.element("\(group)/parameter_\(step)", parameters)
    }
    try verifier.element("\(group)/first_moment_\(steps)", optimizer.firstMoment)
    try verifier.element("\(group)/second_moment_\(steps)", optimizer.secondMoment)
  }
}

/// Drop path with given outcomes, `keep` [N]; the rate is in its remark.
enum DropPathKind: Kind {
  static let stems = ["drop_path"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let x = try fixture.tensor("\(group)/input")
    let factors = try keptFactors("\(group)/keep", fixture, count: x.samples)
    try verifier.element("\(group)/output", addScaled(Tensor(zeros: x.shape), x, factors: factors))
  }
}

/// Dropout of whole channels with given outcomes, `keep` [N, C]; the rate is in its remark.
enum ChannelDropoutKind: Kind {
  static let stems = ["channel_dropout"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let x = try fixture.tensor("\(group)/input")
    let factors = try keptFactors("\(group)/keep", fixture, count: x.samples * x.channels)
    try verifier.element("\(group)/output", scaleChannels(x, factors: Tensor(factors, [x.samples, x.channels])))
  }
}

/// 1/(1 - rate) where an outcome keeps something, 0 where not.
private func keptFactors(_ path: String, _ fixture: Fixture, count: Int) throws -> [Float] {
  let keep = try fixture.floats(path).values
  let rate = try fixture.read(/rate ([.\d]+\d)/, in: path, "rate").1
  guard let rate = Float(rate), keep.count == count else { throw fixture.bad(path, "\(keep.count) outcomes") }
  return keep.map { $0 / (1 - rate) }
}

/// Weights by formula, so that files that rely on it can be trusted.
enum FormulaWeightsKind: Kind {
  static let stems = ["formula_weights"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    for (number, path) in fixture.datasets(under: group).enumerated() {
      let name = String(path.dropFirst(group.count + 1))
      let shape = try fixture.floats(path).shape
      try verifier.element(path, actual: formulaWeights(name, shape: shape, number: number, gain: 1))
    }
  }
}

/// Weights of one tensor by the formula of the reference files, in the official order.
///
///     u = sin(0.37 (i+1) + 1.7 (k+1)) + 0.5 sin(2.71 (i+1) (1 + 0.01 k))
///
/// in double precision for element i, from 0; norm factors (one axis, name in `weight`, owner a norm or `bn`) are 1 + 0.1 u, other
/// tensors of one axis 0.02 u, the rest gain · u / sqrt(elements / first extent).
/// - Parameters:
///   - name: official name, which decides the case.
///   - shape: official extents.
///   - k: the tensor's place among all names in byte order, from 0.
///   - gain: factor of tensors of several axes.
public func formulaWeights(_ name: String, shape: [Int], number k: Int, gain: Double) -> [Float] {
  let count = shape.reduce(1, *)
  let parts = name.split(separator: ".")
  let owner = parts.dropLast().last ?? ""
  let isNorm = name.hasSuffix("weight") && (owner.contains("norm") || owner == "bn")
  let fanIn = (Double(count) / Double(max(shape.first ?? 1, 1))).squareRoot()
  return (0..<count).map { index in
    let i = Double(index + 1)
    let u = sin(0.37 * i + 1.7 * Double(k + 1)) + 0.5 * sin(2.71 * i * (1 + 0.01 * Double(k)))
    return shape.count > 1 ? Float(gain * u / fanIn) : isNorm ? Float(1 + 0.1 * u) : Float(0.02 * u)
  }
}
