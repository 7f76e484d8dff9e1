// Quantiles and greatest numbers from counts, against sorted lists.

import Adaptation
import Support
import Testing

@Suite struct ConfidenceHistogramTests {
  private static func histogram(_ confidences: [Float], label: UInt8 = 0, classes: Int = 2) -> ConfidenceHistogram {
    var histogram = ConfidenceHistogram(classes: classes)
    histogram.add(
      labels: confidences.map { _ in label }, confidences: confidences.map { ConfidenceHistogram.stored($0) })
    return histogram
  }

  @Test func confidencesAreStoredAsTheWholeNumberBelow() {
    let found = [0, 0.5, 0.99999, 1, 1.5, -1, .nan].map { ConfidenceHistogram.stored($0) }
    #expect(found == [0, 32767, 65534, 65535, 65535, 0, 0])
  }

  /// The numbers of SPCL's specification: 4 values give index 2, 3 values index 2 (1.5 is rounded to even), 5 index 2.
  @Test func quantilesOfTheSpecification() {
    func half(_ confidences: [Float]) -> UInt16? {
      ConfidenceHistogramTests.histogram(confidences).quantile(0.5, of: 0)
    }
    #expect(half([0.8, 0.2, 0.6, 0.4]) == ConfidenceHistogram.stored(0.6))
    #expect(half([0.91, 0.95, 0.97]) == ConfidenceHistogram.stored(0.97))
    #expect(half([0.5, 0.4, 0.3, 0.2, 0.1]) == ConfidenceHistogram.stored(0.3))
    #expect(half([0.7]) == ConfidenceHistogram.stored(0.7) && half([]) == nil)
    #expect(ConfidenceHistogramTests.histogram([0.3, 0.4]).quantile(1, of: 0) == ConfidenceHistogram.stored(0.4))
    #expect(ConfidenceHistogramTests.histogram([0.3, 0.4]).quantile(0.5, of: 1) == nil)
  }

  @Test func quantilesAreThoseOfTheSortedNumbers() {
    var stream = RandomStream(seed: 3, step: 0, sample: nil, purpose: Purpose("test"))
    let labels = (0..<999).map { _ in stream.nextIndex(below: 5) }.map { $0 == 4 ? UInt8(255) : UInt8($0) }
    let numbers = (0..<999).map { _ in UInt16(stream.nextIndex(below: 40)) * 1600 }
    var parts = (0..<3).map { _ in ConfidenceHistogram(classes: 4) }
    for index in 0..<999 { parts[index % 3].add(labels: [labels[index]], confidences: [numbers[index]]) }
    var histogram = parts[2]
    histogram.add(parts[0])
    histogram.add(parts[1])
    for label in 0..<4 {
      let sorted = zip(labels, numbers).filter { Int($0.0) == label }.map(\.1).sorted()
      #expect(histogram.total(label) == sorted.count)
      for share in [0, 0.1, 0.5, 0.66, 1] {
        let index = min(Int((Double(sorted.count) * share).rounded(.toNearestOrEven)), sorted.count - 1)
        #expect(histogram.quantile(share, of: label) == sorted[index])
      }
      for count in [1, 7, 100_000] {
        #expect(histogram.leastOfLargest(count, of: label) == sorted[max(0, sorted.count - count)])
      }
    }
  }
}
