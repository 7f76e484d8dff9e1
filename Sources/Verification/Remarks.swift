// Numbers that a reference file gives in words: in a dataset's remark, or at the end of a group's name.

import Support

extension Fixture {
  /// The first match of a pattern in a dataset's remark.
  /// - Throws: `Failure` 65 if the remark does not match.
  func read<Output>(_ pattern: Regex<Output>, in path: String, _ what: String) throws -> Output {
    let remark = try self.remark(path)
    guard let match = remark.firstMatch(of: pattern) else { throw bad(path, "the remark '\(remark)' gives no \(what)") }
    return match.output
  }

  /// A whole number that follows a word in a dataset's remark, such as `heads 3`.
  func integer(after word: String, in path: String) throws -> Int {
    let remark = try self.remark(path)
    let parts = remark.split { !$0.isLetter && !$0.isNumber }
    guard let place = parts.firstIndex(of: Substring(word)), place + 1 < parts.count, let number = Int(parts[place + 1])
    else { throw bad(path, "the remark '\(remark)' gives no number after '\(word)'") }
    return number
  }

  /// A map's height and width, as in `map 16x24`.
  func map(in path: String) throws -> (height: Int, width: Int) {
    let found = try read(/map (\d+)x(\d+)/, in: path, "map")
    guard let height = Int(found.1), let width = Int(found.2), height > 0, width > 0 else {
      throw bad(path, "the map of the remark is out of range")
    }
    return (height, width)
  }
}

/// The number after a word in a name, such as 12 in `depthwise3x3_dilation12` or 1e-5 in `layer_norm_eps1e-05`.
func number(after word: String, in name: String) -> Double? {
  guard let place = name.firstRange(of: "_" + word) else { return nil }
  return Double(name[place.upperBound...].prefix { $0.isNumber || "e.-+".contains($0) })
}
