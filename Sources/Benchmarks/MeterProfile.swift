// What a kernel meter recorded, added up by family and function.

import Support
import Training

/// Time and operations of the kernels of one step.
public struct MeterProfile {
  /// Time, calls and operations of kernels of one kind.
  public struct Entry: Sendable {
    /// Wall-clock seconds of the thread that computes.
    public var seconds = 0.0
    /// Calls.
    public var calls = 0
    /// Operations of matrix products and convolutions, on all threads.
    public var operations = 0
    /// Requests for heap memory.
    public var allocations = 0

    mutating func add(_ span: MeterSpan) {
      seconds += span.seconds
      calls += 1
      operations += span.operations
      allocations += span.allocations
    }
  }

  /// By family; families that were not called are missing.
  public private(set) var families: [KernelFamily: Entry] = [:]
  /// By function name, without its argument labels.
  public private(set) var functions: [String: Entry] = [:]

  /// Adds up outermost kernels; a kernel inside another counts as part of it.
  public init(_ spans: [MeterSpan]) {
    for span in spans where !span.isNested {
      guard case .kernel(let family, let function) = span.label else { continue }
      families[family, default: Entry()].add(span)
      functions[String("\(function)".prefix { $0 != "(" }), default: Entry()].add(span)
    }
  }
}
