// Strided depthwise convolution and max pooling in Double, tap by tap. Shapes as in the kernels: [N, H, W, C].

import Kernels

/// A window that walks over maps [N, H, W, C], zeros or nothing outside.
public struct NaiveWindow {
  let window: PaddedWindow
  let samples: Int
  let height: Int
  let width: Int
  let channels: Int

  /// From the input's extents.
  public init(_ extents: [Int], _ window: PaddedWindow) {
    (samples, height, width, channels) = (extents[0], extents[1], extents[2], extents[3])
    self.window = window
  }

  private var outputHeight: Int { (window.top + height + window.bottom - window.kernel) / window.stride + 1 }
  private var outputWidth: Int { (window.left + width + window.right - window.kernel) / window.stride + 1 }
  private var outputsPerSample: Int { outputHeight * outputWidth * channels }

  /// Extents of the output.
  public var outputExtents: [Int] { [samples, outputHeight, outputWidth, channels] }

  /// Calls `body(output, input, tap)` for every output element and every tap inside the map, taps in order.
  private func forEachTap(_ body: (Int, Int, Int) -> Void) {
    for output in 0..<samples * outputsPerSample {
      let channel = output % channels
      let column = output / channels % outputWidth
      let row = output / channels / outputWidth % outputHeight
      for tap in 0..<window.kernel * window.kernel {
        let fromRow = row * window.stride - window.top + tap / window.kernel
        let fromColumn = column * window.stride - window.left + tap % window.kernel
        guard (0..<height).contains(fromRow), (0..<width).contains(fromColumn) else { continue }
        let sample = output / outputsPerSample
        body(output, ((sample * height + fromRow) * width + fromColumn) * channels + channel, tap)
      }
    }
  }

  /// Depthwise convolution by a weight [k, k, C].
  public func convolution(_ x: [Double], _ weight: [Double]) -> [Double] {
    var y = [Double](repeating: 0, count: samples * outputsPerSample)
    forEachTap { output, input, tap in y[output] += x[input] * weight[tap * channels + output % channels] }
    return y
  }

  /// Its gradient with respect to the input.
  public func inputGradient(_ gradient: [Double], _ weight: [Double]) -> [Double] {
    var x = [Double](repeating: 0, count: samples * height * width * channels)
    forEachTap { output, input, tap in x[input] += gradient[output] * weight[tap * channels + output % channels] }
    return x
  }

  /// Its gradient with respect to the weight, one array per sample.
  public func weightGradients(_ x: [Double], _ gradient: [Double]) -> [[Double]] {
    let none = [Double](repeating: 0, count: window.kernel * window.kernel * channels)
    var weight = [[Double]](repeating: none, count: samples)
    forEachTap { output, input, tap in
      weight[output / outputsPerSample][tap * channels + output % channels] += gradient[output] * x[input]
    }
    return weight
  }

  /// Largest values, and the tap and input of each one's first appearance.
  public func maximum(_ x: [Double]) -> (values: [Double], taps: [Int], inputs: [Int]) {
    var values = [Double](repeating: -.infinity, count: samples * outputsPerSample)
    var (taps, inputs) = ([Int](repeating: -1, count: values.count), [Int](repeating: -1, count: values.count))
    forEachTap { output, input, tap in
      if inputs[output] < 0 || x[input] > values[output] {
        (values[output], taps[output], inputs[output]) = (x[input], tap, input)
      }
    }
    return (values, taps, inputs)
  }

  /// Gradient of the largest values.
  public func maximumGradient(_ gradient: [Double], _ x: [Double]) -> [Double] {
    var result = [Double](repeating: 0, count: x.count)
    for (output, input) in maximum(x).inputs.enumerated() { result[input] += gradient[output] }
    return result
  }
}
