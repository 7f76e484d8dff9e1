// Files of networks and steps that do not fit together: items that failed with a reason, never a stop of the program.

import Foundation
import TestSupport
import Testing
import Verification

@Suite(.serialized, .enabled(if: hasSharedFolder, "needs ../shared")) struct DamagedFileTests {
  private func reason(_ items: [VerifiedItem]) throws -> String {
    #expect(items.count == 1)
    let item = try #require(items.first)
    #expect(!item.ok && item.timesAllowed == .infinity)
    return item.note
  }

  @Test(arguments: [
    ("\"heads\": [1, 2, 3, 4]", "\"heads\": [3, 2, 3, 4]", "heads do not divide widths"),
    ("\"widths\": [16, 32, 48, 64]", "\"widths\": [16, 32, 48]", "an encoder has four stages"),
    ("\"widths\": [16, 32, 48, 64]", "\"widths\": [16, 32, 48, 96]", "of the network"),
    ("\"context_scale\": 0.5", "\"context_scale\": 0.4", "context_scale"),
    ("\"head_dropout\": 0.0", "\"head_dropout\": 0.1", "dropout cannot be repeated"),
    ("\"classes\": 7", "\"classes\": 6", "of the network"), ("\"head_width\": 32, ", "", "config does not describe it"),
    ("\"detail_crop\": [64, 64]", "\"detail_crop\": [64, 62]", "detail_crop"),
  ])
  func networksThatCannotBeBuilt(part: String, other: String, why: String) throws {
    let text = try reason(try outcome("hrda") { $0.config = { $0.replacingOccurrences(of: part, with: other) } })
    #expect(text.contains(why), "\(text)")
  }

  @Test(arguments: [
    ("box", [0, 64, 72, 136], "crops [64, 64]"), ("box", [0, 64, 0], "instead of y0 y1 x0 x1"),
    ("box", [-8, 56, 0, 64], "crops [64, 64]"), ("box", [0, 72, 0, 64], "crops [64, 64]"),
  ])
  func boxesOutsideTheImage(path: String, edges: [Int], why: String) throws {
    let text = try reason(try outcome("hrda") { $0.integerChanges[path] = { $0 = edges } })
    #expect(text.contains(why), "\(text)")
  }

  @Test func labelsOfNoClass() throws {
    let text = try reason(try outcome("hrda") { $0.integerChanges["label"] = { $0[100] = 9 } })
    #expect(text.contains("not one of 7 classes"), "\(text)")
  }

  @Test func missingWeights() throws {
    let name = "student/backbone.norm1.weight"
    let text = try reason(try outcome("encoder", weights: { $0.hidden = [name] }))
    #expect(text.contains("is missing") && text.contains(name), "\(text)")
  }

  @Test(arguments: ["step1/draws/chosen", "step0/draws/jitter_order", "step2/draws/source_box"])
  func damagedDraws(path: String) throws {
    let text = try reason(try outcome("steps") { $0.integerChanges[path] = { $0[0] = 300 } })
    #expect(text.contains(path.replacingOccurrences(of: "_order", with: "")), "\(text)")
  }

  @Test func unknownDatasetsFail() throws {
    let items = try outcome("steps") { $0.extra = ["step1/second_thoughts", "final/critic/weight"] }
    #expect(failures(items) == ["step1/second_thoughts", "final/critic/weight"])
  }

  @Test func aMissingResultFails() throws {
    let items = try outcome("encoder") { $0.hidden = ["feature2"] }
    let note = try #require(items.last { !$0.ok }).note
    #expect(note.contains("is not there") && note.contains("feature2"), "\(note)")
  }
}
