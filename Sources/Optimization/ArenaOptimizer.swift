// What a step expects of an optimizer, and how parameters with equal settings lie in an arena.

import Tensors

/// An optimizer of parameters that lie in one arena.
public protocol ArenaOptimizer: AnyObject {
  /// Every parameter with its settings, in arena order.
  var slices: [ParameterSlice] { get }
  /// What it remembers, at most two tensors in the layout of the parameters, or of the elements advanced here; written
  /// by `advance` and when a checkpoint is read.
  var moments: [Tensor] { get }
  /// What messages call them, such as "velocity"; as many.
  var momentNames: [String] { get }
  /// Updates parameters and moments in place.
  /// - Parameters:
  ///   - parameters: the arena, changed.
  ///   - gradient: an arena of the same layout.
  ///   - rate: learning rate before the slices' factors.
  ///   - step: number of this update, from 1.
  /// - Precondition: both arenas have the size of that of the slices, the gradient only where something is advanced.
  func advance(parameters: Tensor, gradient: Tensor, rate: Double, step: Int)
}

/// Which stretches of an arena have one setting, and where their moments are.
struct OptimizerLayout {
  /// Every parameter with its settings, in arena order.
  let slices: [ParameterSlice]
  /// Elements that are advanced here.
  let kept: Int
  private let count: Int
  private let runs: [(slice: ParameterSlice, place: Int)]

  /// The layout of an arena that ends with the last slice.
  /// - Parameter owned: the elements advanced here, as ascending ranges; nil for all.
  /// - Precondition: slices ascend and do not overlap.
  init(_ slices: [ParameterSlice], owned: [Range<Int>]?) {
    for (slice, next) in zip(slices, slices.dropFirst()) {
      precondition(slice.range.upperBound <= next.range.lowerBound, "\(slice.name) overlaps \(next.name)")
    }
    self.slices = slices
    count = slices.last?.range.upperBound ?? 0
    let owned = owned ?? [0..<count]
    kept = owned.reduce(0) { $0 + $1.count }
    runs = OptimizerLayout.cut(OptimizerLayout.merged(slices), to: owned)
  }

  /// Calls `body` with every stretch of one setting and the place of its moments.
  /// - Precondition: as `ArenaOptimizer.advance` says.
  func forEachRun(_ parameters: Tensor, _ gradient: Tensor, _ body: (ParameterSlice, Int) -> Void) {
    precondition(
      parameters.count == count && (gradient.count == count || runs.isEmpty),
      "parameters \(parameters.shape), gradient \(gradient.shape) for \(count) elements")
    for run in runs { body(run.slice, run.place) }
  }

  /// What lies in the owned ranges, with its place among them.
  private static func cut(
    _ slices: [ParameterSlice], to owned: [Range<Int>]
  ) -> [(slice: ParameterSlice, place: Int)] {
    var place = 0
    var runs: [(slice: ParameterSlice, place: Int)] = []
    for range in owned {
      for slice in slices where slice.range.overlaps(range) {
        let part = slice.range.clamped(to: range)
        let cut = ParameterSlice(name: slice.name, range: part, rateFactor: slice.rateFactor, decay: slice.decay)
        runs.append((cut, place + part.lowerBound - range.lowerBound))
      }
      place += range.count
    }
    return runs
  }

  /// Slices that touch and have equal settings as one.
  private static func merged(_ slices: [ParameterSlice]) -> [ParameterSlice] {
    slices.reduce(into: []) { runs, slice in
      guard let last = runs.last, last.range.upperBound == slice.range.lowerBound, last.rateFactor == slice.rateFactor,
        last.decay == slice.decay
      else { return runs.append(slice) }
      runs[runs.count - 1] = ParameterSlice(
        name: last.name, range: last.range.lowerBound..<slice.range.upperBound, rateFactor: last.rateFactor,
        decay: last.decay)
    }
  }
}
