// Weight files with the names of other projects: real files, made here, that the program imports and starts from.

import Foundation
import StorageHDF5
import TestSupport
import Testing
import WeightFiles

@Suite(.serialized) struct ForeignNameTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let segformer = ["head.name=segformer", "network.resolution=context-only"]

  private func importing(_ file: String, _ overrides: [String], _ options: String...) async throws -> CommandResult {
    try await runCommand(
      ["checkpoint", "import", folder.file(file), "--recipe", testRecipe, "--output", folder.file("start.h5")]
        + overrides.flatMap { ["--set", $0] } + options, timeout: 60)
  }

  private func imported() throws -> [String: [Float]] {
    let snapshot = try HDF5CheckpointStore(folder: "").load(file: folder.file("start.h5"))
    return Dictionary(
      uniqueKeysWithValues: snapshot.records(under: "student").map { ($0.name, $0.record.values.values) })
  }

  /// The first axis cut into halves under two names.
  private func halves(_ tensor: NamedTensor, _ first: String, _ second: String) -> [NamedTensor] {
    let count = tensor.values.count / 2
    let shape = [tensor.shape[0] / 2] + tensor.shape.dropFirst()
    return [
      (name: first, shape: shape, values: Array(tensor.values[..<count])),
      (name: second, shape: shape, values: Array(tensor.values[count...])),
    ]
  }

  /// Blocks of the second axis in reversed order: four feature maps, the coarsest first.
  private func coarsestFirst(_ tensor: NamedTensor) -> [Float] {
    let block = tensor.shape[1] / 4
    var values: [Float] = []
    for row in 0..<tensor.shape[0] {
      for map in [3, 2, 1, 0] {
        let start = (row * 4 + map) * block
        values += tensor.values[start..<start + block]
      }
    }
    return values
  }

  /// A SegFormer as Hugging Face stores it.
  private func huggingFace(_ tensors: [NamedTensor]) -> [NamedTensor] {
    tensors.flatMap { tensor -> [NamedTensor] in
      var name = tensor.name
      for stage in 1...4 {
        name = name.replacing("backbone.patch_embed\(stage).", with: "segformer.encoder.patch_embeddings.\(stage - 1).")
          .replacing("backbone.block\(stage).", with: "segformer.encoder.block.\(stage - 1).")
          .replacing("backbone.norm\(stage).", with: "segformer.encoder.layer_norm.\(stage - 1).")
      }
      for (ours, theirs) in [
        (".norm.", ".layer_norm."), (".norm1.", ".layer_norm_1."), (".norm2.", ".layer_norm_2."),
        (".attn.proj.", ".attention.output.dense."), (".attn.q.", ".attention.self.query."),
        (".attn.", ".attention.self."), (".fc1.", ".dense1."), (".fc2.", ".dense2."),
        (".linear_fuse.bn.", ".batch_norm."), (".linear_fuse.conv.", ".linear_fuse."),
        (".linear_pred.", ".classifier."),
      ] { name = name.replacing(ours, with: theirs) }
      if name.contains(".self.kv.") {
        return halves(tensor, name.replacing(".kv.", with: ".key."), name.replacing(".kv.", with: ".value."))
      }
      let isFusion = name == "decode_head.linear_fuse.weight"
      return [(name: name, shape: tensor.shape, values: isFusion ? coarsestFirst(tensor) : tensor.values)]
    }
  }

  /// A PyTorch checkpoint with the weights below some dictionaries, beside a step.
  private func writeTorch(_ tensors: [NamedTensor], under dictionaries: [String], to name: String) throws {
    var pickle = Pickle.dictionary(
      tensors.enumerated().map { index, tensor in
        let strides = tensor.shape.indices.map { tensor.shape[($0 + 1)...].reduce(1, *) }
        return (
          tensor.name,
          Pickle.tensor(Pickle.storage("\(index)", tensor.values.count), shape: tensor.shape, strides: strides)
        )
      })
    for key in dictionaries.reversed() { pickle = Pickle.dictionary([(key, pickle), ("step", Pickle.integer(7))]) }
    try folder.write(Zip.checkpoint(pickle, tensors.map { bytes($0.values) }).bytes, to: name)
  }

  @Test(arguments: [true, false]) func aSegFormerOfHuggingFaceIsTaken(asTorch: Bool) async throws {
    let tensors = try exampleTensors(seed: 21, overrides: Self.segformer)
    let theirs = huggingFace(tensors)
    #expect(theirs.count { tensors.map(\.name).contains($0.name) } == 8)
    if asTorch {
      try writeTorch(theirs, under: [], to: "file")
    } else {
      try writeSafetensors(theirs, metadata: [:], to: folder.file("file"))
    }
    let outcome = try await importing("file", Self.segformer)
    try #require(outcome.status == 0, "\(outcome)")
    let taken = try imported()
    #expect(taken.count == tensors.count)
    for tensor in tensors { #expect(taken[tensor.name] == tensor.values, "\(tensor.name)") }
  }

  @Test func wrappersAreTakenOffInAnyOrder() async throws {
    let tensors = try exampleTensors(seed: 22)
    for (index, (dictionaries, prefix)) in [
      (["model_state_dict"], "module._orig_mod."), (["model", "state_dict"], "_orig_mod.module."),
      (["state_dict", "model_state_dict"], "model.module."), ([], "state_dict.model."),
    ].enumerated() {
      let name = "\(index).pth"
      try writeTorch(prefixed(prefix, tensors), under: dictionaries, to: name)
      let outcome = try await importing(name, [])
      try #require(outcome.status == 0, "\(dictionaries) \(prefix): \(outcome)")
      #expect(outcome.output.contains("student: \(tensors.count) matched, 0 missing\n"), "\(outcome.output)")
      try FileManager.default.removeItem(atPath: folder.file("start.h5"))
    }
  }

  @Test func anEncoderOfTimmAndOneBesideADecoderStartARun() async throws {
    let overrides = ["encoder.name=efficientnet-lite0"]
    let tensors = try exampleTensors(seed: 23, overrides: overrides).filter { $0.name.hasPrefix("backbone.") }
    let starts = [0, 1, 3, 5, 8, 11, 15]
    let theirs = tensors.map { tensor -> NamedTensor in
      var name = tensor.name.dropFirst("backbone.".count).replacing("_conv_stem.", with: "conv_stem.")
      let parts = name.split(separator: ".", maxSplits: 2)
      if parts[0] == "_blocks", let block = Int(parts[1]), let stage = starts.lastIndex(where: { $0 <= block }) {
        let kinds =
          stage == 0
          ? ["_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"]
          : [
            "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
            "_project_conv": "conv_pwl", "_bn2": "bn3",
          ]
        let rest = parts[2].split(separator: ".")
        name = "blocks.\(stage).\(block - starts[stage]).\(kinds[String(rest[0])] ?? "").\(rest[1])"[...]
      } else if parts[0] == "_bn0" {
        name = "bn1.\(parts[1])"[...]
      }
      return (name: String(name), shape: tensor.shape, values: tensor.values)
    }
    let classifier: NamedTensor = (name: "classifier.weight", shape: [2, 1], values: [0, 1])
    try writeSafetensors(theirs + [classifier], metadata: [:], to: folder.file("timm"))
    let outcome = try await importing("timm", overrides, "--partial")
    try #require(outcome.status == 0, "\(outcome)")
    let taken = try imported()
    for tensor in tensors { #expect(taken[tensor.name] == tensor.values, "\(tensor.name)") }

    let beside = try exampleTensors(seed: 24).filter { $0.name.hasPrefix("backbone.") }
      .map { (name: "encoder." + $0.name.dropFirst(9), shape: $0.shape, values: $0.values) }
    let decoder: NamedTensor = (name: "decoder.blocks.0.weight", shape: [1], values: [1])
    try writeSafetensors(beside + [decoder], metadata: [:], to: folder.file("encoder"))
    let run = try await startTraining(
      in: folder.file("run"), ["--steps", "1", "--set", "encoder.weights=\(folder.file("encoder"))"])
    #expect(run.status == 0, "\(run)")
  }

  @Test func whatAFileHasInsteadIsTold() async throws {
    let foreign: [NamedTensor] = ["visual.conv1.weight", "visual.proj", "text.ln.bias", "text.ln.weight"]
      .map { (name: $0, shape: [1], values: [1]) }
    try writeSafetensors(foreign, metadata: [:], to: folder.file("foreign"))
    for options in [[], ["--partial"]] {
      let outcome = try await runCommand(
        [
          "checkpoint", "import", folder.file("foreign"), "--recipe", testRecipe, "--output", folder.file("start.h5"),
        ] + options, timeout: 60)
      #expect(
        outcome.refuses(
          65, "foreign: none of its 4 tensors belongs to this network by its name:",
          "text.ln.bias, text.ln.weight, visual.conv1.weight, …; name a file of this network"), "\(outcome)")
    }
    let run = try await startTraining(
      in: folder.file("run"), ["--set", "encoder.weights=\(folder.file("foreign"))"])
    #expect(run.refuses(65, "none of its 4 tensors", "visual.conv1.weight", "docs/recipes.md"), "\(run)")

    let known = Array(try exampleTensors(seed: 25).dropLast())
    try writeSafetensors(known + [foreign[0]], metadata: [:], to: folder.file("mixed"))
    let mixed = try await importing("mixed", [])
    #expect(
      mixed.refuses(65, "missing student: ", "the file has 1 tensor of unknown names: visual.conv1.weight"), "\(mixed)")
  }
}
