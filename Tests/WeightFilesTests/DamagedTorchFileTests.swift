// Damage to the archive and to the pickle's own structure, and attempts to use up memory or stack.

import Foundation
import Support
import TestSupport
import Testing
import WeightFiles

private let numbers = bytes([0, 1, 2, 3])
private let plain = Pickle.dictionary([("a", Pickle.tensor(Pickle.storage("0", 4), shape: [4], strides: [1]))])
private let sound = Zip.checkpoint(plain, [numbers])

/// Where some bytes stand for the last time.
private func place(of pattern: [UInt8], in file: [UInt8]) throws -> Int {
  try #require(file.indices.dropLast(pattern.count - 1).last { file[$0...].starts(with: pattern) })
}

private func pickled(_ pickle: [UInt8]) -> [UInt8] { Zip.checkpoint(pickle, [numbers]).bytes }

@Suite struct DamagedTorchFileTests {
  @Test func soundArchivesAreRead() {
    var narrow = sound
    narrow.isWide = false
    var unchecked = sound
    unchecked.hasChecksums = false
    #expect(outcome(sound.bytes, withNumbers: true) == "read a")
    #expect(outcome(narrow.bytes) == "read a")
    #expect(outcome(unchecked.bytes) == "read a")
    #expect(outcome(Zip.checkpoint(plain, [numbers], byteOrder: nil).bytes) == "read a")
  }

  @Test func everyCutIsRefused() {
    let file = sound.bytes
    for length in 4..<file.count { #expect(isRefused(Array(file.prefix(length)))) }
  }

  @Test func everyFlippedBitIsRefusedOrHarmless() {
    for index in sound.bytes.indices {
      var file = sound.bytes
      file[index] ^= 0x40
      let result = outcome(file, withNumbers: true)
      #expect(result == "read a" || result.hasPrefix("65 w: "), "byte \(index): \(result)")
    }
    var file = sound.bytes
    let start = file.indices.first { file[$0...].starts(with: numbers) } ?? 0
    file[start] ^= 1
    #expect(isRefused(file, "entry archive/data/0", "checksum"))
  }

  @Test func foreignArchivesAreRefused() throws {
    var deflated = sound
    deflated.method = 8
    #expect(isRefused(deflated.bytes, "entry archive/data.pkl", "compressed"))
    #expect(isRefused(Zip.checkpoint(plain, [numbers], byteOrder: "big").bytes, "byte order is big"))
    #expect(isRefused(Zip(entries: [("a/readme", [1])]).bytes, "no PyTorch checkpoint"))
    #expect(isRefused(Zip(entries: sound.entries + [sound.entries[0]]).bytes, "two entries"))
    let two = sound.entries + [("other/data.pkl", sound.entries[0].bytes)]
    #expect(isRefused(Zip(entries: two).bytes, "2 entries data.pkl"))
    #expect(isRefused(Zip(entries: []).bytes, "neither"))
  }

  @Test func claimsBeyondTheFileAreRefused() throws {
    let twenty = littleEndian(20_000_000_000, 8)
    var file = sound.bytes
    let record = littleEndian(1, 2) + littleEndian(24, 2) + littleEndian(16, 8)
    let extra = try place(of: record, in: file)
    file.replaceSubrange(extra + 4..<extra + 20, with: twenty + twenty)
    #expect(isRefused(file, "entry archive/data/0", "20000000000"))
    file.replaceSubrange(extra + 4..<extra + 12, with: littleEndian(16, 8))
    #expect(isRefused(file, "entry archive/data/0", "two sizes"))
    file = sound.bytes
    file.replaceSubrange(extra + 4..<extra + 20, with: littleEndian(40, 8) + littleEndian(40, 8))
    #expect(isRefused(file, "entry archive/data/0", "overlaps"))
    file = sound.bytes
    file.replaceSubrange(extra + 20..<extra + 28, with: littleEndian(0, 8))
    #expect(isRefused(file, "entry archive/data/0", "contradicts"))
    file = sound.bytes
    let end = try place(of: [0x50, 0x4b, 6, 6], in: file)
    for field in [24, 32, 40, 48] {
      var changed = file
      changed.replaceSubrange(end + field..<end + field + 8, with: littleEndian(.max, 8))
      #expect(isRefused(changed))
    }
    #expect(isRefused(pickled([UInt8(ascii: "X")] + littleEndian(0x7fff_ffff, 4)), "cut off"))
    #expect(isRefused(pickled([0x8d] + littleEndian(-1, 8)), "claims 18446744073709551615"))
    #expect(isRefused(pickled([0x8e] + littleEndian(20_000_000_000, 8)), "cut off"))
  }

  @Test func brokenPicklesAreRefused() {
    #expect(isRefused(pickled([]), "stack is empty"))
    #expect(isRefused(pickled([UInt8(ascii: "(")] + plain), "left over"))
    #expect(isRefused(pickled(plain + plain), "left over"))
    #expect(isRefused(pickled([UInt8(ascii: "t")]), "never opened"))
    #expect(isRefused(pickled([UInt8(ascii: "h"), 7]), "value 7"))
    #expect(isRefused(pickled([UInt8(ascii: "i")]), "opcode 105"))
    #expect(isRefused(pickled([UInt8(ascii: "o")]), "opcode 111"))
    #expect(isRefused(pickled([0x82, 1]), "opcode 130"))
    #expect(isRefused(pickled([UInt8(ascii: "P")]), "opcode 80"))
    #expect(isRefused(pickled([0x80, 1]), "protocol 1"))
    #expect(isRefused(pickled([UInt8(ascii: "]"), UInt8(ascii: "K"), 1, UInt8(ascii: "s")]), "stack is empty"))
    #expect(isRefused(pickled([0x5d, 0x4b, 1, 0x4b, 1, 0x73]), "else than a dictionary"))
    #expect(isRefused(pickled([0x7d, 0x28, 0x4b, 1, 0x75]), "key without a value"))
    #expect(isRefused(pickled(Pickle.text("x") + [0x51]), "no storage"))
    #expect(isRefused(pickled([UInt8(ascii: "X"), 1, 0, 0, 0, 0xff]), "not UTF-8"))
    #expect(isRefused(pickled(Pickle.call(Pickle.text("f"), Pickle.tuple())), "no function"))
    #expect(isRefused(pickled(Pickle.text("x") + [0x7d, 0x62]), "sets attributes"))
    #expect(isRefused(pickled(Array(("c" + String(repeating: "m", count: 300) + "\nn\n").utf8)), "256 bytes"))
    let call = Pickle.global("torch._utils", "_rebuild_tensor_v2")
    #expect(isRefused(pickled(Pickle.call(call, Pickle.tuple(Pickle.text("x")))), "other arguments"))
    let name = Pickle.global("a\u{1b}[31m", "b")
    #expect(isRefused(pickled(name), "a\u{FFFD}[31m.b"), "control characters are not shown")
  }

  @Test func memoryAndStackAreBounded() {
    // Tuples inside each other, open lists, and a list copied again and again.
    let nested: [UInt8] = [0x29] + Array(repeating: 0x85, count: 500_000)
    #expect(isRefused(pickled(nested), "no dictionary"))
    #expect(isRefused(pickled(Array(repeating: 0x5d, count: 3_000_000)), "more than 2000000 values"))
    #expect(isRefused(pickled(Array(repeating: 0x28, count: 3_000_000)), "more than 2000000 values"))
    let list: [UInt8] = [0x5d, 0x28] + Array(repeating: 0x4e, count: 10_000) + [0x65, 0x85, 0x71, 0, 0x30]
    let copy: [UInt8] = Pickle.global("builtins", "set") + [0x68, 0, 0x52]
    let copies = Array(repeatElement(copy, count: 1000).joined())
    #expect(isRefused(pickled(list + copies), "more than 2000000 values"))
  }
}
