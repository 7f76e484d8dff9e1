// Kernel size, stride, padding and dilation of a convolution, and the outputs they give.

/// How a convolution walks over its input.
public struct ConvolutionGeometry: Hashable, Sendable {
  /// Rows and columns of taps.
  public let kernel: Int
  /// Input pixels from one output pixel to the next.
  public let stride: Int
  /// Zeros added on every side.
  public let padding: Int
  /// Input pixels from one tap to the next.
  public let dilation: Int

  /// A square kernel; `padding` nil means `dilation * (kernel / 2)`.
  public init(kernel: Int, stride: Int = 1, padding: Int? = nil, dilation: Int = 1) {
    precondition(kernel > 0 && stride > 0 && dilation > 0, "kernel \(kernel), stride \(stride), dilation \(dilation)")
    self.kernel = kernel
    self.stride = stride
    self.padding = padding ?? dilation * (kernel / 2)
    self.dilation = dilation
  }

  /// Output extent for an input extent.
  /// - Precondition: the kernel fits into the padded input.
  public func outputExtent(_ input: Int) -> Int {
    let span = input + 2 * padding - dilation * (kernel - 1)
    precondition(span > 0, "a kernel of \(kernel) taps does not fit into \(input) pixels padded by \(padding)")
    return (span - 1) / stride + 1
  }

  /// Whether the convolution is a linear map of each pixel.
  var isPointwise: Bool { kernel == 1 && stride == 1 && padding == 0 }

  /// Output positions whose tap `tap` reads inside an input of `extent` pixels.
  func validOutputs(tap: Int, extent: Int, outputs: Int) -> Range<Int> {
    let shift = tap * dilation - padding
    let first = shift >= 0 ? 0 : (-shift + stride - 1) / stride
    let last = extent - 1 - shift
    let end = last < 0 ? 0 : min(outputs, last / stride + 1)
    return min(first, end)..<end
  }
}
