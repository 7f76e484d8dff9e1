// Terms of TADA (Gong et al., ECCV 2022): 09-tada.h5. N samples, h×w cells, K classes.

import Adaptation
import Autograd
import Collectives
import DataParallel
import Kernels
import Methods
import Networks
import Optimization
import Tensors

/// Labels that become others at random.
enum LabelSharesKind: Kind {
  static let stems = ["noise", "swap"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let labels = try replay.labels("labels", classes: 255)
    let uniforms = try fixture.floats(replay.path("draws/uniform")).values
    guard uniforms.count == labels.values.count else { throw fixture.bad(group, "\(uniforms.count) numbers") }
    let taxonomy: Taxonomy = group.hasSuffix("coarse") ? .published(.coarseToFine) : .published(.overlapping)
    let shares = group.hasPrefix("noise") ? taxonomy.noise : taxonomy.swap
    try verifier.integers(replay.path("out/labels"), bytes: shares.applied(to: labels, uniforms).values)
  }
}

/// Labels that predictions make finer.
enum RelabellingKind: Kind {
  static let stems = ["relabel"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let labels = try replay.labels("labels", classes: 255)
    let predicted = try replay.labels("predicted", classes: 255)
    guard predicted.values.count == labels.values.count else { throw fixture.bad(group, "other predictions") }
    let settings: [String: Taxonomy.Kind] = ["open": .open, "coarse": .coarseToFine, "implicit": .overlapping]
    guard let kind = settings[replay.option("setting", "")] else { throw fixture.bad(group, "no such setting") }
    try verifier.integers(
      replay.path("out/labels"), bytes: Taxonomy.published(kind).relabelled(labels, predicted: predicted).values)
  }
}

extension Taxonomy {
  /// The published classes of each kind.
  fileprivate static func published(_ kind: Kind) -> Taxonomy {
    var options = TaxonomyAdaptationOptions()
    options.taxonomy = kind
    if kind == .overlapping { options.groups = [[13, 14, 15]] }
    return options.relation
  }
}

/// Few-shot classes on the target, source classes on top.
enum BilateralKind: Kind {
  static let stems = ["bilateral"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let logits = try replay.map("teacher")
    let images = try ["few", "source", "target"].map { try replay.map($0) }
    let labels = try ["few_labels", "source_labels"].map { try replay.labels($0, classes: logits.channels) }
    let chosen = try ["few_classes", "source_classes"].map { try replay.lists("draws/\($0)") }
    let samples = logits.samples
    guard images.allSatisfy({ $0.shape == images[0].shape && $0.samples == samples }),
      labels.allSatisfy({ Shape([$0.samples, $0.height, $0.width, 3]) == images[0].shape }),
      chosen.allSatisfy({ $0.count == samples })
    else { throw fixture.bad(group, "images, labels and choices of different sizes") }
    let believed = try PseudoLabels(
      Kernels.bilinear(logits, height: labels[0].height, width: labels[0].width, alignCorners: true), valid: nil,
      threshold: 0.968, BatchShare(communicator: SoloCommunicator(), globalBatch: samples, samples: 0..<samples))
    try verifier.integers(replay.path("out/pseudo"), bytes: believed.labels.values)
    try verifier.element(replay.path("out/q"), actual: [believed.confidentShare])
    let first = pasted(
      LabelledImages(image: images[0], labels: labels[0]),
      onto: LabelledImages(image: images[2], labels: believed.labels, weights: believed.weights),
      where: classMask(labels[0], chosen: chosen[0]))
    let second = pasted(
      LabelledImages(image: images[1], labels: labels[1]), onto: first, where: classMask(labels[1], chosen: chosen[1]))
    try verifier.integers(replay.path("out/firstLabels"), bytes: first.labels.values)
    try verifier.element(replay.path("out/firstWeights"), actual: first.weights?.values ?? [])
    try verifier.integers(replay.path("out/labels"), bytes: second.labels.values)
    try verifier.element(replay.path("out/weights"), actual: second.weights?.values ?? [])
    try verifier.element(replay.path("out/image"), second.image)
  }
}

/// How many cells a pair has, and how they are split.
enum CellNumbersKind: Kind {
  static let stems = ["cellsPerPair"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let pairs = try fixture.integers(replay.path("in/pairs")).values
    try verifier.integers(replay.path("out/cells"), actual: pairs.map { AnchorRules().cells(pairs: $0) })
    let (rows, shape) = try fixture.integers(replay.path("in/hard_easy_n"))
    guard shape.count == 2, shape[1] == 3 else { throw fixture.bad(group, "rows \(shape)") }
    let taken = (0..<shape[0]).flatMap { row -> [Int] in
      let found = AnchorRules.taken(hard: rows[3 * row], easy: rows[3 * row + 1], of: rows[3 * row + 2])
      return [found.hard, found.easy]
    }
    try verifier.integers(replay.path("out/taken"), actual: taken)
  }
}

/// Which cells are drawn, given permutations.
enum AnchorsKind: Kind {
  static let stems = ["anchors"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let logits = try replay.map("logits")
    let labels = try replay.labels("labels", classes: logits.channels)
    guard Shape([labels.samples, labels.height, labels.width, logits.channels]) == logits.shape else {
      throw fixture.bad(group, "logits \(logits.shape)")
    }
    let rules = replay.anchorRules
    let pairs = rules.pairs(labels)
    try verifier.integers(replay.path("out/pairs"), actual: pairs.flatMap { [$0.sample, Int($0.label)] })
    let orders = try [true: "hard_order", false: "easy_order"].mapValues { try replay.rows("draws/\($0)") }
    guard orders.values.allSatisfy({ $0.count == pairs.count }) else { throw fixture.bad(group, "other pairs") }
    let predicted = argMax(logits)
    let positions = pairs.enumerated().flatMap { index, pair in
      rules.positions(pair, labels, predicted: predicted, cells: rules.cells(pairs: pairs.count)) { count, hard in
        Array((orders[hard]?[index] ?? []).prefix { $0 >= 0 && $0 < count })
      }
    }
    try verifier.integers(replay.path("out/positions"), actual: positions.map { Int($0) })
  }
}

/// The contrast of drawn cells.
enum AnchorContrastKind: Kind {
  static let stems = ["contrast"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let embedding = try replay.input("embedding")
    let logits = try replay.map("logits")
    let labels = try replay.labels("labels", classes: logits.channels)
    let certainty = Kernels.pseudoLabels(logits).confidence
    try verifier.element(replay.path("out/certainty"), certainty)
    let term = try replay.contrast(
      embedding, labels, group.hasSuffix("noCertainty") ? nil : certainty, factor: 1,
      replay.context(samples: labels.samples))
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

/// The projection through the contrast, and one step of its optimizer.
enum ProjectionKind: Kind {
  static let stems = ["projection"]
  private static let prefix = "proj"

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let trunk = try replay.input("trunk")
    let outputs = try fixture.floats(replay.path("state_before/proj.3.weight")).shape
    let labels = try replay.labels("labels", classes: try replay.map("logits").channels)
    guard outputs.count == 4, outputs[0] > 0, labels.samples == trunk.value.samples else {
      throw fixture.bad(group, "a convolution of shape \(outputs)")
    }
    let registry = ParameterRegistry()
    let projection = ContrastProjection(registry, prefix, channels: trunk.value.channels, outputs: outputs[0])
    let parameters = NetworkParameters(registry, gradientSlots: labels.samples, seed: 0)
    for slice in parameters.slices {
      let path = replay.path("state_before/\(slice.name)")
      let (values, shape) = try fixture.floats(path)
      guard shape == slice.officialShape else { throw fixture.bad(path, "shape \(shape)") }
      parameters.load(values, named: slice.name, into: parameters.values)
    }
    let context = replay.context(samples: labels.samples)
    let embedding = try projection(trunk, context)
    try verifier.element(replay.path("out/embedding"), embedding.value)
    let certainty = Kernels.pseudoLabels(try replay.map("logits")).confidence
    let term = try replay.contrast(embedding, labels, certainty, factor: 1, context)
    try replay.compare("loss", [term], into: &verifier)
    try replay.compareGradients(into: &verifier)
    try compareDescent(parameters, replay, into: &verifier) { $0 }
  }
}

/// The losses of a step, given all predictions.
enum TaxonomyStepKind: Kind {
  static let stems = ["step"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let (source, mixed) = (try replay.input("source_logits"), try replay.input("mixed_logits"))
    let embedding = try replay.input("embedding")
    let sourceLabels = try replay.labels("source_labels", classes: source.value.channels)
    let labels = try replay.labels("mixed_labels", classes: mixed.value.channels)
    let weights = try fixture.tensor(replay.path("in/weights"))
    guard weights.shape == [labels.samples, labels.height, labels.width], sourceLabels.samples == labels.samples,
      mixed.value.samples == labels.samples
    else { throw fixture.bad(group, "weights \(weights.shape)") }
    let context = replay.context(samples: labels.samples)
    let supervised = crossEntropy(
      source, labels: sourceLabels, weights: nil, valid: sourceLabels.labelled, alignCorners: true, factor: 1,
      name: "supervised", context)
    let own = crossEntropy(
      mixed, labels: labels, weights: weights, alignCorners: true, factor: 1, name: "mixed", context)
    let cells = nearest(labels, height: embedding.value.shape[1], width: embedding.value.shape[2])
    try verifier.integers(replay.path("out/reduced_labels"), bytes: cells.values)
    let certainty = Kernels.pseudoLabels(mixed.value).confidence
    let contrast = try replay.contrast(embedding, cells, certainty, factor: 0.01, context)
    try replay.compare("part/supervised", [supervised], into: &verifier)
    try replay.compare("part/mixed", [own], into: &verifier)
    let whole = LossTerm(name: "contrast", perSample: contrast.perSample.map { 100 * $0 })
    try replay.compare("part/contrast", [whole], into: &verifier)
    try replay.compare("loss", [supervised, own, contrast], into: &verifier)
    try replay.compareGradients(into: &verifier)
  }
}

extension TermReplay {
  fileprivate var anchorRules: AnchorRules {
    var rules = AnchorRules()
    rules.least = Int(number("least", 100))
    rules.most = Int(number("most", 1024))
    rules.each = Int(number("each", 100))
    rules.excluded = Set(option("excluded", [Int]()).compactMap { UInt8(exactly: $0) })
    return rules
  }

  /// Whole numbers, row after row.
  fileprivate func rows(_ name: String) throws -> [[Int]] {
    let (values, shape) = try fixture.integers(path(name))
    guard shape.count == 2 else { throw fixture.bad(path(name), "shape \(shape)") }
    return (0..<shape[0]).map { Array(values[$0 * shape[1]..<($0 + 1) * shape[1]]) }
  }

  /// The contrast of the cells that the case has drawn; without a certainty all are sure.
  fileprivate func contrast(
    _ embedding: Variable, _ labels: LabelMap, _ certainty: Tensor?, factor: Float, _ context: ForwardContext
  ) throws -> LossTerm {
    let cells = labels.height * labels.width
    guard embedding.value.shape.array.dropLast() == [labels.samples, labels.height, labels.width],
      certainty.map({ $0.count == labels.values.count }) ?? true
    else { throw fixture.bad(group, "embedding \(embedding.value.shape)") }
    let pairs = anchorRules.pairs(labels)
    let positions = fixture.contains(path("draws/positions")) ? try rows("draws/positions") : []
    guard positions.count == pairs.count, positions.joined().allSatisfy({ 0..<cells ~= $0 }) else {
      throw fixture.bad(group, "\(positions.count) rows of positions for \(pairs.count) pairs")
    }
    let sure = certainty?.values
    var samples = [[Anchors.Cell]](repeating: [], count: labels.samples)
    for (pair, positions) in zip(pairs, positions) {
      samples[pair.sample] += positions.map { position in
        Anchors.Cell(
          position: Int32(position), label: pair.label, certainty: sure.map { $0[pair.sample * cells + position] } ?? 1)
      }
    }
    return try Anchors(samples, room: samples.map(\.count).max() ?? 0).contrast(
      embedding, mixingCertainties: option("certaintyOrderQ", false) ? positions.first?.count : nil,
      temperature: Float(number("temperature", 0.07)), factor: factor, name: group, context)
  }
}
