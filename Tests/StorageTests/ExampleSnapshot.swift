// Small snapshots for the tests of this folder.

import Storage
import Support
import Tensors
import TestSupport

/// A snapshot with every group, awkward values, a scalar and an empty tensor.
func exampleSnapshot(step: Int = 100, seed: UInt64 = 1) -> Snapshot {
  let shapes: [(String, Shape)] = [
    ("backbone.patch_embed1.proj.weight", [8, 3, 7, 7]), ("backbone.patch_embed1.proj.bias", [8]),
    ("decode_head.head.embed_layers.0.proj.weight", [16, 8]), ("decode_head.head.bn.running_var", [16]),
  ]
  var records: [Snapshot.Record] = []
  for (index, group) in [Snapshot.student, Snapshot.teacher, Snapshot.firstMoment, Snapshot.secondMoment].enumerated() {
    for (number, (name, shape)) in shapes.enumerated() {
      let tensor = randomTensor(shape, seed: seed &* 1000 &+ UInt64(10 * index + number))
      records.append(Snapshot.Record("\(group)/\(name)", shape, memory: tensor, index == 0 ? .official : .outputsLast))
    }
  }
  let odd: [Float] = [-0.0, .infinity, -.infinity, .nan, Float(bitPattern: 0x7f80_0001), .leastNonzeroMagnitude]
  records.append(Snapshot.Record("objective/hrda/odd values", Tensor(odd, [2, 3])))
  records.append(Snapshot.Record("objective/hrda/count", Tensor([3], [])))
  records.append(Snapshot.Record("objective/hrda/none", Tensor(zeros: [0, 4])))
  let run = RunDescription(
    step: step, recipe: "seed: 1\nname: \"Straße\"\n", classNames: ["road", "sidewalk"], worldSize: 2,
    programVersion: "0.1.0", libraryVersions: ["openblas": "0.3.21", "open mpi": "4.1.4"], cpuLevel: "avx512",
    schedule: ["steps": 40_000, "learningRate": 6e-5])
  return Snapshot(run: run, records: records)
}

/// Whether two snapshots hold the same descriptions, names, shapes and bits.
func areEqual(_ first: Snapshot, _ second: Snapshot) -> Bool {
  first.run == second.run && first.records.map(\.path) == second.records.map(\.path)
    && zip(first.records, second.records).allSatisfy {
      $0.shape == $1.shape && $0.values.values.map(\.bitPattern) == $1.values.values.map(\.bitPattern)
    }
}

extension Snapshot {
  /// The same state, with all values of the moments still to come.
  var awaitingMoments: Snapshot {
    Snapshot(
      run: run,
      records: records.map { record in
        guard record.path.hasPrefix(Snapshot.firstMoment) || record.path.hasPrefix(Snapshot.secondMoment) else {
          return record
        }
        return Record(awaiting: record.path, record.shape, record.order)
      })
  }

  /// Puts in what `awaitingMoments` lacks, as it lies in memory, in stretches of so many elements, last ones first.
  func putMoments(into prepared: any PreparedCheckpoint, of part: Snapshot, stretch: Int) {
    for path in part.records.filter(\.isAwaited).map(\.path) {
      guard let record = records.first(where: { $0.path == path }) else { preconditionFailure("no \(path)") }
      let inner = record.memory.values
      for first in stride(from: 0, to: inner.count, by: stretch).reversed() {
        let values = Array(inner[first..<min(first + stretch, inner.count)])
        prepared.put(Tensor(values, [values.count]), at: first, of: path)
      }
    }
  }
}
