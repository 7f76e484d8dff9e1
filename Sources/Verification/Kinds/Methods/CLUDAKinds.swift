// Terms of CLUDA (Vayyat et al., 2022): 04-cluda.h5. Boxes are y1 y2 x1 x2 in pixels of the image, one for each sample.

import Adaptation
import Autograd
import DataParallel
import Kernels
import Methods
import Networks
import Optimization
import Tensors

/// Cells of one resolution compared in pairs.
enum SingleContrastKind: Kind {
  static let stems = ["single"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let map = try replay.input("z")
    let (labels, weights) = try replay.cells()
    guard map.value.shape == [labels.samples, labels.height, labels.width, map.value.channels] else {
      throw fixture.bad(group, "a map \(map.value.shape) of other size than the labels")
    }
    let context = replay.context(samples: labels.samples)
    let grids = ContrastGrids(
      only: map, labels: labels, weights: weights, size: (labels.height, labels.width), context)
    let options = replay.contrastOptions
    let places = GatheredPlaces(grids.places, attention: nil, options)
    let vectors = grids.coarse
    let term = try pairContrast(
      vectors, among: vectors.value.reshaped([labels.values.count, vectors.value.channels]), labels: places.labels,
      weights: places.weights, unpaired: options.unpairedLabels, temperature: Float(options.temperature), factor: 1,
      name: group, context)
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// Cells of two resolutions compared in pairs, as they are on the grid.
enum DoubleContrastKind: Kind {
  static let stems = ["multi"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let maps = try ["z_low", "z_high", "attention"].map { try replay.input($0) }
    let (labels, weights) = try replay.cells()
    let inside = try fixture.labels(replay.path("in/inside"))
    let term = try replay.contrast(maps, labels, weights, inside: inside)
    try replay.compare("loss", [term], into: &verifier)
    replay.tape.walkBack()
    // What is outside of the box is a constant.
    let high = maps[1].gradient ?? Tensor(zeros: maps[1].value.shape)
    for cell in inside.values.indices where inside.values[cell] == 0 {
      for channel in 0..<high.channels { high.pointer[cell * high.channels + channel] = 0 }
    }
    try verifier.element(replay.path("grad/z_high"), high)
    for (name, map) in [("z_low", maps[0]), ("attention", maps[2])] {
      try verifier.element(replay.path("grad/\(name)"), map.gradient ?? Tensor(zeros: map.value.shape))
    }
  }
}

/// The way from maps of both crops to the grid and the loss.
enum ContrastChainKind: Kind {
  static let stems = ["chain"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let maps = try ["context", "detail", "attention"].map { try replay.input($0) }
    let (labels, weights) = try replay.cells()
    let grid = OutputGrid(stride: 4, coarsestStride: 32, contextReduction: 2)
    let boxes = try replay.boxes(in: labels, detail: maps[1].value, grid)
    let size = try fixture.labels(replay.path("out/labels"))
    let context = replay.context(samples: labels.samples)
    let grids = ContrastGrids(
      context: maps[0], detail: maps[1], attention: maps[2], boxes: boxes, grid, labels: labels, weights: weights,
      size: (size.height, size.width), context)
    try replay.compare(grids, into: &verifier)
    let term = try replay.contrast(grids, context)
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// Both orders of fusing logits.
enum FusionOrderKind: Kind {
  static let stems = ["fusion"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let logits = try ["context", "detail", "attention"].map { try replay.input($0) }
    let cotangent = try replay.map("cotangent")
    let shape = logits[0].value.shape
    let grid = OutputGrid(stride: 4, coarsestStride: 32, contextReduction: 2)
    let image = LabelMap(samples: shape[0], height: 8 * shape[1], width: 8 * shape[2])
    let boxes = try replay.boxes(in: image, detail: logits[1].value, grid)
    let fused = SegmentationNetwork.fused(
      context: logits[0], attention: logits[2], detail: logits[1], boxes: boxes, height: 2 * shape[1],
      width: 2 * shape[2], grid, replay.option("interpolateFirst", false) ? .resizeFirst : .dampFirst,
      replay.context(samples: shape[0]))
    guard cotangent.shape == fused.value.shape else { throw fixture.bad(group, "a cotangent \(cotangent.shape)") }
    fused.cell?.accumulate(cotangent)
    try verifier.element(replay.path("out/fused"), fused.value)
    try replay.compareGradients(into: &verifier)
  }
}

/// Windows of the highest mean entropy.
enum EntropyBoxKind: Kind {
  static let stems = ["entropy"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let logits = try replay.map("logits")
    let sizes = try fixture.integers(replay.path("in/image_crop_stride")).values
    guard sizes.count == 6, sizes.allSatisfy({ (1...4096).contains($0) }), sizes[2] <= sizes[0], sizes[3] <= sizes[1]
    else { throw fixture.bad(group, "sizes \(sizes)") }
    let found = entropyBoxes(
      logits, height: sizes[0], width: sizes[1],
      windows: slidingWindows(
        height: sizes[0], width: sizes[1], crop: (sizes[2], sizes[3]), stride: (sizes[4], sizes[5])))
    try verifier.element(replay.path("out/entropy"), actual: found.entropies)
    try verifier.element(replay.path("out/means"), actual: found.means)
    try verifier.integers(
      replay.path("out/boxes"), actual: found.boxes.flatMap { [$0.top, $0.bottom, $0.left, $0.right] })
  }
}

/// The head that weighs the resolutions, through the loss and one step of AdamW.
enum ResolutionWeightKind: Kind {
  static let stems = ["weightHead"]

  /// The file's name of a tensor.
  fileprivate static func name(_ own: String) -> String { String(own.dropFirst("head.".count)) }

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let maps = try (0..<4).map { try replay.input("map\($0)") }
    let (labels, _) = try replay.cells()
    let (low, high) = (try replay.map("z_low"), try replay.map("z_high"))
    let width = try fixture.floats(replay.path("state_before/conv_seg.weight")).shape
    guard width.count == 4, width[1] > 0 else { throw fixture.bad(group, "a classifier of shape \(width)") }
    let registry = ParameterRegistry()
    let body = ResolutionWeight.body(
      registry, "head", maps.map(\.value.channels), width: width[1], dropout: 0)
    let parameters = NetworkParameters(registry, gradientSlots: labels.samples, seed: 0)
    try fixture.load(replay.path("state_before"), into: parameters, name: ResolutionWeightKind.name)
    let context = replay.context(samples: labels.samples)
    let attention = ResolutionWeight.doubled(try body(maps, context), context)
    context.statistics.apply()
    try verifier.element(replay.path("out/attention"), attention.value)
    let onGrid = bilinear(attention, height: labels.height, width: labels.width, alignCorners: true, context)
    let everywhere = LabelMap(
      samples: labels.samples, height: labels.height, width: labels.width,
      values: [UInt8](repeating: 1, count: labels.values.count))
    let term = try replay.contrast(
      [Variable(constant: low), Variable(constant: high), onGrid], labels, nil, inside: everywhere)
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
    try replay.compareStep(of: parameters, into: &verifier)
  }
}

extension TermReplay {
  /// Options of the contrast: defects of the released code among them.
  fileprivate var contrastOptions: ClassContrastOptions {
    var options = ClassContrastOptions()
    options.temperature = number("temperature", 1)
    options.unpaired = option("things", [Int]())
    options.shuffledLabels = option("featureOrderQ", false)
    options.ignoredIsClass = option("ignoredIsClassQ", false)
    options.anchorsAlone = option("roadOutsideQ", false)
    return options
  }

  /// Labels and weights of cells or pixels.
  fileprivate func cells() throws -> (labels: LabelMap, weights: Tensor?) {
    let labels = try fixture.labels(path("in/labels"))
    guard contains("in/weights") else { return (labels, nil) }
    let weights = try fixture.tensor(path("in/weights"))
    guard weights.shape == [labels.samples, labels.height, labels.width] else {
      throw fixture.bad(path("in/weights"), "shape \(weights.shape)")
    }
    return (labels, weights)
  }

  /// One box for each sample, inside the image and as large as the detail's map.
  fileprivate func boxes(in image: LabelMap, detail: Tensor, _ grid: OutputGrid) throws -> [Box] {
    let (values, shape) = try fixture.integers(path("draws/boxes"))
    guard shape == [image.samples, 4] else { throw fixture.bad(path("draws/boxes"), "shape \(shape)") }
    return try (0..<image.samples).map { sample in
      let edges = Array(values[4 * sample..<4 * sample + 4])
      guard edges[0] >= 0, edges[2] >= 0, edges[1] <= image.height, edges[3] <= image.width,
        edges.allSatisfy({ $0.isMultiple(of: grid.stride * grid.contextReduction) }),
        edges[1] - edges[0] == grid.stride * detail.shape[1], edges[3] - edges[2] == grid.stride * detail.shape[2]
      else { throw fixture.bad(path("draws/boxes"), "box \(edges) of \(image.height)x\(image.width)") }
      return Box(top: edges[0], bottom: edges[1], left: edges[2], right: edges[3])
    }
  }

  /// The contrast of maps that are on the grid.
  fileprivate func contrast(
    _ maps: [Variable], _ labels: LabelMap, _ weights: Tensor?, inside: LabelMap
  ) throws -> LossTerm {
    let context = context(samples: labels.samples)
    let shape = maps[0].value.shape
    guard maps[1].value.shape == shape, maps[2].value.shape == shape.withChannels(1),
      inside.values.count == labels.values.count,
      shape == [labels.samples, labels.height, labels.width, shape[3]]
    else { throw fixture.bad(group, "maps and labels of different sizes") }
    let cells = labels.height * labels.width
    func rows(_ map: Variable) -> Variable { unitLength(map, context).reshaped([shape[0], cells, shape[3]]) }
    let places: [[Float]] = (0..<labels.samples).map { sample in
      (sample * cells..<(sample + 1) * cells).flatMap { cell -> [Float] in
        [Float(labels.values[cell]), weights?.values[cell] ?? 1, Float(inside.values[cell])]
      }
    }
    return try contrast(rows(maps[0]), rows(maps[1]), maps[2].reshaped([shape[0], cells]), places, context)
  }

  /// The contrast of maps that were brought to the grid.
  fileprivate func contrast(_ grids: ContrastGrids, _ context: ForwardContext) throws -> LossTerm {
    guard let fine = grids.fine, let attention = grids.attention else { throw fixture.bad(group, "one resolution") }
    return try contrast(grids.coarse, fine, attention, grids.places, context)
  }

  private func contrast(
    _ coarse: Variable, _ fine: Variable, _ attention: Variable, _ places: [[Float]], _ context: ForwardContext
  ) throws -> LossTerm {
    let options = contrastOptions
    let gathered = GatheredPlaces(
      places, attention: (0..<attention.value.samples).map { attention.value.sample($0).values }, options)
    func all(_ vectors: Variable) -> Tensor {
      vectors.value.reshaped([vectors.value.count / vectors.value.channels, vectors.value.channels])
    }
    return try resolutionContrast(
      coarse: coarse, fine: fine, attention: attention, among: (all(coarse), all(fine), gathered.contrasted(options)),
      order: gathered.order, factor: 1, name: group, context)
  }

  /// Compares what is on the grid.
  fileprivate func compare(_ grids: ContrastGrids, into verifier: inout Verifier) throws {
    for (name, map) in zip(["z_low", "z_high"], grids.maps) { try verifier.element(path("out/\(name)"), map.value) }
    try verifier.element(path("out/attention"), actual: grids.attention?.value.values ?? [])
    let places = grids.places.flatMap { $0 }
    func column(_ number: Int) -> [Float] { stride(from: number, to: places.count, by: 3).map { places[$0] } }
    try verifier.integers(path("out/labels"), actual: column(0).map { Int($0) })
    try verifier.integers(path("out/inside"), actual: column(2).map { Int($0) })
    if contains("out/weights") { try verifier.element(path("out/weights"), actual: column(1)) }
  }

  /// Compares gradients that a walk has left in slots, running statistics, and one step of AdamW by the case's options.
  fileprivate func compareStep(of parameters: NetworkParameters, into verifier: inout Verifier) throws {
    guard let slots = parameters.gradients else { preconditionFailure("a head of constants") }
    treeSum(slots)
    let gradient = slots.sample(0)
    for slice in parameters.slices {
      try verifier.element(
        path("grad/\(ResolutionWeightKind.name(slice.name))"), actual: NetworkParameters.official(slice, of: gradient))
    }
    let optimizer = AdamW(
      slices: parameters.slices.map {
        ParameterSlice(name: $0.name, range: $0.range, decay: number("weightDecay", 0.01))
      }, beta1: 0.9, beta2: 0.999, epsilon: 1e-8)
    optimizer.moments[0].fill(Float(number("expAvg", 0)))
    optimizer.moments[1].fill(Float(number("expAvgSq", 1e-6)))
    optimizer.advance(
      parameters: parameters.values, gradient: gradient, rate: number("lr", 6e-4), step: Int(number("step", 3)))
    try verifier.network(path("state_after"), parameters, name: ResolutionWeightKind.name)
  }
}
