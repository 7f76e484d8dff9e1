// Where attached heads are in a checkpoint: with the objective that they belong to, so that whoever reads a network's
// group finds the segmentation network alone.

import Autograd
import Networks
import Storage
import Support
import Tensors

extension NetworkParameters.Slice {
  /// Where a network's tensor is in a checkpoint: in the group, or with its objective, such as
  /// `objective/cluda/student.weight.conv_seg.bias`.
  /// - Parameter group: of the network, or of one of its moments.
  func path(in group: String) -> String {
    guard let owner else { return "\(group)/\(name)" }
    return "\(Snapshot.objective)/\(owner)/\(group.split(separator: "/").last ?? "").\(nameInOwner)"
  }
}

/// The attached heads of a checkpoint that a run starts from.
struct StoredHeads {
  private let snapshot: Snapshot
  private let file: String

  /// Reads what objectives kept in a checkpoint.
  /// - Throws: `Failure` 65 if the file is damaged, 66 if there is none, 74 if it cannot be read.
  init(_ file: String, _ checkpoints: any CheckpointStore) throws {
    self.file = file
    snapshot = try checkpoints.load(file: file, groups: [Snapshot.objective])
  }

  /// Gives a network the heads of those objectives that the checkpoint is of; the others keep what they have.
  /// - Parameter group: of the network in the checkpoint.
  /// - Throws: `Failure` 65 where an objective's head is there in part, or has another shape.
  func load(_ group: String, into parameters: NetworkParameters) throws {
    let slices = parameters.allSlices.filter { $0.owner != nil }
    for (_, heads) in Dictionary(grouping: slices, by: \.owner).sorted(by: { ($0.key ?? "") < ($1.key ?? "") }) {
      guard heads.contains(where: { snapshot.tensor($0.path(in: group)) != nil }) else { continue }
      for slice in heads {
        let stored = try snapshot.objectiveTensor(slice.path(in: group), Shape(slice.officialShape), file)
        parameters.load(official: stored.values, slice)
      }
    }
  }
}

extension NetworkParameters {
  /// Overwrites a parameter or a running statistic, given official values.
  func load(official values: [Float], _ slice: Slice) {
    if !load(values, named: slice.name, into: self.values) { loadBuffer(values, named: slice.name) }
  }
}
