// The data sets of a run on hosts that have them in places of their own.

import Collectives
import CollectivesTesting
import Foundation
import Imagery
import Recipes
import Support
import Synchronization
import Tensors
import TestSupport
import Testing
import Training

@Suite struct RunDataTests {
  private let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  /// A recipe for each of two hosts, whose source images lie in folders of their own.
  private func recipes() throws -> [Recipe] {
    try (0..<2).map { host in
      for kind in ["images", "labels"] {
        let place = folder.file("host\(host)/\(kind)")
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        for name in ["a", "b"] {
          try kind == "images"
            ? writePNG(RGBImage(height: 4, width: 6), to: "\(place)/\(name).png")
            : writePNG(LabelMap(height: 4, width: 6), to: "\(place)/\(name).png")
        }
      }
      return try recipe(
        minimal, "data.source.kind=folder", "data.source.images=\(folder.file("host\(host)/images"))",
        "data.source.labels=\(folder.file("host\(host)/labels"))")
    }
  }

  @Test func hostsMayHaveTheSameFilesInOtherPlaces() throws {
    let recipes = try recipes()
    let said = Mutex<[String]>([])
    let found = try LoopbackCommunicator.run(ranks: 2) { communicator in
      try RunData(recipes[communicator.rank], on: communicator) { line in said.withLock { $0.append(line) } }.identities
    }
    let sources = found.compactMap(\.source)
    #expect(sources[0].digest == sources[1].digest && sources[0].images.map(\.name) == ["a", "b"])
    #expect(said.withLock { $0 } == ["source: 2 images, 2 labels, 2 pairs"], "rank 0 tells, and of files only")
  }

  @Test func hostsThatHaveOtherFilesAreRefused() throws {
    let recipes = try recipes()
    try FileManager.default.removeItem(atPath: folder.file("host1/images/b.png"))
    let failed = #expect(throws: Failure.self) {
      _ = try LoopbackCommunicator.run(ranks: 2) { communicator in
        try RunData(recipes[communicator.rank], on: communicator).identities
      }
    }
    #expect(failed?.status == .badData && failed?.remedy == "give all hosts the same files", "\(failed as Any)")
    #expect(failed?.what.contains("the source data") == true)
  }
}
