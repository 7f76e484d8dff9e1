// The kernels of encoder stages, of the fused prediction and of the arenas, at the sizes of a 512-pixel crop.

import Kernels
import Networks
import Support
import Tensors
import Training

extension KernelBenchmark {
  /// Random numbers around zero.
  static func noise(_ shape: Shape) -> Tensor {
    let stream = RandomStream(seed: 1, step: 0, sample: nil, purpose: Purpose("benchmark", "kernel"))
    return Tensor((0..<shape.count).map { stream.uniform(at: UInt32($0)) - 0.5 }, shape)
  }

  /// Every stage of a Mix Transformer on a 256-pixel crop.
  static func encoderKernels(_ name: String) -> [KernelBenchmark] {
    guard let variant = MixTransformerVariant.all.first(where: { $0.name == name }) else { return [] }
    return (0..<4).flatMap { stage in stageKernels("\(name) stage \(stage + 1)", variant, stage, side: 64 >> stage) }
  }

  private static func stageKernels(
    _ name: String, _ variant: MixTransformerVariant, _ stage: Int, side: Int
  ) -> [KernelBenchmark] {
    let width = variant.widths[stage]
    let x = noise([1, side * side, width])
    return feedForwardKernels(name, x, side: side)
      + attentionKernels(name, x, reduced: side / variant.reductions[stage], heads: variant.heads[stage])
  }

  /// What a block's feed-forward network is made of, over tokens `x` of a square map.
  private static func feedForwardKernels(_ name: String, _ x: Tensor, side: Int) -> [KernelBenchmark] {
    let (tokens, width) = (x.shape[1], x.shape[2])
    let hidden = 4 * width
    let wide = noise([1, tokens, hidden])
    let weight = noise([width, hidden])
    let slots = GradientSlots(zeros: width * hidden, samples: 1)
    let (map, filter) = (wide.reshaped([1, side, side, hidden]), noise([3, 3, 1, hidden]))
    let work = 2 * tokens * width * hidden
    let traffic = x.count + wide.count + weight.count
    let sizes = "\(tokens)x\(width) to \(hidden)"
    return [
      .init("\(name): expand", sizes, operations: work, floats: traffic) { _ = linear(x, weight: weight) },
      .init("\(name): expand, input gradient", sizes, operations: work, floats: traffic) {
        _ = linearInputGradient(wide, weight: weight)
      },
      .init("\(name): expand, weight gradient", sizes, operations: work, floats: traffic) {
        linearWeightGradient(x, wide, into: slots)
      },
      .init("\(name): depthwise", "\(side)x\(side)x\(hidden)", operations: 18 * wide.count, floats: 2 * wide.count) {
        _ = depthwiseConvolution(map, weight: filter, bias: nil, dilation: 1)
      },
      .init("\(name): GELU", "\(tokens)x\(hidden)", floats: 2 * wide.count) { _ = gelu(wide) },
      .init("\(name): GELU, gradient", "\(tokens)x\(hidden)", floats: 3 * wide.count) {
        _ = geluGradient(wide, gradient: wide)
      },
    ]
  }

  /// What a block's attention is made of, over tokens `x`, with as many keys as a map of `reduced` tokens a side has.
  private static func attentionKernels(_ name: String, _ x: Tensor, reduced: Int, heads: Int) -> [KernelBenchmark] {
    let (tokens, width) = (x.shape[1], x.shape[2])
    let (scale, shift) = (noise([width]), noise([width]))
    let keysValues = noise([1, reduced * reduced, 2 * width])
    let scores = 2 * tokens * reduced * reduced * width
    let attentionSizes = "\(tokens) on \(reduced * reduced), \(heads)x\(width / heads)"
    return [
      .init("\(name): layer norm", "\(tokens)x\(width)", floats: 2 * x.count) {
        _ = layerNorm(x, scale: scale, shift: shift, epsilon: 1e-6)
      },
      .init(
        "\(name): attention", attentionSizes, operations: 2 * scores, floats: 2 * x.count + keysValues.count
      ) {
        _ = attention(queries: x, keysValues: keysValues, heads: heads)
      },
      .init(
        "\(name): attention, gradient", attentionSizes, operations: 5 * scores,
        floats: 3 * x.count + 2 * keysValues.count
      ) {
        _ = attentionGradient(queries: x, keysValues: keysValues, heads: heads, gradient: x)
      },
      .init("\(name): residual sum", "\(tokens)x\(width)", floats: 3 * x.count) { _ = add(x, x) },
    ]
  }

  /// Logits of 19 classes from stride 4 to the loss at 512×512.
  static var fusionKernels: [KernelBenchmark] {
    let (side, classes) = (512, 19)
    let logits = noise([1, side / 4, side / 4, classes])
    let fine = noise([1, side, side, classes])
    let labels = LabelMap(
      height: side, width: side, values: (0..<side * side).map { UInt8($0 / side / 64 * 8 + $0 % side / 64) % 19 })
    return [
      .init("logits: resize", "\(side / 4) to \(side), \(classes) channels", floats: logits.count + fine.count) {
        _ = bilinear(logits, height: side, width: side)
      },
      .init(
        "logits: resize, gradient", "\(side / 4) to \(side), \(classes) channels", floats: logits.count + fine.count
      ) {
        _ = bilinearGradient(fine, height: side / 4, width: side / 4)
      },
      .init("cross-entropy", "\(side)x\(side)x\(classes)", floats: fine.count) {
        _ = crossEntropySums(fine, labels: labels, weights: nil)
      },
      .init("cross-entropy and gradient", "\(side)x\(side)x\(classes)", floats: 2 * fine.count) {
        _ = crossEntropy(fine, labels: labels, weights: nil, factor: 1)
      },
      .init("pseudo-labels", "\(side)x\(side)x\(classes)", floats: fine.count) { _ = pseudoLabels(fine) },
    ]
  }

  /// Updates of an arena of sixteen million numbers.
  static var arenaKernels: [KernelBenchmark] {
    let count = 16 << 20
    let arenas = (0..<4).map { _ in Tensor(repeating: 0.001, [count]) }
    return [
      .init("AdamW", "\(count) numbers", floats: 7 * count) {
        adamW(
          parameters: arenas[0], gradient: arenas[1], firstMoment: arenas[2], secondMoment: arenas[3],
          range: 0..<count, rate: 1e-5, decay: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, step: 10)
      },
      .init("exponential average", "\(count) numbers", floats: 3 * count) {
        exponentialAverage(arenas[0], arenas[1], momentum: 0.999)
      },
    ]
  }
}
