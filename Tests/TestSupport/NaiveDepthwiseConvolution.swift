// Depthwise convolution and its gradients in Double, tap by tap. Shapes as in the kernels: [N, H, W, C], weight [k, k, C].

/// A depthwise convolution's extents.
public struct NaiveDepthwiseConvolution {
  let samples: Int
  let height: Int
  let width: Int
  let channels: Int
  let kernel: Int
  let dilation: Int

  /// From the input's extents [N, H, W, C].
  public init(_ extents: [Int], kernel: Int, dilation: Int) {
    (samples, height, width, channels) = (extents[0], extents[1], extents[2], extents[3])
    self.kernel = kernel
    self.dilation = dilation
  }

  /// Calls `body(output, input, tap)` with the element indices of every product.
  private func forEachProduct(_ body: (Int, Int, Int) -> Void) {
    for sample in 0..<samples {
      for (row, column) in positions(height, width) {
        for (i, j) in positions(kernel, kernel) {
          let (fromRow, fromColumn) = (row + (i - kernel / 2) * dilation, column + (j - kernel / 2) * dilation)
          guard (0..<height).contains(fromRow), (0..<width).contains(fromColumn) else { continue }
          for channel in 0..<channels {
            body(
              ((sample * height + row) * width + column) * channels + channel,
              ((sample * height + fromRow) * width + fromColumn) * channels + channel,
              (i * kernel + j) * channels + channel)
          }
        }
      }
    }
  }

  private func positions(_ rows: Int, _ columns: Int) -> [(Int, Int)] {
    (0..<rows).flatMap { row in (0..<columns).map { (row, $0) } }
  }

  /// The convolution.
  public func forward(_ x: [Double], weight: [Double], bias: [Double]?) -> [Double] {
    var y = (0..<x.count).map { bias?[$0 % channels] ?? 0 }
    forEachProduct { output, input, tap in y[output] += x[input] * weight[tap] }
    return y
  }

  /// Gradient with respect to the input.
  public func inputGradient(_ gradient: [Double], weight: [Double]) -> [Double] {
    var x = [Double](repeating: 0, count: gradient.count)
    forEachProduct { output, input, tap in x[input] += gradient[output] * weight[tap] }
    return x
  }

  /// Gradient with respect to the weight, one array per sample.
  public func weightGradients(_ x: [Double], gradient: [Double]) -> [[Double]] {
    let none = [Double](repeating: 0, count: kernel * kernel * channels)
    var weight = [[Double]](repeating: none, count: samples)
    let perSample = height * width * channels
    forEachProduct { output, input, tap in weight[output / perSample][tap] += gradient[output] * x[input] }
    return weight
  }

  /// Gradient with respect to the bias, one array per sample.
  public func biasGradients(_ gradient: [Double]) -> [[Double]] {
    let perSample = height * width * channels
    var bias = [[Double]](repeating: [Double](repeating: 0, count: channels), count: samples)
    for (index, value) in gradient.enumerated() { bias[index / perSample][index % channels] += value }
    return bias
  }
}
