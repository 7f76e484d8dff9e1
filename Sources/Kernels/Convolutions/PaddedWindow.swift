// Windows that walk over a map with a stride, zeros added where they stick out: what strided depthwise convolution and
// max pooling have in common. The vector loops are in CKernels/window_body.h.

import CKernels
import Tensors

/// How a square window of taps walks over maps of one size.
public struct PaddedWindow: Hashable, Sendable {
  /// Rows and columns of taps.
  public let kernel: Int
  /// Input pixels from one output pixel to the next.
  public let stride: Int
  /// Rows and columns added before the map.
  public let top: Int, left: Int
  /// Rows and columns added after the map.
  public let bottom: Int, right: Int

  /// The same padding on all sides.
  public init(kernel: Int, stride: Int, padding: Int) {
    self.init(kernel: kernel, stride: stride, top: padding, left: padding, bottom: padding, right: padding)
  }

  private init(kernel: Int, stride: Int, top: Int, left: Int, bottom: Int, right: Int) {
    precondition(kernel > 0 && stride > 0, "kernel \(kernel), stride \(stride)")
    self.kernel = kernel
    self.stride = stride
    (self.top, self.left, self.bottom, self.right) = (top, left, bottom, right)
  }

  /// TensorFlow's "SAME" padding: outputs are inputs over stride, rounded up; where the zeros needed are odd in number,
  /// the extra row or column goes to the bottom or right.
  public static func same(kernel: Int, stride: Int, height: Int, width: Int) -> PaddedWindow {
    func zeros(_ extent: Int) -> Int { max(((extent + stride - 1) / stride - 1) * stride + kernel - extent, 0) }
    let (rows, columns) = (zeros(height), zeros(width))
    return PaddedWindow(
      kernel: kernel, stride: stride, top: rows / 2, left: columns / 2, bottom: rows - rows / 2,
      right: columns - columns / 2)
  }

  /// Rows of the padded map.
  public func paddedHeight(_ height: Int) -> Int { top + height + bottom }
  /// Columns of the padded map.
  public func paddedWidth(_ width: Int) -> Int { left + width + right }
  /// Output rows.
  public func outputHeight(_ height: Int) -> Int { outputs(paddedHeight(height)) }
  /// Output columns.
  public func outputWidth(_ width: Int) -> Int { outputs(paddedWidth(width)) }

  private func outputs(_ extent: Int) -> Int {
    precondition(extent >= kernel, "a window of \(kernel) taps does not fit into \(extent) padded pixels")
    return (extent - kernel) / stride + 1
  }

  /// The sizes of a call, for C.
  func sizes(_ input: Shape) -> ck_window {
    precondition(input.rank == 4, "a window walks over [N, H, W, C], not \(input)")
    return ck_window(
      height: input[1], width: input[2], output_height: outputHeight(input[1]), output_width: outputWidth(input[2]),
      channels: input[3], kernel: kernel, stride: stride, top: top, left: left)
  }
}

extension ck_window {
  /// Output maps for so many samples.
  func outputShape(_ samples: Int) -> Shape { [samples, output_height, output_width, channels] }
  /// Tiles of output rows.
  func outputTiles(_ samples: Int) -> RowTiles {
    RowTiles(samples: samples, rows: output_height, elementsPerRow: output_width * channels, elements: 1 << 16)
  }
  /// Tiles of input rows.
  func inputTiles(_ samples: Int) -> RowTiles {
    RowTiles(samples: samples, rows: height, elementsPerRow: width * channels, elements: 1 << 16)
  }
}
