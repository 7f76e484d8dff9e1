// Queues of vectors by class: the memory bank of ProCA's alternative script. K classes, S rows a class, C channels.

import Support
import Tensors

/// How far a queue of pixels moves when rows are written.
public enum QueuePointer: String, SettingChoice {
  /// By the rows that were written.
  case rows
  /// By one, whatever was written, as in the released code, which overwrites most of them next time.
  case literal
}

/// Two rings of vectors for each class: single pixels, and means of a class's pixels.
///
/// Source: Jiang et al., ProCA, ECCV 2022, official code (memory bank).
public struct ClassQueues {
  /// Vectors of pixels, `[K, S, C]`.
  public let pixels: Tensor
  /// Means of classes, `[K, S, C]`.
  public let means: Tensor
  /// The next row of each class, of pixels and of means.
  public private(set) var next: [(pixels: Int, means: Int)]

  /// Queues that hold these vectors.
  /// - Precondition: both of one shape, a place for each class.
  public init(pixels: Tensor, means: Tensor, next: [(pixels: Int, means: Int)]) {
    precondition(
      pixels.shape == means.shape && pixels.shape.rank == 3 && next.count == pixels.samples
        && next.allSatisfy { 0..<pixels.shape[1] ~= $0.pixels && 0..<pixels.shape[1] ~= $0.means },
      "queues \(pixels.shape) and \(means.shape) with \(next.count) places")
    self.pixels = pixels
    self.means = means
    self.next = next
  }

  /// Takes in vectors of one class: their mean, and the chosen ones. Rows that do not fit before the end are written to
  /// the last ones, and the next are the first.
  /// - Parameters:
  ///   - label: the class.
  ///   - vectors: at least one, of C numbers each.
  ///   - chosen: which of them are kept, at most S.
  ///   - pointer: how far the queue of pixels moves.
  public mutating func push(_ label: Int, _ vectors: [[Float]], keeping chosen: [Int], pointer: QueuePointer) {
    let (rows, channels) = (pixels.shape[1], pixels.channels)
    precondition(!vectors.isEmpty && chosen.count <= rows, "\(vectors.count) vectors, \(chosen.count) kept")
    let mean = (0..<channels).map { channel in
      Float(vectors.reduce(0.0) { $0 + Double($1[channel]) } / Double(vectors.count))
    }
    write(mean, to: means, label, next[label].means)
    next[label].means = (next[label].means + 1) % rows
    let overflows = next[label].pixels + chosen.count > rows
    let first = overflows ? rows - chosen.count : next[label].pixels
    for (row, vector) in chosen.enumerated() { write(vectors[vector], to: pixels, label, first + row) }
    let step = pointer == .rows ? chosen.count : 1
    next[label].pixels = overflows ? 0 : (next[label].pixels + step) % rows
  }

  private func write(_ vector: [Float], to queue: Tensor, _ label: Int, _ row: Int) {
    let first = queue.offset + (label * queue.shape[1] + row) * queue.channels
    Tensor(shape: [queue.channels], buffer: queue.buffer, offset: first).assign(Tensor(vector, [queue.channels]))
  }
}
