// Snapshots and their comparison.

import Storage
import Tensors
import Testing

@Suite struct SnapshotTests {
  private func snapshot(_ tensors: [String: [Float]]) -> Snapshot {
    Snapshot(run: exampleSnapshot().run, records: tensors.map { Snapshot.Record($0, Tensor($1, [$1.count])) })
  }

  @Test func recordsAreInByteOrder() {
    let snapshot = snapshot(["teacher/a": [1], "student/b": [2], "student/B": [3], "student/b.c": [4]])
    #expect(snapshot.records.map(\.path) == ["student/B", "student/b", "student/b.c", "teacher/a"])
    #expect(snapshot.tensor("student/b")?.values == [2])
    #expect(snapshot.tensor("student/c") == nil)
    #expect(snapshot.records(under: "student").map(\.name) == ["B", "b", "b.c"])
    #expect(snapshot.byteCount == 16)
  }

  @Test(arguments: ["student", "student/", "student/a/b", "run/step", "optimizer/a", "objective/a", "student/..", ""])
  func pathsOutsideTheGroups(path: String) { #expect(!Snapshot.isPath(path)) }

  @Test func equalBitsAreIdentical() {
    let comparison = SnapshotComparison(exampleSnapshot(), exampleSnapshot())
    #expect(comparison.identical)
    #expect(comparison.tensors.count == exampleSnapshot().records.count)
    #expect(comparison.tensors.allSatisfy { $0.maxAbs == 0 && $0.maxRel == 0 && $0.ulp == 0 })
  }

  @Test func differencesAreMeasured() {
    let comparison = SnapshotComparison(
      snapshot(["student/a": [1, 2, -4], "student/b": [0], "student/c": [1], "student/d": [1], "student/e": [.nan]]),
      snapshot([
        "student/a": [1, 2.5, -4], "student/b": [-0.0], "student/c": [Float(1).nextUp], "teacher/d": [1],
        "student/e": [1],
      ]))
    #expect(!comparison.identical)
    let byName = Dictionary(uniqueKeysWithValues: comparison.tensors.map { ($0.name, $0) })
    #expect(byName["student/a"]?.maxAbs == 0.5)
    #expect(byName["student/a"]?.maxRel == 0.125)
    #expect(byName["student/a"]?.ulp == 1 << 21)
    #expect(byName["student/b"]?.ulp == 1)
    #expect(byName["student/c"]?.ulp == 1)
    #expect(byName["student/d"]?.note == "only in the first")
    #expect(byName["teacher/d"]?.note == "only in the second")
    #expect(byName["student/e"]?.maxAbs == nil)
  }
}
