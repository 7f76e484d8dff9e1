// Trainable tensors. A parameter is a slice of its network's arena; its gradient goes to slots, one per local sample.

import Support
import Tensors

/// One trainable tensor of a network.
///
/// Values lie in the internal layout: `[taps, taps, inputs, outputs]` for convolutions, `[inputs, outputs]` for linear
/// maps, `[taps, taps, 1, channels]` for depthwise convolutions. `officialShape` is the published (PyTorch) one,
/// `[outputs, inputs, taps, taps]`; only checkpoints, digests and imports convert.
public final class Parameter {
  /// Published name, such as `backbone.block1.0.attn.q.weight`.
  public let name: String
  /// Published shape.
  public let officialShape: [Int]
  /// Whether it is trained where its network is; else it keeps the values it starts from or is given.
  public let isTrained: Bool
  /// The values, a view of the arena; bound once the arena exists.
  public private(set) var value: Tensor
  /// Where gradients go; nil where it is not trained.
  public private(set) var slots: GradientSlots?
  /// Writes the initial values, official order, given a stream of the parameter's own.
  public let initialise: @Sendable (inout RandomStream, Int) -> [Float]

  /// Declares a parameter; it has no values before `bind`.
  public init(
    name: String, officialShape: [Int], isTrained: Bool = true,
    initialise: @escaping @Sendable (inout RandomStream, Int) -> [Float]
  ) {
    self.name = name
    self.officialShape = officialShape
    self.isTrained = isTrained
    self.initialise = initialise
    value = Tensor(uninitialized: [0])
  }

  /// Number of elements.
  public var count: Int { officialShape.reduce(1, *) }

  /// Shape of `value`.
  public var internalShape: Shape {
    guard officialShape.count > 1 else { return Shape(officialShape) }
    return Shape(Array(officialShape[2...]) + [officialShape[1], officialShape[0]])
  }

  /// Gives the parameter its place in the arenas.
  public func bind(_ value: Tensor, slots: GradientSlots?) {
    precondition(value.shape == internalShape, "\(name): \(value.shape) instead of \(internalShape)")
    precondition(slots == nil || isTrained, "\(name) is not trained")
    self.value = value
    self.slots = slots
  }
}

/// Reorders between the official layout `[outputs, inputs, taps, taps]` and the internal `[taps, taps, inputs, outputs]`.
public enum ParameterLayout {
  /// Official values in the internal order.
  public static func toInternal(_ values: [Float], officialShape shape: [Int]) -> [Float] {
    reordered(values, shape) { official, `internal`, source, target in target[`internal`] = source[official] }
  }

  /// Internal values in the official order.
  public static func toOfficial(_ values: [Float], officialShape shape: [Int]) -> [Float] {
    reordered(values, shape) { official, `internal`, source, target in target[official] = source[`internal`] }
  }

  private static func reordered(
    _ values: [Float], _ shape: [Int], _ move: (Int, Int, borrowing [Float], inout [Float]) -> Void
  ) -> [Float] {
    precondition(values.count == shape.reduce(1, *), "\(values.count) values for official shape \(shape)")
    guard shape.count > 1 else { return values }
    let outputs = shape[0]
    let inputs = shape[1]
    let taps = shape[2...].reduce(1, *)
    var result = values
    for output in 0..<outputs {
      for input in 0..<inputs {
        for tap in 0..<taps {
          move((output * inputs + input) * taps + tap, (tap * inputs + input) * outputs + output, values, &result)
        }
      }
    }
    return result
  }
}
