// What a training step is fed: crops of its domains.
// n samples of this rank, H x W the crop.

import Imagery
import Support
import Tensors

/// Where a sample was cut out.
public struct SampleProvenance: Sendable, Equatable {
  /// Index of the image in its data set.
  public let image: Int
  /// Name of the image in its data set.
  public let name: String
  /// Size of the image as the data set returns it.
  public let imageSize: PixelSize
  /// The crop, in pixels of the image.
  public let box: Box
  /// Whether the crop was mirrored left to right.
  public let flipped: Bool
  /// The class rare class sampling drew the image for; nil for target samples and uniform sampling.
  public let rareClass: Int?

  /// From its parts.
  public init(image: Int, name: String, imageSize: PixelSize, box: Box, flipped: Bool, rareClass: Int?) {
    self.image = image
    self.name = name
    self.imageSize = imageSize
    self.box = box
    self.flipped = flipped
    self.rareClass = rareClass
  }
}

/// This rank's samples of one domain in a step, or in one part of it.
public struct DomainSamples: Sendable {
  /// Normalised crops `[n, H, W, 3]`.
  public var image: Tensor
  /// Train ids `[n, H, W]`; nil where the domain is not labelled.
  public var labels: LabelMap?
  /// 1 where pseudo-labels may be trusted, else 0 `[n, H, W]`; nil trusts every pixel.
  public var validMask: Tensor?
  /// Maps of numbers by name, such as `PixelMap.depth`, each `[n, H, W]`; those that the method asks for.
  public var maps: [String: Tensor]
  /// Where each crop is from; empty where nobody asks.
  public var provenance: [SampleProvenance]

  /// From its parts.
  /// - Precondition: all hold as many samples as `image`, at its size.
  public init(
    image: Tensor, labels: LabelMap? = nil, validMask: Tensor? = nil, maps: [String: Tensor] = [:],
    provenance: [SampleProvenance] = []
  ) {
    let plane: Shape = [image.samples, image.shape[1], image.shape[2]]
    precondition(
      labels.map { Shape([$0.samples, $0.height, $0.width]) == plane } ?? true, "labels beside images \(image.shape)")
    precondition(validMask.map { $0.shape == plane } ?? true, "a mask beside images \(image.shape)")
    precondition(maps.values.allSatisfy { $0.shape == plane }, "maps beside images \(image.shape)")
    precondition(provenance.isEmpty || provenance.count == image.samples, "\(provenance.count) places")
    self.image = image
    self.labels = labels
    self.validMask = validMask
    self.maps = maps
    self.provenance = provenance
  }
}

/// One rank's samples of one step, or of one part of it.
public struct DomainBatch: Sendable {
  /// The step, from 0.
  public let step: Int
  /// Which part of the step, from 0; 0 where the step is not cut.
  public let microBatch: Int
  /// Indices of the samples in the global batch of the step.
  public let samples: Range<Int>
  /// Labelled samples to learn from; nil for methods that have none.
  public var source: DomainSamples?
  /// Samples to adapt to; nil for methods that do not adapt.
  public var target: DomainSamples?
  /// A few samples to adapt to that are labelled, each in one class; nil for methods that have none.
  public var fewShot: DomainSamples?

  /// From its parts.
  /// - Precondition: there is a domain, and each has as many samples as `samples`, of one size.
  public init(
    step: Int, microBatch: Int = 0, samples: Range<Int>, source: DomainSamples?, target: DomainSamples?,
    fewShot: DomainSamples? = nil
  ) {
    let images = [source, target, fewShot].compactMap { $0?.image }
    precondition(!images.isEmpty && images.allSatisfy { $0.shape == images[0].shape }, "images \(images.map(\.shape))")
    precondition(images[0].samples == samples.count, "samples \(samples), images \(images[0].shape)")
    self.step = step
    self.microBatch = microBatch
    self.samples = samples
    self.source = source
    self.target = target
    self.fewShot = fewShot
  }

  /// Rows of a crop.
  public var height: Int { anyImage.shape[1] }
  /// Columns of a crop.
  public var width: Int { anyImage.shape[2] }

  private var anyImage: Tensor {
    guard let image = source?.image ?? target?.image else { preconditionFailure("a batch without a domain") }
    return image
  }
}
