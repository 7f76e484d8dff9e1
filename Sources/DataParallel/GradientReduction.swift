// Gradients of the global batch from the slots of all samples of all ranks. S is the number of local samples, P the
// number of parameters in the arena.

import Collectives
import Support
import Tensors

/// How gradients are added over ranks; the recipe's `reduction`.
public enum ReductionMethod: String, Sendable, CaseIterable {
  /// Along the fixed tree: the same bits for every rank count.
  case reproducible
  /// By the MPI library, in an order of its own: the bits depend on rank count and library.
  case native
}

/// Adds gradient slots up the fixed tree: over this rank's samples, then over ranks.
///
/// The arena goes in buckets, one blocking sum after the other: a bucket is still in cache when it is sent. As each
/// element is added along the same tree wherever it lies, neither the bucket's size nor their order changes a bit.
public final class GradientReduction {
  /// How ranks are added.
  public let method: ReductionMethod
  /// Bytes of gradients this rank has brought to sums over ranks so far.
  public private(set) var reducedBytes = 0
  /// Seconds spent in sums over ranks so far, waiting for slower ranks included.
  public private(set) var exchangeSeconds = 0.0

  private let communicator: any Communicator
  private let tree: RankTree
  private let bucketCount: Int
  private var scratch: Tensor?
  private static let tileCount = 16 << 10

  /// - Parameters:
  ///   - bucketBytes: bytes of one bucket; speed only.
  ///   - order: rank at each position of the tree; nil is the order of ranks. Any other gives up the promised bits: it
  ///     is the control that shows that a comparison of runs can tell trees apart.
  /// - Precondition: `order` holds each rank once.
  public init(
    on communicator: any Communicator, method: ReductionMethod = .reproducible, bucketBytes: Int = 4 << 20,
    order: [Int]? = nil
  ) {
    precondition(bucketBytes >= 4, "a bucket of \(bucketBytes) bytes holds no value")
    self.communicator = communicator
    self.method = method
    tree = order.map { RankTree(on: communicator, order: $0) } ?? RankTree(on: communicator)
    bucketCount = bucketBytes / MemoryLayout<Float>.stride
  }

  /// The sum of all slots of all ranks. Called by all ranks.
  ///
  /// Shapes: `slots` [S, P], whose contents are used up; result [P], a view of the first slot. P is the same on all
  /// ranks.
  /// - Precondition: there is at least one sample.
  public func sum(_ slots: Tensor) throws -> Tensor {
    precondition(slots.shape.rank == 2 && slots.samples > 0, "slots [samples, parameters], not \(slots.shape)")
    let count = slots.perSample
    let room = min(bucketCount, count)
    if communicator.worldSize > 1, method == .reproducible, (scratch?.count ?? 0) < room {
      scratch = Tensor(uninitialized: [room])
    }
    for begin in stride(from: 0, to: count, by: bucketCount) {
      let bucket = begin..<min(begin + bucketCount, count)
      addSamples(slots, bucket)
      try addRanks(UnsafeMutableBufferPointer(start: slots.pointer + begin, count: bucket.count))
    }
    return slots.sample(0).reshaped([count])
  }

  /// The first slot's part becomes the sum over local samples, along the tree over their index.
  private func addSamples(_ slots: Tensor, _ bucket: Range<Int>) {
    let (samples, perSample, base) = (slots.samples, slots.perSample, slots.pointer)
    let size = GradientReduction.tileCount
    guard samples > 1 else { return }
    WorkerPool.shared.run(tiles: (bucket.count + size - 1) / size) { tile in
      let begin = bucket.lowerBound + tile * size
      let count = min(size, bucket.upperBound - begin)
      var distance = 1
      while distance < samples {
        for first in stride(from: 0, to: samples - distance, by: 2 * distance) {
          let sum = base + first * perSample + begin
          let other = base + (first + distance) * perSample + begin
          for index in 0..<count { sum[index] += other[index] }
        }
        distance *= 2
      }
    }
  }

  private func addRanks(_ bucket: UnsafeMutableBufferPointer<Float>) throws {
    guard communicator.worldSize > 1 else { return }
    let watch = Stopwatch()
    switch method {
    case .reproducible:
      try tree.sum(bucket, scratch: scratch.map { UnsafeMutableBufferPointer(start: $0.pointer, count: $0.count) })
    case .native: try communicator.nativeSum(bucket)
    }
    exchangeSeconds += watch.seconds
    reducedBytes += bucket.count * MemoryLayout<Float>.stride
  }
}
