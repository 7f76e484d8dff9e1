// Checkpoints in parts: round trip, and everything that may be wrong with a part or the manifest.

import Foundation
import Storage
import StorageHDF5
import Support
import Tensors
import TestSupport
import Testing

/// Saves a snapshot in parts, as ranks do one after the other.
func saveInParts(_ store: HDF5CheckpointStore, _ snapshot: Snapshot, _ count: Int) throws {
  let lines = try (0..<count).map { try store.preparePart(snapshot, $0, of: count).publish() }
  _ = try store.prepareManifest(snapshot, parts: lines).publish()
}

@Suite struct PartsTests {
  let folder: TemporaryFolder
  let store: HDF5CheckpointStore

  init() throws {
    folder = try TemporaryFolder()
    store = HDF5CheckpointStore(folder: folder.path)
  }

  private func example(_ step: Int) -> Snapshot { exampleSnapshot(step: step, seed: UInt64(step)) }

  /// Steps of the checkpoint that is found and of those passed over, with what was wrong.
  private func found() throws -> (step: Int, skipped: [String]) {
    let found = try #require(try store.latest())
    #expect(areEqual(found.snapshot, example(found.snapshot.step)))
    return (found.snapshot.step, found.skipped.map(\.failure.description))
  }

  @Test(arguments: [1, 2, 3, 30]) func comesBackBitForBit(count: Int) throws {
    try saveInParts(store, example(100), count)
    #expect(folder.names.count == count + 1)
    #expect(areEqual(try store.load(step: 100), example(100)))
    try store.verify(file: store.file(step: 100))
    let student = try store.load(file: store.file(step: 100), groups: [Snapshot.student])
    #expect(student.records.count == 4 && student.records(under: "student").count == 4)
    let outline = try store.outline(file: store.file(step: 100))
    #expect(outline.tensors.map(\.path) == example(100).records.map(\.path))
    #expect(outline.files.count == count && outline.run == example(100).run)
  }

  @Test func awaitedValuesGiveThePartsOfTheWhole() throws {
    try saveInParts(store, example(100), 3)
    let other = try TemporaryFolder()
    let others = HDF5CheckpointStore(folder: other.path)
    let awaiting = example(100).awaitingMoments
    var lines: [String] = []
    for number in 0..<3 {
      let prepared = try others.preparePart(awaiting, number, of: 3)
      example(100).putMoments(into: prepared, of: awaiting.part(number, of: 3), stretch: 77)
      lines.append(try prepared.publish())
    }
    _ = try others.prepareManifest(awaiting, parts: lines).publish()
    #expect(other.names == folder.names && other.names.count == 4)
    for name in folder.names { #expect(try other.bytes(name) == folder.bytes(name), "\(name)") }
    #expect(areEqual(try others.load(step: 100), example(100)))
    try others.verify(file: others.file(step: 100))
  }

  @Test func partsAreAboutEqual() {
    let snapshot = example(100)
    let sizes = (0..<4).map { snapshot.part($0, of: 4).byteCount }
    #expect(sizes.reduce(0, +) == snapshot.byteCount)
    let largest = snapshot.records.map { $0.shape.count * 4 }.max() ?? 0
    #expect(sizes.allSatisfy { abs($0 - snapshot.byteCount / 4) <= largest }, "\(sizes)")
  }

  @Test func theManifestLeadsToEveryTensor() throws {
    try saveInParts(store, example(100), 3)
    let manifest = try HDF5File(reading: store.file(step: 100), isOwn: true)
    let name = "student/backbone.patch_embed1.proj.weight"
    #expect(try manifest.floats(name).values == example(100).tensor(name)?.values)
  }

  @Test func aMissingPartIsNamedAndPassedOver() throws {
    for step in [100, 200] { try saveInParts(store, example(step), 3) }
    let part = "step-00000200.part-00001-of-00003.h5"
    try FileManager.default.removeItem(atPath: folder.file(part))
    let failure = #expect(throws: Failure.self) { try store.verify(file: store.file(step: 200)) }
    #expect(failure?.status == .badData)
    #expect(failure?.what == "lacks its part \(part)")
    let result = try found()
    #expect(result.step == 100 && result.skipped.count == 1)
    #expect(result.skipped.first?.contains("lacks its part \(part)") == true)
  }

  @Test func aStaleManifestIsNamedAndPassedOver() throws {
    for step in [100, 200] { try saveInParts(store, example(step), 3) }
    // The parts of another state under the same names, whose manifest was never written.
    let other = exampleSnapshot(step: 200, seed: 7)
    for rank in 0..<3 { _ = try store.preparePart(other, rank, of: 3).publish() }
    let failure = #expect(throws: Failure.self) { try store.verify(file: store.file(step: 200)) }
    #expect(failure?.place == folder.file("step-00000200.part-00000-of-00003.h5"))
    #expect(failure?.what == "is not the part that step-00000200.h5 names")
    #expect(try found().step == 100)
  }

  @Test func everyTruncationAndEveryFlippedBitIsSeen() throws {
    for step in [100, 200] { try saveInParts(store, example(step), 2) }
    var random = RandomStream(seed: 6, step: 0, sample: nil, purpose: Purpose("damage"))
    let names = ["step-00000200.h5", "step-00000200.part-00000-of-00002.h5", "step-00000200.part-00001-of-00002.h5"]
    for name in names {
      let bytes = try folder.bytes(name)
      var damaged = (0..<20).map { Array(bytes[..<($0 == 19 ? bytes.count - 1 : bytes.count * $0 / 19)]) }
      for _ in 0..<70 {
        var flipped = bytes
        let place = Int.random(in: 0..<bytes.count, using: &random)
        flipped[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        damaged.append(flipped)
      }
      for (number, content) in damaged.enumerated() {
        try folder.write(content, to: name)
        let failure = #expect(throws: Failure.self, "\(name), \(number)") {
          try store.load(file: store.file(step: 200), groups: nil)
        }
        #expect(
          failure?.place?.hasPrefix(folder.file(name)) == true, "\(name), \(number): \(String(describing: failure))")
        #expect(failure?.status == .badData, "\(name), \(number)")
        let step = try found().step
        #expect(step == 100, "\(name), \(number)")
      }
      try folder.write(bytes, to: name)
    }
    #expect(try found().step == 200)
  }

  @Test func aPartAloneIsNoCheckpoint() throws {
    try saveInParts(store, example(100), 2)
    let failure = #expect(throws: Failure.self) {
      try store.load(file: folder.file("step-00000100.part-00000-of-00002.h5"), groups: nil)
    }
    #expect(failure?.what.hasPrefix("is of kind checkpoint-part, expected checkpoint") == true)
  }

  @Test func aPartThatRankZeroDoesNotSeeIsAFailure() throws {
    let lines = try (0..<2).map { try store.preparePart(example(100), $0, of: 2).publish() }
    try FileManager.default.removeItem(atPath: folder.file("step-00000100.part-00001-of-00002.h5"))
    let prepared = try store.prepareManifest(example(100), parts: lines)
    let failure = #expect(throws: Failure.self) { try prepared.publish() }
    #expect(failure?.status == .inputOutput)
    #expect(failure?.remedy == "checkpoints in parts need a folder that all hosts share")
    #expect(try store.steps() == [])
  }

  @Test func pruningTakesThePartsAlong() throws {
    for step in [100, 200, 300] { try saveInParts(store, example(step), 2) }
    // A rank's part of a step that was never completed, and one that is perhaps being written.
    for step in [250, 400] { _ = try store.preparePart(example(step), 0, of: 2).publish() }
    // The same step, once more, by another number of ranks.
    try saveInParts(store, example(300), 3)
    #expect(try store.prune(Retention(newest: 2)) == [100])
    #expect(
      folder.names == [
        "step-00000200.h5", "step-00000200.part-00000-of-00002.h5", "step-00000200.part-00001-of-00002.h5",
        "step-00000300.h5", "step-00000300.part-00000-of-00003.h5", "step-00000300.part-00001-of-00003.h5",
        "step-00000300.part-00002-of-00003.h5", "step-00000400.part-00000-of-00002.h5",
      ])
    #expect(try found().step == 300)
  }

  @Test func aPlainCheckpointMayReplaceOneInParts() throws {
    try saveInParts(store, example(100), 2)
    try store.save(example(100))
    #expect(try store.prune(Retention(newest: 1)) == [])
    #expect(folder.names == ["step-00000100.h5"])
    #expect(try found().step == 100)
  }
}
