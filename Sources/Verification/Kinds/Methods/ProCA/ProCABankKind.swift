// The memory bank of ProCA's alternative script: queues by class, and the contrast with them. K classes, S rows, C channels.

import Adaptation
import Autograd
import Kernels
import Tensors

/// Vectors of a step are pushed, then anchors are contrasted with all that is queued.
enum BankKind: Kind {
  static let stems = ["bank"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    var queues = try queues(replay)
    try push(replay, &queues)
    for (name, queue) in [("pixel_queue", queues.pixels), ("proto_queue", queues.means)] {
      try verifier.element(replay.path("state_after/\(name)"), actual: queue.values)
    }
    try verifier.integers(
      replay.path("state_after/pointers"), actual: queues.next.flatMap { [$0.pixels, $0.means] })
    let found = try contrast(replay, queues)
    try verifier.element(replay.path("out/loss_bank"), actual: [found.loss])
    try verifier.element(replay.path("grad/anchors"), actual: found.gradient)
  }

  private static func queues(_ replay: TermReplay) throws -> ClassQueues {
    let (fixture, path) = (replay.fixture, replay.path("state_before/pixel_queue"))
    let (pixels, means) = (try fixture.tensor(path), try fixture.tensor(replay.path("state_before/proto_queue")))
    let places = try fixture.integers(replay.path("state_before/pointers")).values
    guard pixels.shape.rank == 3, pixels.shape == means.shape, pixels.count > 0, places.count == 2 * pixels.samples,
      places.allSatisfy({ 0..<pixels.shape[1] ~= $0 })
    else { throw fixture.bad(path, "queues \(pixels.shape) and \(means.shape), \(places.count) places") }
    return ClassQueues(
      pixels: pixels.copy(), means: means.copy(),
      next: (0..<pixels.samples).map { (places[2 * $0], places[2 * $0 + 1]) })
  }

  private static func push(_ replay: TermReplay, _ queues: inout ClassQueues) throws {
    let fixture = replay.fixture
    let (values, shape) = try fixture.floats(replay.path("in/embeddings"))
    let labels = try fixture.bytes(replay.path("in/labels")).values
    let channels = queues.pixels.channels
    guard shape == [labels.count, channels] else { throw fixture.bad(replay.group, "embeddings \(shape)") }
    let pointer: QueuePointer = replay.option("pointer", "literal") == "literal" ? .literal : .rows
    for label in 0..<queues.pixels.samples where replay.contains("draws/order\(label)") {
      let vectors = labels.indices.filter { Int(labels[$0]) == label }.map {
        Array(values[$0 * channels..<($0 + 1) * channels])
      }
      let order = try fixture.integers(replay.path("draws/order\(label)")).values
      guard !vectors.isEmpty, order.count == vectors.count, order.allSatisfy(vectors.indices.contains) else {
        throw fixture.bad(replay.group, "\(order.count) places for \(vectors.count) pixels of class \(label)")
      }
      queues.push(label, vectors, keeping: Array(order.prefix(10)), pointer: pointer)
    }
  }

  /// Anchors view after view; rows of means come before those of pixels, which the released code takes for other classes.
  private static func contrast(
    _ replay: TermReplay, _ queues: ClassQueues
  ) throws -> (loss: Float, gradient: [Float]) {
    let (values, shape) = try replay.fixture.floats(replay.path("in/anchors"))
    let classes = try replay.fixture.integers(replay.path("in/anchor_classes")).values
    guard shape.count == 3, shape[0] == classes.count, shape[2] == queues.pixels.channels, !values.isEmpty else {
      throw replay.fixture.bad(replay.group, "anchors \(shape)")
    }
    let (count, rows) = (queues.pixels.samples, queues.pixels.shape[1])
    let isLiteral = replay.option("literal", true)
    let all = FileLayout.permuted(values, shape, [1, 0, 2]).reshaped([shape[0] * shape[1], shape[2]])
    let factor = 1 / (Double(all.samples) * 2)
    let found = queueContrast(
      all, queue: Tensor(queues.means.values + queues.pixels.values, [2 * count * rows, shape[2]]),
      temperature: replay.number("temperature", 0.1), factor: Float(factor)
    ) { anchor, row in
      let owner = isLiteral ? row / rows : row / rows % count
      guard owner == classes[anchor % classes.count] else { return false }
      return isLiteral && anchor == row ? nil : true
    }
    let gradient = found.gradient ?? Tensor(zeros: all.shape)
    let inFile = FileLayout.permuted(gradient.values, [shape[1], shape[0], shape[2]], [1, 0, 2])
    return (Float(found.sums.reduce(0, +) * factor), inFile.values)
  }
}
