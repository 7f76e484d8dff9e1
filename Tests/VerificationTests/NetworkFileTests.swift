// Whole networks and steps against the shared reference files, and controls: what is changed is what fails.

import Foundation
import TestSupport
import Testing
import Verification

@Suite(.serialized, .enabled(if: hasSharedFolder, "needs ../shared")) struct NetworkFileTests {
  /// Beginnings of paths that are inputs, so that nothing is compared with them.
  private static let inputs: [String: [String]] = [
    "encoder": ["image", "grad_feature"], "hrda": ["image", "label", "pixel_weight", "box"],
    "hrda_odd": ["image", "label", "pixel_weight", "box"], "b0": ["image", "label", "box"],
    "steps": ["source_rgb", "target_rgb", "source_label", "valid", "draws/"],
    "steps_mic": ["source_rgb", "target_rgb", "source_label", "valid", "draws/"],
  ]

  @Test(arguments: ["encoder", "hrda", "hrda_odd", "b0", "steps", "steps_mic"])
  func everyOutputIsComparedAndWithinTolerance(name: String) throws {
    let fixture = try #require(try FixtureFile(name))
    let items = verify(fixture).items
    #expect(failures(items).isEmpty)
    let inputs = try #require(NetworkFileTests.inputs[name])
    let outputs = fixture.paths.filter { path in
      let tail = path.hasPrefix("step") ? String(path.drop { $0 != "/" }.dropFirst()) : path
      return !inputs.contains { tail.hasPrefix($0) }
    }
    let compared = items.map(\.name).filter { fixture.contains($0) }
    #expect(compared.sorted() == outputs && !outputs.isEmpty)
    // Whole gradients and networks are items besides.
    let wholes = Set(items.map(\.name)).subtracting(outputs)
    #expect(wholes.isSubset(of: ["gradients", "step0/gradients", "final/student", "final/teacher"]))
    #expect(wholes.isEmpty == ["hrda_odd"].contains(name))
  }

  // MARK: A changed weight

  private static let weight = "student/backbone.block3.0.mlp.fc1.weight"

  @Test func aChangedWeightShowsFromItsStageOn() throws {
    let failed = failures(
      try outcome("encoder", weights: { $0.floatChanges[NetworkFileTests.weight] = { $0[7] += 0.05 } }))
    #expect(failed.isSuperset(of: ["feature3", "feature4", "gradients"]))
    #expect(failed.isDisjoint(with: ["feature1", "feature2"]))
  }

  @Test func aChangedWeightShowsInTrainingDenseAndSlidingPasses() throws {
    let failed = failures(
      try outcome("hrda", weights: { $0.floatChanges[NetworkFileTests.weight] = { $0[7] += 0.05 } }))
    #expect(
      failed.isSuperset(of: [
        "train/context_feature3", "train/detail_feature4", "train/fused_logits", "train/loss_fused",
        "train/grad_context_feature1", "dense_train/fused_logits", "dense_eval/detail_logits", "slide_eval/logits",
      ]))
    #expect(failed.isDisjoint(with: ["train/context_image", "train/context_feature2", "train/detail_feature2"]))
  }

  @Test func aChangedFrozenWeightShowsInTheFeatureDistanceOnly() throws {
    let failed = failures(
      try outcome(
        "steps",
        weights: { $0.floatChanges["frozen_encoder/backbone.norm4.weight"] = { $0 = $0.map { 1.1 * $0 } } }))
    #expect(failed.isSuperset(of: ["step0/log/source_fd", "step1/log/source_fd"]))
    #expect(failed.isDisjoint(with: ["step0/log/source_fused", "step0/teacher_logits", "step0/mixed_fused_logits"]))
  }

  // MARK: A changed result

  @Test(arguments: [
    ("encoder", "grad_image", ["grad_image"]),
    ("encoder", "gradients/backbone.norm2.weight", ["gradients/backbone.norm2.weight"]),
    ("hrda", "train/attention", ["train/attention"]), ("hrda", "train/loss_detail", ["train/loss_detail"]),
    ("hrda", "train/grad_context_logits", ["train/grad_context_logits"]),
    (
      "hrda", "statistics_after/decode_head.head.fuse_layer.bottleneck.bn.running_var",
      ["statistics_after/decode_head.head.fuse_layer.bottleneck.bn.running_var"]
    ),
    ("hrda_odd", "gradient_norms", ["gradient_norms"]), ("hrda_odd", "slide_eval/logits", ["slide_eval/logits"]),
    ("steps_mic", "step0/masked_image", ["step0/masked_image"]),
    ("steps_mic", "step2/log/masked_detail", ["step2/log/masked_detail"]),
    ("steps_mic", "step1/log/confidence", ["step1/log/confidence"]), ("steps", "step1/log/lr", ["step1/log/lr"]),
    ("steps", "step0/mixed_weight", ["step0/mixed_weight"]),
    ("steps", "step2/gradient_norms", ["step2/gradient_norms"]),
    ("steps", "final/teacher/backbone.norm1.weight", ["final/teacher", "final/teacher/backbone.norm1.weight"]),
    (
      "steps", "final/student/decode_head.head.fuse_layer.bottleneck.bn.running_mean",
      ["final/student/decode_head.head.fuse_layer.bottleneck.bn.running_mean"]
    ),
  ])
  func aChangedResultFailsAlone(name: String, path: String, expected: [String]) throws {
    let failed = failures(
      try outcome(name) { file in
        file.floatChanges[path] = { values in
          for index in values.indices { values[index] *= 1.01 }
        }
      })
    #expect(failed == Set(expected))
  }

  @Test(arguments: [(5, true), (6, false)]) func fivePseudoLabelsMayDiffer(count: Int, isFine: Bool) throws {
    let failed = failures(
      try outcome("steps") { file in
        file.integerChanges["step1/pseudo_label"] = { values in
          for index in 0..<count { values[index * 97] = (values[index * 97] + 1) % 7 }
        }
      })
    #expect(failed == (isFine ? [] : ["step1/pseudo_label"]))
  }

  @Test func pastedLabelsAndMasksAreExact() throws {
    let mask = try #require(try FixtureFile("steps")).integers("step0/mix_mask").values
    let pasted = try #require(mask.firstIndex(of: 1))
    let failed = failures(
      try outcome("steps") { file in
        file.integerChanges["step0/mixed_label"] = { $0[pasted] = ($0[pasted] + 1) % 7 }
        file.integerChanges["step2/mix_mask"] = { $0[11] = 1 - $0[11] }
      })
    #expect(failed == ["step0/mixed_label", "step2/mix_mask"])
  }

  // MARK: Other inputs

  @Test func otherDrawsGiveOtherSteps() throws {
    let failed = failures(
      try outcome("steps_mic") { file in
        file.integerChanges["step0/draws/masked_box"] = { $0 = [$0[0] ^ 8, ($0[0] ^ 8) + 64, $0[2], $0[3]] }
      })
    #expect(failed.isSuperset(of: ["step0/log/masked_detail", "step0/gradients"]))
    #expect(failed.isDisjoint(with: ["step0/masked_image", "step0/mixed_fused_logits", "step0/pseudo_label"]))
  }

  @Test func anotherFormulaIsToldByTheSums() throws {
    let failed = failures(
      try outcome("b0") { file in file.config = { $0.replacingOccurrences(of: "gain 1.5", with: "gain 1.6") } })
    #expect(failed.contains("weight_sums"))
  }
}
