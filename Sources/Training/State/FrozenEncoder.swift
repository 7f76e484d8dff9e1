// The frozen encoder of the feature distance: written once per run, referred to by digest from every checkpoint.

import Foundation
import Kernels
import Networks
import Storage
import Support

/// What a run began with, by digest; checkpoints carry it.
public struct RunOrigin: Sendable, Equatable {
  /// The frozen encoder of the feature distance; nil without one.
  public var frozenEncoder: String?
  /// The teacher before the first step, which names the run's pseudo-labels; nil without a teacher.
  public var firstTeacher: String?
  /// The data sets and the class counts of the source labels, by name.
  public var data: [String: String] = [:]

  /// Nothing known.
  public init() {}

  init(_ digests: [String: String]) {
    frozenEncoder = digests["frozen-encoder"]
    firstTeacher = digests["first-teacher"]
    data = digests.filter { $0.key.hasPrefix(DataIdentities.key("")) }
  }

  /// As a checkpoint keeps it.
  var digests: [String: String] {
    var digests = data
    digests["frozen-encoder"] = frozenEncoder
    digests["first-teacher"] = firstTeacher
    return digests
  }
}

extension Experiment {
  /// Notes what the run begins with; called before the first step, when all ranks hold the same weights.
  func noteOrigin() {
    origin.frozenEncoder = reference?.parameters.digest()
    origin.firstTeacher = teacher?.network.parameters.digest()
  }

  /// Writes the frozen encoder into the run's folder, if there is one.
  func saveFrozenEncoder(to path: String, store: any CheckpointStore) throws {
    guard let parameters = reference?.parameters else { return }
    try store.save(
      Snapshot(run: description(step: 0), records: networkRecords(Snapshot.frozen, parameters)), to: path)
  }

  /// Reads the frozen encoder that the run was begun with.
  /// - Throws: `Failure` 66 if the file is missing, 65 if it is damaged or not the one that the checkpoint refers to.
  func restoreFrozenEncoder(from path: String, store: any CheckpointStore) throws {
    guard let parameters = reference?.parameters, let expected = origin.frozenEncoder else { return }
    guard FileManager.default.fileExists(atPath: path) else {
      throw Failure(
        .missingInput, "the run's frozen encoder is missing", at: path,
        remedy: "put the file back; every checkpoint of the run refers to it")
    }
    let snapshot = try store.load(file: path, groups: [Snapshot.frozen])
    try load(snapshot, Snapshot.frozen, into: parameters, arena: parameters.values, buffers: true, path)
    let found = parameters.digest()
    guard found == expected else {
      throw Failure(
        .badData, "is not the frozen encoder of this run: digest \(found), expected \(expected)", at: path,
        remedy: "put the run's own file back")
    }
  }
}
