// `apus checkpoint import` and `export` on real files.

import Foundation
import StorageHDF5
import TestSupport
import Testing
import WeightFiles

@Suite struct ImportTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func write(_ tensors: [NamedTensor], to name: String) throws -> String {
    try writeSafetensors(tensors, metadata: [:], to: folder.file(name))
    return folder.file(name)
  }

  private func importing(_ file: String, to name: String = "start.h5", _ options: String...) async throws
    -> CommandResult
  {
    try await runCommand(
      ["checkpoint", "import", file, "--recipe", testRecipe, "--output", folder.file(name)] + options, timeout: 60)
  }

  @Test func aRoundTripKeepsEveryBit() async throws {
    let tensors = try exampleTensors(seed: 4)
    let file = try write(tensors, to: "weights.safetensors")
    let first = try await importing(file)
    try #require(first.status == 0, "\(first)")
    #expect(first.output.contains("student: \(tensors.count) matched, 0 missing\n"), "\(first.output)")
    for network in ["student", "teacher"] {
      let exported = folder.file("\(network).safetensors")
      let outcome = try apus(
        "checkpoint", "export", folder.file("start.h5"), "--output", exported, "--network", network)
      #expect(outcome.status == 0, "\(outcome)")
      #expect(try holds(exported, tensors))
    }
    let again = try await importing(folder.file("student.safetensors"), to: "again.h5")
    #expect(again.status == 0)
    #expect(try apus("checkpoint", "compare", folder.file("start.h5"), folder.file("again.h5")).status == 0)
    #expect(try apus("checkpoint", "verify", folder.file("start.h5")).status == 0)
    let twice = try apus(
      "checkpoint", "export", folder.file("start.h5"), "--output", folder.file("student.safetensors"))
    #expect(twice.status == 73 && twice.errors.contains("choose another --output"))
  }

  @Test func prefixesFillTheirNetworks() async throws {
    let (student, teacher, frozen) = (
      try exampleTensors(seed: 1), try exampleTensors(seed: 2), try exampleTensors(seed: 3)
    )
    let counters = student.filter { $0.name.hasSuffix("running_mean") }.map { tensor in
      (
        name: "model." + tensor.name.replacing("running_mean", with: "num_batches_tracked"), shape: [Int](),
        values: [Float(3)]
      )
    }
    let file = try write(
      prefixed("model.", student) + prefixed("ema_model.", teacher) + prefixed("imnet_model.", frozen) + counters,
      to: "all.safetensors")
    let outcome = try await importing(file, to: "start.h5", "--json")
    try #require(outcome.status == 0, "\(outcome)")
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
    let counts = try #require(report["counts"] as? [String: Int])
    let encoder = student.count { $0.name.hasPrefix("backbone.") }
    #expect(counts["matched"] == 2 * student.count + encoder)
    #expect(counts["missing"] == nil && counts["unexpected"] == nil)
    #expect(counts["ignored"] == counters.count + student.count - encoder)
    let stored = try HDF5CheckpointStore(folder: "").load(file: folder.file("start.h5"))
    for (group, tensors) in [
      ("student", student), ("teacher", teacher), ("frozen", frozen.filter { $0.name.hasPrefix("backbone.") }),
    ] {
      #expect(stored.records(under: group).count == tensors.count)
      for tensor in tensors { #expect(stored.tensor("\(group)/\(tensor.name)")?.values == tensor.values) }
    }
    #expect(stored.step == 0)
  }

  @Test func anEncoderAloneNeedsPartial() async throws {
    let tensors = try exampleTensors(seed: 5)
    let encoder = tensors.filter { $0.name.hasPrefix("backbone.") }
      .map { (name: String($0.name.dropFirst(9)), shape: $0.shape, values: $0.values) }
    let classifier: NamedTensor = (name: "head.weight", shape: [2, 1], values: [0, 1])
    let file = try write(encoder + [classifier], to: "encoder.safetensors")
    let refused = try await importing(file)
    #expect(refused.refuses(65, "missing student: decode_head.", "--partial"), "\(refused)")
    #expect(folder.names == ["encoder.safetensors"])
    let taken = try await importing(file, to: "start.h5", "--partial")
    try #require(taken.status == 0, "\(taken)")
    #expect(
      taken.output.contains("student: \(encoder.count) matched, \(tensors.count - encoder.count) missing, 1 ignored"))
    let stored = try HDF5CheckpointStore(folder: "").load(file: folder.file("start.h5"))
    let drawn = try exampleTensors(seed: 7).first { $0.name == "decode_head.head.conv_seg.weight" }
    #expect(stored.tensor("student/decode_head.head.conv_seg.weight")?.values == drawn?.values)
    let first = try #require(tensors.first)
    #expect(stored.tensor("student/\(first.name)")?.values == first.values)
  }

  @Test func shapesAreJudged() async throws {
    var tensors = try exampleTensors(seed: 6)
    let index = try #require(tensors.firstIndex { $0.name.hasSuffix("attn.q.weight") })
    tensors[index].shape += [1, 1]
    let reshaped = try await importing(try write(tensors, to: "reshaped.safetensors"))
    try #require(reshaped.status == 0, "\(reshaped)")
    #expect(reshaped.output.contains("student: \(tensors.count - 1) matched, 1 reshaped, 0 missing"))
    #expect(
      reshaped.output.contains("reshaped student: \(tensors[index].name); [16, 16, 1, 1] in the file, [16, 16] here"))

    let other = try await importing(
      try write(try exampleTensors(seed: 6, overrides: ["head.width=8"]), to: "narrow.safetensors"), to: "narrow.h5",
      "--partial")
    #expect(other.refuses(65, "refused student: decode_head.head.", "wrong shape", "another network"), "\(other)")

    let extra: NamedTensor = (name: "backbone.block1.7.norm1.weight", shape: [1], values: [0])
    let unexpected = try await importing(try write(tensors + [extra], to: "extra.safetensors"), to: "extra.h5")
    #expect(unexpected.refuses(65, "unexpected student: backbone.block1.7.norm1.weight", "--partial"), "\(unexpected)")
    let twice = prefixed("module.", [tensors[0]]) + tensors
    let doubled = try await importing(try write(twice, to: "twice.safetensors"), to: "twice.h5", "--partial")
    #expect(doubled.refuses(65, "the file gives it twice"), "\(doubled)")
  }

  @Test func badFilesAreRefusedInOneLine() async throws {
    var tensors = try exampleTensors(seed: 1)
    let good = try write(tensors, to: "good.safetensors")
    try folder.write(Array(try folder.bytes("good.safetensors").dropLast(9)), to: "cut.safetensors")
    try folder.write(Array("hello, this is a text\n".utf8), to: "text.pth")
    try folder.write([], to: "empty.pth")
    tensors[3].values[0] = .nan
    _ = try write(tensors, to: "nan.safetensors")
    for (name, words) in [
      ("cut.safetensors", "damaged"), ("text.pth", "neither"), ("empty.pth", "neither"),
      ("nan.safetensors", tensors[3].name),
    ] {
      let outcome = try await importing(folder.file(name))
      #expect(outcome.refuses(65, name, words), "\(name): \(outcome)")
    }
    #expect(try await importing(folder.file("none.pth")).refuses(66, "none.pth"))
    #expect(!folder.names.contains("start.h5"))
    try folder.write([1], to: "start.h5")
    #expect(try await importing(good).refuses(73, "start.h5", "--output"))
    #expect(try folder.bytes("start.h5") == [1])
    #expect(
      try apus("checkpoint", "export", folder.file("none.h5"), "--output", folder.file("x.safetensors")).status == 66)
  }
}
