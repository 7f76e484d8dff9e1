// The shared reference files of methods, repeated and compared as `apus verify` does.

import StorageHDF5
import TestSupport
import Testing
import Verification

@Suite(.enabled(if: hasSharedFolder, "needs ../shared")) struct MethodFixtureTests {
  @Test(arguments: [
    ("02-dg", 43), ("04-cluda", 152), ("10-ehtdi", 125), ("10-ehtdi-edge", 89), ("11-spcl", 151), ("16-advent", 87),
    ("22-adaptsegnet", 87), ("22-dacs", 103),
  ])
  func everyItemIsWithinTolerance(name: String, items: Int) throws {
    let fixture = try #require(try FixtureFile("methods/\(name)"))
    let outcome = verify(fixture)
    let failed = outcome.items.filter { !$0.ok }
    #expect(failed == [])
    #expect(outcome.items.count == items && Set(outcome.items.map(\.name)).count == items)
  }

  /// A fixture file of a method with something changed, under its own name or another.
  private func altered(
    _ name: String, as path: String? = nil, _ change: (inout StandInFile) throws -> Void
  ) throws -> Fixture {
    let base = try HDF5File(reading: "\(sharedFolder)/fixtures/methods/\(name).h5")
    var file = StandInFile(path: path ?? "altered/\(name).h5", base: base)
    try change(&file)
    return try Fixture(file.path) { [file] _ in file }
  }

  private func failures(_ fixture: Fixture) -> [String] { verify(fixture).items.filter { !$0.ok }.map(\.name) }

  @Test(arguments: [
    ("02-dg", "hallucinate_plain/grad/feature"), ("02-dg", "base_styles_few/out/rows"),
    ("02-dg", "source_plain/grad/logits"), ("04-cluda", "multi_released/grad/attention"),
    ("04-cluda", "chain_boxes/grad/detail"), ("04-cluda", "weightHead/state_after/embed_layers.0.proj.weight"),
    ("10-ehtdi", "contrast_batch3_odd/grad/weak"),
    ("10-ehtdi", "nce/grad/a"), ("10-ehtdi-edge", "edge_nothingPasted/grad/mixed_aux"),
    ("11-spcl", "contrast_tau0.1/grad/target_features"), ("11-spcl", "prototypes_step1/state_after/eta"),
    ("11-spcl", "thresholds/out/thresholds"), ("16-advent", "entropy_plain/grad/aux"),
    ("16-advent", "prior_plain/out/loss"), ("16-advent", "discriminator_loss_plain/grad/conv2.weight"),
    ("22-adaptsegnet", "adversarial_hrda/grad/logits"), ("22-dacs", "source_loss_one_labelled_pixel/grad/logits"),
    ("22-dacs", "teacher_end/iteration150/state_after/a"),
  ])
  func oneWrongNumberIsFound(name: String, path: String) throws {
    let fixture = try altered(name) { file in
      let shared = try #require(try FixtureFile("methods/\(name)"))
      var (values, shape) = try shared.floats(path)
      values[values.count / 2] += Float(try 2.5 * shared.allowedError(path))
      file.entries[path] = .init(values: values, shape: shape)
    }
    let failed = failures(fixture)
    #expect(failed == [path])
  }

  /// Equal names are equal kinds in the files of one method only, and a method that nothing knows has none.
  @Test func theFileDecidesWhatAnameMeans() throws {
    let unknown = failures(try altered("16-advent") { $0.renamed["ranked_plain"] = "sorted_plain" })
    #expect(unknown == ["sorted_plain"])
    let other = failures(try altered("16-advent", as: "altered/99-other.h5") { _ in })
    let groups = try #require(try FixtureFile("methods/16-advent")).names()
    #expect(other == groups)
    let dataset = failures(
      try altered("22-dacs") { $0.entries["schedules/out/beta"] = .init(values: [1], shape: [1]) })
    #expect(dataset == ["schedules/out/beta"])
  }
}
