// The rules of comparison on numbers made up here.

import Foundation
import Support
import Testing
import Verification

@Suite struct VerifierTests {
  private func verifier(
    _ entries: [String: StandInFile.Entry], integers: [String: [Int]] = [:], tolerance: Double = 1
  ) throws -> Verifier {
    let file = StandInFile(path: "made-up", entries: entries, integers: integers)
    return Verifier(try Fixture("made-up") { _ in file }, tolerance: tolerance)
  }

  @Test func elementsMayBeOffByNoiseAndRounding() throws {
    // Allowed: 10 * 1e-4 + 3e-6 * 100 = 1.3e-3.
    var one = try verifier(["a": .init(values: [1, 2, 100, 4], shape: [2, 2], noise: 1e-4)])
    try one.element("a", actual: [1.0012, 2, 100, 4])
    try one.element("a", actual: [1, 2.0014, 100, 4])
    #expect(one.items.map(\.ok) == [true, false])
    #expect(one.items[1].at == [0, 1])
    #expect(abs(one.items[1].maxAbs - 1.4e-3) < 1e-6 && abs(one.items[1].maxRel - 1.4e-5) < 1e-8)
    #expect(abs(one.items[1].timesAllowed - 1.4 / 1.3) < 1e-3)
    var wider = try verifier(["a": .init(values: [1, 2, 100, 4], shape: [2, 2], noise: 1e-4)], tolerance: 2)
    try wider.element("a", actual: [1, 2.0014, 100, 4])
    #expect(wider.items[0].ok)
  }

  @Test func whatCannotBeComparedFails() throws {
    var one = try verifier([
      "a": .init(values: [1, 2], shape: [2], noise: 1e9), "b": .init(values: [.nan], shape: [1]),
    ])
    try one.element("a", actual: [1])
    try one.element("a", actual: [1, .nan])
    try one.element("a", actual: [1, .infinity])
    try one.element("b", actual: [.nan])
    try one.norm("a", actual: [1])
    try one.norm("a", actual: [.nan, 2])
    try one.norms("whole", [("a", [1, .infinity])])
    #expect(one.items.count == 8)
    #expect(one.items.allSatisfy { !$0.ok && $0.timesAllowed == .infinity })
    #expect(one.items[0].note == "1 elements instead of 2" && one.items[1].note == "not finite at element 1")
    let text = String(decoding: try JSONEncoder().encode(one.items), as: UTF8.self)
    #expect(text.contains("\"ok\":false") && !text.contains("inf") && !text.contains("nan"))
  }

  @Test func missingAttributesAndDatasetsAreFailures() throws {
    var one = try verifier([:])
    #expect(throws: Failure.self) { try one.element("absent", actual: [1]) }
    let fixture = try Fixture("folder/a.h5") { path in
      guard path == "folder/a.h5" else { throw Failure(.missingInput, "there is none", at: path) }
      return StandInFile(path: path)
    }
    #expect(throws: Failure.self) { try fixture.weights() }
  }

  @Test func gradientsAreJudgedByNorm() throws {
    let reference = [Float](repeating: 1, count: 10_000)
    var one = try verifier(["g": .init(values: reference, shape: [10_000], noise: 1e-7)])
    var flipped = reference
    // A few flipped elements are far over the element rule, yet 4e-4 of the norm.
    for index in 0..<4 { flipped[index] += 0.02 }
    try one.norm("g", actual: flipped)
    flipped[4] += 0.04
    try one.norm("g", actual: flipped)
    #expect(one.items.map(\.ok) == [true, false])
    #expect(one.items[0].note == "norm 4.0e-04, 4 over the element rule")
    #expect(abs(one.items[0].timesAllowed - 0.8) < 1e-3)
    // Noise of 1e-3 at most in any element allows 1e-2 of the norm.
    var noisy = try verifier(["g": .init(values: reference, shape: [10_000], noise: 1e-3)])
    try noisy.norm("g", actual: reference.map { $0 * 1.009 })
    try noisy.norm("g", actual: reference.map { $0 * 1.011 })
    #expect(noisy.items.map(\.ok) == [true, false])
  }

  @Test func aWholeGradientIsJudgedToo() throws {
    var one = try verifier([
      "large": .init(values: [Float](repeating: 1, count: 100), shape: [100]),
      "small": .init(values: [1e-3], shape: [1]),
    ])
    try one.norms("all", [("large", [Float](repeating: 1.0001, count: 100)), ("small", [1.1e-3])])
    #expect(one.items.map(\.name) == ["large", "small", "all"])
    #expect(one.items.map(\.ok) == [true, false, true])
  }

  @Test func nullDirectionsStayOutOfTheNorm() throws {
    let name = "gradients/backbone.block1.0.attn.kv.bias"
    #expect(Verifier.nullDirections(of: name, count: 8) == 0..<4)
    #expect(
      Verifier.nullDirections(of: "decode_head.scale_attention.embed_layers.2.proj.bias", count: 8) == 0..<8)
    #expect(Verifier.nullDirections(of: "decode_head.head.embed_layers.2.proj.bias", count: 8).isEmpty)
    let entries = [name: StandInFile.Entry(values: [1e-9, -1e-9, 1, 1], shape: [4], noise: 1e-9)]
    var one = try verifier(entries)
    try one.norms("all", [(name, [-1e-6, 1e-6, 1, 1])])
    try one.norms("all", [(name, [-1e-5, 1e-6, 1, 1])])
    try one.norm(name, actual: [0.01, 0, 1, 1], nullAllowance: 0.012)
    try one.norm(name, actual: [0.01, 0, 1, 1.01], nullAllowance: 0.012)
    try one.norm(name, actual: [0.01, 0, 1, 1])
    #expect(one.items.map(\.ok) == [true, true, false, true, true, false, false])
  }

  @Test func integersMayDifferAtAFewPlaces() throws {
    var one = try verifier([:], integers: ["labels": [1, 2, 3, 4]])
    try one.integers("labels", actual: [1, 2, 3, 4])
    try one.integers("labels", actual: [1, 2, 3, 9])
    try one.integers("labels", actual: [1, 2, 3, 9], allowedDifferences: 1)
    try one.integers("labels", actual: [1, 2, 8, 9], allowedDifferences: 1)
    try one.integers("labels", actual: [1, 2, 3], allowedDifferences: 5)
    #expect(one.items.map(\.ok) == [true, false, true, false, false])
    #expect(one.items[3].note == "2 of 4 differ" && one.items[3].at == [2])
  }
}
