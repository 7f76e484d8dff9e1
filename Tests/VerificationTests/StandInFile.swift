// A file of numbers in memory, on its own or laid over another.

import Storage
import Support

/// Arrays by path. Those of `base` show through where there is none here.
struct StandInFile: NumberFile {
  struct Entry {
    var values: [Float]
    var shape: [Int]
    var layout = "C"
    var noise = 0.0
    var remark = ""
  }

  let path: String
  var base: (any NumberFile)?
  var entries: [String: Entry] = [:]
  var integers: [String: [Int]] = [:]
  /// New names of groups at the top of `base`.
  var renamed: [String: String] = [:]

  private func original(_ path: String) -> String {
    for (old, new) in renamed where path.hasPrefix(new + "/") { return old + path.dropFirst(new.count) }
    return path
  }

  func datasets() throws -> [String] {
    let below = try base?.datasets().map { path in
      for (old, new) in renamed where path.hasPrefix(old + "/") { return new + path.dropFirst(old.count) }
      return path
    }
    return Set((below ?? []) + Array(entries.keys) + Array(integers.keys)).sorted()
  }

  func contains(_ path: String) throws -> Bool { try datasets().contains { $0 == path || $0.hasPrefix(path + "/") } }

  func floats(_ path: String) throws -> (values: [Float], shape: [Int]) {
    if let entry = entries[path] { return (entry.values, entry.shape) }
    guard let base else { throw Failure(.badData, "no \(path)") }
    return try base.floats(original(path))
  }

  func integers(_ path: String) throws -> (values: [Int], shape: [Int]) {
    let read = try base?.integers(original(path))
    if let values = integers[path] { return (values, read?.shape ?? [values.count]) }
    guard let read else { throw Failure(.badData, "no \(path)") }
    return read
  }

  func text(_ attribute: String, of path: String) throws -> String? {
    if let entry = entries[path], base == nil { return attribute == "layout" ? entry.layout : entry.remark }
    return try base?.text(attribute, of: original(path))
  }

  func number(_ attribute: String, of path: String) throws -> Double? {
    guard let entry = entries[path], base == nil else { return try base?.number(attribute, of: original(path)) }
    return attribute == "max_abs" ? Double(entry.values.reduce(0) { max($0, abs($1)) }) : entry.noise
  }
}
