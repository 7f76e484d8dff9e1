// PyTorch checkpoints in zip form and in the older form: what is read, and what is refused.

import Foundation
import Support
import TestSupport
import Testing
import WeightFiles

private let eight = bytes([0, 1, 2, 3, 4, 5, 6, 7])

/// A view of storage 0 with eight numbers.
private func view(
  _ shape: [Int], _ strides: [Int], offset: Int = 0, type: String = "FloatStorage", count: Int = 8
) -> [UInt8] {
  Pickle.tensor(Pickle.storage("0", count, type: type), offset: offset, shape: shape, strides: strides)
}

/// A checkpoint whose pickle is a dictionary.
private func checkpoint(_ members: [(String, [UInt8])]) -> [UInt8] {
  Zip.checkpoint(Pickle.dictionary(members), [eight]).bytes
}

@Suite struct TorchFileTests {
  @Test func viewsAreReadWithTheirStridesAndOffsets() throws {
    let file = checkpoint(
      [
        ("whole", view([2, 4], [4, 1])), ("turned", view([4, 2], [1, 4])), ("part", view([2, 2], [4, 2], offset: 1)),
        ("single", view([], [], offset: 7)), ("empty", view([0, 3], [3, 1])),
      ])
    let weights = try WeightFile.read(Data(file), path: "w")
    let read = try weights.tensors.map { try $0.floats() }
    #expect(weights.tensors.map(\.name) == ["whole", "turned", "part", "single", "empty"])
    #expect(weights.tensors.map(\.shape) == [[2, 4], [4, 2], [2, 2], [], [0, 3]])
    #expect(read == [[0, 1, 2, 3, 4, 5, 6, 7], [0, 4, 1, 5, 2, 6, 3, 7], [1, 3, 5, 7], [7], []])
  }

  @Test func stateDictionariesAreFoundAndTheirNamesJoined() {
    let one = view([8], [1])
    let inner = Pickle.dictionary([("w", one), ("nested", Pickle.dictionary([("b", one)]))])
    for key in ["state_dict", "model_state_dict", "model_state", "model"] {
      let file = checkpoint([
        ("optimizer", Pickle.dictionary([("x", one)])), (key, inner), ("epoch", Pickle.integer(3)),
      ])
      #expect(outcome(file) == "read w nested.b")
    }
    #expect(outcome(checkpoint([("a", one), ("note", Pickle.text("state_dict"))])) == "read a")
  }

  @Test func plainCompanionsAreRead() {
    let numpy = Pickle.call(
      Pickle.global("numpy.core.multiarray", "scalar"),
      Pickle.tuple(
        Pickle.call(Pickle.global("numpy", "dtype"), Pickle.tuple(Pickle.text("f8"), [0x89], [0x88]))
          + Pickle.tuple([0x4e], [0x4e]) + [UInt8(ascii: "b")],
        Pickle.call(
          Pickle.global("_codecs", "encode"), Pickle.tuple(Pickle.text("12345678"), Pickle.text("latin1")))))
    let ordered = Pickle.call(Pickle.global("collections", "OrderedDict"), Pickle.tuple())
    let attributes = Pickle.dictionary([("_metadata", ordered)])
    let members = [UInt8(ascii: "(")] + Pickle.text("w") + view([8], [1]) + [UInt8(ascii: "u")]
    let state = ordered + members + attributes + [UInt8(ascii: "b")]
    let parameter = Pickle.call(
      Pickle.global("torch._utils", "_rebuild_parameter"), Pickle.tuple(view([8], [1]), [0x88], ordered))
    let meta: [(String, [UInt8])] = [
      ("version", Pickle.text("1.3.7")), ("best", numpy), ("classes", Pickle.tuple(Pickle.text("road"))),
      ("real", [UInt8(ascii: "G"), 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]), ("huge", [0x8a, 9] + Array(repeating: 1, count: 9)),
      ("set", Pickle.call(Pickle.global("__builtin__", "set"), Pickle.tuple(Pickle.list(Pickle.integer(1))))),
      ("size", Pickle.call(Pickle.global("torch", "Size"), Pickle.tuple(Pickle.integers([1, 2])))),
      ("type", Pickle.global("torch", "float32")), ("bytes", [UInt8(ascii: "C"), 1, 0xff]),
      ("device", Pickle.call(Pickle.global("torch", "device"), Pickle.tuple(Pickle.text("cpu")))),
    ]
    #expect(outcome(checkpoint([("meta", Pickle.dictionary(meta)), ("state_dict", state)])) == "read w")
    #expect(outcome(checkpoint([("p", parameter)])) == "read p")
  }

  @Test func olderFilesAreRead() throws {
    let storage = Pickle.storage("94", 3, legacy: true)
    let second = Pickle.storage("95", 2, type: "HalfStorage", legacy: true)
    let pickle = Pickle.dictionary([
      ("a", Pickle.tensor(storage, offset: 1, shape: [2], strides: [1])),
      ("b", Pickle.tensor(second, shape: [2], strides: [1])),
    ])
    let storages: [(key: String, count: Int, bytes: [UInt8])] = [
      ("95", 2, [0x00, 0x3c, 0x00, 0xc0]), ("94", 3, bytes([5, 6, 7])),
    ]
    let file = legacyCheckpoint(pickle, storages)
    let read = try WeightFile.read(Data(file), path: "w").tensors.map { try $0.floats() }
    #expect(read == [[6, 7], [1, -2]])
    for cut in stride(from: 1, to: file.count, by: 3) { #expect(isRefused(Array(file.prefix(cut)))) }
    #expect(isRefused(file + [0], "more bytes"))
    #expect(isRefused(legacyCheckpoint(pickle, storages, littleEndianMachine: false), "byte order"))
    #expect(isRefused(legacyCheckpoint(pickle, [storages[0], storages[0]]), "does not fit"))
    #expect(isRefused(legacyCheckpoint(pickle, [storages[0], ("94", 1 << 40, [])]), "storage 94 claims"))
  }

  @Test(arguments: [
    ("os", "system"), ("builtins", "eval"), ("torch", "load"), ("torch._utils", "_rebuild_sparse_tensor"),
    ("torch", "ComplexFloatStorage"), ("__main__", "Network"),
  ])
  func foreignNamesAreRefusedByName(module: String, name: String) {
    let call = Pickle.call(Pickle.global(module, name), Pickle.tuple(Pickle.text("echo")))
    #expect(
      isRefused(
        checkpoint([("a", call)]), "the pickle wants to load \(module).\(name), which is refused; nothing was executed")
    )
    let stacked = Pickle.text(module) + Pickle.text(name) + [0x93]
    #expect(isRefused(checkpoint([("a", stacked)]), "\(module).\(name)"))
  }

  @Test func viewsBeyondTheirStorageAreRefused() {
    #expect(isRefused(checkpoint([("a", view([9], [1]))]), "tensor a", "[9]"))
    #expect(isRefused(checkpoint([("a", view([8], [1], offset: 1))]), "tensor a"))
    #expect(isRefused(checkpoint([("a", view([2], [8]))]), "tensor a"))
    #expect(isRefused(checkpoint([("a", view([2], [-1], offset: 4))]), "tensor a"))
    #expect(isRefused(checkpoint([("a", view([8], [1], offset: -1))]), "tensor a"))
    #expect(isRefused(checkpoint([("a", view([1 << 40], [0]))]), "tensor a"))
    #expect(isRefused(checkpoint([("a", view([1 << 40, 1 << 40], [0, 0]))]), "tensor a"))
    #expect(isRefused(checkpoint([("a", view([2, 2], [.max, .max]))]), "tensor a"))
    #expect(isRefused(checkpoint([("a", view([-1], [1]))]), "tensor a"))
    #expect(isRefused(checkpoint([("a", view([2], []))]), "tensor a"))
    #expect(isRefused(checkpoint([("a", view([8], [1], count: 9))]), "storage 0 claims 9 numbers"))
    #expect(isRefused(checkpoint([("a", view([8], [1], count: 1 << 62))]), "storage 0 claims"))
    #expect(isRefused(checkpoint([("a", view([8], [1], type: "DoubleStorage"))]), "storage 0 claims"))
    #expect(isRefused(checkpoint([("a", view([8], [1])), ("b", view([7], [1], count: 7))]), "two types or sizes"))
    let other = Pickle.tensor(Pickle.storage("../7", 1), shape: [1], strides: [1])
    #expect(isRefused(checkpoint([("a", other)]), "storage ../7 is not in the archive"))
  }

  @Test func numbersThatAreNotFiniteAreNamed() {
    let file = Zip.checkpoint(
      Pickle.dictionary([("a", view([8], [1])), ("b", view([2, 2], [1, 2]))]), [bytes([0, 1, .nan, 3, 4, 5, 6, 7])]
    ).bytes
    #expect(isRefused(file, "tensor a: number [2] is nan", withNumbers: true))
  }

  @Test func namesAreDifferentAndNotTooDeep() {
    let one = view([8], [1])
    #expect(isRefused(checkpoint([("a", one), ("a", one)]), "two tensors are called a"))
    #expect(
      isRefused(checkpoint([("a.b", one), ("a", Pickle.dictionary([("b", one)]))]), "two tensors are called a.b"))
    #expect(isRefused(checkpoint([("epoch", Pickle.integer(1))]), "no tensors"))
    #expect(isRefused(Zip.checkpoint(Pickle.list(one), [eight]).bytes, "no dictionary"))
    let deep = (0..<40).reduce(one) { inner, _ in Pickle.dictionary([("d", inner)]) }
    #expect(isRefused(checkpoint([("a", deep)]), "too deeply"))
    // A dictionary that holds itself, and one with four ways down at each of 12 levels.
    let itself: [UInt8] = [0x7d, 0x71, 0] + Pickle.text("d") + [0x68, 0, 0x73]
    #expect(isRefused(Zip.checkpoint(itself, [eight]).bytes, "too deeply"))
    var doubled = one
    for _ in 0..<12 {
      let members: [[UInt8]] = (0..<4).map { Pickle.text("\($0)") + [0x68, 0] }
      doubled += [0x71, 0, 0x30, 0x7d, 0x28] + Array(members.joined()) + [0x75]
    }
    #expect(isRefused(Zip.checkpoint(doubled, [eight]).bytes, "too many members"))
  }
}
