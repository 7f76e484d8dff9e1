// Losses and the fusion of context and detail. N samples, K classes.

import Autograd
import Kernels
import Networks
import Tensors

/// Cross-entropy over all pixels, with a weight for each pixel if the group has one; logits are resized to the labels.
enum CrossEntropyKind: Kind {
  static let stems = ["cross_entropy"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = Replay(group, fixture)
    let logits = try replay.input("logits")
    let labels = try fixture.labels(replay.path("label"))
    let weights = fixture.contains(replay.path("weight")) ? try fixture.tensor(replay.path("weight")) : nil
    guard logits.value.shape.rank == 4, labels.samples == logits.value.samples,
      labels.values.allSatisfy({ $0 < logits.value.channels || $0 == LabelMap.ignored }),
      weights.map({ $0.count == labels.values.count }) ?? true
    else { throw fixture.bad(group, "labels or weights do not fit logits \(logits.value.shape)") }
    let term = crossEntropy(
      logits, labels: labels, weights: weights, factor: 1, name: group,
      replay.context(samples: logits.value.samples))
    try verifier.element(replay.path("loss"), actual: [Float(term.perSample.reduce(0, +))])
    try replay.compareGradients(into: &verifier)
  }
}

/// Distance of features in cells of thing classes; the classes are in the remark on the loss.
enum FeatureDistanceKind: Kind {
  static let stems = ["feature_distance"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = Replay(group, fixture)
    let feature = try replay.input("feature")
    let reference = try fixture.tensor(replay.path("frozen"))
    let labels = try fixture.labels(replay.path("label"))
    let list = try fixture.read(/thing classes \[([\d, ]+)\]/, in: replay.path("loss"), "thing classes").1
    let things = Set(list.split { !$0.isNumber }.compactMap { UInt8($0) })
    guard feature.value.shape.rank == 4, reference.shape == feature.value.shape, feature.value.shape[2] > 0 else {
      throw fixture.bad(group, "features of \(feature.value.shape) and \(reference.shape)")
    }
    let factor = labels.width / feature.value.shape[2]
    // Classes beyond the largest that occurs make no difference.
    let classes = labels.values.reduce(1) { $1 == LabelMap.ignored ? $0 : max($0, Int($1) + 1) }
    guard labels.samples == feature.value.samples, factor * feature.value.shape[2] == labels.width,
      factor * feature.value.shape[1] == labels.height, factor > 0
    else { throw fixture.bad(group, "labels of \(labels.height)x\(labels.width) do not divide into cells") }
    let cells = dominantLabels(labels, factor: factor, minimumShare: 0.75, classCount: classes)
    try verifier.integers(replay.path("cell_label"), bytes: cells.values)
    let marks = cells.values.map { things.contains($0) ? UInt8(1) : 0 }
    let term = featureDistance(
      feature, reference: reference, cells: marks, globalCells: marks.reduce(0) { $0 + Int($1) }, factor: 1,
      name: group)
    try verifier.element(replay.path("loss"), actual: [Float(term.perSample.reduce(0, +))])
    try replay.compareGradients(into: &verifier)
  }
}

/// Fusion of context and detail logits by scale attention (before its sigmoid), for one position of the detail crop.
enum FusionKind: Kind {
  static let stems = ["fusion"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = Replay(group, fixture)
    let context = try replay.input("context_logits")
    let detail = try replay.input("detail_logits")
    let attention = try replay.input("attention_logits")
    let edges = try fixture.integers(replay.path("box")).values
    let grid = OutputGrid(stride: 4, coarsestStride: 32, contextReduction: 2)
    let stride = grid.contextReduction * grid.stride
    let shape = context.value.shape
    guard shape.rank == 4, detail.value.shape.rank == 4, attention.value.shape == shape,
      detail.value.channels == shape[3], edges.count == 4, edges.allSatisfy({ $0 >= 0 && $0 % stride == 0 }),
      edges[0] < edges[1], edges[1] <= shape[1] * stride, edges[2] < edges[3], edges[3] <= shape[2] * stride,
      edges[1] - edges[0] == detail.value.shape[1] * grid.stride,
      edges[3] - edges[2] == detail.value.shape[2] * grid.stride
    else { throw fixture.bad(group, "box \(edges) does not fit \(shape) and \(detail.value.shape)") }
    let pass = replay.context(samples: shape[0])
    let fused = SegmentationNetwork.fused(
      context: context, attention: sigmoid(attention, pass), detail: detail,
      boxes: [Box(top: edges[0], bottom: edges[1], left: edges[2], right: edges[3])], height: 2 * shape[1],
      width: 2 * shape[2], grid, .dampFirst, pass)
    try replay.compare(fused, output: "fused", cotangent: "grad_fused", into: &verifier)
  }
}
