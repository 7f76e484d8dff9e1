// The shared reference files, repeated and compared as `apus verify` does; and the same with something wrong in them.

import StorageHDF5
import TestSupport
import Testing
import Verification

@Suite(.enabled(if: hasSharedFolder, "needs ../shared")) struct VerifyFixtureTests {
  /// A fixture file with something changed.
  private func altered(_ name: String, _ change: (inout StandInFile) throws -> Void) throws -> Fixture {
    let path = "\(sharedFolder)/fixtures/\(name).h5"
    // Some kinds go by the file's name.
    let place = "altered/\(name).h5"
    var file = StandInFile(path: place, base: try HDF5File(reading: path))
    try change(&file)
    return try Fixture(place) { [file] _ in file }
  }

  private func failures(_ fixture: Fixture, tolerance: Double = 1) -> [String] {
    verify(fixture, tolerance: tolerance).items.filter { !$0.ok }.map(\.name)
  }

  @Test(arguments: [("ops", 174), ("augment", 18), ("schedule", 8)])
  func everyItemIsWithinTolerance(name: String, items: Int) throws {
    let fixture = try #require(try FixtureFile(name))
    let outcome = verify(fixture)
    let failed = outcome.items.filter { !$0.ok }.map(\.name)
    #expect(failed == [])
    let names = Set(outcome.items.map(\.name))
    #expect(names.count == items && outcome.items.count == items)
    // Ten times stricter than the rule leaves no room for anything but rounding.
    let worst = outcome.items.map(\.timesAllowed).max() ?? .infinity
    #expect(worst < 0.2)
  }

  @Test func stepsOfDACSAreWithinTolerance() throws {
    let outcome = verify(try #require(try FixtureFile("methods/22-dacs-step")))
    #expect(outcome.items.filter { !$0.ok }.map(\.name) == [])
    let names = Set(outcome.items.map(\.name))
    #expect(names.count == outcome.items.count)
    for step in 0..<3 {
      for item in [
        "out/loss_source", "out/loss_mixed", "out/share", "out/pseudo_label", "out/mix_mask", "out/mixed_label",
        "out/mixed_weight", "grad/conv1.weight", "grad/main.1.bias", "state_after/student/conv2.weight",
        "state_after/student/bn1.running_var", "state_after/teacher/main.0.weight",
        "state_after/teacher/bn2.running_mean",
      ] { #expect(names.contains("step/step\(step)/\(item)")) }
    }
    #expect(names.contains("step/step0/out/mixed_image"))
  }

  @Test func anotherDrawOfAStepIsFound() throws {
    let path = "step/step0/draws/jitter"
    let fixture = try altered("methods/22-dacs-step") { file in
      var (values, shape) = try #require(try FixtureFile("methods/22-dacs-step")).floats(path)
      values[0] += 0.01
      file.entries[path] = .init(values: values, shape: shape)
    }
    #expect(failures(fixture).contains("step/step0/out/mixed_image"))
  }

  @Test(arguments: [
    ("22-adaptsegnet-step", 155), ("16-advent-step", 155), ("16-minent-step", 92), ("18-clan-step", 177),
  ])
  func wholeStepsAreRepeated(name: String, least: Int) throws {
    let outcome = verify(try #require(try FixtureFile("methods/\(name)")))
    let failed = outcome.items.filter { !$0.ok }.map { "\($0.name) \($0.timesAllowed) \($0.note)" }
    #expect(failed == [])
    #expect(outcome.items.count >= least, "\(outcome.items.count)")
  }

  @Test func initialWeightsHaveNoItems() throws {
    let fixture = try #require(try FixtureFile("weights"))
    let items = verify(fixture).items
    #expect(items.isEmpty)
  }

  @Test(arguments: [
    ("ops", "attention_sr8/output"), ("ops", "attention_sr4/grad_kv.bias"),
    ("ops", "block/grad_mlp.dwconv.dwconv.weight"),
    ("ops", "patch_embed_k7s4/grad_proj.weight"), ("ops", "depthwise3x3_dilation12/grad_weight"),
    ("ops", "conv_stride4/grad_input"), ("ops", "bilinear_up_odd_align1/output"),
    ("ops", "batch_norm_train/running_var_after"), ("ops", "cross_entropy_upsampled/loss"),
    ("ops", "feature_distance/grad_feature"), ("ops", "fusion_inner/grad_attention_logits"),
    ("ops", "adamw/parameter_3"),
    ("ops", "channel_dropout/output"), ("ops", "formula_weights/fc1.bias"), ("augment", "hsv/hsv"),
    ("augment", "jitter/output"), ("augment", "blur/sigma_0.6"), ("augment", "pseudo/weight_valid"),
    ("schedule", "rare_class/probability"), ("schedule", "learning_rate/value"),
  ])
  func oneWrongNumberIsFound(name: String, path: String) throws {
    let fixture = try altered(name) { file in
      let shared = try #require(try FixtureFile(name))
      var (values, shape) = try shared.floats(path)
      values[values.count / 2] += Float(try 2 * shared.allowedError(path))
      file.entries[path] = .init(values: values, shape: shape)
    }
    let failed = failures(fixture)
    #expect(failed == [path])
    let item = try #require(verify(fixture).items.first { $0.name == path })
    #expect(item.timesAllowed > 1.8 && item.timesAllowed < 2.2)
    var place = 0
    for (index, extent) in zip(item.at, try fixture.floats(path).shape) { place = place * extent + index }
    let count = try fixture.floats(path).values.count
    #expect(place == count / 2)
    let lenient = failures(fixture, tolerance: 3)
    #expect(lenient == [])
  }

  @Test(arguments: [
    ("augment", "class_mask/mask"), ("augment", "pseudo/label"), ("augment", "blur/windows"),
    ("ops", "feature_distance/cell_label"), ("schedule", "windows/136x200_crop72x104"),
    ("schedule", "margins/sum_rows"),
  ])
  func oneWrongIntegerIsFound(name: String, path: String) throws {
    let fixture = try altered(name) { file in
      var values = try #require(try FixtureFile(name)).integers(path).values
      values[values.count - 1] += 1
      file.integers[path] = values
    }
    let strict = failures(fixture)
    let lenient = failures(fixture, tolerance: 1e9)
    #expect(strict == [path])
    #expect(lenient == [path])
  }

  @Test func wrongInputsAreFound() throws {
    let path = "linear/weight"
    let fixture = try altered("ops") { file in
      var (values, shape) = try #require(try FixtureFile("ops")).floats(path)
      values[0] += 1
      file.entries[path] = .init(values: values, shape: shape)
    }
    let failed = failures(fixture)
    #expect(failed == ["linear/output", "linear/grad_input"])
  }

  @Test func numbersThatAreNotFiniteAreFound() throws {
    let fixture = try altered("ops") { file in
      var (values, shape) = try #require(try FixtureFile("ops")).floats("gelu/input")
      values[3] = .nan
      file.entries["gelu/input"] = .init(values: values, shape: shape)
    }
    let failed = failures(fixture)
    #expect(failed == ["gelu/output", "gelu/grad_input"])
  }

  @Test func whatNothingKnowsFails() throws {
    let group = failures(try altered("schedule") { $0.renamed["rare_class"] = "mystery" })
    #expect(group == ["mystery"])
    let suffix = failures(try altered("schedule") { $0.renamed["rare_class"] = "rare_classes" })
    #expect(suffix == ["rare_classes"])
    let dataset = failures(try altered("schedule") { $0.integers["teacher/beta"] = [1] })
    #expect(dataset == ["teacher/beta"])
  }

  @Test func aBrokenGroupIsOneFailedItem() throws {
    let fixture = try altered("ops") {
      $0.entries["linear/weight"] = .init(values: [1, 2], shape: [1, 2])
    }
    let items = verify(fixture).items.filter { !$0.ok }
    #expect(items.map(\.name) == ["linear"])
    #expect(items[0].note.contains("weight [1, 2] for input"))
    #expect(items[0].timesAllowed == .infinity)
  }
}
