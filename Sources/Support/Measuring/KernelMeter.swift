// Where the time of a step goes: spans of phases and kernels, and operations of matrix products, recorded while
// somebody listens. Nobody listening, an entry costs one relaxed load.

import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Kernels of one kind, reported together.
public enum KernelFamily: String, Sendable, CaseIterable, Codable {
  /// Linear maps and 1×1 convolutions.
  case matrixProduct = "matrix product"
  /// Convolutions of more than one tap.
  case convolution
  /// Convolutions of single channels.
  case depthwise
  /// Scaled dot-product attention.
  case attention
  /// Batch norm with its statistics.
  case batchNorm = "batch norm"
  /// Layer norm.
  case layerNorm = "layer norm"
  /// GELU, ReLU, logistic function.
  case activation
  /// Bilinear and nearest resampling.
  case resize
  /// Sums and products, element by element, bias gradients included.
  case elementwise
  /// Crops, windows, concatenation.
  case copy
  /// Means and maxima of windows.
  case pooling
  /// Updates of whole arenas.
  case optimizer
  /// Mixing, colour jitter, blur.
  case augmentation
  /// Losses, soft-max and the choice of classes.
  case loss
}

/// What took a span of time.
public struct MeterSpan: Sendable {
  /// A phase of a step, a kernel, a worker thread's share of a kernel, or a message.
  public enum Label: Sendable {
    /// A phase by name.
    case phase(String)
    /// A kernel's family and function.
    case kernel(KernelFamily, StaticString)
    /// Communication with other ranks, waiting included.
    case communication(String)
  }

  /// What it was.
  public let label: Label
  /// Begin, in nanoseconds of the system's monotonic clock.
  public let begin: Int64
  /// End; equal to `begin` while the span is open.
  public fileprivate(set) var end: Int64
  /// Whether a kernel span encloses this one.
  public let isNested: Bool
  /// Operations (two for a multiply-add) that matrix products and convolutions executed, on all threads.
  public fileprivate(set) var operations: Int
  /// Requests for heap memory, of all threads.
  public fileprivate(set) var allocations: Int

  /// Its length.
  public var seconds: Double { Double(end - begin) * 1e-9 }
}

/// Records the spans of one thread, and of the worker threads that help it.
///
/// Other threads may call kernels meanwhile; their spans are not recorded, but their operations are counted.
public final class KernelMeter: @unchecked Sendable {
  /// An open span; meaningless after the meter has stopped.
  public struct Mark {
    fileprivate let index: Int
  }

  /// Spans of one thread; only that thread writes.
  private final class Lane {
    var spans: [MeterSpan] = []
  }

  private static let shared = KernelMeter()
  private static let listening = Atomic<Bool>(false)
  private static let operations = Atomic<Int>(0)
  private var owner = pthread_self()
  private var lanes: [Lane] = []
  private var openKernels = 0
  private var outermost: MeterSpan.Label?

  private init() {}

  /// Starts recording the calling thread and `workers` worker threads. What was recorded before is forgotten.
  public static func start(workers: Int) {
    precondition(!listening.load(ordering: .relaxed), "the meter is in use")
    shared.owner = pthread_self()
    shared.lanes = (0...workers).map { _ in Lane() }
    shared.openKernels = 0
    operations.store(0, ordering: .relaxed)
    listening.store(true, ordering: .releasing)
  }

  /// Stops and returns the spans of the thread that started it, then those of every worker, each in order of begin.
  public static func stop() -> [[MeterSpan]] {
    listening.store(false, ordering: .relaxed)
    defer { shared.lanes = [] }
    return shared.lanes.map(\.spans)
  }

  /// Opens a kernel's span; its function calls `end` on every way out.
  public static func begin(_ family: KernelFamily, _ function: StaticString = #function) -> Mark {
    guard listening.load(ordering: .relaxed), shared.isOwner else { return Mark(index: -1) }
    return shared.openKernel(.kernel(family, function))
  }

  /// Closes a kernel's span.
  public static func end(_ mark: Mark) {
    guard mark.index >= 0 else { return }
    shared.openKernels -= 1
    shared.close(mark.index, lane: 0)
  }

  /// Records `body` as a phase.
  public static func phase<Result>(_ name: String, _ body: () throws -> Result) rethrows -> Result {
    guard listening.load(ordering: .relaxed), shared.isOwner else { return try body() }
    let index = shared.open(.phase(name), lane: 0, isNested: false)
    defer { shared.close(index, lane: 0) }
    return try body()
  }

  /// Records `body` as communication.
  public static func communication<Result>(_ name: String, _ body: () throws -> Result) rethrows -> Result {
    guard listening.load(ordering: .relaxed), shared.isOwner else { return try body() }
    let index = shared.open(.communication(name), lane: 0, isNested: false)
    defer { shared.close(index, lane: 0) }
    return try body()
  }

  /// Records a worker thread's share of the kernel under way; workers are numbered from 1.
  public static func work(on worker: Int, _ body: () -> Void) {
    // The acquiring load makes the lanes visible to threads that did not make them.
    guard listening.load(ordering: .acquiring), shared.lanes.indices.contains(worker), let label = shared.outermost
    else { return body() }
    let index = shared.open(label, lane: worker, isNested: false)
    body()
    shared.close(index, lane: worker)
  }

  /// Counts operations (two for a multiply-add) of a matrix product or convolution, from any thread.
  public static func count(operations number: Int) {
    guard listening.load(ordering: .relaxed) else { return }
    operations.add(number, ordering: .relaxed)
  }

  /// Whether somebody listens and spans of the calling thread are recorded.
  public static var recordsThisThread: Bool { listening.load(ordering: .relaxed) && shared.isOwner }

  /// Records the calling thread from here on, in place of the one that was recorded, which waits meanwhile.
  ///
  /// To be called outside of kernels.
  public static func takeOver() { shared.owner = pthread_self() }

  private var isOwner: Bool { pthread_equal(owner, pthread_self()) != 0 }

  private func openKernel(_ label: MeterSpan.Label) -> Mark {
    if openKernels == 0 { outermost = label }
    openKernels += 1
    return Mark(index: open(label, lane: 0, isNested: openKernels > 1))
  }

  private func open(_ label: MeterSpan.Label, lane: Int, isNested: Bool) -> Int {
    let now = KernelMeter.now()
    lanes[lane].spans.append(
      MeterSpan(
        label: label, begin: now, end: now, isNested: isNested,
        operations: KernelMeter.operations.load(ordering: .relaxed), allocations: heapAllocations() ?? 0))
    return lanes[lane].spans.count - 1
  }

  private func close(_ index: Int, lane: Int) {
    guard lanes.indices.contains(lane), lanes[lane].spans.indices.contains(index) else { return }
    let counted = KernelMeter.operations.load(ordering: .relaxed) - lanes[lane].spans[index].operations
    let allocated = (heapAllocations() ?? 0) - lanes[lane].spans[index].allocations
    lanes[lane].spans[index].operations = counted
    lanes[lane].spans[index].allocations = allocated
    lanes[lane].spans[index].end = KernelMeter.now()
  }

  /// Nanoseconds of the system's monotonic clock, in which spans are told.
  public static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}
