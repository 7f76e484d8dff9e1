// Weight files of the test recipe's network, made by the tests themselves.

import Foundation
import Networks
import Recipes
import TestSupport
import Training
import WeightFiles

/// A named tensor in its official shape.
typealias NamedTensor = (name: String, shape: [Int], values: [Float])

/// The tensors of the test recipe's network with values of their own: every one different, with signs and small numbers.
func exampleTensors(seed: Int, overrides: [String] = []) throws -> [NamedTensor] {
  let recipe = try Recipe.read(testRecipe, overrides: overrides, catalogue: .standard)
  let network = try SegmentationNetwork(
    recipe.networkConfiguration(classCount: try recipe.classSet().count), gradientSlots: 0, seed: UInt64(seed))
  let parameters = network.parameters
  var tensors = parameters.official(of: parameters.values)
  let statistics = parameters.officialBuffers().enumerated().map { index, buffer in
    (name: buffer.name, shape: buffer.shape, values: buffer.values.indices.map { 0.5 + Float(index + $0) / 512 })
  }
  tensors[0].values[0] = -0.0
  tensors[0].values[1] = .leastNonzeroMagnitude
  return tensors + statistics
}

/// Puts a prefix before every name.
func prefixed(_ prefix: String, _ tensors: [NamedTensor]) -> [NamedTensor] {
  tensors.map { (prefix + $0.name, $0.shape, $0.values) }
}

/// Whether a file holds exactly these bits.
func holds(_ path: String, _ tensors: [NamedTensor]) throws -> Bool {
  let file = try WeightFile.read(path)
  guard file.tensors.count == tensors.count else { return false }
  return try tensors.allSatisfy { tensor in
    guard let stored = file.tensor(tensor.name), stored.shape == tensor.shape else { return false }
    return try stored.floats().map(\.bitPattern) == tensor.values.map(\.bitPattern)
  }
}
