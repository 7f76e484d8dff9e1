// apus evaluate and apus predict: what a checkpoint's network makes of images.

import ArgumentParser
import Collectives
import Domains
import Foundation
import Imagery
import Kernels
import Networks
import Recipes
import StorageHDF5
import Support
import Tensors
import Training

/// Which weights of a checkpoint are used.
enum NetworkChoice: String, ExpressibleByArgument, CaseIterable {
  case student
  case teacher
}

/// Options that say which network is used.
struct CheckpointOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The checkpoint.", valueName: "file"))
  var checkpoint: String
  @Option(help: "Weights to use.")
  var network = NetworkChoice.student

  /// The checkpoint's recipe and network. Called by all ranks.
  func load(_ overrides: [String], on communicator: any Communicator) throws -> (Recipe, SegmentationNetwork, ClassSet)
  {
    try communicator.together {
      try loadNetwork(
        checkpoint, group: network.rawValue, store: HDF5CheckpointStore(folder: ""), overrides: overrides)
    }
  }
}

/// Scores a checkpoint on labelled images.
struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Score a checkpoint by sliding-window evaluation, shared over the ranks.",
    discussion: """
      Images come from --recipe (its data.validation) or from --images, --labels and --classes; with neither, from the
      recipe stored in the checkpoint. mIoU is the mean over classes whose union is not empty.
      """)

  @OptionGroup var weights: CheckpointOptions
  @Option(help: ArgumentHelp("A recipe whose validation data and windows are used.", valueName: "recipe"))
  var recipe: String?
  @Option(help: ArgumentHelp("Folder of images.", valueName: "dir"))
  var images: String?
  @Option(help: ArgumentHelp("Folder of labels, paired with the images by stem.", valueName: "dir"))
  var labels: String?
  @Option(help: ArgumentHelp("Class set of the labels: a built-in name or a YAML file.", valueName: "set"))
  var classes: String?
  @Option(
    help: ArgumentHelp(
      "Move running batch-norm statistics to those of this many images of data.target first.", valueName: "count"))
  var recalibrate = 0
  @Flag(help: "Print one JSON object on standard output.")
  var json = false
  @OptionGroup var settings: RecipeOptions

  mutating func validate() throws {
    let folders = [images, labels, classes]
    guard folders.allSatisfy({ $0 == nil }) || folders.allSatisfy({ $0 != nil }) else {
      throw ValidationError("--images, --labels and --classes belong together")
    }
    guard recipe == nil || images == nil else { throw ValidationError("give --recipe or --images, not both") }
    guard recalibrate >= 0 else { throw ValidationError("--recalibrate must not be negative") }
  }

  func run() throws {
    try runOnRanks { communicator in
      var (recipe, network, classSet) = try weights.load(settings.overrides, on: communicator)
      if let path = self.recipe { recipe = try settings.read(path, on: communicator) }
      try setUpMachine(threads: recipe.threads, on: communicator)
      let (dataset, scoredAs) = try communicator.together { try validation(recipe, &classSet) }
      if communicator.rank == 0, let inventory = dataset.inventory { say("validation: \(inventory)", json: json) }
      if recalibrate > 0 {
        try communicator.together {
          guard
            let target = try recipe.data.target?.make(classSet, withLabels: false, pixelLimit: recipe.data.pixelLimit)
          else {
            throw Failure(.badData, "there are no target images to recalibrate on", at: "data.target")
          }
          let crop = (height: recipe.crop.size.height, width: recipe.crop.size.width)
          try recalibrateBatchNorm(network, on: target, images: recalibrate, crop: crop)
        }
      }
      try DataLook { say($0, json: json) }.look(at: [LookedAt("", dataset)], on: communicator)
      let evaluator = Evaluator(dataset, scoredAs: scoredAs, on: communicator)
      let matrix = try evaluator.evaluate(recipe.predictor(network))
      if communicator.rank == 0 { try tell(matrix, classSet, images: dataset.count) }
      return .done
    }
  }

  private func validation(_ recipe: Recipe, _ classSet: inout ClassSet) throws -> (any Dataset, [UInt8]) {
    if let images, let labels, let classes {
      let chosen = try ClassSet.chosen(classes)
      guard chosen.count == classSet.count else {
        throw Failure(
          .badData, "\(chosen.name) has \(chosen.count) classes, the checkpoint \(classSet.count)", at: "--classes",
          remedy: "choose a class set with as many classes")
      }
      classSet = chosen
      return (
        try makeDataset(.folder(images: images, labels: labels), classes: chosen), chosen.scoredAs
      )
    }
    let limit = recipe.data.pixelLimit
    guard
      let dataset = try recipe.data.validation?.make(classSet, withLabels: true, pixelLimit: limit, usualSplit: "val")
    else {
      throw Failure(
        .badData, "the recipe names no validation data", at: "data.validation",
        remedy: "give --images, --labels and --classes")
    }
    return (dataset, try recipe.scoredAs(classSet))
  }

  private func tell(_ matrix: ConfusionMatrix, _ classes: ClassSet, images: Int) throws {
    let scores = matrix.scores(classes.names)
    for (name, value) in zip(classes.names, matrix.iou) {
      say(
        name.padding(toLength: 16, withPad: " ", startingAt: 0)
          + (value.map { String(format: "%6.2f", $0) } ?? "     –"),
        json: json)
    }
    say(
      String(format: "mIoU            %6.2f", matrix.meanIoU) + " over \(matrix.coverage)"
        + String(format: "   pixel accuracy %6.2f", matrix.pixelAccuracy), json: json)
    guard json else { return }
    let count = matrix.classCount
    print(
      try jsonLine(
        EvaluationResult(
          mIoU: matrix.meanIoU, iou: scores.iou, pixelAccuracy: matrix.pixelAccuracy,
          confusion: (0..<count).map { Array(matrix.counts[$0 * count..<($0 + 1) * count]) }, classes: classes.names,
          images: images)))
  }
}

/// What `evaluate --json` prints.
private struct EvaluationResult: Encodable {
  let mIoU: Double
  let iou: [String: Double?]
  let pixelAccuracy: Double
  let confusion: [[Int64]]
  let classes: [String]
  let images: Int
}

/// Writes label maps, colour pictures and confidence maps of images.
struct PredictCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict", abstract: "Write label, colour and confidence PNGs of images.")

  @OptionGroup var weights: CheckpointOptions
  @Option(help: ArgumentHelp("Folder for the pictures; made if it is not there.", valueName: "dir"))
  var output: String
  @Flag(help: "Also write the prediction over the image.")
  var overlay = false
  @Argument(help: ArgumentHelp("Images, PNG or JPEG.", valueName: "image"))
  var images: [String]
  @OptionGroup var settings: RecipeOptions

  func run() throws {
    try runOnRanks { communicator in
      let (recipe, network, classes) = try weights.load(settings.overrides, on: communicator)
      try setUpMachine(threads: recipe.threads, on: communicator)
      try communicator.together {
        try checkStems()
        for index in stride(from: communicator.rank, to: images.count, by: communicator.worldSize) {
          try ImageHeader(path: images[index]).checkImage(pixelLimit: recipe.data.pixelLimit)
        }
        try makeFolder(output)
      }
      let limit = recipe.data.pixelLimit
      try recipe.predictor(network).predictAll(
        images.count, on: communicator, size: { try imageSize(of: images[$0]) },
        image: { try readRGB(images[$0], pixelLimit: limit) }
      ) { index, image, labels, confidence in
        try write(images[index], image, labels, confidence, classes)
      }
      return .done
    }
  }

  /// Two images of one stem would write the same files.
  private func checkStems() throws {
    let stems = images.map(stem)
    if let twice = Dictionary(grouping: stems, by: { $0 }).first(where: { $0.value.count > 1 })?.key {
      throw Failure(
        .usage, "two images are called \(twice)", at: output, remedy: "predict them into different folders")
    }
  }

  private func stem(_ path: String) -> String { URL(filePath: path).deletingPathExtension().lastPathComponent }

  private func write(
    _ path: String, _ image: RGBImage, _ labels: LabelMap, _ confidence: Tensor, _ classes: ClassSet
  ) throws {
    let base = URL(filePath: output).appending(path: stem(path)).path
    try writePNG(labels, to: "\(base)_label.png")
    try writePNG(colourised(labels, classes.palette), to: "\(base)_color.png")
    let grey = confidence.values.map { UInt8(min(255, max(0, ($0 * 255).rounded(.down)))) }
    try writePNG(grey: grey, height: image.height, width: image.width, to: "\(base)_confidence.png")
    if overlay {
      try writePNG(Imagery.overlay(image, labels, classes.palette, opacity: 0.5), to: "\(base)_overlay.png")
    }
  }
}
