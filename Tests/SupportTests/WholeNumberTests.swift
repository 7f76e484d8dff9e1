// Whole numbers from numbers of any size.

import Support
import Testing

@Suite struct WholeNumberTests {
  @Test(arguments: [
    (0.0, 0), (2.9, 2), (-2.9, -2), (1e18, 1_000_000_000_000_000_000), (1e19, Int.max), (-1e300, .min),
    (.infinity, .max), (-.infinity, .min), (.nan, 0), (.leastNonzeroMagnitude, 0),
  ])
  func everyNumberHasAWholeOne(_ value: Double, _ whole: Int) { #expect(Int(clamping: value) == whole) }

  @Test func smallTypesHaveTheirOwnEnds() {
    #expect(UInt8(clamping: Float(300)) == 255 && UInt8(clamping: Float(-1)) == 0 && UInt8(clamping: 254.9) == 254)
  }

  @Test(arguments: [(0, 8, 0), (1, 8, 8), (8, 8, 8), (9, 8, 16), (7, 1, 7)])
  func multiplesAreNotSmaller(_ number: Int, _ multiple: Int, _ rounded: Int) {
    #expect(number.roundedUp(to: multiple) == rounded)
  }
}
