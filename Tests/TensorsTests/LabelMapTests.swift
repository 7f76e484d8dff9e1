// Label maps and boxes.

import Tensors
import Testing

@Suite struct LabelMapTests {
  private static func counting(_ samples: Int, _ height: Int, _ width: Int) -> LabelMap {
    LabelMap(
      samples: samples, height: height, width: width, values: (0..<samples * height * width).map { UInt8($0) })
  }

  @Test func labelsAreIgnoredUnlessGiven() {
    #expect(LabelMap(samples: 2, height: 2, width: 3).values == [UInt8](repeating: 255, count: 12))
    #expect(LabelMap.ignored == 255)
  }

  @Test func samplesAndStackingAreInverse() {
    let maps = LabelMapTests.counting(3, 2, 4)
    let parts = (0..<3).map { maps.sample($0) }
    #expect(parts[1].values == Array(8..<16) && parts[1].samples == 1)
    #expect(LabelMap(stacking: parts) == maps)
    #expect(LabelMap(stacking: [maps, parts[0]]).samples == 4)
  }

  @Test func croppingCutsEverySample() {
    let cropped = LabelMapTests.counting(2, 4, 5).cropped(to: Box(top: 1, bottom: 3, left: 2, right: 5))
    #expect((cropped.samples, cropped.height, cropped.width) == (2, 2, 3))
    #expect(cropped.values == [7, 8, 9, 12, 13, 14, 27, 28, 29, 32, 33, 34])
  }

  @Test func croppingToEverythingOrNothing() {
    let map = LabelMapTests.counting(2, 3, 4)
    #expect(map.cropped(to: Box(top: 0, bottom: 3, left: 0, right: 4)) == map)
    #expect(map.cropped(to: Box(top: 1, bottom: 1, left: 0, right: 4)).values.isEmpty)
  }

  @Test func boxesHaveSizesAndScale() {
    let box = Box(top: 256, bottom: 768, left: 128, right: 640)
    #expect(box.height == 512 && box.width == 512)
    #expect(box.divided(by: 4) == Box(top: 64, bottom: 192, left: 32, right: 160))
    #expect("\(Box(top: 0, bottom: 64, left: 8, right: 72))" == "rows 0..<64, columns 8..<72")
  }

  @Test func labelsThatDoNotFitAreRefused() async {
    await #expect(processExitsWith: .failure) { _ = LabelMap(height: 2, width: 2, values: [1, 2, 3]) }
  }

  @Test func mapsOfDifferentSizesAreNotStacked() async {
    await #expect(processExitsWith: .failure) {
      _ = LabelMap(stacking: [LabelMap(height: 2, width: 3), LabelMap(height: 3, width: 2)])
    }
  }

  @Test func boxesBeyondTheMapAreRefused() async {
    await #expect(processExitsWith: .failure) {
      _ = LabelMap(height: 4, width: 4).cropped(to: Box(top: 2, bottom: 5, left: 0, right: 4))
    }
  }

  @Test func boxesInsideOutAreRefused() async {
    await #expect(processExitsWith: .failure) { _ = Box(top: 2, bottom: 1, left: 0, right: 4) }
  }

  @Test func filledUpMapsAreIgnoredOutside() {
    let maps = LabelMap(samples: 2, height: 2, width: 3, values: Array(0..<12))
    let larger = maps.filledUp(height: 3, width: 5)
    #expect(larger.cropped(to: Box(top: 0, bottom: 2, left: 0, right: 3)) == maps)
    #expect(larger.values.count { $0 == LabelMap.ignored } == 2 * (15 - 6))
    #expect(maps.filledUp(height: 2, width: 3) == maps)
  }
}
