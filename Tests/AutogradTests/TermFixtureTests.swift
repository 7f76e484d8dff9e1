// Loss terms against the reference files of methods that no program here trains yet.

import Autograd
import Kernels
import Tensors
import TestSupport
import Testing
import Verification

@Suite(.enabled(if: hasSharedFolder, "needs ../shared")) struct TermFixtureTests {
  /// Compares the terms of a case with its losses, and the gradient of their sum.
  private func compare(
    _ file: String, _ group: String, input: String,
    _ terms: (Variable, Fixture, ForwardContext) throws -> [(name: String, term: LossTerm)]
  ) throws {
    let fixture = try #require(try FixtureFile("methods/\(file)"))
    let tape = Tape()
    let x = Variable(tracked: try fixture.tensor("\(group)/in/\(input)"))
    for (name, term) in try terms(x, fixture, soloContext(x.value.samples, tape: tape)) {
      let times = try fixture.timesAllowed([Float(term.perSample.reduce(0, +))], "\(group)/out/\(name)")
      #expect(times <= 1, "\(name)")
    }
    tape.walkBack()
    let gradient = x.gradient ?? Tensor(zeros: x.value.shape)
    let times = try fixture.timesAllowed(gradient, "\(group)/grad/\(input)")
    #expect(times <= 1, "gradient")
  }

  private func labelled(_ labels: LabelMap) -> Int { labels.values.count { $0 != LabelMap.ignored } }

  @Test(arguments: ["plain", "gamma0", "class_absent", "one_labelled_pixel", "all_ignored", "batch3"])
  func focalLoss(name: String) throws {
    let group = "focal_\(name)"
    try compare("18-clan", group, input: "logits") { x, fixture, context in
      let labels = try fixture.labels("\(group)/in/label")
      return [
        (
          "loss",
          focal(
            x, labels: labels, gamma: name == "gamma0" ? 0 : 2, valid: labelled(labels), factor: 1, name: "", context)
        )
      ]
    }
  }

  @Test(arguments: ["plain", "ignored", "class_absent", "one_labelled_pixel", "all_ignored", "batch3"])
  func symmetricCrossEntropy(name: String) throws {
    let group = "symmetric_ce_\(name)"
    try compare("17-proda", group, input: "logits") { x, fixture, context in
      let labels = try fixture.labels("\(group)/in/label")
      let valid = labelled(labels)
      let forward = crossEntropy(
        x, labels: labels, weights: nil, valid: valid, factor: 0.1, name: "", context)
      let reverse = reverseCrossEntropy(x, labels: labels, valid: valid, factor: 1, name: "", context)
      let sum = LossTerm(name: "", perSample: zip(forward.perSample, reverse.perSample).map(+))
      return [("reverse", reverse), ("loss", sum)]
    }
  }

  @Test func distillation() throws {
    try compare("17-proda", "distillation_plain", input: "student") { x, fixture, context in
      let teacher = Kernels.softmax(try fixture.tensor("distillation_plain/in/teacher"))
      let factor = 1 / Float(x.value.channels)
      return [("loss", klDivergence(x, targets: teacher, factor: factor, name: "", context))]
    }
  }

  @Test(arguments: [
    ("ohem", Float(0.7), 4), ("ohem_rank", 0.3, 30), ("ohem_fewPixels", 0.3, 1000), ("ohem_noneKept", 0.1, 1000),
    ("ohem_empty", 0.7, 4),
  ])
  func hardPixels(group: String, threshold: Float, kept: Int) throws {
    try compare("05-diga", group, input: "logits") { x, fixture, context in
      let labels = try fixture.labels("\(group)/in/labels")
      let term = try hardPixelCrossEntropy(
        x, labels: labels, threshold: threshold, kept: kept, factor: 1, name: "", context)
      return [("loss", term)]
    }
  }

  @Test(arguments: ["", "_valid", "_empty", "_one", "_batch1", "_batch3"])
  func reverseHuber(name: String) throws {
    let group = "berhu\(name)"
    try compare("06-corda", group, input: "prediction") { x, fixture, context in
      let depth = try fixture.tensor("\(group)/in/depth")
      // 1 is the mark of no depth.
      let valid = depth.values.map { $0 == 1 ? UInt8(0) : 1 }
      let turn = 0.2 * largestDifference(x.value, depth, valid: valid)
      let term = berHu(
        x, reference: depth, valid: valid, globalCount: valid.reduce(0) { $0 + Int($1) }, turn: turn, factor: 1,
        name: "", context)
      return [("loss", term)]
    }
  }

  @Test(arguments: [
    "", "_no_ignored", "_absent_class", "_one_pixel", "_empty", "_per_image", "_per_image_bare", "_batch1_odd",
    "_batch3",
  ])
  func lovasz(name: String) throws {
    let group = "supervised\(name)"
    try compare("12-proca", group, input: "source_logits") { x, fixture, context in
      let labels = try fixture.labels("\(group)/in/labels")
      let large = bilinear(x, height: labels.height, width: labels.width, alignCorners: true, context)
      let first = crossEntropy(
        large, labels: labels, weights: nil, valid: labelled(labels), factor: 1, name: "", context)
      let second = try lovaszSoftmax(
        large, labels: labels, scope: name.contains("per_image") ? .image : .batch, factor: 0.75, name: "", context)
      return [("loss_ce", first), ("loss_lovasz", second)]
    }
  }
}
