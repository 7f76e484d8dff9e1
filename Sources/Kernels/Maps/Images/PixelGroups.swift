// Pixels of a map dealt out to groups, and back: the two permutations of interlaced sparse self-attention.
// N samples, H×W pixels, C channels; cells of side×side pixels.

import Support
import Tensors

/// Which pixels of a map form a group.
public enum PixelGrouping: Sendable, CaseIterable {
  /// The pixels of one cell: near ones.
  case cells
  /// The pixels at one place of every cell: far ones.
  case interlaced
}

/// Where a pixel of a map lies among the tokens of its groups.
private struct PixelGroups {
  let side: Int
  let grouping: PixelGrouping
  let cellRows: Int
  let cellColumns: Int

  init(height: Int, width: Int, side: Int, _ grouping: PixelGrouping) {
    precondition(side > 0 && height % side == 0 && width % side == 0, "cells of \(side) in \(height)x\(width)")
    self.side = side
    self.grouping = grouping
    (cellRows, cellColumns) = (height / side, width / side)
  }

  var groups: Int { grouping == .cells ? cellRows * cellColumns : side * side }
  var tokens: Int { grouping == .cells ? side * side : cellRows * cellColumns }

  func token(sample: Int, row: Int, column: Int) -> Int {
    let cell = row / side * cellColumns + column / side
    let place = row % side * side + column % side
    return grouping == .cells
      ? (sample * groups + cell) * tokens + place : (sample * groups + place) * tokens + cell
  }
}

/// Pixels as tokens, group after group; the inverse and adjoint of `ungroupedPixels`.
///
/// Shapes: `x` [N, H, W, C]; result [N · groups, tokens, C], groups and tokens in row-major order.
/// - Precondition: H and W are multiples of `side`.
/// Source: Huang et al., "Interlaced Sparse Self-Attention for Semantic Segmentation", 2019, section 3.2.
public func groupedPixels(_ x: Tensor, side: Int, _ grouping: PixelGrouping) -> Tensor {
  let mark = KernelMeter.begin(.copy)
  defer { KernelMeter.end(mark) }
  let (height, width, channels) = (x.shape[1], x.shape[2], x.channels)
  let groups = PixelGroups(height: height, width: width, side: side, grouping)
  let result = Tensor(uninitialized: [x.samples * groups.groups, groups.tokens, channels])
  forEachMapRow(samples: x.samples, height: height) { sample, row in
    let line = x.pointer + (sample * height + row) * width * channels
    for column in 0..<width {
      (result.pointer + groups.token(sample: sample, row: row, column: column) * channels)
        .update(from: line + column * channels, count: channels)
    }
  }
  return result
}

/// Maps put together from the tokens of `groupedPixels`; its inverse and adjoint.
///
/// Shapes: `tokens` [N · groups, tokens, C]; result [N, height, width, C].
/// - Precondition: the sizes are those of such a grouping, and `height` and `width` are multiples of `side`.
public func ungroupedPixels(
  _ tokens: Tensor, height: Int, width: Int, side: Int, _ grouping: PixelGrouping
) -> Tensor {
  let mark = KernelMeter.begin(.copy)
  defer { KernelMeter.end(mark) }
  let groups = PixelGroups(height: height, width: width, side: side, grouping)
  precondition(
    tokens.samples % groups.groups == 0 && tokens.shape[1] == groups.tokens,
    "\(tokens.shape) for \(height)x\(width) in \(groups.groups) groups of \(groups.tokens)")
  let channels = tokens.channels
  let result = Tensor(uninitialized: [tokens.samples / groups.groups, height, width, channels])
  forEachMapRow(samples: result.samples, height: height) { sample, row in
    let line = result.pointer + (sample * height + row) * width * channels
    for column in 0..<width {
      let token = groups.token(sample: sample, row: row, column: column)
      (line + column * channels).update(from: tokens.pointer + token * channels, count: channels)
    }
  }
  return result
}
