// Pseudo-labels kept between steps and runs: one file per rank, entries appended and published with the checkpoint.

import Support
import Tensors

/// What made a cache, and for which part of the images.
public struct PseudoLabelOrigin: Sendable, Equatable {
  /// Digest of the teacher, in hexadecimal; in training, of the teacher the run began with.
  public var teacherDigest: String
  /// Digest of the recipe without the places of its data, in hexadecimal.
  public var recipeDigest: String
  /// What a cache that names no data has instead: the digest of the recipe with the places of its data; nil is
  /// `recipeDigest`.
  public var formerRecipeDigest: String?
  /// Digest of the images by name, size and order, in hexadecimal; nil in caches of earlier versions.
  public var dataDigest: String?
  /// Confidence threshold: a pixel is confident from here on, decided in Float32.
  public var threshold: Float
  /// Rows of the full image.
  public var height: Int
  /// Columns of the full image.
  public var width: Int
  /// Whether confidences are kept in 16 bits too.
  public var hasFineConfidence = false
  /// The rank whose images these are.
  public var rank: Int
  /// Number of ranks; an image belongs to the rank `image % worldSize`.
  public var worldSize: Int

  /// From its parts.
  public init(
    teacherDigest: String, recipeDigest: String, formerRecipeDigest: String? = nil, dataDigest: String? = nil,
    threshold: Float, height: Int, width: Int, rank: Int, worldSize: Int
  ) {
    precondition(height > 0 && width > 0, "images of \(height)x\(width) pixels")
    precondition(rank >= 0 && rank < worldSize, "rank \(rank) of \(worldSize)")
    self.teacherDigest = teacherDigest
    self.recipeDigest = recipeDigest
    self.formerRecipeDigest = formerRecipeDigest
    self.dataDigest = dataDigest
    self.threshold = threshold
    self.height = height
    self.width = width
    self.rank = rank
    self.worldSize = worldSize
  }

  /// Whether this rank keeps an image.
  public func owns(image: Int) -> Bool { image % worldSize == rank }

  /// What differs from another origin, that of a cache, besides rank and world size, such as `the teacher`; nil if
  /// nothing does.
  public func difference(from other: PseudoLabelOrigin) -> String? {
    if teacherDigest != other.teacherDigest { return "the teacher" }
    // A cache of an earlier version knows its images by their place in the recipe.
    let expected = other.dataDigest == nil ? formerRecipeDigest ?? recipeDigest : recipeDigest
    if expected != other.recipeDigest { return "the recipe" }
    if let dataDigest, let stored = other.dataDigest, stored != dataDigest { return "the set of images" }
    if threshold != other.threshold { return "the confidence threshold" }
    if hasFineConfidence != other.hasFineConfidence { return "the precision of confidences" }
    return height == other.height && width == other.width ? nil : "the image size"
  }
}

/// Pseudo-labels of one image, made in one step.
public struct PseudoLabelEntry: Sendable, Equatable {
  /// Index of the image in its dataset.
  public let image: Int
  /// The step, counted from 0, that made the entry.
  public let step: Int
  /// Labels [1, height, width]; 255 where there is none.
  public let labels: LabelMap
  /// floor(255 · p) of the label's probability p, row-major.
  public let confidence: [UInt8]
  /// Whether p reached the threshold, row-major.
  public let confident: [Bool]
  /// floor(65535 · p), row-major; nil where it is not kept.
  public let fineConfidence: [UInt16]?

  /// An entry as it is stored.
  public init(
    image: Int, step: Int, labels: LabelMap, confidence: [UInt8], confident: [Bool], fineConfidence: [UInt16]? = nil
  ) {
    let count = labels.height * labels.width
    precondition(fineConfidence.map { $0.count == count } ?? true, "confidences of an entry of \(count) pixels")
    precondition(labels.samples == 1 && confidence.count == count && confident.count == count, "an entry of one image")
    precondition(image >= 0 && step >= 0, "image \(image), step \(step)")
    self.image = image
    self.step = step
    self.labels = labels
    self.confidence = confidence
    self.confident = confident
    self.fineConfidence = fineConfidence
  }

  /// An entry from probabilities in 0...1; where there is no label, confidence is 0 and the pixel not confident.
  /// - Parameters:
  ///   - image: index in its data set.
  ///   - step: that made the entry.
  ///   - labels: of one image.
  ///   - probabilities: of these labels, row-major.
  ///   - threshold: from which a pixel is confident.
  ///   - isFine: whether confidences are kept in 16 bits too.
  public init(
    image: Int, step: Int, labels: LabelMap, probabilities: [Float], threshold: Float, isFine: Bool = false
  ) {
    precondition(probabilities.count == labels.values.count, "\(probabilities.count) probabilities")
    let pairs = zip(labels.values, probabilities)
    self.init(
      image: image, step: step, labels: labels,
      confidence: pairs.map { PseudoLabelEntry.storedConfidence($1, label: $0) },
      confident: pairs.map { $0 != LabelMap.ignored && $1 >= threshold },
      fineConfidence: isFine ? pairs.map { PseudoLabelEntry.fineConfidence($1, label: $0) } : nil)
  }

  /// Confidences in 16 bits, those of 8 bits widened where no finer ones are kept.
  public var confidences16: [UInt16] { fineConfidence ?? confidence.map { 257 * UInt16($0) } }

  /// How a label's probability is stored in 16 bits: floor(65535 · p), 0 where there is no label.
  public static func fineConfidence(_ probability: Float, label: UInt8) -> UInt16 {
    label == LabelMap.ignored ? 0 : UInt16(max(0, min(65535, 65535 * probability)))
  }

  /// How a label's probability is stored: floor(255 · p), 0 where there is no label.
  public static func storedConfidence(_ probability: Float, label: UInt8) -> UInt8 {
    label == LabelMap.ignored ? 0 : UInt8(max(0, min(255, 255 * probability)))
  }
}

/// Appends entries to one rank's cache.
public protocol PseudoLabelCacheWriter: AnyObject {
  /// What makes the cache.
  var origin: PseudoLabelOrigin { get }
  /// Counts how often superseded entries were dropped.
  var generation: Int { get }
  /// Entries so far, those not yet published included.
  var count: Int { get }
  /// Whether an image has an entry, published or not.
  func holds(image: Int) -> Bool
  /// The newest entry of an image, published or not; nil if it has none.
  func newest(image: Int) throws -> PseudoLabelEntry?
  /// Adds an entry; a newer entry of the same image supersedes it and both stay.
  /// - Precondition: the image is this rank's and has the size of the origin.
  func append(_ entry: PseudoLabelEntry) throws
  /// Puts all entries on disk, as of so many completed steps. Entries published before are never lost, whenever the
  /// process dies. Call on every rank before the checkpoint of that step is saved, with a barrier between.
  func publish(completedSteps: Int) throws
  /// Starts a generation: drops entries that were superseded before `step`, the completed steps of the newest
  /// checkpoint on disk, so that a run that goes back to it finds what it had then.
  func startGeneration(restartingFrom step: Int) throws
}

/// Reads one rank's published cache, from any thread.
public protocol PseudoLabelCacheReader: AnyObject, Sendable {
  /// What made the cache.
  var origin: PseudoLabelOrigin { get }
  /// Counts how often superseded entries were dropped.
  var generation: Int { get }
  /// Completed steps when it was published.
  var completedSteps: Int { get }
  /// Image of each entry, in order of writing.
  var images: [Int] { get }
  /// Step of each entry.
  var steps: [Int] { get }
  /// An entry by its position.
  func entry(at position: Int) throws -> PseudoLabelEntry
}

extension PseudoLabelCacheReader {
  /// The newest entry of an image, or nil.
  public func newest(image: Int) throws -> PseudoLabelEntry? {
    try images.lastIndex(of: image).map { try entry(at: $0) }
  }
}

/// A folder of caches, one file per rank.
public protocol PseudoLabelStore: Sendable {
  /// The folder.
  var folder: String { get }
  /// An empty cache that replaces what the rank had when it is published.
  func start(_ origin: PseudoLabelOrigin) throws -> any PseudoLabelCacheWriter
  /// Goes on with the published entries of this rank's images made before `completedSteps`, whatever the world size was
  /// then; later ones are dropped. Without any published cache this is `start`.
  /// - Throws: `Failure` 65 if a file is damaged, was made by another teacher or recipe, or lacks entries before
  ///   `completedSteps`.
  func resume(_ origin: PseudoLabelOrigin, completedSteps: Int) throws -> any PseudoLabelCacheWriter
  /// The published cache of a rank.
  /// - Parameters:
  ///   - rank: whose cache.
  ///   - origin: what must have made it; nil takes any.
  /// - Throws: `Failure` 66 if there is none, 65 if it is damaged or of another origin.
  func reader(rank: Int, expecting origin: PseudoLabelOrigin?) throws -> any PseudoLabelCacheReader
}

extension PseudoLabelStore {
  /// The published caches of all ranks, in their order.
  /// - Throws: `Failure` 66 if one is missing, 65 if one is damaged or they do not belong together.
  public func readers() throws -> [any PseudoLabelCacheReader] {
    let first = try reader(rank: 0, expecting: nil)
    var expected = first.origin
    return try [first]
      + (1..<first.origin.worldSize).map { rank in
        expected.rank = rank
        let other = try reader(rank: rank, expecting: expected)
        guard other.origin.worldSize == first.origin.worldSize, other.completedSteps == first.completedSteps else {
          throw Failure(.badData, "rank \(rank)'s file was not published together with rank 0's", at: folder)
        }
        return other
      }
  }
}
