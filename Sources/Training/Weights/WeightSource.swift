// Tensors that a network may start from, whatever file they come from.

import Foundation
import Storage
import Support
import WeightFiles

/// A tensor of a weight file or checkpoint; its values are read when they are asked for.
public struct StoredWeight: Sendable {
  /// Its name in the file; tensors of a checkpoint have the prefixes `model.`, `ema_model.` and `imnet_model.`.
  public let name: String
  /// Sizes as stored.
  public let shape: [Int]
  /// Type of the stored numbers, such as `float32`.
  public let element: String
  private let read: @Sendable () throws -> [Float]

  /// A tensor from its parts.
  public init(
    _ name: String, _ shape: [Int], element: String = "float32", read: @escaping @Sendable () throws -> [Float]
  ) {
    self.name = name
    self.shape = shape
    self.element = element
    self.read = read
  }

  /// The values in row-major order.
  /// - Throws: `Failure` 65 if one of them is not finite.
  public func values() throws -> [Float] { try read() }

  /// Whether the stored numbers have fractions; others are no weights.
  var isFloating: Bool { element.contains("float") }
}

/// The tensors of a file to start from: `.pth` and `.safetensors` of other programs, or a checkpoint of this one.
/// - Parameters:
///   - path: the file.
///   - checkpoints: what reads a checkpoint.
/// - Throws: `Failure` 66 if there is no such file, 65 if it is damaged or no file of weights, 74 if it cannot be read.
public func readWeights(_ path: String, checkpoints: any CheckpointStore) throws -> [StoredWeight] {
  guard isCheckpoint(path) else {
    return try WeightFile.read(path).tensors.map { tensor in
      StoredWeight(tensor.name, tensor.shape, element: tensor.element.rawValue) { try tensor.floats() }
    }
  }
  let groups = [(Snapshot.student, "model."), (Snapshot.teacher, "ema_model."), (Snapshot.frozen, "imnet_model.")]
  let snapshot = try checkpoints.load(file: path, groups: groups.map(\.0))
  return groups.flatMap { group, prefix in
    snapshot.records(under: group).map { name, record in
      StoredWeight(prefix + name, record.shape.array) {
        let values = record.values.values
        guard values.allSatisfy(\.isFinite) else {
          throw Failure(
            .badData, "tensor \(group)/\(name) holds a value that is not finite", at: path,
            remedy: "weights must be finite, use another checkpoint")
        }
        return values
      }
    }
  }
}

/// Whether a file begins as those that this program seals.
func isCheckpoint(_ path: String) -> Bool {
  guard let file = FileHandle(forReadingAtPath: path) else { return false }
  defer { try? file.close() }
  let start = (try? file.read(upToCount: 16)) ?? Foundation.Data()
  return start == Foundation.Data("APUS SEALED FILE".utf8)
}
