// Operations on maps: resizing, channel concatenation, cropping, and HRDA's gated fusion.

import Kernels
import Tensors

/// Bilinear resizing without antialiasing, half-pixel centres or corners that meet, as PyTorch's `align_corners`; the
/// variable itself where the size already fits.
public func bilinear(
  _ x: Variable, height: Int, width: Int, alignCorners: Bool = false, _ context: ForwardContext
) -> Variable {
  let (oldHeight, oldWidth) = (x.value.shape[1], x.value.shape[2])
  if (oldHeight, oldWidth) == (height, width) { return x }
  let cell = x.cell
  let value = Kernels.bilinear(x.value, height: height, width: width, alignCorners: alignCorners)
  return context.record(value, tracked: cell != nil) { gradient in
    cell?.accumulate(
      bilinearGradient(gradient, height: oldHeight, width: oldWidth, alignCorners: alignCorners))
  }
}

/// Maps of equal size side by side in the channel axis.
public func concatenated(_ parts: [Variable], _ context: ForwardContext) -> Variable {
  let cells = parts.map(\.cell)
  let widths = parts.map(\.value.channels)
  let value = concatenatedChannels(parts.map(\.value))
  return context.record(value, tracked: cells.contains { $0 != nil }) { gradient in
    for (cell, slice) in zip(cells, channelSlices(gradient, widths: widths)) { cell?.accumulate(slice) }
  }
}

/// Some neighbouring channels; see `Kernels.channels`.
public func channels(_ x: Variable, _ range: Range<Int>, _ context: ForwardContext) -> Variable {
  let cell = x.cell
  let all = x.value.channels
  return context.record(Kernels.channels(x.value, range), tracked: cell != nil) { gradient in
    cell?.accumulate(placedChannels(gradient, at: range, of: all))
  }
}

/// Zeros outside a box of a larger map: the map is pasted at `box`.
public func padded(_ x: Variable, into box: Box, height: Int, width: Int, _ context: ForwardContext) -> Variable {
  padded(x, into: [box], height: height, width: width, context)
}

/// The same with a box for each sample; a single one serves all.
public func padded(_ x: Variable, into boxes: [Box], height: Int, width: Int, _ context: ForwardContext) -> Variable {
  let cell = x.cell
  let value = Kernels.padded(x.value, into: boxes, height: height, width: width)
  return context.record(value, tracked: cell != nil) { gradient in
    cell?.accumulate(Kernels.cropped(gradient, to: boxes))
  }
}

/// The part of the map inside `box`.
public func cropped(_ x: Variable, to box: Box, _ context: ForwardContext) -> Variable {
  cropped(x, to: [box], context)
}

/// The same with a box for each sample, all of one size; a single one serves all.
public func cropped(_ x: Variable, to boxes: [Box], _ context: ForwardContext) -> Variable {
  let cell = x.cell
  let (height, width) = (x.value.shape[1], x.value.shape[2])
  return context.record(Kernels.cropped(x.value, to: boxes), tracked: cell != nil) { gradient in
    cell?.accumulate(Kernels.padded(gradient, into: boxes, height: height, width: width))
  }
}

/// Pixels as tokens, group after group; see `Kernels.groupedPixels`.
public func groupedPixels(
  _ x: Variable, side: Int, _ grouping: PixelGrouping, _ context: ForwardContext
) -> Variable {
  let cell = x.cell
  let (height, width) = (x.value.shape[1], x.value.shape[2])
  return context.record(Kernels.groupedPixels(x.value, side: side, grouping), tracked: cell != nil) { gradient in
    cell?.accumulate(Kernels.ungroupedPixels(gradient, height: height, width: width, side: side, grouping))
  }
}

/// Maps put together from the tokens of `groupedPixels`; see `Kernels.ungroupedPixels`.
public func ungroupedPixels(
  _ tokens: Variable, height: Int, width: Int, side: Int, _ grouping: PixelGrouping, _ context: ForwardContext
) -> Variable {
  let cell = tokens.cell
  let value = Kernels.ungroupedPixels(tokens.value, height: height, width: width, side: side, grouping)
  return context.record(value, tracked: cell != nil) { gradient in
    cell?.accumulate(Kernels.groupedPixels(gradient, side: side, grouping))
  }
}

/// Mean of every cell of a grid over the map; see `Kernels.adaptiveAverage`.
public func adaptiveAverage(_ x: Variable, cells: Int, _ context: ForwardContext) -> Variable {
  let cell = x.cell
  let (height, width) = (x.value.shape[1], x.value.shape[2])
  return context.record(Kernels.adaptiveAverage(x.value, cells: cells), tracked: cell != nil) { gradient in
    cell?.accumulate(adaptiveAverageGradient(gradient, height: height, width: width))
  }
}

/// The map inside a box for each sample, zero outside; a single box serves all.
public func maskOutside(_ x: Variable, _ boxes: [Box], _ context: ForwardContext) -> Variable {
  let cell = x.cell
  return context.record(Kernels.maskOutside(x.value, boxes), tracked: cell != nil) { gradient in
    cell?.accumulate(Kernels.maskOutside(gradient, boxes))
  }
}

/// `(1 - gate) · context`, HRDA's damped context logits (Hoyer et al., ECCV 2022, Eq. 9).
public func gatedContext(gate: Variable, logits: Variable, _ context: ForwardContext) -> Variable {
  let (g, l) = (gate, logits)
  let value = Kernels.gatedContext(g.value, l.value)
  return context.record(value, tracked: g.cell != nil || l.cell != nil) { gradient in
    let result = gatedContextGradient(gate: g.value, context: l.value, gradient: gradient)
    g.cell?.accumulate(result.gate)
    l.cell?.accumulate(result.context)
  }
}

/// `gate · detail + damped`, HRDA's fused logits (Hoyer et al., ECCV 2022, Eq. 9).
public func fuse(gate: Variable, detail: Variable, damped: Variable, _ context: ForwardContext) -> Variable {
  let (g, d, cell) = (gate, detail, damped.cell)
  let value = Kernels.fuse(gate: g.value, detail: d.value, context: damped.value)
  return context.record(value, tracked: g.cell != nil || d.cell != nil || cell != nil) { gradient in
    let result = fuseGradient(gate: g.value, detail: d.value, gradient: gradient)
    g.cell?.accumulate(result.gate)
    d.cell?.accumulate(result.detail)
    cell?.accumulate(gradient)
  }
}
