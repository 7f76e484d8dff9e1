// The weights other files start from: there is nothing to compute.

/// Initial weights, `student/…` and `frozen_encoder/…`; no items.
enum WeightsKind: FileKind {
  static func names(in fixture: Fixture) -> Set<String> { ["student", "frozen_encoder"] }

  static func verify(_ fixture: Fixture, into verifier: inout Verifier) throws {
    for group in names(in: fixture) { fixture.datasets(under: group).forEach(fixture.skip) }
  }
}
