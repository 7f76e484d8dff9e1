// Sealed files from a stranger: each is refused in one line that names it; none is followed, waited for or believed.

import CHDF5
import Foundation
import Storage
import StorageHDF5
import Support
import Tensors
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct HostileFileTests {
  let folder: TemporaryFolder
  let store: HDF5CheckpointStore
  let caches: HDF5PseudoLabelStore

  init() throws {
    folder = try TemporaryFolder()
    store = HDF5CheckpointStore(folder: folder.path)
    caches = HDF5PseudoLabelStore(folder: folder.path)
    try folder.write(Array("a secret of sixteen".utf8), to: "secret")
  }

  /// Checks a refusal: status 65, one line, the file named.
  private func expectRefusal(_ path: String, _ words: String, _ body: () throws -> Void) {
    let failure = #expect(throws: Failure.self, "\(words)") { try body() }
    #expect(failure?.status == .badData)
    #expect(failure?.place?.hasPrefix(path) == true, "\(failure?.description ?? "")")
    #expect(failure?.description.contains(words) == true, "\(failure?.description ?? "")")
    #expect(failure?.description.contains(where: \.isNewline) == false)
  }

  private static let checkpoints: [(words: String, change: @Sendable (hid_t, String) -> Void)] = [
    ("messages of kind 7", { Mischief.externalStorage($0, "/student/x", reading: "\($1)/secret") }),
    ("expected a layout of version 3", { Mischief.virtual($0, "/student/x", reading: "\($1)/secret") }),
    ("links to other files", { Mischief.externalLink($0, "/student/x", to: "\($1)/fifo") }),
    ("the link x is no hard link", { file, _ in Mischief.softLink(file, "/student/x", to: "/student/x") }),
    ("is not as this program writes it", { file, _ in Mischief.cycle(file, "/student") }),
    ("too many groups in groups", { file, _ in Mischief.depth(file, "/student", 9) }),
    ("not all of its values are in the file", { file, _ in Mischief.claim(file, "/student/x", 1 << 40) }),
    ("the shape", { file, _ in Mischief.claim(file, "/student/x", 1 << 60) }),
    ("not all of its values are in the file", { file, _ in Mischief.emptyChunks(file, "/student/x", 1 << 40) }),
    (
      "a checkpoint has no such dataset",
      { file, _ in
        Mischief.claim(file, "/student/x", 0); H5Lmove(file, "/student/x", file, "/strange", 0, 0)
      }
    ),
  ]

  @Test(arguments: checkpoints.indices) func aCheckpointIsRefused(number: Int) throws {
    let (words, change) = HostileFileTests.checkpoints[number]
    mkfifo(folder.file("fifo"), 0o600)
    let path = try store.save(exampleSnapshot())
    StorageTests.change(path) { change($0, folder.path) }
    try folder.write(sealed(try folder.bytes("step-00000100.h5"), as: "checkpoint"), to: "step-00000100.h5")
    expectRefusal(path, words) { _ = try store.load(file: path, groups: [Snapshot.teacher]) }
    expectRefusal(path, words) { try store.verify(file: path) }
    expectRefusal(path, words) { _ = try store.outline(file: path) }
  }

  @Test func otherValuesUnderASealThatFits() throws {
    let path = try store.save(exampleSnapshot())
    var bytes = try folder.bytes("step-00000100.h5")
    let name = "student/decode_head.head.bn.running_var"
    let values = try #require(exampleSnapshot().tensor(name)).values.withUnsafeBytes { Array($0) }
    let place = try #require(bytes.indices.first { bytes[$0...].starts(with: values) })
    bytes[place] ^= 1
    try folder.write(sealed(bytes, as: "checkpoint"), to: "step-00000100.h5")
    expectRefusal("\(path):/\(name)", "not those of its digest") { _ = try store.load(step: 100) }
    expectRefusal(path, "is damaged in \(name)") { try store.verify(file: path) }
    #expect(try store.load(file: path, groups: [Snapshot.teacher]).records.count == 4)
  }

  @Test func aPipeIsNotWaitedFor() throws {
    let path = folder.file("step-00000001.h5")
    mkfifo(path, 0o600)
    expectRefusal(path, "expected a regular file") { _ = try store.load(step: 1) }
    expectRefusal(path, "expected a regular file") { _ = try HDF5File(reading: path) }
    expectRefusal("/dev/zero", "expected a regular file") { _ = try HDF5PseudoLabelReader("/dev/zero") }
    expectRefusal(folder.path, "expected a regular file") { _ = try HDF5File(reading: folder.path) }
  }

  @Test func aManifestNamesFilesOfItsFolder() throws {
    try saveInParts(store, exampleSnapshot(), 2)
    let path = store.file(step: 100)
    let name = "step-00000100.part-00000-of-00002.h5"
    let bytes = try folder.bytes("step-00000100.h5")
    for start in ["../", "/dev/"] {
      var changed = bytes
      for place in bytes.indices where bytes[place...].starts(with: name.utf8) {
        changed.replaceSubrange(place..<place + start.utf8.count, with: start.utf8)
      }
      try folder.write(sealed(changed, as: "checkpoint-manifest"), to: "step-00000100.h5")
      expectRefusal(path, "what it names are no parts") { _ = try store.load(step: 100) }
    }
    try folder.write(bytes, to: "step-00000100.h5")
    change(path) { Mischief.externalLink($0, "/student/x", to: "\(folder.path)/secret") }
    try folder.write(sealed(try folder.bytes("step-00000100.h5"), as: "checkpoint-manifest"), to: "step-00000100.h5")
    expectRefusal(path, "a link leads to another file than a part") { _ = try store.load(step: 100) }
  }

  private static let cacheChanges: [(words: String, change: @Sendable (hid_t) -> Void)] = [
    ("rank 0 of 0", { Mischief.attribute($0, "world-size", 0) }),
    ("rank -1 of 1", { Mischief.attribute($0, "rank", -1) }),
    ("for a width of 7", { Mischief.attribute($0, "width", 7) }),
    ("generation -4", { Mischief.attribute($0, "generation", -4) }),
    ("entry 0 is of image -9", { Mischief.list($0, "/images/id", [-9, 1]) }),
    ("step 77", { Mischief.list($0, "/images/step", [0, 77]) }),
    ("its shape is [1]", { Mischief.extend($0, "/images/id", [1]) }),
    ("not all of its values are in the file", { Mischief.extend($0, "/labels", [1 << 40, 5, 13]) }),
    (
      "its shape is [2, 5, 13]",
      {
        Mischief.extend($0, "/labels", [3, 5, 13]); Mischief.list($0, "/labels", [Int64](repeating: 0, count: 195))
      }
    ),
    ("messages of kind 7", { Mischief.externalStorage($0, "/x", reading: "/dev/zero") }),
  ]

  private func saveCache() throws -> String {
    let origin = PseudoLabelOrigin(
      teacherDigest: "aa", recipeDigest: "bb", threshold: 0.5, height: 5, width: 13, rank: 0, worldSize: 1)
    let writer = try caches.start(origin)
    for image in 0..<2 {
      try writer.append(
        PseudoLabelEntry(
          image: image, step: 0, labels: LabelMap(height: 5, width: 13),
          probabilities: [Float](repeating: 0, count: 65), threshold: 0.5))
    }
    try writer.publish(completedSteps: 1)
    return caches.file(rank: 0)
  }

  private func reseal() throws {
    try folder.write(sealed(try folder.bytes("rank-00000.h5"), as: "pseudo-labels"), to: "rank-00000.h5")
  }

  @Test(arguments: cacheChanges.indices) func aCacheIsRefused(number: Int) throws {
    let (words, change) = HostileFileTests.cacheChanges[number]
    let path = try saveCache()
    StorageTests.change(path, change)
    try reseal()
    expectRefusal(path, words) { _ = try HDF5PseudoLabelReader(path) }
  }

  @Test func aRowThatIsNoRowIsRefused() throws {
    let path = try saveCache()
    let origin = try HDF5PseudoLabelReader(path).origin
    // Not deflated at all, and far too many bytes when inflated.
    let bomb: [UInt8] = [0x78, 0x9c, 0xed, 0xc1, 0x01, 0x0d, 0, 0, 0, 0xc2, 0xa0, 0xf7, 0x4f, 0x6d, 0x0e, 0x37, 0xa0]
    for bytes in [[1, 2, 3], bomb] {
      change(path) { Mischief.storedRow($0, "/labels", bytes) }
      try reseal()
      let reader = try HDF5PseudoLabelReader(path)
      expectRefusal("\(path):/labels", "does not hold 65 bytes") { _ = try reader.entry(at: 0) }
      expectRefusal("\(path):/labels", "does not hold 65 bytes") { try reader.verify() }
      expectRefusal("\(path):/labels", "does not hold 65 bytes") { _ = try caches.resume(origin, completedSteps: 1) }
    }
  }

  @Test func aViewIsTheOneThatWouldBeWritten() throws {
    _ = try saveCache()
    let path = try HDF5PseudoLabelView.write(caches).path
    let bytes = try folder.bytes("all.h5")
    func expect(_ words: String, _ body: (hid_t) -> Void) throws {
      change(path, body)
      try folder.write(sealed(try folder.bytes("all.h5"), as: "pseudo-label-view"), to: "all.h5")
      expectRefusal(path, words) { _ = try HDF5PseudoLabelView(verifying: path) }
      try folder.write(bytes, to: "all.h5")
    }
    try expect("is not the view over its sources") { Mischief.virtual($0, "/x", reading: "\(folder.path)/secret") }
    try expect("is not the view over its sources") { Mischief.externalLink($0, "/x", to: "\(folder.path)/secret") }
    #expect(try HDF5PseudoLabelView(verifying: path).entryCount == 2)
  }

  private static let numbers: [(words: String, change: @Sendable (hid_t, String) -> Void)] = [
    ("its values are in another file", { Mischief.externalStorage($0, "/g/x", reading: "\($1)/secret") }),
    ("a virtual dataset", { Mischief.virtual($0, "/g/x", reading: "\($1)/secret") }),
    ("found a link elsewhere", { Mischief.externalLink($0, "/g/x", to: "\($1)/secret") }),
    ("found a link elsewhere", { file, _ in Mischief.softLink(file, "/g/x", to: "/g/x") }),
    ("two names lead to the same object", { file, _ in Mischief.cycle(file, "/g") }),
    ("too many groups in groups", { file, _ in Mischief.depth(file, "/g", 9) }),
    ("it claims", { file, _ in Mischief.claim(file, "/g/x", 1 << 40) }),
    ("it claims", { file, _ in Mischief.emptyChunks(file, "/g/x", 1 << 40) }),
  ]

  @Test(arguments: numbers.indices) func aFileOfNumbersIsRefused(number: Int) throws {
    let (words, change) = HostileFileTests.numbers[number]
    let file = try HDF5File(building: "numbers", userBlock: 0, capacity: 1 << 16)
    try file.write(floats: [1, 2], shape: [2], to: "g/good")
    try file.close()
    let path = folder.file("numbers.h5")
    try folder.write(Array(try #require(file.image).bytes), to: "numbers.h5")
    #expect(try HDF5File(reading: path).datasets() == ["g/good"])
    StorageTests.change(path) { change($0, folder.path) }
    expectRefusal(path, words) { _ = try HDF5File(reading: path) }
  }

  @Test func aFolderThatCannotBeListedIsNotEmpty() throws {
    let folders = ["loop", "file"].map(folder.file)
    symlink(folders[0], folders[0])
    try folder.write([1], to: "file")
    for path in folders {
      let failures = [
        #expect(throws: Failure.self) { _ = try HDF5CheckpointStore(folder: path).latest() },
        #expect(throws: Failure.self) { _ = try HDF5PseudoLabelStore(folder: path).files() },
      ]
      for failure in failures {
        #expect(failure?.status == .inputOutput && failure?.what.hasPrefix("cannot list the folder") == true, "\(path)")
      }
    }
    #expect(try HDF5CheckpointStore(folder: folder.file("none")).latest() == nil)
  }
}
