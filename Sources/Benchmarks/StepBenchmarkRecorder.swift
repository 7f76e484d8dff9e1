// Keeping pseudo-labels as part of the step benchmark: as in training, but for the disk.

import Collectives
import DataParallel
import Domains
import Storage
import Support
import Tensors
import Training

extension StepBenchmark {
  /// Where the benchmark's target crops lie: mirrored, in the middle of images twice as wide.
  static func provenance(side: Int, samples: Range<Int>) -> [SampleProvenance] {
    samples.map { sample in
      SampleProvenance(
        image: sample, name: "\(sample)", imageSize: PixelSize(height: side, width: 2 * side),
        box: Box(top: 0, bottom: side, left: side / 2, right: side / 2 + side), flipped: true, rareClass: nil)
    }
  }

  /// A recorder of these crops. Called by all ranks.
  static func recorder(
    side: Int, threshold: Float, _ plan: ShardPlan, on communicator: any Communicator
  ) throws -> PseudoLabelRecorder {
    let images = plan.globalBatch
    let origin = PseudoLabelOrigin(
      teacherDigest: "", recipeDigest: "", threshold: threshold, height: side, width: 2 * side,
      rank: communicator.rank, worldSize: communicator.worldSize)
    return try PseudoLabelRecorder(
      ForgetfulStore(), origin, completedSteps: 0, holders: (0..<plan.microBatch).map { Array(plan.ranks(of: $0)) },
      ownSamples: plan.samples, ages: PseudoLabelAges(period: 0, images: images), classCount: 19, on: communicator)
  }
}

/// A store without a disk: what a step costs, not what a checkpoint does.
struct ForgetfulStore: PseudoLabelStore {
  let folder = ""

  func start(_ origin: PseudoLabelOrigin) -> any PseudoLabelCacheWriter { ForgetfulWriter(origin) }

  func resume(_ origin: PseudoLabelOrigin, completedSteps: Int) -> any PseudoLabelCacheWriter {
    ForgetfulWriter(origin)
  }

  func reader(rank: Int, expecting origin: PseudoLabelOrigin?) throws -> any PseudoLabelCacheReader {
    preconditionFailure("nothing is kept")
  }
}

private final class ForgetfulWriter: PseudoLabelCacheWriter {
  let origin: PseudoLabelOrigin
  let generation = 0
  let count = 0

  init(_ origin: PseudoLabelOrigin) { self.origin = origin }

  func holds(image: Int) -> Bool { false }
  func newest(image: Int) -> PseudoLabelEntry? { nil }
  func append(_ entry: PseudoLabelEntry) {}
  func publish(completedSteps: Int) {}
  func startGeneration(restartingFrom step: Int) {}
}
