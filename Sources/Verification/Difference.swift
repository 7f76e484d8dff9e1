// How far two lists of numbers are apart: at the worst element, and in norm.

import Foundation

/// The elementwise difference between a result and its reference.
struct Difference {
  /// Largest magnitude of the difference; infinite if the two cannot be compared.
  private(set) var largest = 0.0
  /// Where it is.
  private(set) var place = 0
  /// Largest magnitude of the reference.
  private(set) var scale = 0.0
  /// Why the two cannot be compared.
  private(set) var problem: String?
  private var magnitudes: [Double] = []

  /// Whether counts agree and every result is finite.
  var isComparable: Bool { problem == nil }

  init(_ actual: [Double], _ reference: [Double]) {
    scale = reference.reduce(0) { max($0, abs($1)) }
    guard actual.count == reference.count else {
      refuse("\(actual.count) elements instead of \(reference.count)")
      return
    }
    for (index, value) in actual.enumerated() {
      guard value.isFinite, reference[index].isFinite else {
        refuse("not finite at element \(index)")
        return
      }
      let magnitude = abs(value - reference[index])
      magnitudes.append(magnitude)
      if magnitude > largest { (largest, place) = (magnitude, index) }
    }
  }

  init(_ actual: [Float], _ reference: [Float]) { self.init(actual.map(Double.init), reference.map(Double.init)) }

  /// How many elements differ by more than `limit`.
  func count(over limit: Double) -> Int { magnitudes.count { $0 > limit } }

  private mutating func refuse(_ why: String) {
    problem = why
    largest = .infinity
  }
}

/// Squared norms of differences, references and noise, over one tensor or many.
struct NormSums {
  private var difference = 0.0
  private var reference = 0.0
  private var noise = 0.0
  private(set) var largest = 0.0
  /// Elements over the rule for forward values.
  var overElementRule = 0
  /// Whether every tensor could be compared.
  var isComparable = true

  /// Adds a tensor. Of its noise only the largest element is known, which bounds the norm.
  mutating func add(_ actual: [Float], _ expected: [Float], skipping skipped: Range<Int>, noise largestNoise: Double) {
    for index in expected.indices {
      let apart = abs(Double(actual[index]) - Double(expected[index]))
      largest = max(largest, apart)
      guard !skipped.contains(index) else { continue }
      difference += apart * apart
      reference += Double(expected[index]) * Double(expected[index])
      noise += largestNoise * largestNoise
    }
  }

  /// Adds the sums of another tensor.
  mutating func add(_ other: NormSums) {
    difference += other.difference
    reference += other.reference
    noise += other.noise
    largest = max(largest, other.largest)
    overElementRule += other.overElementRule
    isComparable = isComparable && other.isComparable
  }

  /// The norm of the difference divided by the allowed one.
  func times(_ tolerance: Double) -> Double {
    guard isComparable else { return .infinity }
    let allowed = tolerance * max(10 * noise.squareRoot(), Verifier.normShare * reference.squareRoot())
    return ratio(difference.squareRoot(), allowed)
  }

  /// The relative norm, and how many elements the rule for forward values would refuse.
  var note: String {
    guard isComparable else { return "a tensor could not be compared" }
    let norm = "norm " + String(format: "%.1e", ratio(difference.squareRoot(), reference.squareRoot()))
    return overElementRule == 0 ? norm : norm + ", \(overElementRule) over the element rule"
  }
}
