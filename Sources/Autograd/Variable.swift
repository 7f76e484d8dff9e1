// Values that remember where their gradient goes, and the tape that walks back over them.

import Kernels
import Tensors

/// Collects the gradient of one value while the tape is walked back.
public final class GradientCell {
  /// The sum of all contributions so far.
  public private(set) var gradient: Tensor?
  private let shape: Shape
  private var isKept = false

  /// An empty cell for a value of that shape.
  init(_ shape: Shape) { self.shape = shape }

  /// Adds a contribution, in any shape of as many elements.
  public func accumulate(_ contribution: Tensor) {
    let part = contribution.reshaped(shape)
    gradient = gradient.map { Kernels.add($0, part) } ?? part
  }

  /// Lets the gradient of a value that is no leaf be read after the walk, which otherwise forgets it.
  public func keep() { isKept = true }

  /// Hands the gradient over and, unless it is kept, forgets it.
  func take() -> Tensor? {
    defer { if !isKept { gradient = nil } }
    return gradient
  }
}

/// A tensor in a computation; with a cell if gradients flow to it, without one if it is a constant.
///
/// Operations capture only what their gradient needs, the cell or the value, so that a value goes back to the buffer
/// pool as soon as nothing needs it.
public struct Variable {
  /// The value.
  public let value: Tensor
  /// Where its gradient collects; nil for a constant.
  public let cell: GradientCell?

  /// A value no gradient flows to.
  public init(constant value: Tensor) {
    self.value = value
    cell = nil
  }

  /// A leaf whose gradient is wanted: read `cell.gradient` after the walk.
  public init(tracked value: Tensor) {
    self.value = value
    cell = GradientCell(value.shape)
  }

  fileprivate init(_ value: Tensor, _ cell: GradientCell) {
    self.value = value
    self.cell = cell
  }

  /// The gradient collected so far.
  public var gradient: Tensor? { cell?.gradient }

  /// The same elements in another shape; gradients flow to the same cell.
  public func reshaped(_ shape: Shape) -> Variable {
    let view = value.reshaped(shape)
    return cell.map { Variable(view, $0) } ?? Variable(constant: view)
  }
}

/// The record of a computation, walked back once.
///
/// Not thread safe. Nodes are freed as the walk passes them.
public final class Tape {
  private struct Node {
    let output: GradientCell
    /// Adds to the gradients of its own weights; nil: `propagate` does.
    let weights: ((Tensor) -> Void)?
    let propagate: (Tensor) -> Void
    /// The arena offset of the block it belongs to.
    let block: Int
  }

  private var nodes: [Node] = []
  private var block = 0
  /// Numbers of nodes at which views begin, but for the first.
  private var cuts: [Int] = []
  /// Nodes recorded since it was made.
  public private(set) var recorded = 0
  /// Where weight gradients go that may wait for the end of the step; nil: none waits.
  public let deferred: DeferredGradients?
  /// Memory that weight gradients hold, or would hold, which may wait for the end of the step.
  public internal(set) var deferrableBytes = 0

  /// An empty tape.
  public init(deferring deferred: DeferredGradients? = nil) { self.deferred = deferred }

  /// Records how the gradient of `value` flows on, and returns the variable that stands for it.
  /// - Parameters:
  ///   - value: the result of the operation.
  ///   - weights: called first, adds to the gradients of the operation's weights; where it is given, `propagate` does
  ///     not, so that they may land in between.
  ///   - propagate: adds to the gradients of the operation's inputs.
  public func record(
    _ value: Tensor, weights: ((Tensor) -> Void)? = nil, _ propagate: @escaping (Tensor) -> Void
  ) -> Variable {
    let cell = GradientCell(value.shape)
    nodes.append(Node(output: cell, weights: weights, propagate: propagate, block: block))
    recorded += 1
    return Variable(value, cell)
  }

  /// Notes that nothing recorded so far adds to gradients from element `offset` of the arena on, and that what follows
  /// may.
  ///
  /// A network says so before each of its blocks, in the order of its parameters in the arena. A mark below one that is
  /// already there would say something wrong and is passed over.
  public func mark(_ offset: Int) { block = max(block, offset) }

  /// Notes that what follows is another view, whose gradients are added up apart from those before it; see
  /// `walkBack(divided:)`.
  public func divide() { cuts.append(nodes.count) }

  /// Records computations that do not use each other's results, such as those of several crops by the same network, so
  /// that they are walked back side by side: block by block as marked, the last one's first.
  ///
  /// A block's gradients are then complete, and may travel, before the blocks below it are walked back. Every gradient
  /// still gets the contributions of the last computation before those of the ones before it.
  public func sideBySide(_ computations: [() throws -> Void]) throws {
    let first = nodes.count
    var highest = block
    for computation in computations {
      block = 0
      try computation()
      highest = max(highest, block)
    }
    block = highest
    let order = (first..<nodes.count).sorted { (nodes[$0].block, $0) < (nodes[$1].block, $1) }
    nodes.replaceSubrange(first..., with: order.map { nodes[$0] })
  }

  /// Walks back as below and tells on the way what is complete.
  ///
  /// - Parameters:
  ///   - landed: called with a part of the arena once nothing more is added to gradients there, parts descending. All
  ///     of the arena but for what waits in `deferred` has landed in the end; the first part has no upper bound.
  ///   - passed: called after every node.
  public func walkBack(landed: (_ part: Range<Int>) throws -> Void, passed: () throws -> Void) rethrows {
    var highest = nodes.map(\.block)
    for index in highest.indices.dropFirst() { highest[index] = max(highest[index - 1], highest[index]) }
    var complete = Int.max
    while let node = nodes.popLast() {
      let left = nodes.indices.last.map { highest[$0] } ?? -1
      let gradient = node.output.take()
      if let gradient {
        node.weights?(gradient)
        if node.weights == nil { node.propagate(gradient) }
      }
      if left < node.block {
        let part = (nodes.isEmpty ? 0 : node.block)..<complete
        complete = part.lowerBound
        for own in deferred?.complete(of: part) ?? [part] { try landed(own) }
      }
      if let gradient, node.weights != nil { node.propagate(gradient) }
      try passed()
    }
  }

  /// Walks back as below and calls `divided` between two views, the last one's first.
  public func walkBack(divided: () throws -> Void) rethrows {
    while let node = nodes.popLast() {
      if let gradient = node.output.take() {
        node.weights?(gradient)
        node.propagate(gradient)
      }
      guard nodes.count == cuts.last else { continue }
      cuts.removeLast()
      try divided()
    }
  }

  /// Walks back over everything recorded, newest first. Losses must have put their gradients into their inputs' cells.
  public func walkBack() { walkBack(landed: { (_: Range<Int>) in }, passed: {}) }
}
