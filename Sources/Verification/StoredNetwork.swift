// What reference files hold of a network: parameters to begin with, and those after a step.

import Foundation
import Networks
import Tensors

extension Fixture {
  /// Takes parameters and running statistics from a group of the file.
  /// - Parameter name: the file's name of a tensor.
  /// - Throws: `Failure` 65 if one is missing or has another shape.
  func load(_ group: String, into parameters: NetworkParameters, name: (String) -> String = { $0 }) throws {
    for slice in parameters.slices + parameters.bufferSlices {
      let path = "\(group)/\(name(slice.name))"
      let (values, shape) = try floats(path)
      guard shape == slice.officialShape else {
        throw bad(path, "shape \(shape) instead of \(slice.officialShape)")
      }
      _ =
        parameters.load(values, named: slice.name, into: parameters.values)
        || parameters.loadBuffer(values, named: slice.name)
    }
  }

  /// The JSON `options` of a group, whose keys are words joined by `_`.
  /// - Throws: `Failure` 65 if they do not describe what is asked for.
  func options<Options: Decodable>(_ type: Options.Type = Options.self, of group: String) throws -> Options {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    do {
      return try decoder.decode(type, from: Data((try file.text("options", of: group) ?? "{}").utf8))
    } catch let error as DecodingError {
      throw bad(group, "options do not describe it: \(error)")
    }
  }
}

extension Verifier {
  /// Compares every dataset below a group with the parameter or running statistic of its name, element by element.
  /// - Parameters:
  ///   - group: in the file; nothing is compared where it has no datasets.
  ///   - parameters: of the network.
  ///   - values: an arena that lies as its parameters do; nil: their values.
  ///   - name: the file's name of a tensor.
  ///   - other: values of datasets that are no tensors of the network.
  mutating func network(
    _ group: String, _ parameters: NetworkParameters, values: Tensor? = nil, name: (String) -> String = { $0 },
    other: (String) throws -> [Float]? = { _ in nil }
  ) throws {
    let all = parameters.official(of: values ?? parameters.values) + parameters.officialBuffers()
    let found = Dictionary(uniqueKeysWithValues: all.map { (name($0.name), $0.values) })
    for path in fixture.datasets(under: group) {
      let stored = String(path.dropFirst(group.count + 1))
      try element(path, actual: try found[stored] ?? other(stored) ?? [])
    }
  }
}
