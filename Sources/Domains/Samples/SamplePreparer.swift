// From a step and a sample number to crops: draws, decoding, cropping, mirroring.

import Imagery
import Support
import Tensors

/// A crop before normalisation.
struct PreparedCrop: Sendable {
  let image: RGBImage
  /// Of source and few-shot crops, and of target crops that bring theirs.
  let labels: LabelMap?
  /// The maps that are asked for, by name.
  let maps: [String: PixelMap]
  let provenance: SampleProvenance
}

/// Makes the crops of any sample of any step: each a function of (seed, step, sample) alone.
struct SamplePreparer: Sendable {
  /// A domain that samples come from.
  enum Domain: String {
    case source, target
    case fewShot = "few-shot"
  }

  let source: (any Dataset)?
  let target: (any Dataset)?
  let fewShot: (any Dataset)?
  let sampler: RareClassSampler?
  let rules: CropRules
  let flipProbability: Float
  let seed: UInt64
  /// Whether target images bring labels.
  var labelsTarget = false
  /// Names of the maps that crops bring.
  var maps: Set<String> = []

  /// The domains there are, in the order of a sample's crops.
  var domains: [Domain] {
    [(Domain.source, source), (.target, target), (.fewShot, fewShot)].filter { $0.1 != nil }.map(\.0)
  }

  /// Crops of some samples: of each sample one for every domain.
  ///
  /// - Parameter sharesPool: whether the worker pool may be used; a background thread must leave it to the kernels.
  /// - Throws: what reading an image throws; a `Failure` (65) if a crop does not fit.
  func prepare(step: Int, samples: Range<Int>, sharesPool: Bool) throws -> [PreparedCrop] {
    let make = { (index: Int) throws -> PreparedCrop in
      let sample = samples.lowerBound + index / domains.count
      switch domains[index % domains.count] {
      case .source: return try prepareSource(step, sample)
      case .target: return try prepareUniform(.target, target, withLabels: labelsTarget, step, sample)
      case .fewShot: return try prepareUniform(.fewShot, fewShot, withLabels: true, step, sample)
      }
    }
    let count = domains.count * samples.count
    return sharesPool ? try parallelMap(count, make) : try (0..<count).map(make)
  }

  private func stream(_ domain: Domain, _ draw: String, _ step: Int, _ sample: Int) -> RandomStream {
    RandomStream(seed: seed, step: step, sample: sample, purpose: Purpose("data", domain.rawValue, draw))
  }

  private func prepareSource(_ step: Int, _ sample: Int) throws -> PreparedCrop {
    guard let source else { preconditionFailure("a crop of a source that is not there") }
    let index: Int
    var wish: RareClassWish?
    if let sampler {
      let draw = sampler.draw(seed: seed, step: step, sample: sample)
      index = draw.image
      wish = RareClassWish(
        label: draw.label, minimumPixels: sampler.options.minimumCropPixels, redraws: sampler.options.redraws)
    } else {
      var stream = stream(.source, "image", step, sample)
      index = stream.nextIndex(below: source.count)
    }
    let (image, found) = try source.imageAndLabels(index)
    guard let labels = found else {
      throw Failure(.badData, "a source image has no labels", at: source.place(index), remedy: "label the source set")
    }
    guard labels.height == image.height, labels.width == image.width else {
      throw Failure(
        .badData, "image is \(image.width)x\(image.height), its labels \(labels.width)x\(labels.height)",
        at: source.place(index), remedy: "give labels of the image's size")
    }
    try rules.checkFits(PixelSize(height: image.height, width: image.width), place: source.place(index))
    var boxes = stream(.source, "crop", step, sample)
    let box = rules.drawBox(in: labels, wish: wish, &boxes)
    return try cut(image, labels, index, source, box, flipped: isFlipped(.source, step, sample), wish?.label)
  }

  /// A crop anywhere of any image.
  private func prepareUniform(
    _ domain: Domain, _ set: (any Dataset)?, withLabels: Bool, _ step: Int, _ sample: Int
  ) throws -> PreparedCrop {
    guard let set else { preconditionFailure("a crop of a \(domain.rawValue) set that is not there") }
    var images = stream(domain, "image", step, sample)
    let index = images.nextIndex(below: set.count)
    let (image, labels) = withLabels ? try set.imageAndLabels(index) : (try set.image(index), nil)
    let size = PixelSize(height: image.height, width: image.width)
    try rules.checkFits(size, place: set.place(index))
    var boxes = stream(domain, "crop", step, sample)
    let box = rules.drawBox(in: size, &boxes)
    return try cut(image, labels, index, set, box, flipped: isFlipped(domain, step, sample), nil)
  }

  private func isFlipped(_ domain: Domain, _ step: Int, _ sample: Int) -> Bool {
    stream(domain, "flip", step, sample).uniform(at: 0) < flipProbability
  }

  private func cut(
    _ image: RGBImage, _ labels: LabelMap?, _ index: Int, _ dataset: any Dataset, _ box: Box, flipped: Bool,
    _ rareClass: Int?
  ) throws -> PreparedCrop {
    let crop = image.cropped(to: box)
    let maps = try maps.map { name in
      let map = try dataset.map(name, index).cropped(to: box)
      return (name, flipped ? map.flippedHorizontally() : map)
    }
    let labelCrop = labels?.cropped(to: box)
    return PreparedCrop(
      image: flipped ? crop.flippedHorizontally() : crop,
      labels: flipped ? labelCrop?.flippedHorizontally() : labelCrop,
      maps: Dictionary(uniqueKeysWithValues: maps),
      provenance: SampleProvenance(
        image: index, name: dataset.name(index), imageSize: PixelSize(height: image.height, width: image.width),
        box: box, flipped: flipped, rareClass: rareClass))
  }
}

extension CropRules {
  /// Makes sure that an image holds the crop.
  /// - Throws: a `Failure` (65) that names the file and both sizes.
  func checkFits(_ size: PixelSize, place: String) throws {
    guard crop.fits(in: size) else {
      throw Failure(
        .badData, "image is \(size), smaller than the crop of \(crop)", at: place,
        remedy: "choose a smaller crop, or resize the images")
    }
  }

  /// Makes sure that every image of a set holds the crop.
  ///
  /// Reads headers only where the set can. Called by one rank, it spares the others the visit to every file.
  /// - Throws: a `Failure` (65) that names the first file that is too small and both sizes; what reading a header
  ///   throws.
  public func checkFits(_ dataset: any Dataset) throws {
    for index in 0..<dataset.count { try checkFits(dataset.size(index), place: dataset.place(index)) }
  }
}
