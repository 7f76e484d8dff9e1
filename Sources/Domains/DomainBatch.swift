// What a training step is fed: crops of both domains.
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

/// One rank's samples of one step, or of one part of it.
public struct DomainBatch: Sendable {
  /// The step, from 0.
  public let step: Int
  /// Which part of the step, from 0; 0 where the step is not cut.
  public let microBatch: Int
  /// Indices of the samples in the global batch of the step.
  public let samples: Range<Int>
  /// Normalised source crops `[n, H, W, 3]`.
  public let sourceImage: Tensor
  /// Train ids of the source crops `[n, H, W]`.
  public let sourceLabels: LabelMap
  /// Normalised target crops `[n, H, W, 3]`.
  public let targetImage: Tensor
  /// 1 where pseudo-labels may be trusted, else 0 `[n, H, W]`; nil trusts every pixel.
  public let validMask: Tensor?
  /// Where each source crop is from.
  public let sourceProvenance: [SampleProvenance]
  /// Where each target crop is from.
  public let targetProvenance: [SampleProvenance]

  /// From its parts.
  /// - Precondition: all hold as many samples as `samples`.
  public init(
    step: Int, microBatch: Int = 0, samples: Range<Int>, sourceImage: Tensor, sourceLabels: LabelMap,
    targetImage: Tensor,
    validMask: Tensor? = nil, sourceProvenance: [SampleProvenance] = [], targetProvenance: [SampleProvenance] = []
  ) {
    let counts = [
      sourceImage.samples, sourceLabels.samples, targetImage.samples, validMask?.samples ?? samples.count,
    ]
    precondition(counts.allSatisfy { $0 == samples.count }, "samples \(samples), parts of \(counts)")
    self.step = step
    self.microBatch = microBatch
    self.samples = samples
    self.sourceImage = sourceImage
    self.sourceLabels = sourceLabels
    self.targetImage = targetImage
    self.validMask = validMask
    self.sourceProvenance = sourceProvenance
    self.targetProvenance = targetProvenance
  }
}
