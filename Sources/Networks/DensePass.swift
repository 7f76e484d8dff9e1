// A pass without gradients over whole images: the context once, and detail windows that overlap. A team shares out the
// context and the windows among its ranks. N samples, H×W image, K classes.

import Autograd
import Collectives
import Kernels
import Support
import Tensors

/// What a dense pass yields.
public struct DenseOutput {
  /// Logits of the whole image, at the network's stride (of the context where that is all there is).
  public let logits: Tensor
  /// The windows' mean detail logits, nil without a detail resolution.
  public let detail: Tensor?
  /// The maps that were asked for.
  public let maps: [Site: Tensor]

  init(logits: Tensor, detail: Tensor?, maps: [Site: Tensor] = [:]) {
    self.logits = logits
    self.detail = detail
    self.maps = maps
  }
}

extension SegmentationNetwork {
  /// A pass without gradients in which detail windows cover the whole image.
  ///
  /// Windows of one image go through the network as one batch, which matters where batch norm uses batch statistics
  /// (the published teacher does). A collective in that mode, and in a team, where every rank computes some of the
  /// windows and gets the logits of all.
  /// - Parameters:
  ///   - image: normalised images, `[N, H, W, 3]`.
  ///   - sites: maps that are wanted besides, of a network that sees the context alone.
  ///   - context: sample share and statistics of the pass.
  public func dense(
    _ image: Tensor, keeping sites: Set<Site> = [], _ context: ForwardContext
  ) throws -> DenseOutput {
    precondition(context.tape == nil, "a dense pass records nothing")
    precondition(sites.isEmpty || configuration.resolution == .contextOnly, "maps of \(configuration.resolution)")
    defer { context.statistics.apply() }
    let boxes = configuration.resolution == .contextOnly ? [] : detailBoxes(image)
    let shares = context.team.map { _ in WindowShares(self, image: image, windows: boxes.count, context) }
    var (prediction, tiles): (ContextPrediction?, Tensor?)
    let hasContext = configuration.resolution != .detailOnly && (context.team?.rank ?? 0) == 0
    if let shares, hasContext, !shares.own.isEmpty, context.normalization == .batch {
      (tiles, prediction) = try Alternation.run {
        try windowLogits(image, boxes, context.alternating($0), shares)
      } _: {
        try contextPrediction(image, sites, context.alternating($0))
      }
    } else {
      if hasContext { prediction = try contextPrediction(image, sites, context) }
      tiles = try windowLogits(image, boxes, context, shares)
    }
    var (logits, gate) = (prediction?.logits, prediction?.gate)
    if let team = context.team {
      let parts = try team.gatheredTensors([logits, gate, tiles].compactMap { $0 })
      (logits, gate) = (parts[0][0], parts[0][1])
      tiles = concatenatedSamples(Array(parts[0][2...]) + parts[1...].joined())
      try context.statistics.share(among: team, parameters.batchNorms)
    }
    guard let tiles else {
      return DenseOutput(
        logits: logits ?? Tensor(zeros: [image.samples]), detail: nil, maps: prediction?.maps ?? [:])
    }
    let detail = stitched(
      tiles, boxes.map(grid.onDetail), samples: image.samples, height: image.shape[1] / grid.stride,
      width: image.shape[2] / grid.stride)
    guard let logits, let gate else { return DenseOutput(logits: detail, detail: detail) }
    return DenseOutput(logits: blended(logits, gate, detail, context), detail: detail)
  }

  /// Boxes of the detail windows of an image, in row-major order.
  private func detailBoxes(_ image: Tensor) -> [Box] {
    let crop = (height: configuration.detailHeight, width: configuration.detailWidth)
    let step = configuration.detailOverlap ? 2 : 1
    return slidingWindows(
      height: image.shape[1], width: image.shape[2], crop: crop,
      stride: (height: crop.height / step, width: crop.width / step))
  }

  /// What the context says, and its scale attention where the network has one.
  private struct ContextPrediction {
    let logits: Tensor
    let gate: Tensor?
    let maps: [Site: Tensor]
  }

  private func contextPrediction(
    _ image: Tensor, _ sites: Set<Site>, _ context: ForwardContext
  ) throws -> ContextPrediction {
    let pass = context.with(unit: "context", rank: 0)
    let features = try encoder(Variable(constant: contextImage(image)), pass)
    let output = try head(features, pass)
    let maps = try sites.sorted().map { ($0, try map($0, features, output, pass).value) }
    return ContextPrediction(
      logits: try predictedLogits(output, features, pass),
      gate: try scaleAttention.map { sigmoid(try $0(features, pass).logits, pass).value },
      maps: Dictionary(uniqueKeysWithValues: maps))
  }

  /// Logits `[windows · N, h, w, K]` of this rank's windows, window-major; nil if it has none.
  private func windowLogits(
    _ image: Tensor, _ boxes: [Box], _ context: ForwardContext, _ shares: WindowShares?
  ) throws -> Tensor? {
    let own = shares?.own ?? 0..<boxes.count
    guard !own.isEmpty else { return nil }
    var pass = context.with(
      unit: "windows", rank: 1, tilesPerSample: boxes.count, sharedTiles: shares?.sharedTiles)
    // Draws tell samples apart, not their windows.
    pass.draws = nil
    return try predictedLogits(try encoder(Variable(constant: windows(image, Array(boxes[own]))), pass), pass)
  }

  /// Context logits, resized and damped, plus gated detail logits.
  private func blended(_ logits: Tensor, _ gate: Tensor, _ detail: Tensor, _ context: ForwardContext) -> Tensor {
    SegmentationNetwork.blended(
      gate: Variable(constant: gate), context: Variable(constant: logits), detail: Variable(constant: detail),
      configuration.fusionOrder, context
    ).value
  }
}

/// The windows of a dense pass dealt out inside a team: equally, but for place 0, which has the context besides.
struct WindowShares {
  /// This rank's windows.
  let own: Range<Int>
  /// The ranks that have windows; nil if this is none of them.
  let sharedTiles: SharedTiles?

  /// Windows of every place, dealt out so that the place with the most work has least.
  /// - Parameter contextCost: work of a context, in windows.
  static func ranges(windows: Int, places: Int, contextCost: Double) -> [Range<Int>] {
    func most(_ first: Int) -> Double {
      max(contextCost + Double(first), Double((windows - first + places - 2) / (places - 1)))
    }
    let first = (0...windows).reversed().min { most($0) < most($1) } ?? 0
    let (each, left) = (windows - first).quotientAndRemainder(dividingBy: places - 1)
    var ranges = [0..<first]
    for place in 1..<places {
      let begin = ranges[place - 1].upperBound
      ranges.append(begin..<begin + each + (place <= left ? 1 : 0))
    }
    return ranges
  }

  /// The deal of one pass: work is counted in pixels, and a tenth more for the scale attention of the context.
  init(_ network: SegmentationNetwork, image: Tensor, windows: Int, _ context: ForwardContext) {
    guard let team = context.team else { preconditionFailure("a rank without a team shares nothing out") }
    let configuration = network.configuration
    let reduction = configuration.contextReduction
    let contextPixels = 1.1 * Double(image.shape[1] * image.shape[2] / (reduction * reduction))
    let ranges = WindowShares.ranges(
      windows: windows, places: team.worldSize,
      contextCost: contextPixels / Double(configuration.detailHeight * configuration.detailWidth))
    let places = ranges.indices.filter { !ranges[$0].isEmpty }
    own = ranges[team.rank]
    sharedTiles =
      own.isEmpty ? nil : SharedTiles(ranks: RankGroup(places, of: team), tiles: places.map { ranges[$0] })
  }
}

/// Tensors one after the other along the first axis.
func concatenatedSamples(_ parts: [Tensor]) -> Tensor {
  let result = Tensor(uninitialized: parts[0].shape.withSamples(parts.reduce(0) { $0 + $1.samples }))
  var first = 0
  for part in parts {
    result.samples(first..<first + part.samples).assign(part)
    first += part.samples
  }
  return result
}

extension Communicator {
  /// Every rank's maps, in rank order, on every rank. Called by all ranks; they may have different numbers of maps.
  package func gatheredTensors(_ own: [Tensor]) throws -> [[Tensor]] {
    let shapes = try gathered(own.flatMap { map in (0..<4).map { map.shape[$0] } })
    let lists = shapes.map { numbers in
      stride(from: 0, to: numbers.count, by: 4).map { Shape(Array(numbers[$0..<$0 + 4])) }
    }
    let values = try gathered(own.flatMap(\.values), lengths: lists.map { $0.reduce(0) { $0 + $1.count } })
    return zip(lists, values).map { shapes, values in
      var first = 0
      return shapes.map { shape in
        defer { first += shape.count }
        return Tensor(Array(values[first..<first + shape.count]), shape)
      }
    }
  }
}
