// A network from a checkpoint alone: its stored recipe says how it is built.

import Domains
import Kernels
import Networks
import Recipes
import Storage
import Support

/// Builds the network that a checkpoint holds and loads its weights.
///
/// - Parameters:
///   - file: path of the checkpoint.
///   - group: `student` or `teacher`.
///   - store: what reads it.
///   - overrides: texts `key.path=value` on top of the stored recipe.
/// - Returns: the stored recipe, the network and its classes.
/// - Throws: `Failure` 66 if there is no such file, 65 if it is damaged, has no such network or no understandable recipe.
public func loadNetwork(
  _ file: String, group: String, store: some CheckpointStore, overrides: [String] = []
) throws -> (Recipe, SegmentationNetwork, ClassSet) {
  let snapshot = try store.load(file: file, groups: [group])
  let recipe = try Recipe(
    yaml: snapshot.run.recipe, file: "\(file): stored recipe", folder: "", overrides: overrides, catalogue: .standard)
  guard !snapshot.records(under: group).isEmpty else {
    throw Failure(.badData, "the checkpoint holds no \(group)", at: file, remedy: "choose another --network")
  }
  ConvolutionMethod.current = recipe.convolution
  let classes = try recipe.classSet()
  let network = try SegmentationNetwork(
    recipe.networkConfiguration(classCount: classes.count), gradientSlots: 0, seed: recipe.seed)
  let parameters = network.parameters
  try load(snapshot, group, into: parameters, arena: parameters.values, buffers: true, file)
  return (recipe, network, classes)
}
