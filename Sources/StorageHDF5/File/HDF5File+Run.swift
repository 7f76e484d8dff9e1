// The description of a run as attributes of one group.

import Storage
import Support

extension HDF5File {
  /// Writes a description as attributes of a group: `step`, `recipe`, `class-names`, `world-size`, `program-version`,
  /// `cpu-level`, and one `library NAME`, `schedule NAME` and `digest NAME` each.
  func write(_ run: RunDescription, to group: String) throws {
    try createGroup(group)
    var attributes: [(String, HDF5Value)] = [
      ("step", .integer(run.step)), ("recipe", .text(run.recipe)), ("class-names", .texts(run.classNames)),
      ("world-size", .integer(run.worldSize)), ("program-version", .text(run.programVersion)),
      ("cpu-level", .text(run.cpuLevel)),
    ]
    attributes += run.libraryVersions.sorted { precedesInBytes($0.key, $1.key) }.map {
      ("library \($0.key)", .text($0.value))
    }
    attributes += run.schedule.sorted { precedesInBytes($0.key, $1.key) }.map {
      ("schedule \($0.key)", .number($0.value))
    }
    attributes += run.digests.sorted { precedesInBytes($0.key, $1.key) }.map { ("digest \($0.key)", .text($0.value)) }
    for (name, value) in attributes { try setAttribute(name, of: group, to: value) }
  }
}

extension RunDescription {
  /// From the attributes of a group.
  /// - Parameter place: file and group, for failures.
  /// - Throws: `Failure` 65 naming an attribute that is missing.
  init(_ attributes: [String: HDF5Value], at place: String) throws {
    func needed<Value>(_ name: String, _ value: (HDF5Value) -> Value?) throws -> Value {
      guard let found = attributes[name].flatMap(value) else {
        throw Failure(.badData, "the attribute \(name) is missing", at: place)
      }
      return found
    }
    func named(_ prefix: String) -> [(String, HDF5Value)] {
      attributes.filter { $0.key.hasPrefix(prefix) }.map { (String($0.key.dropFirst(prefix.count)), $0.value) }
    }
    let step = try needed("step", \.integer)
    let worldSize = try needed("world-size", \.integer)
    guard step >= 0, worldSize > 0 else {
      throw Failure(.badData, "step \(step) of \(worldSize) ranks is impossible", at: place)
    }
    self.init(
      step: step, recipe: try needed("recipe", \.text), classNames: try needed("class-names", \.texts),
      worldSize: worldSize, programVersion: try needed("program-version", \.text),
      libraryVersions: Dictionary(uniqueKeysWithValues: named("library ").map { ($0.0, $0.1.text ?? "") }),
      cpuLevel: try needed("cpu-level", \.text),
      schedule: Dictionary(uniqueKeysWithValues: named("schedule ").map { ($0.0, $0.1.number ?? 0) }),
      digests: Dictionary(uniqueKeysWithValues: named("digest ").map { ($0.0, $0.1.text ?? "") }))
  }
}
