// Moments that are dealt out over ranks, and whole ones, to whoever reads or writes them whole: checkpoints, digests.

import Autograd
import Collectives
import DataParallel
import Networks
import Recipes
import Storage
import Support
import Tensors

extension Recipe {
  /// Whether each rank of so many keeps its share of the moments only.
  package func dealsOutMoments(over ranks: Int) -> Bool { optimizer.shardMoments && ranks > 1 }
}

extension ArenaShards {
  /// Who owns what of a network's parameters, by how their gradients are summed. Called by all ranks.
  /// - Returns: nil where every rank has the whole sums.
  package static func of(
    _ parameters: NetworkParameters, _ reduction: GradientReduction, _ teamGradients: TeamGradients?,
    on world: any Communicator
  ) throws -> ArenaShards? {
    guard reduction.scatters else { return nil }
    let count = parameters.values.count
    return try ArenaShards(teamGradients?.owned ?? reduction.owned(of: count), of: count, on: world)
  }
}

extension Experiment {
  /// The optimizer's moments by their groups in a checkpoint: whole, or what this rank owns.
  private var moments: [(group: String, memory: Tensor)] {
    zip([Snapshot.firstMoment, Snapshot.secondMoment], step.parts.optimizer.moments).map { ($0, $1) }
  }

  /// Records of both moments; awaited ones where they are dealt out.
  var momentRecords: [Snapshot.Record] {
    let parameters = student.parameters
    return moments.flatMap { group, memory in
      guard step.parts.shards != nil else { return parameterRecords(group, parameters, memory) }
      return parameters.slices.map {
        Snapshot.Record(awaiting: $0.path(in: group), Shape($0.officialShape), .outputsLast)
      }
    }
  }

  /// Brings moments that are dealt out to the ranks that write them. Called by all ranks.
  func deliverMoments(_ awaited: AwaitedValues) throws {
    guard let shards = step.parts.shards else { return }
    for (group, memory) in moments {
      for slice in student.parameters.slices {
        let path = slice.path(in: group)
        guard let writer = awaited.writers[path] else { preconditionFailure("nobody writes \(path)") }
        try shards.collect(slice.range, of: memory, at: writer) { first, values in awaited.put(values, first, path) }
      }
    }
  }

  /// Takes over a snapshot's moments where they are whole; else only proves that they fit.
  func restoreMoments(_ snapshot: Snapshot, from file: String) throws {
    for (group, memory) in moments {
      let arena = step.parts.shards == nil ? memory : nil
      try load(snapshot, group, into: student.parameters, arena: arena, buffers: false, file)
    }
  }

  /// Deals out moments that rank 0 has read, where they are dealt out. Called by all ranks.
  /// - Parameter snapshot: the state on rank 0, which `restore` has taken over; not looked at elsewhere.
  func dealOutMoments(_ snapshot: Snapshot?) throws {
    guard let shards = step.parts.shards else { return }
    for (group, memory) in moments {
      for slice in student.parameters.slices {
        var whole: Tensor?
        if share.world.rank == 0, let official = snapshot?.tensor(slice.path(in: group))?.values {
          whole = Tensor(
            ParameterLayout.toInternal(official, officialShape: slice.officialShape), [slice.range.count])
        }
        try shards.deal(slice.range, whole, from: 0, into: memory)
      }
    }
  }

  /// Digest of both moments. Where they are dealt out, called by all ranks, which learn it from rank 0.
  func momentsDigest() throws -> String {
    var tensors: [(name: String, slice: NetworkParameters.Slice, memory: Tensor)] = []
    for (group, memory) in moments {
      let name = group.split(separator: "/").last ?? ""
      for slice in student.parameters.slices { tensors.append(("\(name)/\(slice.name)", slice, memory)) }
    }
    let digest = try NetworkParameters.digest(of: tensors.map { ($0.name, $0.slice.officialShape) }) { index in
      try official(tensors[index].slice, of: tensors[index].memory)
    }
    return step.parts.shards == nil ? digest : try share.world.broadcastString(digest)
  }

  /// Values of one parameter's moment in official order; on rank 0 only where moments are dealt out.
  private func official(_ slice: NetworkParameters.Slice, of memory: Tensor) throws -> [Float] {
    guard let shards = step.parts.shards else { return NetworkParameters.official(slice, of: memory) }
    var values: [Float] = []
    try shards.collect(slice.range, of: memory, at: 0) { values += $1.values }
    guard share.world.rank == 0 else { return [] }
    return ParameterLayout.toOfficial(values, officialShape: slice.officialShape)
  }
}
