// A launch as tables and back. What is missing or does not fit makes a file foreign or damaged, by name.

import Collectives
import Storage
import Support

extension LaunchRecord {
  /// Version of the form.
  public static let schema = 1

  /// The launch as tables.
  public var tables: TableFile {
    var file = TableFile()
    file.attributes[""] = identity.attributes
    file.attributes["environment"] = environment.texts.mapValues { .text($0) }
      .merging(
        [
          "load": .number(environment.load), "steal": .number(environment.steal),
          "foreign": .number(environment.foreign),
        ]) { $1 }
    file.attributes["ranks"] = ["hosts": .text(ranks.map(\.host).joined(separator: "\n"))]
    file.attributes["steps"] = ["phases": .text(StudyPhase.allCases.map(\.rawValue).joined(separator: " "))]
    let shape = [seconds.steps, rankCount]
    for (name, table) in [("seconds", seconds), ("waiting", waiting), ("exposed", exposed), ("underWay", underWay)] {
      file.tables["steps/\(name)"] = NumberTable(table.values, shape)
    }
    for (name, table) in [("bytes", bytes), ("messages", messages), ("faults", faults)] {
      file.tables["steps/\(name)"] = NumberTable(table.values, shape)
    }
    let columns = StudyPhase.allCases.map { phases[$0]?.values }
    file.tables["steps/phases"] = NumberTable(
      seconds.values.indices.flatMap { index in columns.map { $0?[index] ?? 0 } }, shape + [columns.count])
    file.tables["ranks/cores"] = NumberTable(ranks.map(\.cores), [rankCount])
    file.tables["ranks/gflop"] = NumberTable(ranks.map(\.gflop), [rankCount])
    file.tables["ranks/peakMemory"] = NumberTable(ranks.map(\.peakMemoryBytes), [rankCount])
    file.tables["ranks/contextSwitches"] = NumberTable(ranks.map(\.contextSwitches), [rankCount])
    TraceTables.put(traces, into: &file, ranks: rankCount)
    ControlTables.put(links, storage, into: &file)
    return file
  }

  /// Reads a launch.
  /// - Parameters:
  ///   - file: its tables.
  ///   - path: where they come from, for failures.
  /// - Throws: `Failure` 65 that says what is missing or of another form.
  public init(_ file: TableFile, path: String) throws {
    let reader = TableReader(file: file, path: path)
    let schema = try reader.integer("", "schema")
    guard schema == LaunchRecord.schema else {
      throw Failure(
        .badData, "has schema \(schema), this program reads \(LaunchRecord.schema)", at: path,
        remedy: "read it with the version of apus that wrote it")
    }
    identity = try LaunchIdentity(reader)
    environment = LaunchEnvironment()
    for (name, value) in file.attributes["environment"] ?? [:] {
      if let text = value.text { environment.texts[name] = text }
    }
    environment.load = try reader.number("environment", "load")
    environment.steal = try reader.number("environment", "steal")
    environment.foreign = try reader.number("environment", "foreign")
    ranks = try reader.ranks()
    let count = ranks.count
    seconds = try reader.numbers("seconds", ranks: count)
    waiting = try reader.numbers("waiting", ranks: count)
    exposed = try reader.numbers("exposed", ranks: count)
    underWay = try reader.numbers("underWay", ranks: count)
    bytes = try reader.integers("bytes", ranks: count)
    messages = try reader.integers("messages", ranks: count)
    faults = try reader.integers("faults", ranks: count)
    let all = try reader.table("steps/phases", numbers: [seconds.steps, count, StudyPhase.allCases.count])
    phases = [:]
    for (index, phase) in StudyPhase.allCases.enumerated() {
      let column = stride(from: index, to: all.count, by: StudyPhase.allCases.count).map { all[$0] }
      phases[phase] = StepTable(ranks: count, column)
    }
    traces = try TraceTables.traces(reader, ranks: count)
    links = try ControlTables.links(reader)
    storage = (file.attributes["storage"] ?? [:]).compactMapValues(\.number)
    guard seconds.steps > 0 else { throw Failure(.badData, "holds no step", at: path) }
  }
}

extension LaunchIdentity {
  /// Texts by their names in the file.
  private static var texts: [(name: String, place: WritableKeyPath<LaunchIdentity, String>)] {
    [
      ("study", \.study), ("cell", \.cell), ("case", \.benchmark), ("program", \.program), ("command", \.command),
      ("start", \.start), ("recipe", \.recipe), ("studentDigest", \.studentDigest),
    ]
  }

  /// Whole numbers by their names in the file.
  private static var integers: [(name: String, place: WritableKeyPath<LaunchIdentity, Int>)] {
    [
      ("block", \.block), ("place", \.place), ("threads", \.threads), ("globalBatch", \.globalBatch),
      ("cropShards", \.cropShards), ("leastWarmUp", \.leastWarmUp), ("parameters", \.parameters),
    ]
  }

  fileprivate var attributes: [String: TableFile.Attribute] {
    var attributes: [String: TableFile.Attribute] = [
      "schema": .integer(LaunchRecord.schema), "kind": .text(kind.rawValue), "nature": .text(nature.rawValue),
      "data": .text(data.rawValue), "shardMoments": .integer(shardMoments ? 1 : 0), "seconds": .number(seconds),
    ]
    for (name, place) in LaunchIdentity.texts { attributes[name] = .text(self[keyPath: place]) }
    for (name, place) in LaunchIdentity.integers { attributes[name] = .integer(self[keyPath: place]) }
    return attributes
  }

  fileprivate init(_ reader: TableReader) throws {
    self.init()
    kind = try reader.word("", "kind")
    nature = try reader.word("", "nature")
    data = try reader.word("", "data")
    shardMoments = try reader.integer("", "shardMoments") != 0
    seconds = try reader.number("", "seconds")
    for (name, place) in LaunchIdentity.texts { self[keyPath: place] = try reader.text("", name) }
    for (name, place) in LaunchIdentity.integers { self[keyPath: place] = try reader.integer("", name) }
  }
}

/// Looks up tables and attributes, and says which one is missing.
struct TableReader {
  let file: TableFile
  let path: String

  private func missing(_ what: String) -> Failure {
    Failure(.badData, "\(what) is missing or of another form", at: path, remedy: "it is no launch of a study")
  }

  func text(_ group: String, _ name: String) throws -> String {
    guard let text = file.attributes[group]?[name]?.text else { throw missing("the attribute \(group)/\(name)") }
    return text
  }

  func integer(_ group: String, _ name: String) throws -> Int {
    guard let value = file.attributes[group]?[name]?.integer else { throw missing("the attribute \(group)/\(name)") }
    return value
  }

  func number(_ group: String, _ name: String) throws -> Double {
    guard let value = file.attributes[group]?[name]?.number else { throw missing("the attribute \(group)/\(name)") }
    return value
  }

  func word<Word: RawRepresentable<String>>(_ group: String, _ name: String) throws -> Word {
    guard let word = Word(rawValue: try text(group, name)) else { throw missing("the attribute \(group)/\(name)") }
    return word
  }

  func table(_ path: String, numbers shape: [Int]) throws -> [Double] {
    guard let table = file.tables[path], let numbers = table.numbers, table.shape == shape else { throw missing(path) }
    return numbers
  }

  func table(_ path: String, integers shape: [Int]) throws -> [Int] {
    guard let table = file.tables[path], let integers = table.integers, table.shape == shape else {
      throw missing(path)
    }
    return integers
  }

  /// A table of steps, as many as it has.
  func numbers(_ name: String, ranks: Int) throws -> StepTable<Double> {
    let steps = file.tables["steps/seconds"]?.shape.first ?? 0
    return StepTable(ranks: ranks, try table("steps/\(name)", numbers: [steps, ranks]))
  }

  func integers(_ name: String, ranks: Int) throws -> StepTable<Int> {
    let steps = file.tables["steps/seconds"]?.shape.first ?? 0
    return StepTable(ranks: ranks, try table("steps/\(name)", integers: [steps, ranks]))
  }

  func ranks() throws -> [LaunchRank] {
    let hosts = try text("ranks", "hosts").split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    let shape = [hosts.count]
    let cores = try table("ranks/cores", integers: shape)
    let gflop = try table("ranks/gflop", numbers: shape)
    let memory = try table("ranks/peakMemory", integers: shape)
    let switches = try table("ranks/contextSwitches", integers: shape)
    return hosts.indices.map { index in
      var rank = LaunchRank()
      (rank.host, rank.cores, rank.gflop) = (hosts[index], cores[index], gflop[index])
      (rank.peakMemoryBytes, rank.contextSwitches) = (memory[index], switches[index])
      return rank
    }
  }
}
