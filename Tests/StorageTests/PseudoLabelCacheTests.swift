// Pseudo-label caches: round trip, publishing, resuming on other world sizes, refusals.

import Foundation
import Storage
import StorageHDF5
import Support
import Tensors
import TestSupport
import Testing

@Suite struct PseudoLabelCacheTests {
  let folder: TemporaryFolder
  let store: HDF5PseudoLabelStore

  init() throws {
    folder = try TemporaryFolder()
    store = HDF5PseudoLabelStore(folder: folder.path)
  }

  private func origin(_ rank: Int = 0, of worldSize: Int = 1, teacher: String = "aa") -> PseudoLabelOrigin {
    PseudoLabelOrigin(
      teacherDigest: teacher, recipeDigest: "bb", threshold: 0.968, height: 5, width: 13, rank: rank,
      worldSize: worldSize)
  }

  private func entry(_ image: Int, step: Int) -> PseudoLabelEntry {
    var random = RandomStream(seed: UInt64(image), step: step, sample: nil, purpose: Purpose("entry"))
    let labels = (0..<65).map { _ in UInt8.random(in: 0..<4, using: &random) }.map { $0 == 3 ? LabelMap.ignored : $0 }
    let probabilities = (0..<65).map { _ in Float.random(in: 0.9...1, using: &random) }
    return PseudoLabelEntry(
      image: image, step: step, labels: LabelMap(height: 5, width: 13, values: labels), probabilities: probabilities,
      threshold: 0.968)
  }

  /// All entries of the ranks 0 ..< worldSize, as (image, step), sorted.
  private func published(_ worldSize: Int) throws -> [[Int]] {
    try (0..<worldSize).flatMap { rank in
      let reader = try store.reader(rank: rank, expecting: origin(rank, of: worldSize))
      for position in reader.images.indices {
        let wanted = entry(reader.images[position], step: reader.steps[position])
        #expect(try reader.entry(at: position) == wanted)
      }
      return zip(reader.images, reader.steps).map { [$0, $1] }
    }.sorted { $0.lexicographicallyPrecedes($1) }
  }

  @Test func confidenceIsRoundedDownAndDecidedInFloat32() {
    let labels = LabelMap(height: 1, width: 4, values: [1, 255, 2, 3])
    let threshold: Float = 0.968
    let entry = PseudoLabelEntry(
      image: 0, step: 0, labels: labels, probabilities: [1, 1, threshold, threshold.nextDown], threshold: threshold)
    #expect(entry.confidence == [255, 0, 246, 246])
    #expect(entry.confident == [true, false, true, false])
  }

  @Test func confidencesOfSixteenBitsComeBack() throws {
    var fine = origin()
    fine.hasFineConfidence = true
    let probabilities = (0..<65).map { Float($0) / 64 }
    let wanted = (0..<3).map { step in
      PseudoLabelEntry(
        image: 1, step: step, labels: LabelMap(height: 5, width: 13, values: (0..<65).map { $0 == 9 ? 255 : $0 % 4 }),
        probabilities: probabilities.map { $0 / Float(step + 1) }, threshold: 0.968, isFine: true)
    }
    #expect(wanted[0].fineConfidence?[64] == 65535 && wanted[0].fineConfidence?[32] == 32767)
    #expect(wanted[0].fineConfidence?[9] == 0 && wanted[0].confidences16[32] == 32767)
    #expect(entry(1, step: 0).confidences16[3] == 257 * UInt16(entry(1, step: 0).confidence[3]))
    let writer = try store.start(fine)
    for entry in wanted.dropLast() { try writer.append(entry) }
    try writer.publish(completedSteps: 2)
    let resumed = try store.resume(fine, completedSteps: 2)
    try resumed.append(wanted[2])
    try resumed.startGeneration(restartingFrom: 1)
    #expect(try resumed.newest(image: 1) == wanted[2])
    try resumed.publish(completedSteps: 3)
    let reader = try store.reader(rank: 0, expecting: fine)
    #expect(try reader.images.indices.map { try reader.entry(at: $0) } == wanted)
    let view = try HDF5PseudoLabelView.write(store)
    #expect(view.entryCount == 3)
    let failure = #expect(throws: Failure.self) { _ = try store.resume(origin(), completedSteps: 3) }
    #expect(failure?.what == "the precision of confidences of this cache is another")
  }

  @Test func theWriterFindsTheNewestEntryWhereverItIs() throws {
    let writer = try store.start(origin())
    for step in 0..<3 { try writer.append(entry(1, step: step)) }
    #expect(try writer.newest(image: 1) == entry(1, step: 2))
    #expect(try writer.newest(image: 0) == nil)
    try writer.publish(completedSteps: 3)
    try writer.startGeneration(restartingFrom: 3)
    #expect(try writer.newest(image: 1) == entry(1, step: 2))
    try writer.append(entry(1, step: 4))
    try writer.publish(completedSteps: 5)
    let resumed = try store.resume(origin(), completedSteps: 4)
    #expect(try resumed.newest(image: 1) == entry(1, step: 2))
  }

  @Test func entriesComeBack() throws {
    let writer = try store.start(origin())
    for image in 0..<7 { try writer.append(entry(image, step: image)) }
    try writer.publish(completedSteps: 7)
    for image in 0..<3 { try writer.append(entry(image, step: 10 + image)) }
    #expect(try published(1).count == 7)
    try writer.publish(completedSteps: 13)
    #expect(try published(1).count == 10)
    let reader = try store.reader(rank: 0, expecting: nil)
    #expect(reader.completedSteps == 13 && reader.generation == 0)
    #expect(try reader.newest(image: 1) == entry(1, step: 11))
    #expect(try reader.newest(image: 99) == nil)
    #expect(folder.names == ["rank-00000.h5"])
  }

  @Test func theFileIsAsDescribed() throws {
    let writer = try store.start(origin())
    let first = entry(4, step: 2)
    try writer.append(first)
    try writer.publish(completedSteps: 3)
    let file = try HDF5File(reading: folder.file("rank-00000.h5"))
    #expect(try file.integers("images/id") == ([4], [1]))
    #expect(try file.integers("images/step") == ([2], [1]))
    #expect(try file.bytes("labels") == (first.labels.values, [1, 5, 13]))
    #expect(try file.bytes("confidence") == (first.confidence, [1, 5, 13]))
    let bits = try file.bytes("confident")
    #expect(bits.shape == [1, 5, 2])
    #expect((bits.values[0] & 0x80 != 0) == first.confident[0])
    #expect((bits.values[3] & 0x08 != 0) == first.confident[13 + 12])
  }

  @Test func aGenerationDropsSupersededEntries() throws {
    let writer = try store.start(origin())
    for (image, step) in [(0, 0), (1, 1), (0, 2), (2, 3), (1, 4)] { try writer.append(entry(image, step: step)) }
    try writer.publish(completedSteps: 5)
    try writer.startGeneration(restartingFrom: 5)
    try writer.publish(completedSteps: 5)
    #expect(try published(1) == [[0, 2], [1, 4], [2, 3]])
    #expect(try store.reader(rank: 0, expecting: nil).generation == 1)
  }

  @Test func aGenerationKeepsWhatTheLastCheckpointHad() throws {
    let writer = try store.start(origin())
    for step in 0..<3 { try writer.append(entry(0, step: step)) }
    try writer.publish(completedSteps: 3)
    for step in 3..<5 { try writer.append(entry(0, step: step)) }
    try writer.startGeneration(restartingFrom: 3)
    try writer.publish(completedSteps: 5)
    #expect(try published(1) == [[0, 2], [0, 3], [0, 4]])
    #expect(try store.resume(origin(), completedSteps: 3).count == 1)
  }

  @Test func resumingDropsLaterEntries() throws {
    let writer = try store.start(origin())
    for step in 0..<6 { try writer.append(entry(step % 4, step: step)) }
    try writer.publish(completedSteps: 6)
    let resumed = try store.resume(origin(), completedSteps: 4)
    #expect(resumed.count == 4)
    try resumed.append(entry(3, step: 4))
    try resumed.publish(completedSteps: 5)
    #expect(try published(1) == [[0, 0], [1, 1], [2, 2], [3, 3], [3, 4]])
    let failure = #expect(throws: Failure.self) { try store.resume(origin(), completedSteps: 6) }
    #expect(failure?.what.contains("was published after 5 steps") == true)
  }

  @Test(arguments: [(1, 2), (4, 2), (2, 4), (3, 1)]) func worldSizesMayChange(before: Int, after: Int) throws {
    for rank in 0..<before {
      let writer = try store.start(origin(rank, of: before))
      for image in 0..<9 where image % before == rank { try writer.append(entry(image, step: image)) }
      try writer.publish(completedSteps: 9)
    }
    let writers = try (0..<after).map { try store.resume(origin($0, of: after), completedSteps: 9) }
    try writers[0].publish(completedSteps: 9)
    // Interrupted here: only rank 0 has published in the new layout.
    if after > 1 {
      let again = try (0..<after).map { try store.resume(origin($0, of: after), completedSteps: 9) }
      #expect(again.map(\.count) == writers.map(\.count))
    }
    for writer in writers.dropFirst() { try writer.publish(completedSteps: 9) }
    #expect(try published(after) == (0..<9).map { [$0, $0] })
    let resumed = try (0..<after).map { try store.resume(origin($0, of: after), completedSteps: 9) }
    #expect(resumed.reduce(0) { $0 + $1.count } == 9)
    for _ in 0..<2 { for writer in resumed { try writer.publish(completedSteps: 9) } }
    #expect(folder.names == (0..<after).map { "rank-0000\($0).h5" })
    #expect(try published(after).count == 9)
  }

  @Test func aMissingRankIsSeen() throws {
    for rank in 0..<3 { try store.start(origin(rank, of: 3)).publish(completedSteps: 1) }
    try FileManager.default.removeItem(atPath: store.file(rank: 1))
    let failure = #expect(throws: Failure.self) { try store.resume(origin(), completedSteps: 1) }
    #expect(failure?.status == .missingInput)
  }

  @Test func anotherTeacherIsRefused() throws {
    try store.start(origin()).publish(completedSteps: 0)
    let failure = #expect(throws: Failure.self) { try store.resume(origin(teacher: "cc"), completedSteps: 0) }
    #expect(failure?.status == .badData)
    #expect(failure?.what == "the teacher of this cache is another")
    #expect(throws: Failure.self) { try store.reader(rank: 0, expecting: origin(teacher: "cc")) }
  }

  @Test func labelsOfOtherImagesAreRefused() throws {
    var stored = origin()
    stored.dataDigest = "images"
    try store.start(stored).publish(completedSteps: 0)
    #expect(try store.reader(rank: 0, expecting: stored).origin == stored)
    var others = stored
    others.dataDigest = "other images"
    let failure = #expect(throws: Failure.self) { try store.resume(others, completedSteps: 0) }
    #expect(failure?.what == "the set of images of this cache is another")
  }

  @Test func aCacheThatNamesNoDataIsKnownByItsFormerRecipe() throws {
    try store.start(origin()).publish(completedSteps: 0)
    var present = origin()
    (present.recipeDigest, present.formerRecipeDigest, present.dataDigest) = ("without places", "bb", "images")
    _ = try store.resume(present, completedSteps: 0)
    present.formerRecipeDigest = "another place"
    let failure = #expect(throws: Failure.self) { try store.resume(present, completedSteps: 0) }
    #expect(failure?.what == "the recipe of this cache is another")
  }

  @Test func aViewShowsAllRanksAndChecksItsSources() throws {
    var writers: [any PseudoLabelCacheWriter] = []
    for rank in 0..<3 {
      let writer = try store.start(origin(rank, of: 3))
      // Rank 1 has no entries.
      for image in 0..<8 where image % 3 == rank && rank != 1 { try writer.append(entry(image, step: 0)) }
      try writer.publish(completedSteps: 1)
      writers.append(writer)
    }
    let view = try HDF5PseudoLabelView.write(store)
    #expect(view.entryCount == 5)
    #expect(try HDF5PseudoLabelView(verifying: view.path).entryCount == 5)
    let file = try HDF5File(reading: view.path, isOwn: true)
    #expect(try file.shape(of: "labels") == [5, 5, 13])
    let verified = try HDF5PseudoLabelView(verifying: view.path)
    #expect(try verified.labels(at: 3).values == entry(2, step: 0).labels.values)
    #expect(try verified.labels(at: 2).values == entry(6, step: 0).labels.values)
    // Reading a virtual dataset as a whole is refused, since nobody checked its sources.
    #expect(throws: Failure.self) { try file.bytes("labels") }
    try writers[2].append(entry(2, step: 1))
    try writers[2].publish(completedSteps: 2)
    let stale = #expect(throws: Failure.self) { try HDF5PseudoLabelView(verifying: view.path) }
    #expect(stale?.description.contains("rank-00002.h5: was published after the view") == true)
    #expect(throws: Failure.self) { try HDF5PseudoLabelView.write(store) }
    try FileManager.default.removeItem(atPath: store.file(rank: 2))
    let missing = #expect(throws: Failure.self) { try HDF5PseudoLabelView(verifying: view.path) }
    #expect(missing?.status == .missingInput)
  }

  @Test func damageIsSeen() throws {
    let writer = try store.start(origin())
    for image in 0..<3 { try writer.append(entry(image, step: 0)) }
    try writer.publish(completedSteps: 1)
    let bytes = try folder.bytes("rank-00000.h5")
    var random = RandomStream(seed: 6, step: 0, sample: nil, purpose: Purpose("flips"))
    for _ in 0..<50 {
      var damaged = bytes
      damaged[Int.random(in: bytes.indices, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      try folder.write(damaged, to: "rank-00000.h5")
      #expect(throws: Failure.self) { try store.reader(rank: 0, expecting: nil) }
    }
    try folder.write(bytes, to: "rank-00000.h5")
    try HDF5PseudoLabelReader(folder.file("rank-00000.h5")).verify()
    let failure = #expect(throws: Failure.self) {
      try HDF5CheckpointStore(folder: "").verify(file: folder.file("rank-00000.h5"))
    }
    #expect(failure?.what == "is of kind pseudo-labels, expected checkpoint or checkpoint-manifest")
  }
}
