// Single kernels at the sizes of real networks, each against what the machine allows: the rate of matrix products or
// that of memory, whichever takes longer.

import Kernels
import Support
import Tensors
import Training

/// One kernel at one size.
public struct KernelBenchmark {
  /// Kernel and use, such as "head: convolution".
  public let name: String
  /// Sizes, for people.
  public let sizes: String
  /// Operations of its products and sums over taps, computed directly; 0 where memory alone counts.
  public let operations: Double
  /// Bytes that must be read and written once.
  public let bytes: Double
  private let run: () -> Void

  /// A kernel to be timed.
  /// - Parameter floats: numbers read and written, each counted once.
  init(_ name: String, _ sizes: String, operations: Int = 0, floats: Int, _ run: @escaping () -> Void) {
    self.name = name
    self.sizes = sizes
    self.operations = Double(operations)
    bytes = 4 * Double(floats)
    self.run = run
  }

  /// Times the kernel.
  ///
  /// Buffers of few megabytes stay in cache from one call to the next, so that a kernel bounded by memory may pass
  /// what memory allows.
  /// - Parameters:
  ///   - seconds: how long to go on; at least five calls are timed.
  ///   - productRate: what the machine reaches, in operations a second.
  ///   - memoryRate: what memory reaches, in bytes a second.
  public func measure(seconds: Double, productRate: Double, memoryRate: Double) -> KernelBenchmarkResult {
    run()
    let whole = Stopwatch()
    var times: [Double] = []
    while times.count < 5 || (whole.seconds < seconds && times.count < 1000) {
      let watch = Stopwatch()
      run()
      times.append(watch.seconds)
    }
    let (arithmetic, memory) = (operations / productRate, bytes / memoryRate)
    let spread = Spread(times)
    return KernelBenchmarkResult(
      name: name, sizes: sizes, seconds: spread.median, spread: spread, calls: times.count,
      gflops: operations / spread.median / 1e9, gigabytesPerSecond: bytes / spread.median / 1e9,
      limit: arithmetic > memory ? "arithmetic" : "memory", ofLimit: max(arithmetic, memory) / spread.median)
  }
}

/// The figures of one kernel.
public struct KernelBenchmarkResult: Codable, Sendable {
  /// Kernel and use.
  public let name: String
  /// Sizes.
  public let sizes: String
  /// Median seconds of a call.
  public let seconds: Double
  /// Spread of the calls.
  public let spread: Spread
  /// Calls that were timed.
  public let calls: Int
  /// Operations a second, in units of 10⁹; 0 where memory alone counts.
  public let gflops: Double
  /// Bytes a second if each is read or written once, in units of 10⁹.
  public let gigabytesPerSecond: Double
  /// "arithmetic" or "memory": what allows fewer calls a second.
  public let limit: String
  /// Rate reached as a share of what the limit allows.
  public let ofLimit: Double

  /// One line of a table under `heading`.
  public var line: String {
    let rate = gflops > 0 ? rounded(gflops, 1) : "-"
    return "\(leftColumn(name, 34))\(leftColumn(sizes, 30))\(cell(rounded(1e3 * seconds, 3)))"
      + cell(rounded(1e3 * spread.lowerQuartile, 3)) + cell(rounded(1e3 * spread.upperQuartile, 3)) + cell(rate)
      + cell(rounded(gigabytesPerSecond, 1)) + cell(sharePercent(ofLimit)) + "  \(limit)"
  }

  /// The heads of the columns.
  public static var heading: String {
    leftColumn("kernel", 34) + leftColumn("sizes", 30)
      + ["ms", "lower", "upper", "GFLOP/s", "GB/s", "of limit"].map(cell).joined()
  }
}

extension KernelBenchmark {
  /// All kernels: the heads and B0's encoder on a 256-pixel crop, and the stages of B5's.
  public static var all: [KernelBenchmark] {
    headKernels + fusionKernels + encoderKernels("b0") + encoderKernels("b5") + arenaKernels
  }

  /// The segmentation head on a stride-4 map of 64×64.
  private static var headKernels: [KernelBenchmark] {
    let (side, wide, width) = (64, 1024, 256)
    let pixels = side * side
    let geometry = ConvolutionGeometry(kernel: 3)
    let (x, y) = (noise([1, side, side, wide]), noise([1, side, side, width]))
    let (weight, dense) = (noise([wide, width]), noise([3, 3, wide, width]))
    let slots = GradientSlots(zeros: wide * width, samples: 1)
    let denseSlots = GradientSlots(zeros: 9 * wide * width, samples: 1)
    let map = "\(side)x\(side)x\(wide) to \(width)"
    let linearWork = 2 * pixels * wide * width
    let parts = (0..<4).map { _ in noise([1, side, side, width]) }
    let coarse = noise([1, side / 4, side / 4, width])
    return [
      .init("head 3x3", map, operations: 9 * linearWork, floats: x.count + y.count + dense.count) {
        _ = convolution(x, weight: dense, geometry)
      },
      .init("head 3x3, input gradient", map, operations: 9 * linearWork, floats: x.count + y.count + dense.count) {
        _ = convolutionInputGradient(y, weight: dense, height: side, width: side, geometry)
      },
      .init("head 3x3, weight gradient", map, operations: 9 * linearWork, floats: x.count + y.count + dense.count) {
        convolutionWeightGradient(x, y, into: denseSlots, geometry)
      },
      .init("head 1x1", map, operations: linearWork, floats: x.count + y.count + weight.count) {
        _ = linear(x, weight: weight)
      },
      .init("head 1x1, input gradient", map, operations: linearWork, floats: x.count + y.count + weight.count) {
        _ = linearInputGradient(y, weight: weight)
      },
      .init("head 1x1, weight gradient", map, operations: linearWork, floats: x.count + y.count + weight.count) {
        linearWeightGradient(x, y, into: slots)
      },
      .init("head concatenation", "\(side)x\(side)x4·\(width)", floats: 2 * x.count) {
        _ = concatenatedChannels(parts)
      },
      .init("head resize", "\(side / 4) to \(side), \(width) channels", floats: coarse.count + y.count) {
        _ = bilinear(coarse, height: side, width: side)
      },
      .init("head resize, gradient", "\(side / 4) to \(side), \(width) channels", floats: coarse.count + y.count) {
        _ = bilinearGradient(y, height: side / 4, width: side / 4)
      },
    ] + depthwiseKernels("head depthwise", side: side, channels: wide, dilations: [6, 12, 18])
      + batchNormKernels(side: side, channels: wide)
  }

  private static func depthwiseKernels(
    _ name: String, side: Int, channels: Int, dilations: [Int]
  ) -> [KernelBenchmark] {
    let (x, gradient) = (noise([1, side, side, channels]), noise([1, side, side, channels]))
    let weight = noise([3, 3, 1, channels])
    let slots = GradientSlots(zeros: 9 * channels, samples: 1)
    return dilations.flatMap { dilation in
      let sizes = "\(side)x\(side)x\(channels), dilation \(dilation)"
      return [
        KernelBenchmark(name, sizes, operations: 18 * x.count, floats: 2 * x.count) {
          _ = depthwiseConvolution(x, weight: weight, bias: nil, dilation: dilation)
        },
        KernelBenchmark("\(name), weight gradient", sizes, operations: 18 * x.count, floats: 2 * x.count) {
          depthwiseConvolutionWeightGradient(
            x, gradient: gradient, kernel: 3, dilation: dilation, weightSlots: slots, biasSlots: nil)
        },
      ]
    }
  }

  private static func batchNormKernels(side: Int, channels: Int) -> [KernelBenchmark] {
    let (x, output) = (noise([1, side, side, channels]), noise([1, side, side, channels]))
    let gradient = noise([1, side, side, channels])
    let (zeros, ones) = ([Float](repeating: 0, count: channels), [Float](repeating: 1, count: channels))
    let (scale, shift) = (noise([channels]), noise([channels]))
    let sizes = "\(side)x\(side)x\(channels)"
    return [
      .init("batch norm, sums", sizes, floats: x.count) { _ = batchNormSums(x) },
      .init("batch norm, apply", sizes, floats: 2 * x.count) {
        _ = batchNormApply(x, mean: zeros, inverseDeviation: ones, scale: scale, shift: shift, rectifier: .relu)
      },
      .init("batch norm, gradient sums", sizes, floats: 3 * x.count) {
        _ = batchNormGradientSums(
          x, output: output, gradient: gradient, mean: zeros, inverseDeviation: ones, rectifier: .relu)
      },
      .init("batch norm, input gradient", sizes, floats: 4 * x.count) {
        _ = batchNormInputGradient(
          x, output: output, gradient: gradient, mean: zeros, inverseDeviation: ones, scale: scale,
          gradientMean: zeros, gradientDotMean: zeros, rectifier: .relu)
      },
    ]
  }
}
