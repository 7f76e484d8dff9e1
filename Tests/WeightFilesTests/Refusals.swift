// What tests of damaged files share.

import Foundation
import Support
import WeightFiles

/// What came of reading some bytes: `65 text`, or `read` and the names.
func outcome(_ file: [UInt8], withNumbers: Bool = false) -> String {
  do {
    let weights = try WeightFile.read(Data(file), path: "w")
    if withNumbers { for tensor in weights.tensors { _ = try tensor.floats() } }
    return "read " + weights.tensors.map(\.name).joined(separator: " ")
  } catch let failure as Failure {
    return "\(failure.status.rawValue) \(failure)"
  } catch {
    return "untyped \(error)"
  }
}

/// Whether bytes are refused with status 65 in one short line that has all the words.
func isRefused(_ file: [UInt8], _ words: String..., withNumbers: Bool = false) -> Bool {
  let text = outcome(file, withNumbers: withNumbers)
  let isLine = text.hasPrefix("65 w: ") && !text.contains(where: \.isNewline) && text.count < 400
  if isLine && words.allSatisfy(text.contains) { return true }
  print("not refused as expected: \(text)")
  return false
}
