// Checkpoints: round trip, and everything that may be wrong with a file.

import Foundation
import Storage
import StorageHDF5
import Support
import Tensors
import TestSupport
import Testing

@Suite struct CheckpointTests {
  let folder: TemporaryFolder
  let store: HDF5CheckpointStore

  init() throws {
    folder = try TemporaryFolder()
    store = HDF5CheckpointStore(folder: folder.path)
  }

  /// The failure of loading bytes as a checkpoint.
  private func failure(_ bytes: [UInt8]) throws -> Failure? {
    try folder.write(bytes, to: "step-00000007.h5")
    do {
      _ = try store.load(step: 7)
      return nil
    } catch let failure as Failure { return failure }
  }

  @Test func comesBackBitForBit() throws {
    let snapshot = exampleSnapshot()
    let path = try store.save(snapshot)
    #expect(path == folder.file("step-00000100.h5"))
    #expect(folder.names == ["step-00000100.h5"])
    #expect(areEqual(try store.load(step: 100), snapshot))
    try store.verify(file: path)
    #expect(!areEqual(try store.load(step: 100), exampleSnapshot(seed: 2)))
  }

  @Test(arguments: [1, 100, 5000]) func awaitedValuesGiveTheStateOfTheWhole(stretch: Int) throws {
    _ = try store.save(exampleSnapshot(), to: folder.file("whole.h5"))
    // The memory of an earlier state must not show through.
    _ = try store.save(exampleSnapshot(step: 99, seed: 2), to: folder.file("earlier.h5"))
    try store.makeReady()
    let awaiting = exampleSnapshot().awaitingMoments
    #expect(awaiting.byteCount == exampleSnapshot().byteCount && awaiting.records.filter(\.isAwaited).count == 8)
    let prepared = try store.prepare(awaiting, to: folder.file("awaited.h5"))
    exampleSnapshot().putMoments(into: prepared, of: awaiting, stretch: stretch)
    _ = try prepared.publish()
    #expect(try folder.bytes("awaited.h5") == folder.bytes("whole.h5"))
    #expect(areEqual(try store.load(file: folder.file("awaited.h5"), groups: nil), exampleSnapshot()))
    try store.verify(file: folder.file("awaited.h5"))
  }

  private func saved() throws -> [UInt8] {
    _ = try store.save(exampleSnapshot())
    return try folder.bytes("step-00000100.h5")
  }

  /// HDF5 counts time in whole seconds. The second file is built in memory that held another state.
  @Test func theSameStateGivesTheSameBytesAtAnyTime() async throws {
    let first = try saved()
    try saveInParts(store, exampleSnapshot(step: 200), 3)
    let parts = try folder.names.map { try folder.bytes($0) }
    _ = try store.save(exampleSnapshot(step: 99, seed: 2), to: folder.file("earlier.h5"))
    try FileManager.default.removeItem(atPath: folder.file("earlier.h5"))
    try await Task.sleep(for: .milliseconds(1_100))
    #expect(try saved() == first)
    try saveInParts(store, exampleSnapshot(step: 200), 3)
    #expect(try folder.names.map { try folder.bytes($0) } == parts && parts.count == 5)
  }

  @Test func theFileNeedsNoCodeOfOurs() throws {
    let path = try store.save(exampleSnapshot())
    let file = try HDF5File(reading: path)
    #expect(try file.element(of: "student/backbone.patch_embed1.proj.weight") == .float(bytes: 4))
    #expect(try file.shape(of: "student/backbone.patch_embed1.proj.weight") == [8, 3, 7, 7])
    #expect(try file.attribute("step", of: "run") == .integer(100))
    #expect(try file.attribute("class-names", of: "run") == .texts(["road", "sidewalk"]))
    let bytes = try folder.bytes("step-00000100.h5")
    let digest = SHA256()
    digest.update(Array(bytes[512...]))
    let header = String(decoding: bytes[..<512], as: UTF8.self).split(separator: "\n")
    #expect(
      header.prefix(4) == [
        "APUS SEALED FILE 1", "kind checkpoint", "bytes \(bytes.count - 512)", "sha256 \(digest.hexadecimal())",
      ])
  }

  @Test func someGroupsAlone() throws {
    let path = try store.save(exampleSnapshot())
    let student = try store.load(file: path, groups: [Snapshot.student])
    #expect(student.records.count == 4 && student.records(under: "student").count == 4)
    #expect(student.tensor("student/decode_head.head.bn.running_var")?.shape == [16])
    #expect(student.tensor("teacher/decode_head.head.bn.running_var") == nil)
  }

  @Test func equalStatesGiveEqualFiles() throws {
    let files = try ["a", "b"].map { name in
      try HDF5CheckpointStore(folder: folder.file(name)).save(exampleSnapshot())
      return try folder.bytes("\(name)/step-00000100.h5")
    }
    #expect(files[0] == files[1])
  }

  /// So many names that their index has several levels and their heap tables within tables.
  @Test(arguments: [9, 50, 3000]) func manyTensorsAndAttributesComeBack(count: Int) throws {
    var run = exampleSnapshot().run
    run.recipe = String(repeating: "a: 1\n", count: 9000)
    for number in 0..<count / 3 { run.digests["d\(number)"] = String(repeating: "0", count: number % 500 + 1) }
    let snapshot = Snapshot(
      run: run,
      records: (0..<count).map { Snapshot.Record("student/layer.\($0).weight", Tensor([Float($0)], [1, 1])) })
    try store.save(snapshot)
    #expect(areEqual(try store.load(step: 100), snapshot))
  }

  @Test func everyTruncationIsSeen() throws {
    try store.save(exampleSnapshot())
    let bytes = try folder.bytes("step-00000100.h5")
    for part in 0..<20 {
      let count = part == 19 ? bytes.count - 1 : bytes.count * part / 19
      let failure = try failure(Array(bytes[..<count]))
      #expect(failure?.status == .badData, "cut to \(count) bytes")
      #expect(failure?.place == folder.file("step-00000007.h5"))
    }
    let longer = try failure(bytes + [0])
    #expect(longer?.what.hasPrefix("is too long") == true)
  }

  @Test func everyFlippedBitIsSeen() throws {
    try store.save(exampleSnapshot())
    let bytes = try folder.bytes("step-00000100.h5")
    var random = RandomStream(seed: 5, step: 0, sample: nil, purpose: Purpose("flips"))
    for trial in 0..<260 {
      // The last sixty all hit the user block.
      let place = Int.random(in: 0..<(trial < 200 ? bytes.count : 512), using: &random)
      var damaged = bytes
      damaged[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      let failure = try failure(damaged)
      #expect(failure?.status == .badData, "byte \(place)")
      #expect(throws: Failure.self) { try store.verify(file: folder.file("step-00000007.h5")) }
    }
  }

  @Test func verifyNamesTheDamagedTensor() throws {
    let path = try store.save(exampleSnapshot())
    var bytes = try folder.bytes("step-00000100.h5")
    let values = exampleSnapshot().tensor("teacher/decode_head.head.embed_layers.0.proj.weight")?.values ?? []
    let pattern = values.withUnsafeBytes { Array($0) }
    let place = try #require(bytes.indices.first { bytes[$0...].starts(with: pattern) })
    bytes[place + 17] ^= 4
    try folder.write(bytes, to: "step-00000100.h5")
    let failure = #expect(throws: Failure.self) { try store.verify(file: path) }
    #expect(failure?.description == "\(path): is damaged in teacher/decode_head.head.embed_layers.0.proj.weight")
  }

  @Test func otherFilesAreRefused() throws {
    let file = try HDF5File(building: "other", userBlock: 0, capacity: 0)
    try file.write(floats: [1], shape: [1], to: "student/a")
    try file.close()
    #expect(try failure(Array(try #require(file.image).bytes))?.what.hasPrefix("was not written by") == true)
    #expect(try failure([])?.what == "is empty")
    #expect(try failure([UInt8](repeating: 0, count: 4096))?.what == "was not finished")
    #expect(try failure(Array("hello".utf8))?.status == .badData)
    let missing = #expect(throws: Failure.self) { try store.load(step: 8) }
    #expect(missing?.status == .missingInput)
  }

  @Test func theNewestSoundOneIsFound() throws {
    #expect(try store.latest() == nil)
    for step in [100, 200, 300, 400] { try store.save(exampleSnapshot(step: step, seed: UInt64(step))) }
    let bytes = try folder.bytes("step-00000400.h5")
    try folder.write(Array(bytes.dropLast(1000)), to: "step-00000400.h5")
    try folder.write(bytes, to: "step-00000300.h5")
    try folder.write(bytes, to: "step-0000500.h5")
    let found = try #require(try store.latest())
    #expect(found.file == folder.file("step-00000200.h5"))
    #expect(areEqual(found.snapshot, exampleSnapshot(step: 200, seed: 200)))
    #expect(found.skipped.map(\.step) == [400, 300])
    #expect(found.skipped[0].failure.what.hasPrefix("is cut short"))
    #expect(found.skipped[1].failure.what == "holds step 400, not the step in its name")
  }

  @Test func noSoundOneIsAFailure() throws {
    try folder.write([], to: "step-00000001.h5")
    let failure = #expect(throws: Failure.self) { try store.latest() }
    #expect(failure?.status == .badData)
    #expect(failure?.what.contains("step-00000001.h5: is empty") == true)
  }

  @Test func aBackgroundSaverWritesAndReports() throws {
    let saver = BackgroundSaver(store, retention: Retention(newest: 2, every: 200))
    for step in [100, 200, 300, 400, 500] { try saver.save(exampleSnapshot(step: step)) }
    #expect(try saver.finish() == folder.file("step-00000500.h5"))
    #expect(try saver.finish() == nil)
    #expect(try store.steps() == [200, 400, 500])
    try folder.write([], to: "file")
    let blocked = BackgroundSaver(HDF5CheckpointStore(folder: folder.file("file/below")))
    try blocked.save(exampleSnapshot())
    let failure = #expect(throws: Failure.self) { try blocked.save(exampleSnapshot(step: 101)) }
    #expect(failure?.status == .cannotCreate)
  }

  @Test func laterChangesDoNotReachAPreparedCheckpoint() throws {
    let tensor = Tensor(zeros: [1000])
    let run = exampleSnapshot().run
    let prepared = try store.prepare(Snapshot(run: run, records: [Snapshot.Record("student/a", tensor)]))
    tensor.fill(1)
    _ = try prepared.publish()
    #expect(try store.load(step: 100).tensor("student/a")?.values == [Float](repeating: 0, count: 1000))
  }
}

@Suite struct RetentionTests {
  @Test func newestAndEveryManyAreKept() {
    let steps = [100, 200, 300, 400, 500, 600]
    #expect(Retention(newest: 2).surplus(of: steps, verified: 600) == [100, 200, 300, 400])
    #expect(Retention(newest: 1, every: 300).surplus(of: steps, verified: 600) == [100, 200, 400, 500])
    #expect(Retention(newest: 9).surplus(of: steps, verified: 600) == [])
    #expect(Retention(newest: 1).surplus(of: steps, verified: 300) == [100, 200])
  }

  @Test func theLastVerifiedIsNeverDeleted() throws {
    let folder = try TemporaryFolder()
    let store = HDF5CheckpointStore(folder: folder.path)
    for step in [1, 2, 3] { try store.save(exampleSnapshot(step: step)) }
    for step in [4, 5] { try folder.write([1], to: CheckpointName.of(step: step)) }
    #expect(try store.prune(Retention(newest: 1), dryRun: true) == [1, 2])
    #expect(try store.steps() == [1, 2, 3, 4, 5])
    #expect(try store.prune(Retention(newest: 1)) == [1, 2])
    #expect(try store.steps() == [3, 4, 5])
    try store.remove(step: 3)
    #expect(try store.prune(Retention(newest: 1)) == [])
  }

  @Test func names() {
    #expect(CheckpointName.of(step: 100) == "step-00000100.h5")
    #expect(CheckpointName.of(step: 123_456_789) == "step-123456789.h5")
    #expect(CheckpointName.step(in: "step-00000100.h5") == 100)
    for name in ["step-100.h5", "step-00000100.h5.tmp", "step--0000001.h5", "step-.h5", "a.h5"] {
      #expect(CheckpointName.step(in: name) == nil)
    }
  }
}
