// The first look at a run's data: shared by ranks, told in one failure, remembered in the run's folder.

import Collectives
import CollectivesTesting
import Domains
import Foundation
import Imagery
import Support
import Tensors
import TestSupport
import Testing
import Training

@Suite struct DataLookTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A set of pairs of which every third label is too small.
  private func dataset(_ count: Int, isGood: Bool = false) throws -> FolderDataset {
    for name in ["images", "labels"] {
      try FileManager.default.createDirectory(atPath: folder.file(name), withIntermediateDirectories: true)
    }
    for index in 0..<count {
      try writePNG(RGBImage(height: 8, width: 8), to: folder.file("images/\(index).png"))
      let height = index % 3 == 2 && !isGood ? 7 : 8
      try writePNG(LabelMap(height: height, width: 8), to: folder.file("labels/\(index).png"))
    }
    return try FolderDataset(images: folder.file("images"), labels: folder.file("labels"))
  }

  private func refusal(_ sets: [LookedAt], ranks: Int, folder: String?) throws -> [Failure?] {
    try LoopbackCommunicator.run(ranks: ranks) { communicator -> Failure? in
      do {
        try DataLook(folder: folder) { _ in }.look(at: sets, on: communicator)
        return nil
      } catch {
        #expect(communicator.agreedFailure == error as? Failure)
        return error as? Failure
      }
    }
  }

  @Test(arguments: [1, 3]) func fewFaultsAreAllNamed(ranks: Int) throws {
    let set = LookedAt("data.source", try dataset(9))
    for met in try refusal([set], ranks: ranks, folder: folder.file("run")) {
      #expect(met?.status == .badData && met?.place == folder.file("labels/2.png"))
      #expect(met?.what.contains("3 of 9 images or their labels are wrong, also data.source 5, data.source 8") == true)
    }
    #expect(!FileManager.default.fileExists(atPath: folder.file("run")))
  }

  @Test(arguments: [1, 3]) func manyFaultsAreListedInAFile(ranks: Int) throws {
    let set = try dataset(30)
    let sets = [LookedAt("data.source", set), LookedAt("data.validation", set)]
    for met in try refusal(sets, ranks: ranks, folder: folder.file("run")) {
      #expect(met?.what.contains("20 of 60 images or their labels are wrong") == true)
      #expect(met?.remedy?.hasSuffix("all are listed in \(folder.file("run/bad-files.txt"))") == true)
    }
    let lines = String(decoding: try folder.bytes("run/bad-files.txt"), as: UTF8.self).split(separator: "\n")
    #expect(lines.count == 20)
    #expect(lines[0].hasPrefix("data.source: \(folder.file("labels/11.png")): label is 8x7"))
    #expect(lines.count { $0.hasPrefix("data.validation: ") } == 10)
  }

  @Test func whatWasFoundGoodIsNotLookedAtAgain() throws {
    let set = try dataset(3, isGood: true)
    let sets = [LookedAt("data.source", set, FileDemands(crop: PixelSize(height: 8, width: 8)))]
    let solo = SoloCommunicator()
    let run = folder.file("run")
    let look = DataLook(folder: run) { _ in }
    #expect(try look.isNew(sets, classCount: 19, on: solo) == [true])
    look.remember()
    let directory = try RunDirectory(run, resume: false)
    look.save(in: directory)
    #expect(try !directory.layout.holdsRun())
    func isNew(_ sets: [LookedAt], classCount: Int = 19) throws -> [Bool] {
      try DataLook(folder: run) { _ in }.isNew(sets, classCount: classCount, on: solo)
    }
    #expect(try isNew(sets) == [false])
    #expect(try isNew(sets, classCount: 18) == [true])
    #expect(try isNew([LookedAt("data.source", set)]) == [true])
    try writePNG(
      LabelMap(height: 8, width: 8, values: (0..<64).map { UInt8($0 % 19) }), to: folder.file("labels/1.png"))
    let other = try FolderDataset(images: folder.file("images"), labels: folder.file("labels"))
    #expect(try isNew([LookedAt("data.source", other, sets[0].demands)]) == [true])
    try Data("nonsense".utf8).write(to: URL(filePath: run + "/checked-data.json"))
    #expect(try isNew(sets) == [true])
  }
}
