// What companions are made of, as checkpoints, digests and comparisons of ranks see it.

import Adaptation
import Autograd
import Networks
import Storage
import Support
import Tensors

/// Parameters, statistics or a moment of a companion.
struct CompanionArena {
  /// Where its tensors lie in a checkpoint but for their names, such as `objective/advent/main`.
  let path: String
  /// What it is called where ranks are compared.
  var name: String { isStatistics ? "\(path) statistics" : path }
  /// All of them.
  let arena: Tensor
  /// What lies where, by names that begin with `prefix`.
  let slices: [NetworkParameters.Slice]
  /// Owner and name of the companion.
  fileprivate let prefix: String
  fileprivate var isStatistics = false

  /// Where a tensor is in a checkpoint: `objective/advent/main.first-moment.conv1.weight`.
  func path(of slice: NetworkParameters.Slice) -> String { path + slice.name.dropFirst(prefix.count) }
}

extension Experiment {
  /// The arenas of all companions, of whole moments too: every rank has all.
  var companionArenas: [CompanionArena] {
    step.parts.objectives.flatMap { objective in
      objective.companions.flatMap { companion in
        let parameters = companion.parameters
        let path = "\(Snapshot.objective)/\(objective.name)/\(companion.name)"
        let prefix = "\(objective.name).\(companion.name)"
        let trained = [("", parameters.values)] + zip([".first-moment", ".second-moment"], companion.optimizer.moments)
        let statistics = CompanionArena(
          path: path, arena: parameters.buffers, slices: parameters.bufferSlices, prefix: prefix, isStatistics: true)
        return trained.map { CompanionArena(path: path + $0, arena: $1, slices: parameters.slices, prefix: prefix) }
          + [statistics].filter { !$0.slices.isEmpty }
      }
    }
  }

  /// Records of all companions.
  var companionRecords: [Snapshot.Record] {
    companionArenas.flatMap { arena in
      arena.slices.map { slice in
        let memory = Tensor(
          shape: [slice.range.count], buffer: arena.arena.buffer, offset: arena.arena.offset + slice.range.lowerBound)
        return Snapshot.Record(arena.path(of: slice), Shape(slice.officialShape), memory: memory, .outputsLast)
      }
    }
  }

  /// All tensors of companions by path in a checkpoint, in official order.
  var companionTensors: [(name: String, shape: [Int], values: [Float])] {
    companionArenas.flatMap { arena in
      arena.slices.map {
        (arena.path(of: $0), $0.officialShape, NetworkParameters.official($0, of: arena.arena))
      }
    }
  }

  /// Takes over a snapshot's companions.
  /// - Throws: `Failure` 65 that names the first tensor that is missing or has another shape.
  func restoreCompanions(_ snapshot: Snapshot, from file: String) throws {
    for arena in companionArenas {
      for slice in arena.slices {
        let stored = try snapshot.objectiveTensor(arena.path(of: slice), Shape(slice.officialShape), file)
        let inner = ParameterLayout.toInternal(stored.values, officialShape: slice.officialShape)
        Tensor(
          shape: [slice.range.count], buffer: arena.arena.buffer, offset: arena.arena.offset + slice.range.lowerBound
        ).assign(Tensor(inner, [inner.count]))
      }
    }
  }
}
