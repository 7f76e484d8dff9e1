// Batches of both domains by step number.
// n samples of this rank, H x W the crop.

import Imagery
import Kernels
import Support
import Tensors

/// Makes the batches of a run: any step, any part of its global batch, in any order, always with the same bits.
///
/// Every draw is a function of (seed, step, index in the global batch, purpose), so the samples of a step depend neither
/// on how many ranks share them nor on what was loaded before; sampling is with replacement and there are no epochs.
/// Source images are drawn by rare class sampling where a sampler is given, else uniformly; target and few-shot images
/// uniformly. Labels of target images are read only where the set brings pseudo-labels. A loader without one of the
/// domains makes batches without it; the others' draws stay.
/// Source: DAFormer and HRDA (Hoyer et al., 2022); differs from the published code in its generator only.
public final class SampleLoader: Sendable {
  /// What a loader is made of besides the data sets.
  public struct Options: Sendable {
    /// Crop size and redraws.
    public var rules: CropRules
    /// Chance that a crop is mirrored left to right, drawn for each domain apart.
    public var flipProbability: Float
    /// The recipe's seed.
    public var seed: UInt64
    /// Indices of this rank's samples in the global batch, one range for each part (micro-batch) of a step.
    public var parts: [Range<Int>]
    /// Untrusted edges of target images; nil gives batches without a mask.
    public var margins: ImageMargins?
    /// Batches made ahead on a background thread, 0...2; 0 makes each when it is asked for, on the worker pool.
    public var prefetch: Int
    /// Whether `init` looks at every image's size. One rank is enough.
    public var checksSizes: Bool
    /// Whether target images bring labels, which are cut along with them.
    public var labelsTarget = false
    /// Names of the maps that crops of all domains bring.
    public var maps: Set<String> = []

    /// From its values.
    public init(
      rules: CropRules, flipProbability: Float = 0.5, seed: UInt64, parts: [Range<Int>], margins: ImageMargins? = nil,
      prefetch: Int = 0, checksSizes: Bool = true
    ) {
      self.rules = rules
      self.flipProbability = flipProbability
      self.seed = seed
      self.parts = parts
      self.margins = margins
      self.prefetch = prefetch
      self.checksSizes = checksSizes
    }
  }

  private let options: Options
  private let preparer: SamplePreparer
  private let prefetcher: Prefetcher<[PreparedCrop]>?

  /// Checks what can be checked before the first step.
  ///
  /// - Parameters:
  ///   - source: labelled images; nil for methods that learn from none.
  ///   - target: images to adapt to; nil for methods that do not adapt.
  ///   - fewShot: a few labelled images of the target domain; nil for methods that use none.
  ///   - sampler: draws source images by rare classes; nil draws them uniformly.
  ///   - options: crops, seed and samples of this rank.
  /// - Precondition: there is a domain and a part, no part is empty, and `prefetch` is 0...2.
  /// - Throws: a `Failure`: 65 if the crop is empty or larger than an image, the margins leave nothing of a target
  ///   image, or the source has no labels; 66 if a set is empty; what reading throws.
  public init(
    source: (any Dataset)?, target: (any Dataset)?, fewShot: (any Dataset)? = nil, sampler: RareClassSampler?,
    options: Options
  ) throws {
    precondition(source != nil || target != nil, "a loader without a domain")
    precondition(!options.parts.isEmpty && options.parts.allSatisfy { !$0.isEmpty }, "parts \(options.parts)")
    precondition((0...2).contains(options.prefetch), "\(options.prefetch) batches ahead")
    try SampleLoader.check(source, target, fewShot, options)
    let preparer = SamplePreparer(
      source: source, target: target, fewShot: fewShot, sampler: sampler, rules: options.rules,
      flipProbability: options.flipProbability, seed: options.seed, labelsTarget: options.labelsTarget,
      maps: options.maps)
    self.options = options
    self.preparer = preparer
    prefetcher =
      options.prefetch == 0
      ? nil
      : Prefetcher(depth: options.prefetch) { [parts = options.parts] number in
        try preparer.prepare(step: number / parts.count, samples: parts[number % parts.count], sharesPool: false)
      }
  }

  private static func check(
    _ source: (any Dataset)?, _ target: (any Dataset)?, _ fewShot: (any Dataset)?, _ options: Options
  ) throws {
    let sets = [("source", source), ("target", target), ("few-shot", fewShot)]
    let crop = options.rules.crop
    guard crop.height > 0, crop.width > 0 else {
      throw Failure(.badData, "a crop of \(crop) holds no pixel", remedy: "choose a crop size")
    }
    guard (0...1).contains(options.flipProbability) else {
      throw Failure(.badData, "flip probability \(options.flipProbability) is outside 0...1", remedy: "choose 0.5 or 0")
    }
    for (name, set) in sets where set?.count == 0 {
      throw Failure(.missingInput, "the \(name) set has no image", remedy: "give it at least one")
    }
    if options.checksSizes {
      for set in sets.compactMap(\.1) { try options.rules.checkFits(set) }
    }
    if let margins = options.margins, let target {
      let size = try target.size(0)
      guard margins.top + margins.bottom < size.height, margins.left + margins.right < size.width else {
        throw Failure(
          .badData, "the margins leave nothing of an image of \(size)", at: target.place(0),
          remedy: "choose smaller margins")
      }
    }
    for (name, set) in sets {
      guard let set, let missing = options.maps.subtracting(set.mapNames).min() else { continue }
      throw Failure(.badData, "the \(name) set has no map \(missing)", at: set.place(0), remedy: "give it one")
    }
    for (name, set) in sets where name != "target" {
      guard let set, try set.labels(0) == nil else { continue }
      throw Failure(.badData, "the \(name) set has no labels", at: set.place(0), remedy: "give a folder of labels")
    }
  }

  /// The batches of all parts of a step, in order. Not to be called from two threads at once.
  ///
  /// - Throws: as `batch` does.
  public func batches(step: Int) throws -> [DomainBatch] {
    try options.parts.indices.map { try batch(step: step, part: $0) }
  }

  /// The batch of a part of a step. Not to be called from two threads at once.
  ///
  /// - Throws: what reading an image throws; a failure met in the background is thrown by the batch it belongs to.
  public func batch(step: Int, part: Int = 0) throws -> DomainBatch {
    precondition(step >= 0 && options.parts.indices.contains(part), "step \(step), part \(part)")
    let samples = options.parts[part]
    let crops =
      try prefetcher?.take(step * options.parts.count + part)
      ?? preparer.prepare(step: step, samples: samples, sharesPool: true)
    let domains = preparer.domains
    func own(_ domain: SamplePreparer.Domain) -> [PreparedCrop]? {
      domains.firstIndex(of: domain).map { first in
        stride(from: first, to: crops.count, by: domains.count).map { crops[$0] }
      }
    }
    return DomainBatch(
      step: step, microBatch: part, samples: samples,
      source: own(.source).map { domainSamples($0, withLabels: true) },
      target: own(.target).map { crops in
        domainSamples(crops, withLabels: options.labelsTarget, validMask: options.margins.map { mask($0, crops) })
      },
      fewShot: own(.fewShot).map { domainSamples($0, withLabels: true) })
  }

  private func domainSamples(_ crops: [PreparedCrop], withLabels: Bool, validMask: Tensor? = nil) -> DomainSamples {
    DomainSamples(
      image: normalisedTensor(crops.map(\.image)),
      labels: withLabels ? LabelMap(stacking: crops.compactMap(\.labels)) : nil, validMask: validMask,
      maps: maps(crops), provenance: crops.map(\.provenance))
  }

  private func maps(_ crops: [PreparedCrop]) -> [String: Tensor] {
    Dictionary(
      uniqueKeysWithValues: options.maps.map { name in (name, Tensor(stacking: crops.compactMap { $0.maps[name] })) })
  }

  private func mask(_ margins: ImageMargins, _ crops: [PreparedCrop]) -> Tensor {
    let values = crops.flatMap { crop -> [Float] in
      let provenance = crop.provenance
      return margins.mask(of: provenance.box, in: provenance.imageSize, flipped: provenance.flipped)
    }
    return Tensor(values, [crops.count, options.rules.crop.height, options.rules.crop.width])
  }
}
