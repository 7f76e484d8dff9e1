// Which predictions methods on output maps work on, and at which size: shared by AdaptSegNet, AdvEnt and MinEnt.

import Adaptation
import Autograd
import Networks

/// One of the predictions of a network that a method works on.
///
/// A network of one resolution has its logits ("main") and those of an auxiliary head, both resized to the image with
/// aligned corners, as in the released code of AdaptSegNet and ADVENT. A network of two resolutions has its fused logits
/// alone, resized to half of the image with half-pixel centres, as in HRDA's variants of these methods (Hoyer et al.,
/// ECCV 2022).
struct OutputLevel {
  /// Which prediction.
  enum Prediction: String {
    /// That of the whole network.
    case main
    /// That of the auxiliary head.
    case auxiliary
  }

  /// Which prediction.
  let prediction: Prediction
  /// Weight of the method's terms on it.
  let weight: Float
  private let resolution: Resolution

  /// The predictions that a network has and weights do not switch off.
  static func all(
    of configuration: NetworkConfiguration, weight: Double, auxiliaryWeight: Double
  ) -> [OutputLevel] {
    let weights = [(Prediction.main, weight), (.auxiliary, configuration.auxiliary == nil ? 0 : auxiliaryWeight)]
    return weights.filter { $0.1 > 0 }.map {
      OutputLevel(prediction: $0, weight: Float($1), resolution: configuration.resolution)
    }
  }

  /// Name in losses, companions and checkpoints: "main" or "auxiliary".
  var name: String { prediction.rawValue }

  /// The logits `[N, H, W, K]` of a run at the size that methods see. Without a tape in the context no gradient flows.
  func logits(_ run: StudentRun, _ context: ForwardContext) -> Variable {
    let (image, box) = (run.view.image.value.shape, run.view.box)
    let size =
      switch resolution {
      case .hrda: (image[1] / 2, image[2] / 2)
      case .contextOnly: (image[1], image[2])
      case .detailOnly: (box.height, box.width)
      }
    return bilinear(own(run.output), height: size.0, width: size.1, alignCorners: resolution != .hrda, context)
  }

  private func own(_ output: TrainingOutput) -> Variable {
    let logits = prediction == .main ? output.fused ?? output.detail : output.auxiliary
    guard let logits else { preconditionFailure("a network without \(name) logits") }
    return logits
  }
}
