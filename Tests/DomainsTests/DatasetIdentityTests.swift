// Two folders with the same files are the same data; what has changed is told by name.

import Domains
import Foundation
import Imagery
import Support
import Tensors
import Testing

@Suite struct DatasetIdentityTests {
  private func identity(_ names: [String], bytes: Int = 9, labelBytes: Int? = nil) -> DatasetIdentity {
    DatasetIdentity(
      images: names.map { DatasetIdentity.Image(name: $0, bytes: bytes, labelBytes: labelBytes) })
  }

  @Test func movedDataAreTheSame() throws {
    let folder = try TemporaryFolder()
    let images = try folder.folder("first/images")
    let labels = try folder.folder("first/labels")
    for stem in ["a", "b"] {
      try writePNG(RGBImage(height: 4, width: 6), to: "\(images)/\(stem).png")
      try writePNG(LabelMap(height: 4, width: 6), to: "\(labels)/\(stem).png")
    }
    func identity(_ name: String) throws -> DatasetIdentity {
      try FolderDataset(images: "\(folder.path)/\(name)/images", labels: "\(folder.path)/\(name)/labels").identity
    }
    let first = try identity("first")
    #expect(
      first.images.map(\.name) == ["a", "b"] && first.images.allSatisfy { $0.bytes > 0 && $0.labelBytes ?? 0 > 0 })
    try FileManager.default.moveItem(atPath: folder.path + "/first", toPath: folder.path + "/second")
    let moved = try identity("second")
    #expect(moved == first && first.changes(in: moved) == nil)
    let other = RGBImage(height: 5, width: 6, pixels: (0..<90).map { UInt8($0 * $0 % 251) })
    try writePNG(other, to: folder.path + "/second/images/b.png")
    #expect(first.changes(in: try identity("second")) == "b has another size")
    try FileManager.default.moveItem(
      atPath: folder.path + "/second/images/a.png", toPath: folder.path + "/second/images/c.png")
    try FileManager.default.moveItem(
      atPath: folder.path + "/second/labels/a.png", toPath: folder.path + "/second/labels/c.png")
    #expect(first.changes(in: try identity("second")) == "a is gone, c is new, b has another size")
  }

  @Test func manyChangesAreCounted() {
    let former = identity((0..<9).map { "s\($0)" })
    #expect(former.changes(in: identity((4..<9).map { "s\($0)" })) == "s0, s1, s2 and 1 more are gone")
    #expect(
      former.changes(in: identity(former.images.map(\.name), bytes: 8)) == "s0, s1, s2 and 6 more have other sizes")
    #expect(former.changes(in: identity(former.images.map(\.name).reversed())) == "the order is another")
    let labelled = identity(["a"], labelBytes: 3)
    #expect(labelled.changes(in: identity(["a"], labelBytes: 4)) == "a has labels of another size")
  }

  @Test func drawnSetsAreTheirDrawing() {
    func scenes(_ count: Int, seed: UInt64) -> DatasetIdentity {
      StreetScenes(domain: .target, count: count, height: 32, width: 64, seed: seed).identity
    }
    #expect(scenes(3, seed: 1) == scenes(3, seed: 1))
    #expect(
      CachedScenes(StreetScenes(domain: .target, count: 3, height: 32, width: 64, seed: 1)).identity
        == scenes(3, seed: 1))
    let changes = scenes(3, seed: 1).changes(in: scenes(4, seed: 1)) ?? ""
    #expect(changes.contains("3 of target") && changes.contains("4 of target"), "\(changes)")
    #expect(scenes(3, seed: 1).changes(in: identity(["a", "b"]))?.hasSuffix("became 2 files") == true)
  }

  @Test func countsBelongToDataMapAndClasses() throws {
    let images = identity(["a"], labelBytes: 3).images
    let plain = DatasetIdentity(images: images)
    let mapped = DatasetIdentity(images: images, map: .cityscapesIds)
    #expect(plain.digest == mapped.digest, "the recipe tells of the map")
    let digests = [plain, mapped].flatMap { [$0.countsDigest(classCount: 19), $0.countsDigest(classCount: 18)] }
    #expect(Set(digests).count == 4)
  }

  @Test func storedNamesReadBack() throws {
    for one in [identity(["a", "b\u{e9}/c"], labelBytes: 4), DatasetIdentity(drawing: "scenes")] {
      #expect(try JSONDecoder().decode(DatasetIdentity.self, from: try JSONEncoder().encode(one)) == one)
    }
  }
}
