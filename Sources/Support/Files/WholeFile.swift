// Small files that are written at once.

import Foundation

/// Writes a file whole, so that readers see the old text or the new.
/// - Throws: `Failure` 74 that names the file.
public func writeWhole(_ text: String, to path: String) throws {
  do {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
  } catch {
    throw Failure(.inputOutput, "it cannot be written: \(error.localizedDescription)", at: path)
  }
}
