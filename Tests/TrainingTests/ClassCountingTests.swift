// Class pixels of the source labels: counted once by all ranks together, kept, and counted anew where they do not fit.

import Collectives
import CollectivesTesting
import Domains
import Foundation
import Imagery
import Storage
import Support
import Synchronization
import Tensors
import TestSupport
import Testing
import Training

/// A labelled set that counts how often each label is read.
private final class ReadLabels: Dataset {
  let count = 23
  let bytes: Int
  private let reads = Mutex([Int: Int]())

  init(bytes: Int = 4) { self.bytes = bytes }

  var readings: [Int: Int] { reads.withLock { $0 } }
  var identity: DatasetIdentity {
    DatasetIdentity(
      images: (0..<count).map { DatasetIdentity.Image(name: name($0), bytes: bytes, labelBytes: bytes) })
  }

  func name(_ index: Int) -> String { "image \(index)" }
  func image(_ index: Int) -> RGBImage { RGBImage(height: 2, width: 3) }
  func labels(_ index: Int) throws -> LabelMap? {
    reads.withLock { $0[index, default: 0] += 1 }
    guard bytes > 0 else { throw Failure(.badData, "label \(index) is damaged") }
    return LabelMap(height: 2, width: 3, values: [0, 0, UInt8(index % 3), 1, 255, 1])
  }
}

@Suite struct ClassCountingTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  private func statistics(
    _ labels: ReadLabels, ranks: Int = 1, keptIn directory: RunDirectory? = nil, index: String? = nil,
    say: @escaping @Sendable (String) -> Void = { _ in }
  ) throws -> [ClassStatistics] {
    nonisolated(unsafe) let directory = directory
    return try LoopbackCommunicator.run(ranks: ranks) { communicator in
      try ClassCounting(keptIn: communicator.rank == 0 ? directory : nil, orReadFrom: index, say: say)
        .statistics(of: labels, classCount: 3, on: communicator)
    }
  }

  @Test(arguments: [1, 2, 5]) func everyLabelIsReadOnceWhateverTheRanks(ranks: Int) throws {
    let labels = ReadLabels()
    let counted = try statistics(labels, ranks: ranks)
    #expect(labels.readings == Dictionary(uniqueKeysWithValues: (0..<23).map { ($0, 1) }))
    let alone = try ClassStatistics(of: ReadLabels(), classCount: 3)
    #expect(counted.allSatisfy { $0 == alone } && alone.totals.reduce(0, +) == 23 * 5)
  }

  @Test func keptCountsAreReadAndOthersCountedAnew() throws {
    let said = Mutex<[String]>([])
    let say: @Sendable (String) -> Void = { line in said.withLock { $0.append(line) } }
    let directory = try RunDirectory(folder.file("run"), resume: false)
    let first = try statistics(ReadLabels(), ranks: 2, keptIn: directory)[0]
    let again = ReadLabels()
    #expect(try statistics(again, ranks: 3, keptIn: directory).allSatisfy { $0 == first } && again.readings.isEmpty)

    // Other data have another name; what has the name and does not fit is told.
    let others = ReadLabels(bytes: 5)
    _ = try statistics(others, keptIn: directory, say: say)
    #expect(others.readings.count == 23 && said.withLock { $0 }.isEmpty)
    let kept = directory.layout.classIndex(again.identity.countsDigest(classCount: 3))
    try FileManager.default.removeItem(atPath: kept)
    try FileManager.default.copyItem(
      atPath: directory.layout.classIndex(others.identity.countsDigest(classCount: 3)), toPath: kept)
    #expect(try statistics(again, keptIn: directory, say: say) == [first] && again.readings.count == 23)
    try Data("{}".utf8).write(to: URL(filePath: kept))
    #expect(try statistics(again, keptIn: directory, say: say) == [first])
    #expect(
      said.withLock { $0 } == [
        "\(kept): counts of other data; counting anew", "\(kept): not a class index; counting anew",
      ])
    #expect(try ClassStatistics(contentsOf: kept) == first)
  }

  @Test func countsOfAnEarlierRunServeAndAreKept() throws {
    let (first, next) = (
      try RunDirectory(folder.file("1"), resume: false), try RunDirectory(folder.file("2"), resume: false)
    )
    let counted = try statistics(ReadLabels(), keptIn: first)[0]
    let (again, others) = (ReadLabels(), ReadLabels(bytes: 5))
    for (labels, readings) in [(again, 0), (others, 23)] {
      let counting = ClassCounting(keptIn: next, earlier: [folder.file("none"), first.layout.path])
      let found = try counting.statistics(of: labels, classCount: 3, on: SoloCommunicator())
      #expect(found.totals == counted.totals && labels.readings.count == readings)
      let kept = next.layout.classIndex(labels.identity.countsDigest(classCount: 3))
      #expect(try ClassStatistics(contentsOf: kept) == found)
    }
  }

  @Test func anIndexThatIsNamedServes() throws {
    let index = folder.file("index.json")
    try ClassStatistics(of: ReadLabels(), classCount: 3).save(to: index)
    let labels = ReadLabels()
    _ = try statistics(labels, ranks: 2, index: index)
    #expect(labels.readings.isEmpty)
    let others = ReadLabels(bytes: 5)
    _ = try statistics(others, index: index)
    #expect(others.readings.count == 23)
    let failed = #expect(throws: Failure.self) { _ = try statistics(labels, index: folder.file("none.json")) }
    #expect(failed?.status == .missingInput && failed?.place == folder.file("none.json"))
  }

  @Test func aLabelThatCannotBeReadEndsCountingOnAllRanks() throws {
    let failed = #expect(throws: Failure.self) { _ = try statistics(ReadLabels(bytes: 0), ranks: 2) }
    #expect(failed?.status == .badData && failed?.what == "label 0 is damaged", "\(failed as Any)")
  }
}
