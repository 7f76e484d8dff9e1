// A folder of its own for a test that touches files.

import Foundation

/// A fresh folder that goes when the last reference goes.
public final class TemporaryFolder: Sendable {
  /// Its absolute path, without a slash at the end.
  public let path: String

  /// Makes the folder in the system's place for temporary files.
  public init() throws {
    path = FileManager.default.temporaryDirectory.appending(path: "apus-test-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  /// The path of a file or folder inside.
  public func file(_ name: String) -> String { "\(path)/\(name)" }

  /// Names inside, sorted.
  public var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }

  /// The bytes of a file inside.
  public func bytes(_ name: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(filePath: file(name)))) }

  /// Writes a file inside.
  public func write(_ bytes: [UInt8], to name: String) throws { try Data(bytes).write(to: URL(filePath: file(name))) }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
