// Class sets and label maps: tables against the descriptions of the data sets, refusals of what cannot be.

import Domains
import Support
import Tensors
import Testing

@Suite struct ClassSetTests {
  @Test func builtInSetsAreComplete() throws {
    #expect(ClassSet.cityscapes19.count == 19)
    #expect(ClassSet.cityscapes19.names[12] == "rider")
    #expect(ClassSet.camvid11.count == 11)
    #expect(Set(ClassSet.builtIn.map(\.name)).count == ClassSet.builtIn.count)
    for set in ClassSet.builtIn {
      #expect(try ClassSet.named(set.name) == set)
      #expect(try #require(set.ids.largestTrainId) < set.count)
    }
  }

  @Test func predictionsThatCamvidLacksCountAsWhatHoldsThem() {
    let scored = ClassSet.camvidAsCityscapes19.scoredAs
    #expect(scored == [0, 1, 2, 2, 4, 5, 7, 7, 8, 8, 10, 11, 12, 13, 13, 13, 13, 12, 12])
    #expect(ClassSet.cityscapes19.scoredAs == (0..<19).map { UInt8($0) })
    let labelled = Set(ClassSet.camvidAsCityscapes19.ids.trainIds.compactMap { $0 }).subtracting([255])
    #expect(Set(scored) == labelled)
  }

  @Test func customSetsAreChecked() throws {
    let roads = try ClassSet(name: "roads", names: ["road", "pavement"])
    #expect(roads.palette.colours[0] != roads.palette.colours[1])
    #expect(roads.ids.trainIds[1] == 1 && roads.ids.trainIds[2] == nil && roads.ids.trainIds[255] == 255)
    #expect(failure { _ = try ClassSet(name: "n", names: []) }?.status == .badData)
    #expect(failure { _ = try ClassSet(name: "n", names: ["a", "a"]) }?.what.contains("\"a\"") == true)
    #expect(
      failure { _ = try ClassSet(name: "n", names: ["a"], colours: [[0, 0, 0], [1, 1, 1]]) }?.status == .badData)
    #expect(failure { _ = try ClassSet(name: "n", names: ["a"], merges: [0: 1]) }?.what.contains("0 -> 1") == true)
    #expect(failure { _ = try roads.with(ids: .cityscapesIds) }?.what.contains("18") == true)
    #expect(failure { _ = try ClassSet.named("cityscape19") }?.remedy?.contains("cityscapes19?") == true)
  }

  @Test func generatedColoursDiffer() throws {
    let many = try ClassSet(name: "many", names: (0..<200).map { "class \($0)" })
    #expect(Set(many.palette.colours).count == 200)
  }
}

@Suite struct LabelIdMapTests {
  @Test func cityscapesIdsFollowTheTable() {
    let map = LabelIdMap.cityscapesIds.trainIds
    let trainIds: [Int: UInt8] = [
      7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14,
      28: 15, 31: 16, 32: 17, 33: 18,
    ]
    for id in 0...34 { #expect(map[id] == trainIds[id] ?? 255, "id \(id)") }
    for id in 35..<255 { #expect(map[id] == nil) }
  }

  @Test func carlaIdsFollowTheTable() {
    let map = LabelIdMap.carlascapes.trainIds
    for id in 0...255 {
      let expected: UInt8 = (1...19).contains(id) ? UInt8(id - 1) : id == 24 ? 0 : 255
      #expect(map[id] == expected, "id \(id)")
    }
  }

  @Test func camvidFollowsTheTable() {
    #expect(
      LabelIdMap.camvidToCityscapes.trainIds[0...11].map { $0 } == [10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 12, 255])
  }

  @Test func unlistedIdsAreRefusedWithTheirPixel() throws {
    let labels = LabelMap(height: 2, width: 3, values: [0, 1, 255, 1, 7, 9])
    let failed = failure { _ = try LabelIdMap.identity(classCount: 2).apply(to: labels, file: "a/b.png") }
    #expect(failed?.status == .badData)
    #expect(failed?.place == "a/b.png")
    #expect(
      failed?.what == "label id 7 at row 1, column 1 is not in map \"train-ids\" (1 pixel), nor is 9 (1 pixel)")
    let many = LabelMap(height: 1, width: 20, values: (1...10).flatMap { [$0, $0] })
    let all = failure { _ = try LabelIdMap.identity(classCount: 2).apply(to: many, file: "b.png") }
    #expect(
      all?.what == "label id 2 at row 0, column 2 is not in map \"train-ids\" (2 pixels), nor are 3 (2 pixels), "
        + "4 (2 pixels), 5 (2 pixels), 6 (2 pixels), 7 (2 pixels) and 3 more")
    let lenient = try LabelIdMap(name: "lenient", entries: [0: 3, 1: 4], unlisted: 255)
    #expect(try lenient.apply(to: labels, file: "").values == [3, 4, 255, 4, 255, 255])
  }

  @Test func badMapsAreRefused() {
    #expect(failure { _ = try LabelIdMap(name: "m", entries: [256: 0]) }?.what.contains("256 -> 0") == true)
    #expect(failure { _ = try LabelIdMap(name: "m", entries: [0: -1]) }?.status == .badData)
    #expect(
      failure { _ = try LabelIdMap.named("cityscape-ids", classCount: 19) }?.remedy?.contains("cityscapes-ids?") == true
    )
  }

  @Test(arguments: LabelIdMap.names) func everyNameIsKnown(_ name: String) throws {
    #expect(try LabelIdMap.named(name, classCount: 19).name == name)
  }
}
