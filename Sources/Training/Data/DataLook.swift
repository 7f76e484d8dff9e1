// The first look at the data of a run: the headers of all files are read before anything long begins, dealt out over the
// ranks, and what was found good is remembered, so that a run that goes on does not look again.

import Collectives
import Domains
import Foundation
import Support

/// A data set and what is asked of its files.
public struct LookedAt: Sendable {
  /// What messages call it, such as `data.source`.
  public let name: String
  /// The set.
  public let dataset: any Dataset
  /// What is asked of its files.
  public let demands: FileDemands

  /// A set with its name.
  public init(_ name: String, _ dataset: any Dataset, _ demands: FileDemands = FileDemands()) {
    self.name = name
    self.dataset = dataset
    self.demands = demands
  }

  /// Names all that a look at this set and a count of its labels have found good.
  func digest(classCount: Int) -> String {
    let hash = SHA256()
    hash.update("\(name) \(demands) \(dataset.identity.countsDigest(classCount: classCount))")
    return hash.hexadecimal()
  }
}

/// Looks at the files of data sets before step 1 and remembers those that are good.
public final class DataLook {
  /// Files that one rank reads between two signs of life, which are also the times at which a signal is obeyed.
  private static let filesARound = 256
  /// Seconds before the first line of progress and between two.
  private static let secondsALine = 5.0
  /// Wrong files that the last line names before it points to a list.
  private static let named = 5

  private let layout: RunLayout?
  private let say: (String) -> Void
  private var checked: Set<String>
  private let stored: Set<String>
  private var pending: [String] = []

  /// A look for the run in a folder: sets that were found good for it are not looked at again.
  /// - Parameters:
  ///   - folder: the run's folder, there or not; nil, as on all ranks but 0, remembers nothing and lists nothing.
  ///   - say: prints a line of progress; called on rank 0.
  public init(folder: String? = nil, say: @escaping (String) -> Void) {
    layout = folder.map { RunLayout($0) }
    self.say = say
    let bytes = layout.flatMap { FileManager.default.contents(atPath: $0.checkedData) }
    // What cannot be read is looked at anew.
    stored = bytes.flatMap { try? JSONDecoder().decode(Set<String>.self, from: $0) } ?? []
    checked = stored
  }

  /// Which sets have not been found good before. A collective: rank 0 decides.
  public func isNew(_ sets: [LookedAt], classCount: Int, on communicator: any Communicator) throws -> [Bool] {
    let isRoot = communicator.rank == 0
    let news = try communicator.together { () throws -> [UInt8] in
      guard isRoot else { return [] }
      pending = sets.map { $0.digest(classCount: classCount) }
      return pending.map { checked.contains($0) ? 0 : 1 }
    }
    return try communicator.broadcastBytes(news).map { $0 == 1 }
  }

  /// Looks at the sets that have not been found good before, and says which these are. A collective.
  /// - Throws: as `look`.
  func lookAtNew(_ sets: [LookedAt], classCount: Int, on communicator: any Communicator) throws -> [Bool] {
    let isNew = try isNew(sets, classCount: classCount, on: communicator)
    Activity.prepare("file headers")
    try look(at: zip(sets, isNew).filter(\.1).map(\.0), on: communicator)
    return isNew
  }

  /// Reads the headers of all files of some sets. A collective: ranks share the files.
  /// - Throws: on all ranks, one `Failure` that tells the first wrong file, how many there are and their names, or the
  ///   file in the run's folder that lists them; `Failure` 75 where a signal asked one rank to stop.
  public func look(at sets: [LookedAt], on communicator: any Communicator) throws {
    let files = sets.reduce(0) { $0 + $1.dataset.count }
    let watch = Stopwatch()
    var told = 0.0
    var found: [(set: Int, fault: FileFault)] = []
    for (number, set) in sets.enumerated() {
      let before = sets.prefix(number).reduce(0) { $0 + $1.dataset.count }
      let stride = DataLook.filesARound * communicator.worldSize
      for start in Swift.stride(from: 0, to: set.dataset.count, by: stride) {
        let own = Swift.stride(
          from: start + communicator.rank, to: min(start + stride, set.dataset.count), by: communicator.worldSize)
        found += set.dataset.faults(Array(own), set.demands).map { (number, $0) }
        try communicator.requireNoSignal("while the files of the data were looked at")
        guard watch.seconds - told >= DataLook.secondsALine else { continue }
        told = watch.seconds
        if communicator.rank == 0 {
          say("looked at \(before + min(start + stride, set.dataset.count)) of \(files) files")
        }
      }
    }
    try refuse(found, sets, files, on: communicator)
  }

  /// Puts the faults of all ranks together and throws, if there are any.
  private func refuse(
    _ own: [(set: Int, fault: FileFault)], _ sets: [LookedAt], _ files: Int, on communicator: any Communicator
  ) throws {
    guard try communicator.sumIntegers([Int64(own.count)])[0] > 0 else { return }
    let lines = try own.map { try jsonLine(WiredFault(set: $0.set, fault: $0.fault)) }.joined(separator: "\n")
    let gathered = try communicator.gatherStrings(lines)
    let all = try gathered.flatMap { try $0.split(separator: "\n").map { try WiredFault(line: $0) } }
      .sorted { ($0.set, $0.fault.index) < ($1.set, $1.fault.index) }
    var list: String?
    if all.count > DataLook.named, communicator.rank == 0 {
      list = layout?.write(badFiles: all.map { "\(sets[$0.set].name): \($0.fault.failure)" })
    }
    list = try communicator.broadcastString(list ?? "")
    let named = all.map { (set: sets[$0.set].name, fault: $0.fault) }
    let failure = failure(
      of: named, among: files, named: DataLook.named, list: list.flatMap { $0.isEmpty ? nil : $0 })
    throw communicator.failTogether(failure ?? Failure(.internal, "faults that are none"))
  }

  /// Remembers that the sets `isNew` was last asked about are good, files and labels.
  public func remember() { checked.formUnion(pending) }

  /// Writes what is new of it into the run's folder. Called by rank 0, which holds it. Where it cannot be written, the
  /// next start looks again, which is no reason to end this one.
  public func save(in directory: RunDirectory) {
    guard checked != stored else { return }
    do {
      try directory.write(try jsonLine(checked.sorted()) + "\n", to: directory.layout.checkedData)
    } catch {
      say("warning: \(error)")
    }
  }
}

/// A fault as ranks send it.
private struct WiredFault: Codable {
  let set: Int
  let fault: FileFault

  init(set: Int, fault: FileFault) {
    self.set = set
    self.fault = fault
  }

  init(line: Substring) throws { self = try JSONDecoder().decode(WiredFault.self, from: Foundation.Data(line.utf8)) }
}

extension Communicator {
  /// Ends preparations for which a signal asks one rank to stop. A collective.
  /// - Parameter place: what was interrupted, such as "while labels were counted".
  /// - Throws: `Failure` 75 on all ranks.
  public func requireNoSignal(_ place: String) throws {
    guard try allMaximum(Int64(StopSignals.pending ?? 0)) != 0 else { return }
    throw failTogether(
      Failure(.stopped, "stopped by a signal before the first step, \(place)", remedy: "start again with --resume"))
  }
}

extension RunLayout {
  /// Names of the data sets whose files were found good.
  public var checkedData: String { path + "/checked-data.json" }
  /// The files that a start was refused for, a line each.
  public var badFiles: String { path + "/bad-files.txt" }

  /// Lists bad files in the folder, which is made if need be: a start that is refused has none.
  /// - Returns: the path of the list; nil where it cannot be written, which is no reason to say something else.
  fileprivate func write(badFiles lines: [String]) -> String? {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      try writeWhole(lines.map { $0 + "\n" }.joined(), to: badFiles)
      return badFiles
    } catch {
      return nil
    }
  }
}
