// An encoder alone, forward and back.

import Autograd
import Tensors

/// An image, its feature maps, a cotangent for each, and all gradients.
enum EncoderKind: FileKind {
  static func names(in fixture: Fixture) -> Set<String> {
    let names = fixture.names()
    guard names.contains("image"), names.contains("feature1") else { return [] }
    return Set(
      names.filter { ["image", "grad_image", "gradients"].contains($0) || isFeature($0) || isCotangent($0) })
  }

  static func verify(_ fixture: Fixture, into verifier: inout Verifier) throws {
    let description = try NetworkDescription.read(fixture)
    let image = try fixture.image("image")
    let network = try fixture.network(description, gradientSlots: image.samples)
    let tape = Tape()
    let tracked = Variable(tracked: image)
    let features = try network.features(tracked, oneRankContext(image.samples, tape: tape, .batch))
    for (index, feature) in features.enumerated() {
      let cotangent = "grad_feature\(index + 1)"
      try verifier.element("feature\(index + 1)", feature.value)
      let given = try fixture.tensor(cotangent)
      guard given.shape == feature.value.shape else {
        throw fixture.bad(cotangent, "\(given.shape) for a feature of \(feature.value.shape)")
      }
      feature.cell?.accumulate(given)
    }
    tape.walkBack()
    if fixture.contains("grad_image") { try verifier.norm("grad_image", tracked.gradient ?? Tensor(zeros: [0])) }
    try NamedGradients(summing: network).compare(with: "gradients", &verifier)
  }

  private static func isFeature(_ name: String) -> Bool {
    name.hasPrefix("feature") && Int(name.dropFirst("feature".count)) != nil
  }

  private static func isCotangent(_ name: String) -> Bool {
    name.hasPrefix("grad_") && isFeature(String(name.dropFirst("grad_".count)))
  }
}
