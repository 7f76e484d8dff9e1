// Procedural scenes whose classes are told apart otherwise.

import Domains
import Support
import Tensors
import Testing

@Suite struct SceneTaxonomyTests {
  private func scenes(_ map: LabelIdMap?, _ classes: ClassSet = .cityscapes19) throws -> any Dataset {
    var specification = DatasetSpecification.procedural(
      domain: "source", count: 6, size: PixelSize(height: 64, width: 128), seed: 1)
    specification.map = map
    return try makeDataset(specification, classes: classes)
  }

  private func classes(_ set: any Dataset) throws -> Set<UInt8> {
    try (0..<set.count).reduce(into: []) { $0.formUnion(try set.labels($1)?.values ?? []) }
  }

  @Test(arguments: [
    ("train-ids-coarse", [9, 12, 18], 8), ("train-ids-open", [3, 4, 5, 9, 14, 16], 255),
    ("train-ids-vehicle", [16, 17, 18], 13), ("train-ids-16", [16, 17, 18], 14),
  ])
  func builtInMapsMergeAndIgnoreClasses(_ name: String, _ gone: [UInt8], _ stays: UInt8) throws {
    let all = try classes(scenes(nil))
    #expect(all.isSuperset(of: [3, 4, 5, 8, 9, 11, 12, 13, 14, 15, 17, 18]), "scenes show every class")
    let mapped = try classes(scenes(.named(name, classCount: 19)))
    #expect(mapped.isDisjoint(with: gone) && mapped.contains(stays))
    #expect(mapped.subtracting([14, 15]).isSubset(of: all))
  }

  @Test func mappedScenesAreTheSameImages() throws {
    let (plain, mapped) = (try scenes(nil), try scenes(.coarseIds))
    #expect(try plain.image(2) == mapped.image(2))
    let table = LabelIdMap.coarseIds.trainIds
    #expect(try mapped.labels(2)?.values == plain.labels(2)?.values.map { table[Int($0)] ?? 0 })
    #expect(try mapped.imageAndLabels(2).labels == mapped.labels(2))
    // The recipe tells of the map, so that the data are the same; their counts are not.
    #expect(plain.identity.digest == mapped.identity.digest)
    #expect(plain.identity.countsDigest(classCount: 19) != mapped.identity.countsDigest(classCount: 19))
    #expect(try scenes(.identity(classCount: 19)).identity == plain.identity)
  }

  @Test func aMapMayMakeOtherClasses() throws {
    let sixteen = try ClassSet(name: "sixteen", names: (0..<16).map { "class \($0)" })
    #expect(try classes(scenes(.sixteenIds, sixteen)).filter { $0 != 255 }.max() == 15)
    let failed = failure { _ = try scenes(nil, sixteen) }
    #expect(failed?.what == "scenes are labelled in the 19 Cityscapes classes, not in sixteen")
    let large = failure { _ = try scenes(.coarseIds, sixteen) }
    #expect(large?.what == "label map train-ids-coarse yields train id 17, but sixteen has 16 classes")
    let few = try scenes(LabelIdMap(name: "listed", entries: [0: 0, 255: 255]))
    let missing = failure { _ = try few.labels(0) }
    #expect(missing?.status == .badData && missing?.place == "source-000000")
  }
}
