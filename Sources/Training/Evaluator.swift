// Sliding-window evaluation and prediction. Images are dealt out over the ranks; counts are integers, so scores do not
// depend on how.

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
    let input = normalisedTensor([image])
    let height = roundedUp(max(image.height, crop.height))
    let width = roundedUp(max(image.width, crop.width))
    let box = Box(top: 0, bottom: image.height, left: 0, right: image.width)
    let padded = Kernels.padded(input, into: box, height: height, width: width)
    let context = BatchShare(communicator: SoloCommunicator(), globalBatch: 1, samples: 0..<1)
      .context(normalization: .running)
    let logits = try network.slidingLogits(padded, crop: crop, stride: stride, context)
    return pseudoLabels(cropped(logits, to: box))
  }

  private func roundedUp(_ extent: Int) -> Int {
    let multiple = network.grid.offsetMultiple
    return (extent + multiple - 1) / multiple * multiple
  }
}

/// Scores a network on a labelled data set.
public struct Evaluator {
  private let dataset: any Dataset
  private let classCount: Int
  private let scoredAs: [UInt8]
  private let communicator: any Communicator

  /// - Parameter scoredAs: class that each predicted class counts as; its length is the number of classes.
  public init(_ dataset: any Dataset, scoredAs: [UInt8], on communicator: any Communicator) {
    self.dataset = dataset
    classCount = scoredAs.count
    self.scoredAs = scoredAs
    self.communicator = communicator
  }

  /// The confusion matrix over all images. A collective: image i is predicted by rank i modulo the world size.
  /// - Throws: what reading throws, on all ranks.
  public func evaluate(_ predictor: Predictor) throws -> ConfusionMatrix {
    let local = try communicator.together {
      var matrix = ConfusionMatrix(classCount: classCount)
      for index in stride(from: communicator.rank, to: dataset.count, by: communicator.worldSize) {
        guard let labels = try dataset.labels(index) else {
          throw Failure(
            .badData, "the image has no labels", at: dataset.name(index), remedy: "give data.validation labels")
        }
        let prediction = try predictor.predict(try dataset.image(index)).labels
        matrix.add(labels: labels, predictions: prediction, scoredAs: scoredAs)
        Activity.tick()
      }
      return matrix
    }
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
