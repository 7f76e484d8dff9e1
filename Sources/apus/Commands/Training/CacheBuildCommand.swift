// `apus cache build`: pseudo-labels of a whole data set from a checkpoint.

import ArgumentParser
import Collectives
import Foundation
import Recipes
import StorageHDF5
import Support
import Training

/// `apus cache build`: labels every target image.
struct CacheBuildCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "build", abstract: "Label every target image of a recipe by a checkpoint's network, on all ranks.",
    discussion: """
      Images come from data.target of --recipe, or of the recipe stored in the checkpoint. What is made is put on disk
      every half minute, or less often where that takes long; a build that was interrupted goes on where it was, on any
      number of ranks.
      """)

  @Option(help: ArgumentHelp("The checkpoint.", valueName: "file"))
  var checkpoint: String
  @Option(help: "Weights to use.")
  var network = NetworkChoice.teacher
  @Option(help: ArgumentHelp("A recipe whose target data, windows and threshold are used.", valueName: "recipe"))
  var recipe: String?
  @Option(help: ArgumentHelp("Folder of the cache; made if it is not there.", valueName: "dir"))
  var output: String
  @Flag(help: "Label by the mean of two predictions: of the image and of its mirror image.")
  var flip = false
  @Flag(help: "Label by the larger logits of two: of the image and of the image at half its size.")
  var halfSize = false
  @Flag(help: "Print one JSON object on standard output.")
  var json = false
  @OptionGroup var settings: RecipeOptions

  /// The JSON object.
  private struct Report: Encodable {
    let folder: String
    let images: Int
    let found: Int
    let ranks: Int
    let seconds: Double
    let teacherDigest: String
  }

  func run() throws {
    try runOnRanks { communicator in
      let watch = Stopwatch()
      let build = CacheBuild(
        checkpoint: checkpoint, network: network.rawValue, looks: LabelLooks(flips: flip, halfSize: halfSize),
        output: output, json: json)
      let outcome = try build.run(on: communicator, overrides: settings.overrides) { stored in
        let recipe = try self.recipe.map { try settings.read($0, on: communicator) } ?? stored
        try setUpMachine(threads: recipe.threads, on: communicator)
        lineBufferOutput()
        return recipe
      }
      try communicator.together {
        guard communicator.rank == 0, json else { return }
        print(
          try jsonLine(
            Report(
              folder: output, images: outcome.images, found: outcome.found, ranks: communicator.worldSize,
              seconds: watch.seconds, teacherDigest: outcome.teacherDigest)))
      }
      return .done
    }
  }
}

/// Labels every target image by a checkpoint's network.
struct CacheBuild {
  let checkpoint: String
  /// `student` or `teacher`.
  let network: String
  /// What it looks at besides the image.
  let looks: LabelLooks
  /// Folder of the cache.
  let output: String
  /// Whether standard output carries JSON, so that lines for people go elsewhere.
  let json: Bool

  /// What there is afterwards.
  struct Outcome {
    let images: Int
    let found: Int
    let teacherDigest: String
  }

  /// Builds what is missing of the cache. A collective.
  /// - Parameters:
  ///   - communicator: the ranks.
  ///   - overrides: texts `key.path=value` on the checkpoint's recipe.
  ///   - recipe: the recipe whose target data, windows and threshold are used, given the checkpoint's; called on all
  ///     ranks before anything is computed.
  func run(
    on communicator: any Communicator, overrides: [String] = [], recipe: (Recipe) throws -> Recipe
  ) throws -> Outcome {
    let store = HDF5CheckpointStore(folder: "")
    let (stored, network, classes) = try communicator.together {
      try loadNetwork(checkpoint, group: self.network, store: store, overrides: overrides)
    }
    let step = try communicator.together { try store.load(file: checkpoint, groups: []).step }
    let recipe = try recipe(stored)
    let target = try communicator.together {
      guard let target = try recipe.data.target?.make(classes, withLabels: false, pixelLimit: recipe.data.pixelLimit)
      else {
        throw Failure(.badData, "the recipe names no target data", at: "data.target", remedy: "add data.target")
      }
      return target
    }
    if communicator.rank == 0, let inventory = target.inventory { say("target: \(inventory)", json: json) }
    let builder = PseudoLabelBuilder(
      target, recipe.predictor(network), looks: looks, step: step, on: communicator
    ) {
      say($0, json: json)
    }
    let digest = network.parameters.digest()
    let origin = try communicator.together { try builder.origin(teacherDigest: digest, recipe: recipe) }
    let cache = HDF5PseudoLabelStore(folder: output)
    let outcome = try builder.build(cache, origin)
    try communicator.together {
      guard communicator.rank == 0 else { return }
      let view = try HDF5PseudoLabelView.write(cache)
      say("\(view.path): \(view.entryCount) images", json: json)
    }
    return Outcome(images: outcome.images, found: outcome.found, teacherDigest: digest)
  }
}
