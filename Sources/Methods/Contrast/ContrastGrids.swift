// What CLUDA (Vayyat et al., 2022) compares: maps and labels of both resolutions brought to one grid, the head that weighs
// the resolutions, and the crop where the context is least certain.
// N samples, h×w cells of a map, G×G cells of the grid, K classes.

import Adaptation
import Autograd
import Kernels
import Networks
import Support
import Tensors

/// The head that learns how much each place trusts the coarse map.
package enum ResolutionWeight {
  /// SegFormer's decoder on all encoder maps of the context, with one channel in 0...1 on their finest grid. It trains by the
  /// contrast alone.
  static func head(width: Int, dropout: Float) -> AttachedHead {
    AttachedHead(owner: "cluda", name: "weight", inputs: (0..<4).reversed().map { .encoder(fromCoarsest: $0) }) {
      registry, prefix, channels in
      let body = body(registry, prefix, channels, width: width, dropout: dropout)
      return { maps, context in try body(maps, context) }
    }
  }

  /// Declares the head's parameters.
  package static func body(
    _ registry: ParameterRegistry, _ prefix: String, _ channels: [Int], width: Int, dropout: Float
  ) -> ([Variable], ForwardContext) throws -> Variable {
    let head = ContextAwareHead(
      registry, prefix, channels: channels, classCount: 1,
      HeadOptions(fusion: .pointwise, width: width, dropout: Double(dropout)))
    return { maps, context in sigmoid(try head(maps, context).logits, context) }
  }

  /// The head's map at twice its size.
  package static func doubled(_ map: Variable, _ context: ForwardContext) -> Variable {
    bilinear(map, height: 2 * map.value.shape[1], width: 2 * map.value.shape[2], context)
  }
}

/// Maps of a run on the grid.
package struct ContrastGrids {
  /// The maps themselves, [N, G, G, C]: the context's or the only crop's, then the detail's, zero outside of it.
  package let maps: [Variable]
  /// Directions of the context's cells, or of the only crop's, [N, G·G, C].
  package let coarse: Variable
  /// Directions of the detail crop's cells, zero outside; nil on one resolution.
  package let fine: Variable?
  /// How much each place trusts the coarse map, [N, G·G]; nil on one resolution.
  package let attention: Variable?
  /// Label, weight and whether the crop shows it, of each cell, sample by sample.
  package let places: [[Float]]

  /// Of a run whose maps were declared.
  init(_ run: StudentRun, size: Int, _ student: SegmentationNetwork) throws {
    let view = run.view
    guard var labels = view.labels else { preconditionFailure("\(view.name): a view without labels") }
    var weights = view.weights
    guard student.configuration.resolution == .hrda else {
      if student.configuration.resolution == .detailOnly {
        weights = weights.map { cropped($0.reshaped(labels.plane), to: view.detailCrops) }
        labels = labels.cropped(to: view.detailCrops)
      }
      self.init(only: run.map(.fused), labels: labels, weights: weights, size: (size, size), run.context)
      return
    }
    let weight = run.map(Site(.attached("weight")))
    self.init(
      context: run.map(.fused), detail: run.map(Site(.fused, .detail)),
      attention: ResolutionWeight.doubled(weight, run.context), boxes: view.detailCrops, student.grid, labels: labels,
      weights: weights, size: (size, size), run.context)
  }

  /// Of one resolution.
  package init(
    only map: Variable, labels: LabelMap, weights: Tensor?, size: (height: Int, width: Int), _ context: ForwardContext
  ) {
    maps = [onGrid(map, size, context)]
    coarse = directions(maps[0], context)
    (fine, attention) = (nil, nil)
    places = ContrastGrids.places(labels, weights, inside: nil, size)
  }

  /// Of two resolutions.
  /// - Parameters:
  ///   - context: the context's map.
  ///   - detail: the detail crop's.
  ///   - attention: on twice the context's grid.
  ///   - boxes: detail crops in pixels of the image.
  ///   - grid: strides of the maps.
  ///   - labels: of the image.
  ///   - weights: of its pixels; nil is 1.
  ///   - size: rows and columns of the grid that is compared.
  ///   - pass: tape and ranks.
  package init(
    context: Variable, detail: Variable, attention: Variable, boxes: [Box], _ grid: OutputGrid, labels: LabelMap,
    weights: Tensor?, size: (height: Int, width: Int), _ pass: ForwardContext
  ) {
    let (height, width) = (context.value.shape[1], context.value.shape[2])
    let large = bilinear(context, height: 2 * height, width: 2 * width, alignCorners: true, pass)
    let canvas = padded(
      detail, into: boxes.map(grid.onDetail), height: labels.height / grid.stride, width: labels.width / grid.stride,
      pass)
    let cells = onGrid(attention, size, pass)
    maps = [onGrid(large, size, pass), onGrid(canvas, size, pass)]
    coarse = directions(maps[0], pass)
    fine = directions(maps[1], pass)
    self.attention = cells.reshaped([cells.value.samples, size.height * size.width])
    let shown = Kernels.maskOutside(
      Tensor(repeating: 1, [context.value.samples, height, width, 1]), boxes.map(grid.onContext))
    let inside = nearest(
      LabelMap(samples: shown.samples, height: height, width: width, values: shown.values.map { UInt8($0) }),
      height: size.height, width: size.width)
    places = ContrastGrids.places(labels, weights, inside: inside, size)
  }

  private static func places(
    _ labels: LabelMap, _ weights: Tensor?, inside: LabelMap?, _ size: (height: Int, width: Int)
  ) -> [[Float]] {
    let own = nearest(labels, height: size.height, width: size.width).values
    let weights = weights.map {
      bilinear($0.reshaped(labels.plane), height: size.height, width: size.width, alignCorners: true).values
    }
    let cells = size.height * size.width
    return (0..<labels.samples).map { sample in
      (sample * cells..<(sample + 1) * cells).flatMap { cell in
        [Float(own[cell]), weights?[cell] ?? 1, inside.map { Float($0.values[cell]) } ?? 0]
      }
    }
  }
}

/// What is known of the places of all ranks.
package struct GatheredPlaces {
  /// Classes, 255 where a place takes no part.
  package let labels: [UInt8]
  /// Weights of the pixels there.
  package let weights: [Float]
  /// For every vector the number of its place; nil: its own.
  package let order: [Int]?
  private let inside: [Bool]
  private let attention: [Float]

  /// From rows of all samples.
  /// - Parameters:
  ///   - rows: those of `ContrastGrids.places`.
  ///   - attention: of two resolutions.
  ///   - options: which of the released code's defects are wanted.
  package init(_ rows: [[Float]], attention: [[Float]]?, _ options: ClassContrastOptions) {
    let all = rows.flatMap { $0 }
    let count = all.count / 3
    let order = (0..<count).map { vector in
      let cells = count / rows.count
      return options.shuffledLabels ? vector % cells * rows.count + vector / cells : vector
    }
    let trust = attention?.flatMap { $0 } ?? [Float](repeating: 1, count: count)
    labels = order.map { place in
      let label = UInt8(all[3 * place])
      return label == LabelMap.ignored && options.ignoredIsClass ? LabelMap.ignored - 1 : label
    }
    weights = order.map { all[3 * $0 + 1] }
    inside = order.map { all[3 * $0 + 2] == 1 }
    self.attention = order.map { trust[$0] }
    self.order = options.shuffledLabels ? order : nil
  }

  /// As a contrast of two resolutions takes them.
  package func contrasted(_ options: ClassContrastOptions) -> ContrastedPlaces {
    ContrastedPlaces(
      labels: labels, inside: inside, attention: attention, weights: weights, unpaired: options.unpairedLabels,
      anchorsAlone: options.anchorsAlone)
  }
}

/// Of every image the window where a prediction is least certain: the first of those with the highest mean entropy.
///
/// The entropy of a cell's prediction is divided by `K ln K`, a probability of exactly 0 counts as 10⁻⁸; cells are spread
/// over the image's pixels (nearest).
/// - Parameters:
///   - logits: [N, h, w, K].
///   - height: rows of the image.
///   - width: columns of the image.
///   - windows: in pixels of the image.
/// - Returns: entropies [N · h · w], mean entropies [N · windows] and the windows.
package func entropyBoxes(
  _ logits: Tensor, height: Int, width: Int, windows: [Box]
) -> (entropies: [Float], means: [Float], boxes: [Box]) {
  let (rows, columns, classes) = (logits.shape[1], logits.shape[2], logits.channels)
  let probabilities = softmax(logits).values
  let scale = Double(classes) * Double(classes).logarithm
  let entropies = (0..<logits.samples * rows * columns).map { cell in
    (0..<classes).reduce(0.0) { sum, label in
      let stored = probabilities[cell * classes + label]
      let probability = stored == 0 ? 1e-8 : Double(stored)
      return sum - probability * probability.logarithm
    } / scale
  }
  var (means, boxes) = ([Double](), [Box]())
  for sample in 0..<logits.samples {
    let own = windows.map { window in
      var sum = 0.0
      for row in window.top..<window.bottom {
        let line = (sample * rows + row * rows / height) * columns
        for column in window.left..<window.right { sum += entropies[line + column * columns / width] }
      }
      return sum / Double(window.height * window.width)
    }
    let best = own.indices.max { own[$0] < own[$1] || own[$0] == own[$1] && $0 > $1 } ?? 0
    means += own
    boxes.append(windows[best])
  }
  return (entropies.map { Float($0) }, means.map { Float($0) }, boxes)
}

/// A map on the grid, corners on corners.
private func onGrid(_ map: Variable, _ size: (height: Int, width: Int), _ context: ForwardContext) -> Variable {
  bilinear(map, height: size.height, width: size.width, alignCorners: true, context)
}

/// The directions of a grid's cells, [N, cells, C].
private func directions(_ map: Variable, _ context: ForwardContext) -> Variable {
  let shape = map.value.shape
  return unitLength(map, context).reshaped([shape[0], shape[1] * shape[2], shape[3]])
}

extension LabelMap {
  /// The shape of an image of this size with one channel.
  fileprivate var plane: Shape { [samples, height, width, 1] }
}
