// Shapes: extents, derived counts, and what they refuse.

import Tensors
import Testing

@Suite struct ShapeTests {
  @Test func countsOfEveryRank() {
    let shapes: [(Shape, rank: Int, count: Int, channels: Int, perSample: Int)] = [
      ([], 0, 1, 1, 1), ([5], 1, 5, 5, 1), ([2, 3], 2, 6, 3, 3), ([2, 3, 4], 3, 24, 4, 12),
      ([2, 3, 4, 5], 4, 120, 5, 60), ([0, 3, 4, 5], 4, 0, 5, 60), ([2, 0], 2, 0, 0, 0),
    ]
    for (shape, rank, count, channels, perSample) in shapes {
      #expect(shape.rank == rank && shape.count == count, "\(shape)")
      #expect(shape.channels == channels && shape.perSample == perSample, "\(shape)")
      #expect(shape.array.count == rank && (0..<rank).allSatisfy { shape[$0] == shape.array[$0] }, "\(shape)")
    }
  }

  @Test func equalityLooksAtTheRankToo() {
    #expect(Shape([2, 3]) == [2, 3])
    #expect(Shape([2, 3]) != [2, 3, 1])
    #expect(Shape([2, 3]) != [3, 2])
    #expect(Set<Shape>([[1], [1, 1], [], [1]]).count == 3)
  }

  @Test func otherChannelsAndSamples() {
    let shape: Shape = [2, 3, 4, 5]
    #expect(shape.withChannels(7) == [2, 3, 4, 7])
    #expect(shape.withSamples(9) == [9, 3, 4, 5])
    #expect(Shape([6]).withChannels(2) == [2])
    #expect(Shape([6]).withSamples(2) == [2])
  }

  @Test func textIsThatOfAList() { #expect("\(Shape([2, 32, 32, 64]))" == "[2, 32, 32, 64]") }

  @Test func fiveAxesAreRefused() async {
    await #expect(processExitsWith: .failure) { _ = Shape([1, 2, 3, 4, 5]) }
  }

  @Test func negativeExtentsAreRefused() async {
    await #expect(processExitsWith: .failure) { _ = Shape([2, -1]) }
  }

  @Test func axesBeyondTheRankAreRefused() async {
    await #expect(processExitsWith: .failure) { _ = Shape([2, 3])[2] }
  }
}
