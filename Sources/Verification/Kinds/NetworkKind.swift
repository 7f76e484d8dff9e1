// A whole network: one training pass with its losses and gradients, dense passes, sliding windows.

import Adaptation
import Autograd
import Kernels
import Networks
import Support
import Tensors

/// A training pass of context and detail, forward and back; dense and sliding passes where the file has them.
///
/// Weights lie in `weights.h5` beside the file, or are given by formula where the file has their sums.
enum NetworkKind: FileKind {
  private static let parts: Set<String> = [
    "image", "label", "pixel_weight", "box", "train", "gradients", "gradient_norms", "weight_sums", "statistics_after",
    "dense_train", "dense_eval", "slide_eval",
  ]

  /// Weight of the detail loss, the published one; these files do not say it.
  private static let detailWeight: Float = 0.1

  static func names(in fixture: Fixture) -> Set<String> {
    let names = Set(fixture.names())
    return names.isSuperset(of: ["image", "box", "train"]) ? parts.intersection(names) : []
  }

  static func verify(_ fixture: Fixture, into verifier: inout Verifier) throws {
    let description = try NetworkDescription.read(fixture)
    let image = try fixture.image("image")
    let network = try makeNetwork(description, gradientSlots: image.samples, &verifier)
    try trainingPass(network, image, description, &verifier)
    try densePass("dense_train", try makeNetwork(description, gradientSlots: 0, &verifier), image, .batch, &verifier)
    try densePass("dense_eval", network, image, .running, &verifier)
    if fixture.contains("slide_eval/logits") { try slidingPass(network, image, &verifier) }
  }

  // MARK: Weights

  private static func makeNetwork(
    _ description: NetworkDescription, gradientSlots: Int, _ verifier: inout Verifier
  ) throws -> SegmentationNetwork {
    let fixture = verifier.fixture
    guard fixture.contains("weight_sums") else { return try fixture.network(description, gradientSlots: gradientSlots) }
    let network = try SegmentationNetwork(description.configuration, gradientSlots: gradientSlots, seed: 0)
    FormulaWeights(gain: try gain(fixture)).fill(network.parameters)
    if gradientSlots > 0 {
      let parameters = network.parameters
      let sums = inByteOrder(parameters.slices).map { slice in
        Float(NetworkParameters.official(slice, of: parameters.values).reduce(0.0) { $0 + Double($1) })
      }
      try verifier.element("weight_sums", actual: sums)
    }
    return network
  }

  private static func gain(_ fixture: Fixture) throws -> Double {
    struct Root: Decodable { let weights: String }
    let words = try fixture.configuration(Root.self).weights.split(separator: " ")
    guard let number = words.last, let gain = Double(number), words.contains("gain") else {
      throw fixture.bad("", "config.weights names no gain")
    }
    return gain
  }

  // MARK: Training

  private static func trainingPass(
    _ network: SegmentationNetwork, _ image: Tensor, _ description: NetworkDescription, _ verifier: inout Verifier
  ) throws {
    let fixture = verifier.fixture
    let labels = try fixture.labels("label", of: image, classes: description.classes)
    let weights = fixture.contains("pixel_weight") ? try fixture.pixels("pixel_weight", of: image) : nil
    let box = try fixture.box("box", of: image, description)
    if fixture.contains("train/context_image") {
      try verifier.element("train/context_image", network.contextImage(image))
    }
    let tape = Tape()
    let context = oneRankContext(image.samples, tape: tape, .batch)
    let sites = Site.Unit.allCases.flatMap(network.encoderSites)
    let output = try network.train(image, box: box, keeping: Set(sites), context)
    let values = intermediates(output, of: network)
    for (name, value) in values where fixture.contains("train/\(name)") {
      try verifier.element("train/\(name)", value.value)
      value.cell?.keep()
    }
    let terms = segmentationLosses(
      output, pass: "train/loss", labels: labels, weights: weights, boxes: [box], detailWeight: detailWeight, context)
    for (term, path) in zip(terms, ["train/loss_fused", "train/loss_detail"]) where fixture.contains(path) {
      try verifier.element(path, actual: [Float(term.perSample.reduce(0, +))])
    }
    tape.walkBack()
    for (name, value) in values where fixture.contains("train/grad_\(name)") {
      try verifier.norm("train/grad_\(name)", value.gradient ?? Tensor(zeros: [0]))
    }
    let gradients = try NamedGradients(summing: network)
    if fixture.contains("gradient_norms") { try gradients.compareNorms(with: "gradient_norms", &verifier) }
    if !fixture.datasets(under: "gradients").isEmpty { try gradients.compare(with: "gradients", &verifier) }
    try statistics("statistics_after", network, &verifier)
  }

  private static func intermediates(
    _ output: TrainingOutput, of network: SegmentationNetwork
  ) -> [(name: String, value: Variable)] {
    let maps: [(String, Variable?)] = [
      ("context_logits", output.context), ("detail_logits", output.detail), ("attention", output.attention),
      ("fused_logits", output.fused),
    ]
    let features = Site.Unit.allCases.flatMap { unit in
      let scale = unit == .detail || output.context == nil ? "detail" : "context"
      return network.encoderSites(unit).enumerated().compactMap { index, site in
        output.maps[site].map { (name: "\(scale)_feature\(index + 1)", value: $0) }
      }
    }
    return features + maps.compactMap { name, value in value.map { (name, $0) } }
  }

  private static func statistics(_ group: String, _ network: SegmentationNetwork, _ verifier: inout Verifier) throws {
    let own = Dictionary(uniqueKeysWithValues: network.parameters.officialBuffers().map { ($0.name, $0.values) })
    for (path, actual) in inFile(group, verifier.fixture.datasets(under: group), { own[$0] }) {
      try verifier.element(path, actual: actual)
    }
  }

  // MARK: Inference

  private static func densePass(
    _ group: String, _ network: SegmentationNetwork, _ image: Tensor, _ mode: NormalizationMode,
    _ verifier: inout Verifier
  ) throws {
    guard !verifier.fixture.datasets(under: group).isEmpty else { return }
    let output = try network.dense(image, oneRankContext(image.samples, mode))
    try verifier.element("\(group)/fused_logits", output.logits)
    if let detail = output.detail { try verifier.element("\(group)/detail_logits", detail) }
  }

  /// Fused crops as large as the image slide by half of it over the first image beside its mirror image; 4×4 means of the logits are
  /// stored.
  private static func slidingPass(
    _ network: SegmentationNetwork, _ image: Tensor, _ verifier: inout Verifier
  ) throws {
    let (height, width) = (image.shape[1], image.shape[2])
    let first = image.sample(0).values
    var wide: [Float] = []
    for row in 0..<height {
      let line = Array(first[row * width * 3..<(row + 1) * width * 3])
      wide += line
      for column in (0..<width).reversed() { wide += line[column * 3..<column * 3 + 3] }
    }
    let logits = try network.slidingLogits(
      Tensor(wide, [1, height, 2 * width, 3]), crop: (height, width), stride: (height / 2, width / 2),
      oneRankContext(1, .running))
    try verifier.element("slide_eval/logits", meanOfCells(logits, side: 4))
  }

  /// Means over cells of `side` × `side` pixels: [1, H, W, C] becomes [1, H/side, W/side, C].
  private static func meanOfCells(_ map: Tensor, side: Int) -> Tensor {
    let (height, width, channels) = (map.shape[1] / side, map.shape[2] / side, map.channels)
    let values = map.values
    var sums = [Double](repeating: 0, count: height * width * channels)
    for row in 0..<height * side {
      for column in 0..<width * side {
        let cell = (row / side * width + column / side) * channels
        let pixel = (row * map.shape[2] + column) * channels
        for channel in 0..<channels { sums[cell + channel] += Double(values[pixel + channel]) }
      }
    }
    return Tensor(sums.map { Float($0 / Double(side * side)) }, [1, height, width, channels])
  }
}
