// How pseudo-labels develop: which classes they hold, how sure the teacher is, and whether it still says the same about
// an image as when it last saw it. Counts are integers of the global batch, equal for every layout of ranks.

import Adaptation
import Collectives
import Storage
import Support
import Tensors

/// Figures about the pseudo-labels of the steps since the figures before.
public struct PseudoLabelFigures: Codable, Sendable, Equatable {
  /// Share of pixels that carry each class; classes without any are left out.
  public var coverage: [String: Double]
  /// Share of confident pixels among those that carry the class.
  public var confident: [String: Double]
  /// Share of labelled source pixels that are of each class.
  public var source: [String: Double]
  /// Share of pixels by confidence, in ten equal steps from 0 to 1.
  public var confidence: [Double]
  /// Half the sum of absolute differences between the shares of pseudo-labels and of the source: 0 if they agree, 1 if
  /// they have no class in common; nil without a source.
  public var distance: Double?
  /// Share of pixels that have the label they had when their image was last seen; nil if none was seen again.
  public var agreement: Double?
}

/// Counts the pseudo-labels of a run. All functions are called by all ranks.
public final class PseudoLabelWatch {
  private let names: [String]
  private let threshold: Float
  private let every: Int
  private let communicator: any Communicator
  private var counts: [Int64]
  private var told: Int
  /// Labels of the images that this rank owns, at every eighth pixel of every eighth row.
  private var memory: [Int: [UInt8]] = [:]
  private static let stride = 8
  private static let bins = 10

  /// A watch over classes of these names.
  /// - Parameters:
  ///   - names: of classes, by train id.
  ///   - threshold: confidence from which a pixel counts as confident.
  ///   - every: steps from one set of figures to the next.
  ///   - completedSteps: steps that were complete when the watch began.
  ///   - communicator: the ranks.
  public init(
    classes names: [String], threshold: Float, every: Int, completedSteps: Int, on communicator: any Communicator
  ) {
    precondition(every > 0, "figures every \(every) steps")
    self.names = names
    self.threshold = threshold
    self.every = every
    self.communicator = communicator
    told = completedSteps / every
    counts = []
    clear()
  }

  /// Places of the counts: classes of pseudo-labels, confident ones, classes of the source, confidences, pixels seen
  /// again and those of them that agree.
  private var confidentBegin: Int { names.count }
  private var sourceBegin: Int { 2 * names.count }
  private var binBegin: Int { 3 * names.count }
  private var againIndex: Int { binBegin + PseudoLabelWatch.bins }

  private func clear() { counts = [Int64](repeating: 0, count: 3 * names.count + PseudoLabelWatch.bins + 2) }

  /// Counts a batch's labels of this rank's samples. Of ranks that hold the same samples, one does.
  /// - Parameters:
  ///   - pseudo: what the target images were labelled as.
  ///   - source: labels of the source images; nil for methods without.
  public func add(_ pseudo: PseudoLabels, source: LabelMap?) {
    // A copy of its own: the class's array would be looked up and checked at every pixel.
    var counts = [Int64](repeating: 0, count: self.counts.count)
    let (classes, bins) = (names.count, PseudoLabelWatch.bins)
    for sample in 0..<pseudo.labels.samples {
      let labels = pseudo.labels.sample(sample).values
      let confidence = pseudo.confidence.sample(sample).values
      for (label, probability) in zip(labels, confidence) {
        if Int(label) < classes {
          counts[Int(label)] += 1
          if probability >= threshold { counts[classes + Int(label)] += 1 }
        }
        let place = probability * Float(bins)
        counts[3 * classes + (place >= 1 ? Int(min(place, Float(bins) - 0.5)) : 0)] += 1
      }
      guard let source else { continue }
      for label in source.sample(sample).values where Int(label) < classes { counts[2 * classes + Int(label)] += 1 }
    }
    for index in counts.indices { self.counts[index] += counts[index] }
  }

  /// Compares an entry with what was said about the image before. Only the rank that owns the image calls it.
  public func saw(_ entry: PseudoLabelEntry) {
    let (height, width, step) = (entry.labels.height, entry.labels.width, PseudoLabelWatch.stride)
    let columns = (width + step - 1) / step
    var known = memory[entry.image] ?? [UInt8](repeating: 255, count: (height + step - 1) / step * columns)
    for row in Swift.stride(from: 0, to: height, by: step) {
      for column in Swift.stride(from: 0, to: width, by: step) {
        let label = entry.labels.values[row * width + column]
        guard label != 255 else { continue }
        let place = row / step * columns + column / step
        if known[place] != 255 {
          counts[againIndex] += 1
          if known[place] == label { counts[againIndex + 1] += 1 }
        }
        known[place] = label
      }
    }
    memory[entry.image] = known
  }

  /// The figures, at the first logged step after so many; nil at others.
  public func figures(completed: Int) throws -> PseudoLabelFigures? {
    guard completed / every > told else { return nil }
    told = completed / every
    let sums = try communicator.sumIntegers(counts)
    clear()
    return figures(sums)
  }

  private func figures(_ sums: [Int64]) -> PseudoLabelFigures {
    let pixels = Double(sums[binBegin..<againIndex].reduce(0, +))
    let sourcePixels = Double(sums[sourceBegin..<binBegin].reduce(0, +))
    var figures = PseudoLabelFigures(
      coverage: [:], confident: [:], source: [:],
      confidence: sums[binBegin..<againIndex].map { Double($0) / max(pixels, 1) })
    var distance = 0.0
    for (index, name) in names.enumerated() {
      let (here, there) = (Double(sums[index]), Double(sums[sourceBegin + index]))
      if here > 0 {
        figures.coverage[name] = here / pixels
        figures.confident[name] = Double(sums[confidentBegin + index]) / here
      }
      if there > 0 { figures.source[name] = there / sourcePixels }
      distance += abs(here / max(pixels, 1) - there / max(sourcePixels, 1)) / 2
    }
    if sourcePixels > 0 { figures.distance = distance }
    let again = Double(sums[againIndex])
    if again > 0 { figures.agreement = Double(sums[againIndex + 1]) / again }
    return figures
  }
}
