// Sliding-window evaluation and prediction. Images and their windows are dealt out over the ranks; a window's logits and
// the order in which they are put together do not depend on how.

import Adaptation
import Autograd
import Collectives
import Domains
import Imagery
import Kernels
import Networks
import Support
import Tensors

/// Predicts whole images by sliding windows, with running batch-norm statistics.
public struct Predictor {
  private let network: SegmentationNetwork
  private let crop: (height: Int, width: Int)
  private let stride: (height: Int, width: Int)

  /// A predictor with windows of `crop` that advance by `stride`.
  public init(_ network: SegmentationNetwork, crop: (height: Int, width: Int), stride: (height: Int, width: Int)) {
    self.network = network
    self.crop = crop
    self.stride = stride
  }

  /// Class and its probability for every pixel of an image.
  ///
  /// An image smaller than a window, or with sides that are no multiple of 8, is padded at the right and bottom with
  /// the mean colour; what is predicted there is dropped.
  public func predict(_ image: RGBImage) throws -> (labels: LabelMap, confidence: Tensor) {
    let size = PixelSize(height: image.height, width: image.width)
    let boxes = windows(of: size)
    return prediction(try logits(image, boxes), boxes, size)
  }

  /// The same by logits of several looks at the image.
  /// - Parameters:
  ///   - image: the image.
  ///   - looks: which ones.
  public func predict(_ image: RGBImage, _ looks: LabelLooks) throws -> (labels: LabelMap, confidence: Tensor) {
    func logits(_ image: RGBImage) throws -> Tensor {
      let own = try wholeLogits(image)
      guard looks.halfSize else { return own }
      return largestLogits([own, try halfSizeLogits(image)], height: image.height, width: image.width)
    }
    guard looks.flips else { return pseudoLabels(try logits(image)) }
    let own = Kernels.softmax(try logits(image))
    let mirrored = Kernels.softmax(try logits(image.flippedHorizontally()))
    let mean = Kernels.scaled(Kernels.add(own, horizontallyFlipped(mirrored)), by: 0.5)
    let (labels, values, classes) = (argMax(mean), mean.values, mean.channels)
    let confidence = labels.values.enumerated().map { pixel, label in values[pixel * classes + Int(label)] }
    return (labels, Tensor(confidence, [1, image.height, image.width]))
  }

  /// The mean logits of all windows, `[1, H, W, K]` at the image's size.
  private func wholeLogits(_ image: RGBImage) throws -> Tensor {
    let size = PixelSize(height: image.height, width: image.width)
    let boxes = windows(of: size)
    return mean(try logits(image, boxes), boxes, size)
  }

  /// The logits of the image at half its size, `[1, H/2, W/2, K]`: windows are as large as that, or as usual, if that is
  /// smaller.
  private func halfSizeLogits(_ image: RGBImage) throws -> Tensor {
    let (height, width) = (max(1, image.height / 2), max(1, image.width / 2))
    let (multiple, shapes) = (network.grid.offsetMultiple, network.configuration)
    let least = shapes.resolution == .contextOnly ? (0, 0) : (shapes.detailHeight, shapes.detailWidth)
    let window = (
      height: max(least.0, min(crop.height, height.roundedUp(to: multiple))),
      width: max(least.1, min(crop.width, width.roundedUp(to: multiple)))
    )
    let smaller = Predictor(
      network, crop: window, stride: (min(stride.height, window.height), min(stride.width, window.width)))
    let size = PixelSize(height: height, width: width)
    let boxes = smaller.windows(of: size)
    let resized = Kernels.bilinear(normalisedTensor([image]), height: height, width: width)
    return smaller.mean(try smaller.logits(resized, boxes), boxes, size)
  }

  /// The windows of an image of some size, on the padded image.
  func windows(of size: PixelSize) -> [Box] {
    let padded = paddedSize(size)
    return slidingWindows(height: padded.height, width: padded.width, crop: crop, stride: stride)
  }

  /// Logits of some windows of an image, each `[1, h, w, K]`.
  func logits(_ image: RGBImage, _ boxes: [Box]) throws -> [Tensor] {
    try logits(normalisedTensor([image]), boxes)
  }

  /// The same of a normalised image, `[1, H, W, 3]`.
  private func logits(_ image: Tensor, _ boxes: [Box]) throws -> [Tensor] {
    let size = PixelSize(height: image.shape[1], width: image.shape[2])
    let (inside, outside) = (box(size), paddedSize(size))
    let padded = Kernels.padded(image, into: inside, height: outside.height, width: outside.width)
    let context = BatchShare(communicator: SoloCommunicator(), globalBatch: 1, samples: 0..<1)
      .context(normalization: .running)
    return try boxes.map { try network.logits(cropped(padded, to: $0), context) }
  }

  /// Class and probability of every pixel, from the logits of all windows of an image.
  func prediction(
    _ tiles: [Tensor], _ boxes: [Box], _ size: PixelSize
  ) -> (labels: LabelMap, confidence: Tensor) {
    pseudoLabels(mean(tiles, boxes, size))
  }

  private func mean(_ tiles: [Tensor], _ boxes: [Box], _ size: PixelSize) -> Tensor {
    let padded = paddedSize(size)
    return cropped(
      network.slidingMean(tiles, boxes, height: padded.height, width: padded.width), to: box(size))
  }

  /// Number of classes.
  var classCount: Int { network.configuration.classCount }

  private func box(_ size: PixelSize) -> Box { Box(top: 0, bottom: size.height, left: 0, right: size.width) }

  private func paddedSize(_ size: PixelSize) -> PixelSize {
    let multiple = network.grid.offsetMultiple
    return PixelSize(
      height: max(size.height, crop.height).roundedUp(to: multiple),
      width: max(size.width, crop.width).roundedUp(to: multiple))
  }
}

/// What a network looks at to label an image.
public struct LabelLooks: Sendable, Equatable {
  /// Whether predictions are the mean of two: of the image, and of its mirror image, mirrored back.
  public var flips: Bool
  /// Whether every logit is the larger one of two: of the image, and of the image at half its size (Shen et al., DiGA,
  /// CVPR 2023, its code).
  public var halfSize: Bool

  /// Looks at the image alone, or at others too.
  public init(flips: Bool = false, halfSize: Bool = false) {
    self.flips = flips
    self.halfSize = halfSize
  }
}

/// Scores a network on a labelled data set.
public struct Evaluator {
  private let dataset: any Dataset
  private let classCount: Int
  private let scoredAs: [UInt8]
  private let communicator: any Communicator

  /// - Parameters:
  ///   - dataset: labelled images.
  ///   - scoredAs: class that each predicted class counts as; its length is the number of classes.
  ///   - communicator: the ranks.
  public init(_ dataset: any Dataset, scoredAs: [UInt8], on communicator: any Communicator) {
    self.dataset = dataset
    classCount = scoredAs.count
    self.scoredAs = scoredAs
    self.communicator = communicator
  }

  /// The confusion matrix over all images. A collective; see `Predictor.predictAll` for who does what.
  /// - Throws: what reading throws, on all ranks.
  public func evaluate(_ predictor: Predictor) throws -> ConfusionMatrix {
    guard let matrix = try evaluate(predictor, while: { true }) else { preconditionFailure("nobody ended it") }
    return matrix
  }

  /// The same, unless it is given up between images. A collective.
  /// - Parameters:
  ///   - predictor: the network and its windows.
  ///   - mayGoOn: asked between images.
  /// - Returns: nil if one rank could not go on.
  /// - Throws: what reading throws, on all ranks.
  public func evaluate(_ predictor: Predictor, while mayGoOn: () -> Bool) throws -> ConfusionMatrix? {
    var local = ConfusionMatrix(classCount: classCount)
    let isWhole = try predictor.predictAll(
      dataset.count, on: communicator, size: { try dataset.size($0) }, image: { try dataset.image($0) }, while: mayGoOn
    ) { index, _, labels, _ in
      guard let truth = try dataset.labels(index) else {
        throw Failure(
          .badData, "the image has no labels", at: dataset.name(index), remedy: "give data.validation labels")
      }
      local.add(labels: truth, predictions: labels, scoredAs: scoredAs)
      Activity.tick()
    }
    guard isWhole else { return nil }
    return ConfusionMatrix(classCount: classCount, counts: try communicator.sumIntegers(local.counts))
  }
}

/// Moves running batch-norm statistics to those of some images, each a batch of its own that updates them once per
/// scale, as in training: the control "batch-norm adaptation" (Li et al., AdaBN, 2016). Every rank computes the same.
public func recalibrateBatchNorm(
  _ network: SegmentationNetwork, on dataset: any Dataset, images: Int, crop: (height: Int, width: Int)
) throws {
  for index in 0..<min(images, dataset.count) {
    let image = normalisedTensor([try dataset.image(index)])
    let box = Box(
      top: 0, bottom: min(crop.height, image.shape[1]), left: 0, right: min(crop.width, image.shape[2]))
    let context = BatchShare(communicator: SoloCommunicator(), globalBatch: 1, samples: 0..<1)
      .context(normalization: .batch)
    _ = try network.dense(cropped(image, to: box), context)
  }
}
