// CorDA's multi-task head (Wang et al., ICCV 2021): classes and depth are predicted from stems of their own, which tell
// each other what they found through gates. N samples, H×W at the trunk's stride, K classes, C channels.

import Autograd
import Kernels
import Tensors

/// How a depth-guided head guides.
public struct DepthGuidance: Sendable, Equatable {
  /// Whether the two tasks exchange features; without it depth is a second task and no more.
  public var correlates = true
  /// Whether the first prediction of classes is a dilated classifier of the trunk, as in the released code for GTA; else
  /// a 1×1 convolution of the stem, as for SYNTHIA.
  public var initialOnTrunk = false

  /// The published head for SYNTHIA.
  public init() {}
}

/// Classes and depth from one trunk, in two rounds.
///
/// Two bottlenecks for each task, G_S and G_D, give first predictions. Then each takes from the other
/// `conv3×3(G) · sigmoid(conv3×3(G))`, and dilated 3×3 convolutions, summed, give the final ones. Depth has a classifier
/// for each domain at both levels: where they disagree, a pixel is hard to adapt.
///
/// Parameters have the released model's names. Convolutions start as elsewhere here, and a stem without a change of width
/// has no projection in its shortcut.
public struct DepthGuidedHead: SegmentationHead {
  /// First prediction of classes `[N, H, W, K]`.
  public static let initial = "initial"
  /// Depth as the classifiers of the target, first and final, `[N, H, W, 1]`.
  public static let depth = "depth", initialDepth = "initial-depth"
  /// Depth as those of the source.
  public static let sourceDepth = "source-depth", initialSourceDepth = "initial-source-depth"
  /// All names.
  static let maps: Set = [initial, depth, initialDepth, sourceDepth, initialSourceDepth]

  /// The tasks in the released names: classes, depth.
  private enum Task: String, CaseIterable { case classes = "S", depth = "D" }

  private let trunk: ([Variable], ForwardContext) throws -> Variable
  private let stems: [[Bottleneck]]
  private let initialOnTrunk: DilatedClassifier?
  private let initials: [String: Convolution]
  /// What a task takes from the other one.
  private let corrections: [GatedConvolution]
  private let finals: [(name: String?, task: Int, classifier: DilatedClassifier)]

  /// A head on the coarsest feature map, as published.
  /// - Parameters:
  ///   - registry: where parameters are declared.
  ///   - name: prefix of the parameters' names.
  ///   - channels: those of the encoder's feature maps, finest first; only the last is used.
  ///   - classCount: number of classes.
  ///   - options: width C, a multiple of 4; dilations; guidance.
  public init(
    _ registry: ParameterRegistry, _ name: String, channels: [Int], classCount: Int, _ options: HeadOptions
  ) {
    self.init(registry, name, trunkChannels: channels[channels.count - 1], classCount: classCount, options) {
      features, _ in features[features.count - 1]
    }
  }

  /// The same on DAFormer's fusion of all feature maps, at the stride of the finest.
  public init(
    onFused registry: ParameterRegistry, _ name: String, channels: [Int], classCount: Int, _ options: HeadOptions
  ) {
    let embeddings = channels.enumerated().map {
      Linear(registry, "\(name).embed_layers.\($0).proj", inputs: $1, outputs: options.width)
    }
    let fusion = FusionKind.separableASPP.make(
      registry, "\(name).fuse_layer", inputs: options.width * channels.count, outputs: options.width,
      dilations: [1, 6, 12, 18])
    self.init(registry, name, trunkChannels: options.width, classCount: classCount, options) { features, context in
      try fusion(zip(embeddings, features).map { $0($1, context) }, context)
    }
  }

  private init(
    _ registry: ParameterRegistry, _ name: String, trunkChannels: Int, classCount: Int, _ options: HeadOptions,
    trunk: @escaping ([Variable], ForwardContext) throws -> Variable
  ) {
    let width = options.width
    precondition(width.isMultiple(of: 4), "\(name): stems of \(width) channels narrow to a quarter")
    self.trunk = trunk
    let first = "\(name).initial_task_prediction_heads"
    stems = Task.allCases.map { task in
      [trunkChannels, width].enumerated().map {
        Bottleneck(registry, "\(first).layers.\(task.rawValue).\($0)", inputs: $1, width: width / 4)
      }
    }
    let onTrunk = options.guidance.initialOnTrunk
    initialOnTrunk =
      onTrunk
      ? DilatedClassifier(
        registry, "\(first).conv_out.S", inputs: trunkChannels, outputs: classCount, options.dilations) : nil
    let kept = [(Self.initial, "S", classCount), (Self.initialDepth, "D", 1), (Self.initialSourceDepth, "D_src", 1)]
      .dropFirst(onTrunk ? 1 : 0)
    initials = Dictionary(
      uniqueKeysWithValues: kept.map { map, part, outputs in
        (
          map,
          Convolution(
            registry, "\(first).conv_out.\(part)", inputs: width, outputs: outputs, ConvolutionGeometry(kernel: 1),
            initializer: .normal(deviation: 0.01))
        )
      })
    let exchange = "\(name).multi_modal_distillation.self_attention"
    corrections =
      options.guidance.correlates
      ? ["S.D", "D.S"].map { GatedConvolution(registry, "\(exchange).\($0)", channels: width) } : []
    finals = [(nil, 0, "S", classCount), (Self.depth, 1, "D", 1), (Self.sourceDepth, 1, "D_src", 1)].map {
      map, task, part, outputs in
      let classifier = DilatedClassifier(
        registry, "\(name).heads.\(part)", inputs: width, outputs: outputs, options.dilations)
      return (map, task, classifier)
    }
  }

  /// Logits, the map that they classify, and the predictions besides.
  public func callAsFunction(_ features: [Variable], _ context: ForwardContext) throws -> HeadOutput {
    let trunk = try trunk(features, context)
    var tasks = try stems.map { stem in try stem.reduce(trunk) { try $1($0, context) } }
    var maps: [String: Variable] = [:]
    if let initialOnTrunk { maps[Self.initial] = initialOnTrunk(trunk, context) }
    // In the order of declaration, in which their gradients land.
    for name in [Self.initial, Self.initialDepth, Self.initialSourceDepth] {
      if let classifier = initials[name] { maps[name] = classifier(tasks[name == Self.initial ? 0 : 1], context) }
    }
    if !corrections.isEmpty {
      let taken = corrections.enumerated().map { $1(tasks[1 - $0], context) }
      tasks = zip(tasks, taken).map { add($0, $1, context) }
    }
    var logits = tasks[0]
    for (name, task, classifier) in finals {
      let made = classifier(tasks[task], context)
      if let name { maps[name] = made } else { logits = made }
    }
    return HeadOutput(logits: logits, fused: tasks[0], maps: maps)
  }
}

/// Sum of dilated 3×3 convolutions with bias, under the names of CorDA's released model.
private struct DilatedClassifier {
  private let branches: [Convolution]

  init(_ registry: ParameterRegistry, _ name: String, inputs: Int, outputs: Int, _ dilations: [Int]) {
    branches = dilations.enumerated().map { index, dilation in
      Convolution(
        registry, "\(name).conv2d_list.\(index)", inputs: inputs, outputs: outputs,
        ConvolutionGeometry(kernel: dilation == 1 ? 1 : 3, dilation: dilation), initializer: .normal(deviation: 0.01))
    }
  }

  func callAsFunction(_ x: Variable, _ context: ForwardContext) -> Variable {
    let outputs = branches.map { $0(x, context) }
    return outputs.dropFirst().reduce(outputs[0]) { add($0, $1, context) }
  }
}

/// A 3×3 convolution gated by another one, `conv(x) · sigmoid(gate(x))`, both without bias.
private struct GatedConvolution {
  private let weight: Parameter
  private let gate: Parameter

  init(_ registry: ParameterRegistry, _ name: String, channels: Int) {
    func declare(_ part: String) -> Parameter {
      registry.declare(
        "\(name).\(part).weight", [channels, channels, 3, 3], .heNormal(outputs: channels, taps: 9))
    }
    weight = declare("conv")
    gate = declare("attention.0")
  }

  func callAsFunction(_ x: Variable, _ context: ForwardContext) -> Variable {
    let geometry = ConvolutionGeometry(kernel: 3)
    return multiply(
      convolution(x, weight, nil, geometry, context), sigmoid(convolution(x, gate, nil, geometry, context), context),
      context)
  }
}
