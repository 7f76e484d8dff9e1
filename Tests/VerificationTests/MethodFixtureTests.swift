// The shared reference files of methods, repeated and compared as `apus verify` does.

import StorageHDF5
import TestSupport
import Testing
import Verification

@Suite(.enabled(if: hasSharedFolder, "needs ../shared")) struct MethodFixtureTests {
  @Test(arguments: [
    ("02-dg", 43), ("04-cluda", 152), ("05-diga", 106), ("06-corda", 179), ("06-corda-network", 149), ("08-crda", 58),
    ("09-tada", 99),
    ("10-ehtdi", 125), ("10-ehtdi-edge", 89), ("11-spcl", 151), ("12-proca", 185), ("16-advent", 87), ("18-clan", 88),
    ("20-camix", 114), ("22-adaptsegnet", 87), ("22-dacs", 103),
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
    ("11-spcl", "contrast_tau0.1/grad/target_features"), ("11-spcl", "prototypes_step1/state_after/eta"),
    ("11-spcl", "thresholds/out/thresholds"), ("16-advent", "entropy_plain/grad/aux"),
    ("05-diga", "selfTraining_ohem/grad/student"), ("05-diga", "centroids_step1/state_after/centroids"),
    ("08-crda", "kl/grad/student"), ("08-crda", "cosine_all/out/teacher_relations"),
    ("12-proca", "step_step1/state_after/output_proto"), ("12-proca", "bank_step2/grad/anchors"),
    ("20-camix", "prior/out/prior"), ("20-camix", "step_context/grad/mixed_logits"),
    ("18-clan", "adversarial_weighted/grad/logits2"), ("18-clan", "weight_discrepancy/grad/head2/b.bias"),
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
