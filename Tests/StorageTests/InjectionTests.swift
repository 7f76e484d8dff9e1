// One save with a fault at every operation in turn: afterwards a good checkpoint is found, and nothing else is left.

import Foundation
import Storage
import StorageHDF5
import Support
import Tensors
import TestSupport
import Testing

/// Things that are saved, each with what was there before and what must hold afterwards.
enum Saving: String, CaseIterable {
  /// The third checkpoint, after which the first is deleted.
  case checkpoint
  /// A checkpoint over one of the same step.
  case replacement
  /// The first checkpoint, in a folder two levels below one that is there.
  case firstCheckpoint
  /// The third checkpoint in parts, after which the first is deleted.
  case parts
  /// Pseudo-labels over published ones of another world size.
  case pseudoLabels

  private func checkpoints(_ folder: String, _ operations: any FileOperations) -> HDF5CheckpointStore {
    HDF5CheckpointStore(
      folder: self == .firstCheckpoint ? "\(folder)/run/checkpoints" : folder, operations: operations)
  }

  private func origin(_ rank: Int, of worldSize: Int) -> PseudoLabelOrigin {
    PseudoLabelOrigin(
      teacherDigest: "aa", recipeDigest: "bb", threshold: 0.5, height: 32, width: 64, rank: rank, worldSize: worldSize)
  }

  private func entry(_ image: Int, step: Int) -> PseudoLabelEntry {
    var random = RandomStream(seed: UInt64(image), step: step, sample: nil, purpose: Purpose("entry"))
    let labels = (0..<32 * 64).map { _ in UInt8.random(in: 0..<19, using: &random) }
    return PseudoLabelEntry(
      image: image, step: step, labels: LabelMap(height: 32, width: 64, values: labels),
      probabilities: (0..<32 * 64).map { _ in Float.random(in: 0...1, using: &random) }, threshold: 0.5)
  }

  /// What was on disk before.
  func prepare(_ folder: String) throws {
    let store = checkpoints(folder, SystemFileOperations())
    switch self {
    case .checkpoint: for step in [1, 2] { try store.save(exampleSnapshot(step: step, seed: UInt64(step))) }
    case .replacement: for step in [2, 3] { try store.save(exampleSnapshot(step: step, seed: UInt64(step))) }
    case .firstCheckpoint: break
    case .parts: for step in [1, 2] { try saveInParts(store, exampleSnapshot(step: step, seed: UInt64(step)), 3) }
    case .pseudoLabels:
      let caches = HDF5PseudoLabelStore(folder: folder)
      for rank in 0..<2 {
        let writer = try caches.start(origin(rank, of: 2))
        for image in 0..<4 where image % 2 == rank { try writer.append(entry(image, step: image)) }
        try writer.publish(completedSteps: 4)
      }
    }
  }

  /// Saves.
  func run(_ folder: String, _ operations: any FileOperations) throws {
    switch self {
    case .checkpoint, .replacement, .firstCheckpoint:
      let saver = BackgroundSaver(checkpoints(folder, operations), retention: Retention(newest: 2))
      try saver.save(exampleSnapshot(step: 3, seed: 3))
      try saver.finish()
    case .parts:
      let store = checkpoints(folder, operations)
      let snapshot = exampleSnapshot(step: 3, seed: 3)
      let lines = try (0..<3).map { try store.preparePart(snapshot, $0, of: 3).publish() }
      let saver = BackgroundSaver(store, retention: Retention(newest: 2))
      try saver.start(store.prepareManifest(snapshot, parts: lines))
      try saver.finish()
    case .pseudoLabels:
      let writer = try HDF5PseudoLabelStore(folder: folder, operations: operations)
        .resume(origin(0, of: 1), completedSteps: 4)
      try writer.append(entry(1, step: 4))
      // The second publication removes what the other world size left.
      for step in [5, 6] { try writer.publish(completedSteps: step) }
    }
  }

  /// What is wrong with the folder after a fault, or nil.
  func complaint(_ folder: String) throws -> String? {
    if self == .pseudoLabels {
      let resumed = try HDF5PseudoLabelStore(folder: folder).resume(origin(0, of: 1), completedSteps: 4)
      return resumed.count == 4 ? nil : "\(resumed.count) pseudo-labels instead of 4"
    }
    let store = checkpoints(folder, SystemFileOperations())
    guard let found = try store.latest() else { return self == .firstCheckpoint ? nil : "no checkpoint" }
    guard found.skipped.isEmpty else { return "passed over \(found.skipped[0])" }
    let step = found.snapshot.step
    guard areEqual(found.snapshot, exampleSnapshot(step: step, seed: UInt64(step))) else { return "other values" }
    for step in try store.steps() { try store.verify(file: store.file(step: step)) }
    return self == .firstCheckpoint || step >= 2 ? nil : "fell back to step \(step)"
  }
}

/// Paths of everything below a folder.
private func contents(_ folder: TemporaryFolder) throws -> [String] {
  try FileManager.default.subpathsOfDirectory(atPath: folder.path).sorted()
}

private func leftovers(_ folder: TemporaryFolder) throws -> [String] {
  try contents(folder).filter { $0.hasSuffix(".tmp") }
}

/// The operations of one save without a fault, and what is in the folder then.
private func faultless(_ saving: Saving) throws -> (operations: [String], contents: [String]) {
  let folder = try TemporaryFolder()
  try saving.prepare(folder.path)
  let operations = FaultyOperations()
  try saving.run(folder.path, operations)
  #expect(try saving.complaint(folder.path) == nil)
  return (operations.names, try contents(folder))
}

@Suite struct InjectionTests {
  @Test func everyKindOfOperationIsReached() throws {
    let all = try Saving.allCases.map { ($0, try faultless($0).operations) }
    for (saving, names) in all { #expect(names.count { $0 == "write" } > 3, "\(saving): \(names)") }
    let kinds = Set(all.flatMap { $0.1 })
    #expect(kinds == ["makeFolder", "create", "write", "flush", "rename", "remove", "flushFolder"])
  }

  @Test(arguments: Saving.allCases) func anErrorAnywhereLosesNothing(saving: Saving) throws {
    for (number, name) in try faultless(saving).operations.enumerated() {
      for fault in Fault.errors {
        let place = "\(fault) at operation \(number), \(name)"
        let folder = try TemporaryFolder()
        try saving.prepare(folder.path)
        let failure = #expect(throws: Failure.self, "\(place)") {
          try saving.run(folder.path, FaultyOperations((number, fault)))
        }
        let status = failure?.status
        #expect(status == .cannotCreate || status == .inputOutput, "\(place): \(failure?.description ?? "")")
        #expect(failure?.description.contains(fault == .noRoom ? "No space left" : "Input/output error") == true)
        #expect(try leftovers(folder) == [], "\(place)")
        #expect(try saving.complaint(folder.path) == nil, "\(place)")
      }
    }
  }
}

@Suite(.enabled(if: childFolder == nil, "runs outside other tests only")) struct KillTests {
  /// A process that is to be killed while it saves.
  private struct Victim {
    let place: String
    let folder: TemporaryFolder
    let process: Process

    init(_ saving: Saving, _ number: Int, _ name: String, _ fault: Fault) throws {
      place = "\(fault) at operation \(number), \(name)"
      folder = try TemporaryFolder()
      try saving.prepare(folder.path)
      process = try startChild(
        "savesWithAFault", in: folder.path,
        environment: ["APUS_TEST_FAULT": "\(saving.rawValue) \(number) \(fault.rawValue)"])
    }
  }

  @Test(arguments: Saving.allCases) func aKillAnywhereLosesNothing(saving: Saving) throws {
    let whole = try faultless(saving)
    let last = whole.operations.count - 1
    // After one operation is before the next.
    var points = whole.operations.enumerated().flatMap { number, name in
      Fault.kills.filter { ($0 != .killTorn || name == "write") && ($0 != .killAfter || number == last) }
        .map { (number, name, $0) }
    }[...]
    while !points.isEmpty {
      let victims = try points.prefix(4).map { try Victim(saving, $0, $1, $2) }
      points = points.dropFirst(4)
      for victim in victims {
        victim.process.waitUntilExit()
        let (place, folder, process) = (victim.place, victim.folder, victim.process)
        #expect(process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGKILL, "\(place)")
        #expect(try saving.complaint(folder.path) == nil, "\(place)")
        try saving.run(folder.path, SystemFileOperations())
        #expect(try saving.complaint(folder.path) == nil, "\(place), after another save")
        #expect(try contents(folder) == whole.contents, "\(place), after another save")
      }
    }
  }
}
