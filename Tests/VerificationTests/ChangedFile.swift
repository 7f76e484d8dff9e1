// A reference file with something changed on reading, to see which item notices.

import StorageHDF5
import Storage
import Support
import TestSupport
import Verification

/// A file whose arrays pass through changes.
struct ChangedFile: NumberFile {
  let file: any NumberFile
  var floatChanges: [String: @Sendable (inout [Float]) -> Void] = [:]
  var integerChanges: [String: @Sendable (inout [Int]) -> Void] = [:]
  var config: (@Sendable (String) -> String)?
  var hidden: Set<String> = []
  var extra: [String] = []

  var path: String { file.path }
  func datasets() throws -> [String] { (try file.datasets().filter { !hidden.contains($0) } + extra).sorted() }
  func contains(_ path: String) throws -> Bool { try file.contains(path) && !hidden.contains(path) }

  func floats(_ path: String) throws -> (values: [Float], shape: [Int]) {
    try requireSeen(path)
    var (values, shape) = try file.floats(path)
    floatChanges[path]?(&values)
    return (values, shape)
  }

  func integers(_ path: String) throws -> (values: [Int], shape: [Int]) {
    try requireSeen(path)
    var (values, shape) = try file.integers(path)
    integerChanges[path]?(&values)
    return (values, shape)
  }

  func text(_ attribute: String, of path: String) throws -> String? {
    let text = try file.text(attribute, of: path)
    return attribute == "config" ? text.map { config?($0) ?? $0 } : text
  }

  func number(_ attribute: String, of path: String) throws -> Double? { try file.number(attribute, of: path) }

  private func requireSeen(_ path: String) throws {
    guard !hidden.contains(path) else { throw Failure(.badData, "is not there", at: path) }
  }
}

/// Verifies a shared file, `change`d on reading; its weights are changed by `weights`.
func outcome(
  _ name: String, _ change: @escaping (inout ChangedFile) -> Void = { _ in },
  weights: @escaping (inout ChangedFile) -> Void = { _ in }
) throws -> [VerifiedItem] {
  let path = "\(sharedFolder)/fixtures/\(name).h5"
  let fixture = try Fixture(path) { opened in
    var file = ChangedFile(file: try HDF5File(reading: opened))
    if opened == path { change(&file) } else { weights(&file) }
    return file
  }
  return verify(fixture).items
}

/// Names of the items that failed.
func failures(_ items: [VerifiedItem]) -> Set<String> { Set(items.filter { !$0.ok }.map(\.name)) }
