// Linear maps, convolutions and attention against their naive Double twins, their adjoints, and themselves with other
// batch sizes and thread counts.

import COpenBLAS
import Kernels
import Support
import Tensors
import TestSupport
import Testing

/// Some tests change the process's thread count.
@Suite(.serialized) struct MatrixKernelTests {
  static let tolerance = 3e-6

  @Test(arguments: [(1, 1, 1), (7, 5, 3), (300, 40, 24), (64, 160, 33)])
  func linearAgreesWithTwin(rows: Int, inputs: Int, outputs: Int) {
    let x = randomTensor([2, rows, inputs], seed: 1)
    let weight = randomTensor([inputs, outputs], seed: 2)
    let bias = randomTensor([outputs], seed: 3)
    let upstream = randomTensor([2, rows, outputs], seed: 4)
    let twin = naiveLinear(doubles(x), doubles(weight), bias: doubles(bias), inputs: inputs, outputs: outputs)
    #expect(relativeError(linear(x, weight: weight, bias: bias), twin) < Self.tolerance)
    let slots = GradientSlots(zeros: inputs * outputs, samples: 2)
    linearWeightGradient(x, upstream, into: slots)
    let turned = (0..<inputs * outputs).map { doubles(weight)[$0 % inputs * outputs + $0 / inputs] }
    let inputTwin = naiveLinear(doubles(upstream), turned, bias: nil, inputs: outputs, outputs: inputs)
    #expect(relativeError(linearInputGradient(upstream, weight: weight), inputTwin) < Self.tolerance)
    for sample in 0..<2 {
      let twin = NaiveConvolution(
        ConvolutionGeometry(kernel: 1), height: 1, width: rows, inputs: inputs, outputs: outputs
      ).weightGradient(doubles(x.sample(sample)), doubles(upstream.sample(sample)))
      #expect(relativeError(slots.values(sample), twin) < Self.tolerance)
    }
  }

  /// Sizes that the twin is too slow for.
  @Test(arguments: [(1000, 160, 640), (513, 1025, 257)])
  func linearAgreesWithAnotherLibrary(rows: Int, inputs: Int, outputs: Int) {
    let (x, weight) = (randomTensor([1, rows, inputs], seed: 1), randomTensor([inputs, outputs], seed: 2))
    var product = [Float](repeating: 0, count: rows * outputs)
    openblas_set_num_threads(1)
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(rows), blasint(outputs), blasint(inputs), 1, x.values,
      blasint(inputs), weight.values, blasint(outputs), 0, &product, blasint(outputs))
    #expect(relativeError(linear(x, weight: weight), product.map(Double.init)) < Self.tolerance)
  }

  static let geometries = [
    ConvolutionGeometry(kernel: 7, stride: 4), ConvolutionGeometry(kernel: 3, stride: 2),
    ConvolutionGeometry(kernel: 3), ConvolutionGeometry(kernel: 4, stride: 4, padding: 0),
    ConvolutionGeometry(kernel: 3, dilation: 2), ConvolutionGeometry(kernel: 1),
    ConvolutionGeometry(kernel: 1, stride: 2), ConvolutionGeometry(kernel: 4, stride: 2, padding: 1),
  ]

  @Test(arguments: geometries, [(9, 13, 3, 5), (17, 8, 130, 67)])
  func convolutionAgreesWithTwin(geometry: ConvolutionGeometry, size: (Int, Int, Int, Int)) {
    let (height, width, inputs, outputs) = size
    let naive = NaiveConvolution(geometry, height: height, width: width, inputs: inputs, outputs: outputs)
    let x = randomTensor([2, height, width, inputs], seed: 5)
    let weight = randomTensor([geometry.kernel, geometry.kernel, inputs, outputs], seed: 6)
    let bias = randomTensor([outputs], seed: 7)
    let y = convolution(x, weight: weight, bias: bias, geometry)
    let upstream = randomTensor(y.shape, seed: 8)
    let dx = convolutionInputGradient(upstream, weight: weight, height: height, width: width, geometry)
    let slots = GradientSlots(zeros: weight.count, samples: 2)
    convolutionWeightGradient(x, upstream, into: slots, geometry)
    for sample in 0..<2 {
      let image = doubles(x.sample(sample))
      let gradient = doubles(upstream.sample(sample))
      let forward = naive.forward(image, doubles(weight), bias: doubles(bias))
      #expect(relativeError(y.sample(sample), forward) < Self.tolerance)
      #expect(relativeError(dx.sample(sample), naive.inputGradient(gradient, doubles(weight))) < Self.tolerance)
      #expect(relativeError(slots.values(sample), naive.weightGradient(image, gradient)) < Self.tolerance)
    }
  }

  /// Even kernels do not end at the border of odd sizes; the last size takes the way of large weights, tap by tap.
  @Test(arguments: [(2, 3, 3, 5), (4, 5, 3, 5), (5, 4, 3, 5), (7, 6, 2, 4), (47, 46, 128, 33)])
  func evenKernelsGoWithAllSizes(size: (Int, Int, Int, Int)) {
    convolutionAgreesWithTwin(geometry: ConvolutionGeometry(kernel: 4, stride: 2, padding: 1), size: size)
  }

  @Test(arguments: geometries)
  func naiveConvolutionGradientsAreAdjoint(geometry: ConvolutionGeometry) {
    let naive = NaiveConvolution(geometry, height: 9, width: 10, inputs: 3, outputs: 4)
    let x = doubles(randomTensor([9, 10, 3], seed: 9))
    let weight = doubles(randomTensor([geometry.kernel, geometry.kernel, 3, 4], seed: 10))
    let y = naive.forward(x, weight, bias: nil)
    let upstream = doubles(randomTensor([y.count], seed: 11))
    let product = innerProduct(y, upstream)
    #expect(abs(product - innerProduct(x, naive.inputGradient(upstream, weight))) < 1e-9 * abs(product) + 1e-9)
    #expect(abs(product - innerProduct(weight, naive.weightGradient(x, upstream))) < 1e-9 * abs(product) + 1e-9)
  }

  @Test(arguments: [(1, 1, 4, 1), (13, 7, 24, 3), (300, 64, 32, 2), (520, 33, 16, 1)])
  func attentionAgreesWithTwin(queries: Int, keys: Int, channels: Int, heads: Int) {
    let naive = NaiveAttention(queries: queries, keys: keys, channels: channels, heads: heads)
    let q = randomTensor([2, queries, channels], seed: 12)
    let kv = randomTensor([2, keys, 2 * channels], seed: 13)
    let upstream = randomTensor(q.shape, seed: 14)
    let y = attention(queries: q, keysValues: kv, heads: heads)
    let gradient = attentionGradient(queries: q, keysValues: kv, heads: heads, gradient: upstream)
    for sample in 0..<2 {
      let (a, b, g) = (doubles(q.sample(sample)), doubles(kv.sample(sample)), doubles(upstream.sample(sample)))
      #expect(relativeError(y.sample(sample), naive.forward(a, b)) < Self.tolerance)
      let twin = naive.gradient(a, b, g)
      // One key leaves nothing to choose: the exact gradient of the queries is zero and Float32 leaves rounding noise.
      if keys > 1 { #expect(relativeError(gradient.queries.sample(sample), twin.queries) < 1e-5) }
      #expect(relativeError(gradient.keysValues.sample(sample), twin.keysValues) < 1e-5)
    }
  }

  @Test func naiveAttentionGradientIsADerivative() {
    let naive = NaiveAttention(queries: 5, keys: 4, channels: 6, heads: 2)
    let q = doubles(randomTensor([5, 6], seed: 15))
    let kv = doubles(randomTensor([4, 12], seed: 16))
    let upstream = doubles(randomTensor([5, 6], seed: 17))
    let gradient = naive.gradient(q, kv, upstream)
    let inQueries = directionalError(
      at: q, direction: doubles(randomTensor([q.count], seed: 18)), gradient: gradient.queries
    ) { innerProduct(naive.forward($0, kv), upstream) }
    let inKeys = directionalError(
      at: kv, direction: doubles(randomTensor([kv.count], seed: 19)), gradient: gradient.keysValues
    ) { innerProduct(naive.forward(q, $0), upstream) }
    #expect(inQueries < 1e-7)
    #expect(inKeys < 1e-7)
  }

  /// All outputs and slots of one sample, for `samples` copies in one call.
  private func everything(samples: Int, sample: Int) -> [[Float]] {
    let x = randomTensor([9, 21, 19, 20], seed: 20).samples(0..<samples)
    let kernel = randomTensor([3, 3, 20, 12], seed: 21)
    let geometry = ConvolutionGeometry(kernel: 3, stride: 2)
    let y = convolution(x, weight: kernel, geometry)
    let kernelSlots = GradientSlots(zeros: kernel.count, samples: samples)
    convolutionWeightGradient(x, y, into: kernelSlots, geometry)
    let dx = convolutionInputGradient(y, weight: kernel, height: 21, width: 19, geometry)
    let weight = randomTensor([20, 40], seed: 22)
    let wide = linear(x, weight: weight)
    let slots = GradientSlots(zeros: 800, samples: samples)
    linearWeightGradient(x, wide, into: slots)
    let tokens = x.reshaped([samples, 399, 20])
    let pairs = wide.reshaped([samples, 399, 40])
    let z = attention(queries: tokens, keysValues: pairs, heads: 2)
    let dz = attentionGradient(queries: tokens, keysValues: pairs, heads: 2, gradient: z)
    let tensors = [y, dx, wide, linearInputGradient(wide, weight: weight), z, dz.queries, dz.keysValues]
    return tensors.map { $0.sample(sample).values } + [kernelSlots.values(sample), slots.values(sample)]
  }

  @Test func bitsDoNotDependOnBatchOrThreads() {
    let alone = everything(samples: 1, sample: 0)
    for samples in [2, 3, 4, 9] { #expect(everything(samples: samples, sample: 0) == alone) }
    let second = everything(samples: 2, sample: 1)
    WorkerPool.configure(threads: 2)
    #expect(everything(samples: 4, sample: 1) == second)
    WorkerPool.configure(threads: 1)
    #expect(alone != second)
  }
}
