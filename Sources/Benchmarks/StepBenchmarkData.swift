// What the step benchmark learns from: noise, labels in squares, the same draws in every step.

import Adaptation
import Collectives
import DataParallel
import Domains
import Kernels
import Support
import Tensors

/// The same draws in every step: a detail crop in the middle, five pasted classes, jitter and blur.
struct FixedDraws: DrawSource {
  let box: Box

  func draws(_ request: DrawRequest) -> PassDraws {
    PassDraws(
      box: box,
      jitter: request.samples.map { _ in
        ColourJitter(brightness: 1.1, contrast: 0.9, saturation: 1.1, hue: 0.05, order: [3, 1, 0, 2])
      },
      blur: request.samples.map { _ in 0.8 }, chosen: request.samples.map { _ in [1, 2, 3, 4, 13] })
  }
}

extension StepBenchmarkLayout {
  /// The plan of this rank.
  /// - Throws: `Failure` 65 where the batch cannot be cut so.
  public func plan(on communicator: any Communicator) throws -> ShardPlan {
    let batch = globalBatch ?? max(1, communicator.worldSize / cropShards)
    guard batch.isMultiple(of: microBatches) else {
      throw Failure(.badData, "\(batch) samples cannot be cut into \(microBatches) micro-batches", at: "accumulate")
    }
    return try ShardPlan(
      globalBatch: batch, microBatches: microBatches, cropShards: cropShards, on: communicator)
  }
}

extension StepBenchmark {
  /// Normal noise for images; labels in squares of 64 pixels, the first of a thing class.
  static func batch(side: Int, samples: Range<Int>, microBatch: Int) -> DomainBatch {
    let parts = samples.map { sample(side: side, $0) }
    func stacked(_ images: [Tensor]) -> Tensor { Tensor(images.flatMap(\.values), [images.count, side, side, 3]) }
    return DomainBatch(
      step: 0, microBatch: microBatch, samples: samples,
      source: DomainSamples(
        image: stacked(parts.map(\.source)), labels: LabelMap(stacking: parts.map(\.labels))),
      target: DomainSamples(
        image: stacked(parts.map(\.target)), provenance: provenance(side: side, samples: samples)))
  }

  private static func sample(side: Int, _ index: Int) -> (source: Tensor, labels: LabelMap, target: Tensor) {
    var stream = RandomStream(seed: 1, step: 0, sample: index, purpose: Purpose("benchmark", "data"))
    func image() -> Tensor {
      Tensor((0..<side * side * 3).map { _ in Float(stream.nextNormal()) }, [1, side, side, 3])
    }
    let cells = side / 64
    var classes = (0..<cells * cells).map { _ in UInt8(stream.nextIndex(below: 19)) }
    classes[0] = 13
    let labels = (0..<side * side).map { classes[$0 / side / 64 * cells + $0 % side / 64] }
    let source = image()
    return (source, LabelMap(height: side, width: side, values: labels), image())
  }
}
