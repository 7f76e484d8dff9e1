// `apus checkpoint import` and `export`: weights from and to other programs.

import ArgumentParser
import Foundation
import Recipes
import Storage
import StorageHDF5
import Support
import Training
import WeightFiles

/// `apus checkpoint import`: a checkpoint from weights of another program.
struct CheckpointImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Make a checkpoint at step 0 from a .pth or .safetensors file.",
    discussion: """
      The recipe says which network the file is of. Names of SegFormer, mmsegmentation, HRDA, Hugging Face, timm,
      torchvision and EfficientNet-Lite0 are understood, with the prefixes model., ema_model. (the teacher) and
      imnet_model. (the frozen encoder); those of wrappers (module., _orig_mod., encoder., state_dict. and the like) are
      taken off. A teacher that the file does not have gets the student's values. The file is refused if a tensor is
      missing, unexpected or of another shape; nothing in it is ever executed.
      """)

  @Argument(help: "The file of weights.")
  var file: String
  @Option(help: ArgumentHelp("A recipe of the network.", valueName: "recipe"))
  var recipe: String
  @Option(help: ArgumentHelp("The checkpoint to write, such as start.h5.", valueName: "checkpoint"))
  var output: String
  @Flag(help: "Take what fits: missing tensors keep their drawn values, unexpected ones are left aside.")
  var partial = false
  @Flag(help: "Print one JSON object on standard output.")
  var json = false
  @OptionGroup var settings: RecipeOptions

  /// The JSON object.
  private struct Report: Encodable {
    let file: String
    let checkpoint: String?
    let counts: [String: Int]
    let tensors: [WeightLine]
  }

  func run() throws {
    try runAlone {
      try refuseToReplace(output)
      let recipe = try Recipe.read(self.recipe, overrides: settings.overrides, catalogue: .standard)
      let store = HDF5CheckpointStore(folder: "")
      let weights = try ImportedWeights(file, recipe, checkpoints: store)
      let result = Result { try weights.snapshot(partial: partial) }
      tell(weights.lines)
      let isTaken = if case .success = result { true } else { false }
      defer { if json && !isTaken { printReport(weights.lines, checkpoint: nil) } }
      let snapshot = try result.get()
      try store.save(snapshot, to: output)
      say("wrote \(output)", json: json)
      if json { printReport(weights.lines, checkpoint: output) }
      return .done
    }
  }

  /// Counts, every line that needs attention, and ignored tensors by reason.
  private func tell(_ lines: [WeightLine]) {
    for owner in WeightOwner.allCases {
      let own = lines.filter { $0.network == owner }
      guard !own.isEmpty else { continue }
      let parts = WeightStatus.allCases.compactMap { status -> String? in
        let count = own.count { $0.status == status }
        return count == 0 && ![.matched, .missing].contains(status) ? nil : "\(count) \(status.rawValue)"
      }
      say("\(owner.rawValue): \(parts.joined(separator: ", "))", json: json)
      for line in own where ![.matched, .ignored].contains(line.status) { say("  \(line.text)", json: json) }
      let reasons = Dictionary(grouping: own.filter { $0.status == .ignored }, by: { $0.note ?? "" })
      for (reason, lines) in reasons.sorted(by: { $0.key < $1.key }) {
        say("  ignored \(owner.rawValue): \(lines.count) (\(reason))", json: json)
      }
    }
  }

  private func printReport(_ lines: [WeightLine], checkpoint: String?) {
    let counts = Dictionary(grouping: lines, by: \.status.rawValue).mapValues(\.count)
    let report = Report(file: file, checkpoint: checkpoint, counts: counts, tensors: lines)
    if let text = try? jsonLine(report) { print(text) }
  }
}

/// `apus checkpoint export`: a network's weights for other programs.
struct CheckpointExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write a checkpoint's network as .safetensors under the official names.",
    discussion: """
      Parameters and running statistics in their official shapes, Float32 bit for bit. Batch norm's counters
      (num_batches_tracked) are not written: nothing reads them, and PyTorch loads files without them.
      """)

  @Argument(help: "The checkpoint.")
  var checkpoint: String
  @Option(help: ArgumentHelp("The file to write, such as student.safetensors.", valueName: "file"))
  var output: String
  @Option(help: "Weights to write.")
  var network = NetworkChoice.student
  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  /// The JSON object.
  private struct Report: Encodable {
    let checkpoint: String
    let file: String
    let network: String
    let tensors: Int
    let values: Int
  }

  func run() throws {
    try runAlone {
      try refuseToReplace(output)
      let group = network.rawValue
      let snapshot = try HDF5CheckpointStore(folder: "").load(file: checkpoint, groups: [group])
      let records = snapshot.records(under: group)
      guard !records.isEmpty else {
        throw Failure(.badData, "the checkpoint holds no \(group)", at: checkpoint, remedy: "choose another --network")
      }
      try writeSafetensors(
        records.map { ($0.name, $0.record.shape.array, $0.record.values.values) },
        metadata: [
          "format": "pt", "program": "apus \(snapshot.run.programVersion)", "network": group,
          "step": "\(snapshot.step)",
          "classes": snapshot.run.classNames.joined(separator: ","),
        ], to: output)
      let values = records.reduce(0) { $0 + $1.record.shape.count }
      say("wrote \(output): \(group), \(records.count) tensors, \(values) values", json: json)
      if json {
        print(
          try jsonLine(
            Report(checkpoint: checkpoint, file: output, network: group, tensors: records.count, values: values)))
      }
      return .done
    }
  }
}

/// Throws `Failure` 73 if there is something at a path already.
private func refuseToReplace(_ path: String) throws {
  guard FileManager.default.fileExists(atPath: path) else { return }
  throw Failure(.cannotCreate, "there is a file of this name already", at: path, remedy: "choose another --output")
}
