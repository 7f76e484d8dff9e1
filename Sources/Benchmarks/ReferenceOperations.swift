// Operations of a training step as the published algorithm counts them: two for each multiply-add of its matrix products
// and convolutions, computed where the published network computes them, whatever this program does instead.

import Networks
import Training

/// Counts the matrix products and convolutions of HRDA with a Mix Transformer, one image at a time.
public struct ReferenceOperations {
  /// Operations of a piece of network.
  public struct Count: Equatable, Sendable {
    /// Of its forward pass.
    public var forward = 0.0
    /// Of its gradients with respect to input and weights.
    public var backward = 0.0

    static func + (one: Count, other: Count) -> Count {
      Count(forward: one.forward + other.forward, backward: one.backward + other.backward)
    }
  }

  /// Stride of the finest feature map, where the heads work.
  private static let stride = 4

  private let variant: MixTransformerVariant
  private let configuration: NetworkConfiguration

  /// The counts of a network.
  /// - Precondition: its encoder is a Mix Transformer.
  public init(_ configuration: NetworkConfiguration) {
    let known = MixTransformerVariant.all.first { .named($0.name) == configuration.encoder }
    guard let variant = known else {
      preconditionFailure("operations of encoder \(configuration.encoder) are not known")
    }
    self.variant = variant
    self.configuration = configuration
  }

  /// One step on one source and one target image of `side`² pixels: two student passes with gradients, the dense
  /// teacher, and the frozen encoder of the feature distance. Blur, optimizer and averages are left out.
  public func step(side: Int) -> Double {
    let student = studentPass(side: side)
    return 2 * (student.forward + student.backward) + teacher(side: side)
      + encoder(side: side / configuration.contextReduction).forward
  }

  /// Context and detail crop through encoder and head, and the scale attention.
  public func studentPass(side: Int) -> Count {
    let context = side / configuration.contextReduction
    let detail = configuration.detailHeight
    return encoder(side: context) + encoder(side: detail) + head(side: context) + head(side: detail)
      + scaleAttention(side: context)
  }

  /// Context and all detail windows, forward only.
  public func teacher(side: Int) -> Double {
    let context = side / configuration.contextReduction
    let detail = configuration.detailHeight
    let along = (side - detail) / (detail / (configuration.detailOverlap ? 2 : 1)) + 1
    let window = encoder(side: detail) + head(side: detail)
    let whole = encoder(side: context) + head(side: context) + scaleAttention(side: context)
    return whole.forward + Double(along * along) * window.forward
  }

  /// The encoder on an image of `side`² pixels. The image itself has no gradient.
  public func encoder(side: Int) -> Count {
    var count = Count()
    var inputs = 3
    var extent = side
    for stage in 0..<4 {
      let width = variant.widths[stage]
      let stride = stage == 0 ? 4 : 2
      extent = (extent + stride - 1) / stride
      let taps = stage == 0 ? 49 : 9
      let embedding = product(extent * extent, taps * inputs, width)
      count = count + Count(forward: embedding, backward: stage == 0 ? embedding : 2 * embedding)
      for _ in 0..<variant.depths[stage] { count = count + block(stage, extent: extent) }
      inputs = width
    }
    return count
  }

  private func block(_ stage: Int, extent: Int) -> Count {
    let (width, reduction) = (variant.widths[stage], variant.reductions[stage])
    let tokens = extent * extent
    let keys = (extent / reduction) * (extent / reduction)
    let linear = 2 * product(tokens, width, width) + product(keys, width, 2 * width)
    let summary = reduction > 1 ? product(keys, reduction * reduction * width, width) : 0
    let scores = 2 * product(tokens, keys, width)
    let feedForward = 2 * product(tokens, width, 4 * width) + product(tokens, 9, 4 * width)
    return trained(linear + summary + scores + feedForward)
  }

  /// The segmentation head on features of an image of `side`² pixels.
  public func head(side: Int) -> Count {
    let pixels = side / Self.stride * (side / Self.stride)
    let (width, wide) = (configuration.headWidth, configuration.headWidth * variant.widths.count)
    let branches = configuration.dilations.reduce(0.0) { sum, dilation in
      sum + product(pixels, wide, width) + (dilation > 1 ? product(pixels, 9, wide) : 0)
    }
    let bottleneck = product(pixels, 9 * width * configuration.dilations.count, width)
    return trained(
      embeddings(side: side, width: width) + branches + bottleneck
        + product(pixels, width, configuration.classCount))
  }

  /// The scale-attention head on features of an image of `side`² pixels.
  public func scaleAttention(side: Int) -> Count {
    let pixels = side / Self.stride * (side / Self.stride)
    let width = configuration.attentionWidth
    return trained(
      embeddings(side: side, width: width) + product(pixels, width * variant.widths.count, width)
        + product(pixels, width, configuration.classCount))
  }

  private func embeddings(side: Int, width: Int) -> Double {
    variant.widths.enumerated().reduce(0.0) { sum, stage in
      let extent = side / (4 << stage.offset)
      return sum + product(extent * extent, stage.element, width)
    }
  }

  private func product(_ rows: Int, _ depth: Int, _ columns: Int) -> Double {
    2 * Double(rows) * Double(depth) * Double(columns)
  }

  private func trained(_ forward: Double) -> Count { Count(forward: forward, backward: 2 * forward) }
}
