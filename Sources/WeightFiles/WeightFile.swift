// Weight files of other programs. What a file is, its first bytes tell, not its name.

import Foundation
import Support

/// The tensors of a `.safetensors` or PyTorch `.pth` file. Nothing a file holds is ever executed.
public struct WeightFile: Sendable {
  /// The path it was read from.
  public let path: String
  /// Its tensors in the order of the file, with different names.
  public let tensors: [WeightTensor]
  /// Texts beside the tensors: `__metadata__` of a safetensors file; empty for a PyTorch file.
  public let metadata: [String: String]

  /// Reads the names, shapes and places of a file's tensors; their numbers stay in the file until asked for.
  ///
  /// Of a PyTorch file the tensors are those under `state_dict`, `model_state_dict`, `model_state` or `model` if there is
  /// such a dictionary, else those of the top level; names of nested dictionaries are joined by dots.
  /// - Throws: `Failure` 66 if there is no such file, 65 if it is damaged, of another kind or holds anything but tensors,
  ///   numbers, texts and collections of these, 74 if it cannot be read.
  public static func read(_ path: String) throws -> WeightFile {
    do { return try read(WeightBytes(path: path), path) } catch let failure as Failure { throw failure.within(path) }
  }

  /// Reads a file's bytes, as `read(_:)`.
  /// - Parameters:
  ///   - bytes: the file's bytes.
  ///   - path: what to call them.
  public static func read(_ bytes: Data, path: String) throws -> WeightFile {
    do { return try read(WeightBytes(bytes, path: path), path) } catch let failure as Failure {
      throw failure.within(path)
    }
  }

  /// The tensor of a name, or nil.
  public func tensor(_ name: String) -> WeightTensor? { tensors.first { $0.name == name } }

  private static func read(_ bytes: WeightBytes, _ path: String) throws -> WeightFile {
    if bytes.starts(with: [0x50, 0x4b, 0x03, 0x04]) {
      return WeightFile(path: path, tensors: try readTorchArchive(bytes), metadata: [:])
    }
    if let start = legacyStart(bytes) {
      return WeightFile(path: path, tensors: try readLegacyTorchFile(bytes, from: start), metadata: [:])
    }
    guard bytes.count > 8, bytes.data[8] == UInt8(ascii: "{") else {
      throw Failure(
        .badData, "is neither a safetensors file nor a PyTorch checkpoint", remedy: "name a .safetensors or .pth file")
    }
    let (tensors, metadata) = try readSafetensors(bytes)
    return WeightFile(path: path, tensors: tensors, metadata: metadata)
  }
}
