// Gradients of the global batch from the slots of all samples of all ranks. S is the number of local samples, P the
// number of parameters in the arena.

import Collectives
import Kernels
import Support
import Tensors

/// How gradients are added over ranks; the recipe's `reduction`.
public enum ReductionMethod: String, Sendable, CaseIterable {
  /// Along the fixed tree: the same bits for every rank count.
  case reproducible
  /// By the MPI library, in an order of its own: the bits depend on rank count and library.
  case native
  /// Along the fixed tree, rounded to bfloat16 before each message: half of the bytes, other bits for other rank counts.
  case bf16
}

/// What the sums over ranks of one step took.
public struct ReductionFigures: Sendable, Equatable, Codable {
  /// Bytes this rank has sent: of gradients, and of parameters after them where moments are dealt out. Where the library
  /// adds, which does not tell, those of the vector.
  public var bytes = 0
  /// Seconds in which sums were under way, hidden behind the backward pass or not.
  public var seconds = 0.0
  /// Seconds the computing thread has spent on them: starting, polling, waiting for slower ranks.
  public var exposedSeconds = 0.0
  /// Buckets started before the backward pass had ended.
  public var earlyBuckets = 0

  /// Nothing yet.
  public init() {}

  /// The part of the time under way that cost the computing thread nothing; 0 where nothing was under way.
  public var hiddenShare: Double { seconds > 0 ? max(0, 1 - exposedSeconds / seconds) : 0 }
}

/// Adds gradient slots up the fixed tree: over this rank's samples, then over ranks.
///
/// The arena goes in buckets: one may start as soon as nothing more is added to it (`landed`), and then travels while the
/// backward pass goes on, as long as somebody polls; what is left starts at the end, last bucket first. With Float32 along
/// the fixed tree, each element is added along the same tree wherever it lies and whenever it travels, so that neither the
/// bucket's size nor the time of its start changes a bit. With bfloat16 and with the library's sum, sizes do.
public final class GradientReduction {
  /// How ranks are added.
  public let method: ReductionMethod
  /// Whether sums end at the owners of their parts, and are undefined elsewhere, instead of on every rank.
  public let scatters: Bool
  /// Bytes of one bucket. May be changed between sums, on all ranks alike; speed only with `.reproducible`.
  public var bucketBytes: Int {
    didSet { precondition(bucketBytes >= 4, "a bucket of \(bucketBytes) bytes holds no value") }
  }
  /// What the last sum took.
  public private(set) var figures = ReductionFigures()

  let communicator: any Communicator
  private let sums: PiecewiseSum
  private var slots: Tensor?
  private var seal: GradientSeal?
  /// Elements of each bucket that have not landed; nil: the bucket has started.
  private var missing: [Int?] = []
  /// Elements of a bucket of the sum under way.
  private var stretch = 1
  private var passEnded = false
  private var underWaySince: Stopwatch?
  /// What went wrong where nothing can be thrown.
  private var failure: (any Error)?

  /// Seconds between polls between tiles.
  private static let pollPause = 2e-4

  /// Opens the channel that gradients travel on. Called by all ranks.
  /// - Parameters:
  ///   - communicator: the ranks.
  ///   - method: how gradients are summed.
  ///   - bucketBytes: bytes of one bucket; speed only with `.reproducible`.
  ///   - pieceBytes: bytes of one message's vector; speed only with `.reproducible`, without effect with `.native`.
  ///   - lanes: pieces under way at once, nil: `PiecewiseSum.usualLanes`; speed only.
  ///   - scatters: leave sums with the owners of their parts. Buckets are then of whole pieces, and pieces no longer
  ///     than the first bucket, so that owners stay the same whatever the size of later buckets.
  ///   - order: rank at each position of the tree; nil is the order of ranks. Any other gives up the promised bits: it
  ///     is the control that shows that a comparison of runs can tell trees apart.
  /// - Precondition: `order` holds each rank once.
  public init(
    on communicator: any Communicator, method: ReductionMethod = .reproducible, bucketBytes: Int = 4 << 20,
    pieceBytes: Int = PiecewiseSum.usualPieceBytes, lanes: Int? = nil, scatters: Bool = false, order: [Int]? = nil
  ) throws {
    precondition(!scatters || method != .native, "the library's own sum has no owners")
    precondition(bucketBytes >= 4, "a bucket of \(bucketBytes) bytes holds no value")
    self.communicator = communicator
    self.method = method
    self.bucketBytes = bucketBytes
    self.scatters = scatters
    sums = try PiecewiseSum(
      on: communicator, order: order, wire: method == .bf16 ? .bfloat16 : .float32,
      pieceBytes: scatters ? min(pieceBytes, bucketBytes) : pieceBytes, lanes: lanes)
  }

  /// The sum of all slots of all ranks, at once; where sums are scattered, what this rank owns of it. Called by all ranks.
  ///
  /// Shapes: `slots` [S, P], whose contents are used up; result [P], a view of the first slot. P is the same on all
  /// ranks.
  /// - Precondition: there is at least one sample.
  public func sum(_ slots: Tensor) throws -> Tensor {
    begin(slots)
    return try finish()
  }

  /// Announces the slots of a sum whose buckets may start one by one.
  /// - Parameters:
  ///   - slots: gradients by sample, `[samples, parameters]`.
  ///   - seal: closed behind buckets that have started, so that whoever adds to them is caught.
  /// - Precondition: the sum before has been finished; there is at least one sample.
  public func begin(_ slots: Tensor, seal: GradientSeal? = nil) {
    precondition(slots.shape.rank == 2 && slots.samples > 0, "slots [samples, parameters], not \(slots.shape)")
    precondition(self.slots == nil, "a sum is under way")
    self.slots = slots
    self.seal = seal
    stretch = bucketCount
    missing = stride(from: 0, to: slots.perSample, by: stretch).map { min(stretch, slots.perSample - $0) }
    passEnded = false
    figures = ReductionFigures()
  }

  /// Nothing more is added to a part of the arena: starts the buckets that are complete by that.
  /// The same calls on all ranks, at any times.
  /// - Precondition: no element lands twice.
  public func landed(_ part: Range<Int>) throws {
    guard let slots, communicator.worldSize > 1, method != .native else { return }
    let part = part.clamped(to: 0..<slots.perSample)
    if part.isEmpty { return }
    for index in (part.lowerBound / stretch...(part.upperBound - 1) / stretch).reversed() {
      let bucket = bucket(index, slots)
      let left = (missing[index] ?? 0) - bucket.clamped(to: part).count
      precondition(left >= 0, "elements \(part) land in bucket \(bucket), which lacks less")
      missing[index] = left
      if left == 0 { try start(index, slots) }
    }
  }

  /// Runs a backward pass that tells what has landed; messages move on between the tiles of its kernels.
  public func whilePolling(_ pass: () throws -> Void) throws {
    try BetweenTiles.run({ self.pollBetweenTiles() }, every: GradientReduction.pollPause, during: pass)
  }

  private func pollBetweenTiles() {
    guard failure == nil else { return }
    do { try poll() } catch { failure = error }
  }

  /// Moves messages on. Called often while the backward pass computes.
  public func poll() throws {
    if let failure { throw failure }
    guard underWaySince != nil else { return }
    let watch = Stopwatch()
    try sums.poll()
    figures.exposedSeconds += watch.seconds
    noteIdle()
  }

  /// Starts what is left, waits for all and returns the sum, as `sum` does.
  public func finish() throws -> Tensor {
    guard let slots else { preconditionFailure("no sum is under way") }
    if let failure { throw failure }
    passEnded = true
    // What remains of the sum, or is left to be started, ends when the last rank has come so far.
    try communicator.noting {
      for index in missing.indices.reversed() where missing[index] != nil { try start(index, slots) }
      let watch = Stopwatch()
      try sums.wait()
      figures.exposedSeconds += watch.seconds
      noteIdle()
    }
    seal?.open()
    self.slots = nil
    return slots.sample(0).reshaped([slots.perSample])
  }

  /// What this rank owns of sums of `count` elements, ascending.
  public func owned(of count: Int) -> [Range<Int>] { sums.owned(of: 0..<count) }

  /// What ranks own of these values goes to all, as it is. Called by all ranks, between a sum and the next.
  public func gather(_ values: Tensor) throws {
    precondition(slots == nil, "a sum is under way")
    let watch = Stopwatch()
    let before = sums.sentBytes
    try withExtendedLifetime(values) {
      try communicator.noting {
        try sums.start(0..<values.count, of: values.pointer, .gather)
        try sums.wait()
      }
    }
    figures.bytes += sums.sentBytes - before
    figures.seconds += watch.seconds
    figures.exposedSeconds += watch.seconds
  }

  /// Whether buckets of so many bytes need not grow to hold whole pieces.
  func holdsPieces(_ bytes: Int) -> Bool { !scatters || bytes / MemoryLayout<Float>.stride >= sums.layout.pieceCount }

  /// Elements of a bucket.
  private var bucketCount: Int {
    let count = bucketBytes / MemoryLayout<Float>.stride
    let piece = sums.layout.pieceCount
    return scatters ? (count + piece - 1) / piece * piece : count
  }

  /// Buckets begin at multiples of their size.
  private func bucket(_ index: Int, _ slots: Tensor) -> Range<Int> {
    index * stretch..<min((index + 1) * stretch, slots.perSample)
  }

  private func start(_ index: Int, _ slots: Tensor) throws {
    let bucket = bucket(index, slots)
    seal?.close(bucket)
    missing[index] = nil
    addSamples(slots, bucket)
    guard communicator.worldSize > 1 else { return }
    let watch = Stopwatch()
    if underWaySince == nil { underWaySince = watch }
    if method == .native {
      try communicator.nativeSum(
        UnsafeMutableBufferPointer(start: slots.pointer + bucket.lowerBound, count: bucket.count))
      figures.bytes += bucket.count * MemoryLayout<Float>.stride
    } else {
      let before = sums.sentBytes
      try sums.start(bucket, of: slots.pointer, scatters ? .scatter : .sum)
      // Samples of the next bucket push this one out of the cache: what has not begun by then is read twice.
      if passEnded { try sums.waitForQueue() } else { figures.earlyBuckets += 1 }
      figures.bytes += sums.sentBytes - before
    }
    figures.exposedSeconds += watch.seconds
    noteIdle()
  }

  private func noteIdle() {
    guard let since = underWaySince, sums.isIdle else { return }
    figures.seconds += since.seconds
    underWaySince = nil
  }

  /// The first slot's part becomes the sum over local samples, along the tree over their index.
  private func addSamples(_ slots: Tensor, _ bucket: Range<Int>) {
    guard slots.samples > 1 else { return }
    treeSum(slots, bucket)
  }
}
