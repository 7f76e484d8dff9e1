// Rare class sampling of source images (DAFormer, Hoyer et al., CVPR 2022, equations 8 and 9).
// K classes, f their shares of labelled pixels, T the temperature.

import Support
import Tensors

/// Probability of drawing each class: softmax((1 - f) / T) over the classes that occur, 0 for the others.
///
/// - Parameters:
///   - pixels: pixels by class over the whole set, ignored ones left out.
///   - temperature: T; the smaller, the more often the rarest class is drawn.
/// - Precondition: some class has a pixel and the temperature is positive.
/// Source: DAFormer, equation 9; shares are of labelled pixels, as in the published code.
public func rareClassProbabilities(pixels: [Int], temperature: Double) -> [Double] {
  let all = Double(pixels.reduce(0, +))
  precondition(all > 0 && temperature > 0, "\(Int(all)) pixels, temperature \(temperature)")
  let exponents = pixels.map { $0 > 0 ? (1 - Double($0) / all) / temperature : -.infinity }
  let largest = exponents.max() ?? 0
  let terms = exponents.map { ($0 - largest).exponential }
  let sum = terms.reduce(0, +)
  return terms.map { $0 / sum }
}

/// The numbers of rare class sampling.
public struct RareClassOptions: Sendable, Equatable {
  /// T of the class probabilities.
  public var temperature: Double
  /// An image serves a class if it holds more pixels of it than this, counted at the labels' original size.
  public var minimumPixels: Int
  /// A crop serves a class if it holds more pixels of it than this, counted after the resize.
  public var minimumCropPixels: Int
  /// Redraws of a crop that does not serve its class; the last is kept whatever it holds.
  public var redraws: Int

  /// From its values.
  public init(temperature: Double = 0.01, minimumPixels: Int, minimumCropPixels: Int, redraws: Int = 10) {
    self.temperature = temperature
    self.minimumPixels = minimumPixels
    self.minimumCropPixels = minimumCropPixels
    self.redraws = redraws
  }

  /// HRDA's thresholds, 3000 pixels of the image and 6000 of a 1024x1024 crop, scaled with the crop's area.
  public init(temperature: Double = 0.01, scaledTo crop: PixelSize) {
    let area = Double(crop.height * crop.width) / (1024 * 1024)
    self.init(
      temperature: temperature, minimumPixels: Int((3000 * area).rounded()),
      minimumCropPixels: Int((6000 * area).rounded()))
  }
}

/// Draws a class by its probability, then an image that holds enough of it.
public struct RareClassSampler: Sendable {
  /// What a draw yields.
  public struct Draw: Sendable, Equatable {
    /// The class drawn.
    public let label: Int
    /// Index of the image drawn for it.
    public let image: Int
  }

  /// The sampler's numbers.
  public let options: RareClassOptions
  /// Probability by class; 0 for classes that never occur.
  public let probabilities: [Double]
  private let images: [[Int]]

  /// From the counts of the source set.
  ///
  /// - Parameters:
  ///   - statistics: pixels by image and class.
  ///   - options: temperature and thresholds.
  ///   - classNames: names by train id, for messages.
  /// - Throws: a `Failure` (65) if the temperature is not positive, no pixel is labelled, or a class that occurs has no
  ///   image with more than `minimumPixels` pixels of it.
  public init(_ statistics: ClassStatistics, _ options: RareClassOptions, classNames: [String]) throws {
    guard options.temperature > 0, options.minimumPixels >= 0, options.minimumCropPixels >= 0 else {
      throw Failure(
        .badData,
        "rare class sampling with temperature \(options.temperature) and pixel minima "
          + "\(options.minimumPixels), \(options.minimumCropPixels)",
        remedy: "give a positive temperature and minima of at least 0")
    }
    let totals = statistics.totals
    guard totals.contains(where: { $0 > 0 }) else {
      throw Failure(.badData, "no source pixel is labelled", remedy: "check the label map, or turn class sampling off")
    }
    let images = totals.indices.map { statistics.images(of: $0, moreThan: options.minimumPixels) }
    if let lost = totals.indices.first(where: { totals[$0] > 0 && images[$0].isEmpty }) {
      let most = statistics.pixels.map { $0[lost] }.max() ?? 0
      let name = lost < classNames.count ? " (\(classNames[lost]))" : ""
      throw Failure(
        .badData, "no image has more than \(options.minimumPixels) pixels of class \(lost)\(name), the most is \(most)",
        remedy: "lower the pixel minimum of rare class sampling below \(most)")
    }
    self.images = images
    self.options = options
    probabilities = rareClassProbabilities(pixels: totals, temperature: options.temperature)
  }

  /// The class and image of a sample: a function of its arguments alone.
  ///
  /// - Parameters:
  ///   - seed: the run's seed.
  ///   - step: number of the step, from 0.
  ///   - sample: index in the global batch.
  public func draw(seed: UInt64, step: Int, sample: Int) -> Draw {
    var stream = RandomStream(seed: seed, step: step, sample: sample, purpose: Purpose("data", "source", "class"))
    let label = pick(Double(stream.next() >> 11) * 0x1p-53)
    return Draw(label: label, image: images[label][stream.nextIndex(below: images[label].count)])
  }

  /// The class at a position of 0..<1 on the line of probabilities laid end to end.
  private func pick(_ position: Double) -> Int {
    var end = 0.0
    var last = 0
    for (label, probability) in probabilities.enumerated() where probability > 0 {
      end += probability
      last = label
      if position < end { return label }
    }
    // Rounding may leave the line's end a hair below 1.
    return last
  }
}
