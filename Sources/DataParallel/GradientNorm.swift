// The length of a gradient, with the same bits for every rank count, thread count and CPU level.

import Collectives
import Kernels
import Tensors

/// The Euclidean norm of a gradient that lies in an arena.
///
/// Every tensor is cut at multiples of `stretch` elements of the arena; sums of squares of the parts are added up the
/// tree over parts, then up the tree over tensors by name (neighbours 2i and 2i+1, an odd last one moves up), in Double.
public struct GradientNorm: Sendable {
  /// Elements of the arena between two cuts.
  public static let stretch = 4096

  /// Parts of all tensors, by name of the tensor.
  private let parts: [Range<Int>]
  /// Which of `parts` belong to each tensor, by name.
  private let tensors: [Range<Int>]
  /// Which of `parts` each rank owns, by rank.
  private let owned: [[Int]]

  /// The norm over tensors of an arena, in any order.
  /// - Parameters:
  ///   - slices: the tensors.
  ///   - shards: who owns what of gradients that are dealt out over ranks.
  public init(_ slices: [(name: String, range: Range<Int>)], shards: ArenaShards? = nil) {
    var parts: [Range<Int>] = []
    tensors = slices.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }.map { slice in
      let first = parts.count
      var begin = slice.range.lowerBound
      while begin < slice.range.upperBound {
        let end = min((begin / GradientNorm.stretch + 1) * GradientNorm.stretch, slice.range.upperBound)
        parts.append(begin..<end)
        begin = end
      }
      return first..<parts.count
    }
    self.parts = parts
    owned = shards?.indices(byOwner: parts) ?? []
  }

  /// The norm of a gradient that this rank holds whole; not finite exactly where one of its values is not.
  ///
  /// Rank behaviour: no communication; equal gradients give equal bits.
  /// - Shape: `gradient` [parameters].
  public func callAsFunction(_ gradient: Tensor) -> Double { norm(sumsOfSquares(gradient, parts)) }

  /// The norm of a gradient of which each rank holds what it owns: the bits that a rank with the whole would find.
  /// Called by all ranks.
  public func callAsFunction(_ gradient: Tensor, dealtOut shards: ArenaShards) throws -> Double {
    norm(try shards.gathered(parts, byOwner: owned) { sumsOfSquares(gradient, $0) })
  }

  private func norm(_ sums: [Double]) -> Double {
    treeSum(tensors.map { treeSum(Array(sums[$0])) }).squareRoot()
  }

  private func treeSum(_ values: [Double]) -> Double { sumSamples(values, samples: values.count, count: 1)[0] }
}
