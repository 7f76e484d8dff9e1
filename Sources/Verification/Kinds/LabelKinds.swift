// Pseudo-labels with their weights, and the masks of mixing and masking. N samples, H×W pixels, K classes.

import Adaptation
import Collectives
import Kernels
import Tensors

/// Pseudo-labels of given logits, with and without a mask of trusted pixels.
enum PseudoLabelKind: Kind {
  static let stems = ["pseudo"]
  /// Confidence threshold of the published code.
  private static let threshold: Float = 0.968

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let logits = try fixture.tensor("\(group)/logits")
    let path = "\(group)/weight"
    guard logits.shape.rank == 4 else { throw fixture.bad(group, "logits of \(logits.shape)") }
    let hidden = try fixture.read(/top (\d+) and bottom (\d+) rows are zero/, in: path, "hidden rows")
    let (samples, height, width) = (logits.shape[0], logits.shape[1], logits.shape[2])
    guard let top = Int(hidden.1), let bottom = Int(hidden.2), top <= height, bottom <= height - top else {
      throw fixture.bad(path, "more rows are hidden than there are")
    }
    let rows = (0..<samples * height).map { $0 % height >= top && $0 % height < height - bottom ? Float(1) : 0 }
    let mask = Tensor(rows.flatMap { [Float](repeating: $0, count: width) }, [samples, height, width])
    let share = BatchShare(communicator: SoloCommunicator(), globalBatch: samples, samples: 0..<samples)
    let plain = try PseudoLabels(logits, valid: mask, threshold: threshold, share)
    try verifier.integers("\(group)/label", bytes: plain.labels.values)
    try verifier.element(path, plain.weights)
    guard fixture.contains("\(group)/valid") else { return }
    let valid = try fixture.integers("\(group)/valid").values
    guard valid.count == samples * height * width else { throw fixture.bad("\(group)/valid", "wrong size") }
    let trusted = try PseudoLabels(
      logits, valid: Tensor(valid.map { Float($0) }, [samples, height, width]), threshold: threshold, share)
    try verifier.element("\(group)/weight_valid", trusted.weights)
  }
}

/// Pixels of chosen classes.
enum ClassMaskKind: Kind {
  static let stems = ["class_mask"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let labels = try fixture.labels("\(group)/label")
    let (values, shape) = try fixture.integers("\(group)/chosen")
    guard shape.count == 2, shape[0] == labels.samples else { throw fixture.bad("\(group)/chosen", "shape \(shape)") }
    // -1 fills rows up.
    let chosen = (0..<shape[0]).map { row in
      values[row * shape[1]..<(row + 1) * shape[1]].compactMap { UInt8(exactly: $0) }
    }
    try verifier.integers("\(group)/mask", bytes: classMask(labels, chosen: chosen))
  }
}

/// Blocks that stay visible, resized to pixels; the ratio is in the remark on the uniform numbers.
enum BlockMaskKind: Kind {
  static let stems = ["block_mask"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let (values, shape) = try fixture.floats("\(group)/uniform")
    let ratio = try fixture.read(/where > ([.\d]+\d)/, in: "\(group)/uniform", "ratio").1
    guard shape.count == 4, shape[1] == 1, !values.isEmpty, let ratio = Float(ratio) else {
      throw fixture.bad("\(group)/uniform", "shape \(shape)")
    }
    let uniforms = Tensor(values, [shape[0], shape[2], shape[3]])
    for path in fixture.datasets(under: group) where path.hasPrefix("\(group)/keep_") {
      let size = try fixture.floats(path).shape
      guard size.count == 4 else { throw fixture.bad(path, "shape \(size)") }
      try verifier.element(path, actual: blockMask(uniforms, height: size[2], width: size[3], ratio: ratio).values)
    }
  }
}
