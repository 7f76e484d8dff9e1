// Safetensors files: round trip, layout, and every kind of damage.

import Foundation
import Support
import TestSupport
import Testing
import WeightFiles

/// A header's entry of one tensor.
private func entry(_ type: String = "F32", shape: String = "[2]", offsets: String = "[0,8]") -> String {
  "{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":\(offsets)}"
}

@Suite struct SafetensorsTests {
  private let eight = bytes([1, 2])

  @Test func roundTripKeepsEveryBit() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("a.safetensors")
    let values: [Float] = [-0.0, 0, 1, -1.5, .leastNonzeroMagnitude, .greatestFiniteMagnitude]
    let name = "quote \" and \\ and \u{1} and ü"
    try writeSafetensors(
      [("b.weight", [2, 3], values), ("a", [], [7]), ("empty", [0, 4], []), (name, [1], [2])],
      metadata: ["format": "pt", "line": "a\nb"], to: path)
    let file = try WeightFile.read(path)
    #expect(file.metadata == ["format": "pt", "line": "a\nb"])
    #expect(file.tensors.map(\.name) == ["a", "b.weight", "empty", name])
    let read = try #require(file.tensor("b.weight"))
    let bits = try read.floats().map(\.bitPattern)
    let expected = values.map(\.bitPattern)
    #expect(read.shape == [2, 3] && read.element == .float32 && bits == expected)
    let single = try file.tensor("a")?.floats()
    #expect(single == [7] && file.tensor("a")?.shape == [])
    #expect(folder.names == ["a.safetensors"], "no temporary file stays")
  }

  @Test func layoutIsTheOfficialOne() throws {
    let folder = try TemporaryFolder()
    try writeSafetensors(
      [("b", [1, 2], [1, 2]), ("a", [], [3])], metadata: ["format": "pt"], to: folder.file("a"))
    let header =
      "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
      + "\"b\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[4,12]}}"
    let padded = header + String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
    let expected = safetensors(padded, data: bytes([3, 1, 2]))
    let written = try folder.bytes("a")
    #expect(written == expected)
  }

  @Test func anotherFileIsReplacedOnlyWhenTold() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("a")
    try writeSafetensors([("a", [1], [1])], metadata: [:], to: path)
    #expect {
      try writeSafetensors([("a", [1], [2])], metadata: [:], to: path)
    } throws: {
      ($0 as? Failure)?.status == .cannotCreate
    }
    let kept = try WeightFile.read(path).tensors[0].floats()
    try writeSafetensors([("a", [1], [2])], metadata: [:], to: path, overwrite: true)
    let replaced = try WeightFile.read(path).tensors[0].floats()
    #expect(kept == [1] && replaced == [2] && folder.names == ["a"])
    #expect {
      try writeSafetensors([("a", [1], [2])], metadata: [:], to: folder.file("none/a"))
    } throws: {
      ($0 as? Failure)?.status == .cannotCreate
    }
    #expect {
      try writeSafetensors([("a", [1], [2]), ("a", [1], [2])], metadata: [:], to: folder.file("b"))
    } throws: {
      ($0 as? Failure)?.status == .badData
    }
  }

  @Test(
    arguments: [
      ("F64", [0, 0, 0, 0, 0, 0, 0xf8, 0x3f], [1.5]), ("I64", [0xfe, 255, 255, 255, 255, 255, 255, 255], [-2]),
      ("U64", [5, 0, 0, 0, 0, 0, 0, 0], [5]), ("I32", [0xff, 255, 255, 255], [-1]),
      ("U32", [0, 0, 0, 0x80], [2_147_483_648]),
      ("F16", [0x00, 0x3c, 0x01, 0x00], [1, 0x1p-24]), ("BF16", [0x80, 0x3f, 0xc0, 0xbf], [1, -1.5]),
      ("I16", [0xff, 0xff], [-1]), ("U16", [0xff, 0xff], [65535]), ("I8", [0x80], [-128]), ("U8", [0x80], [128]),
      ("BOOL", [0, 1], [0, 1]),
    ] as [(String, [UInt8], [Float])])
  func everyTypeIsConverted(type: String, data: [UInt8], expected: [Float]) throws {
    let header = "{\"x\":\(entry(type, shape: "[\(expected.count)]", offsets: "[0,\(data.count)]"))}"
    let file = try WeightFile.read(Data(safetensors(header, data: data)), path: "w")
    let values = try file.tensors[0].floats()
    #expect(values == expected)
  }

  @Test func tensorsComeInTheOrderOfTheirBytes() {
    let header = "{\"a\":\(entry(shape: "[1]", offsets: "[4,8]")),\"b\":\(entry(shape: "[1]", offsets: "[0,4]"))}"
    #expect(outcome(safetensors(header, data: eight)) == "read b a")
    #expect(outcome(safetensors("{}")) == "read ")
  }

  @Test func wrongPlacesAreRefused() {
    func file(_ first: String, _ second: String = "", data: Int = 8) -> [UInt8] {
      safetensors("{\"a\":\(first)\(second.isEmpty ? "" : ",\"b\":" + second)}", data: Array(repeating: 0, count: data))
    }
    #expect(isRefused(file(entry(offsets: "[0,8]"), entry(offsets: "[4,12]"), data: 12), "tensor b", "overlap"))
    #expect(isRefused(file(entry(offsets: "[4,12]"), data: 12), "tensor a", "gap"))
    #expect(isRefused(file(entry(offsets: "[8,0]")), "tensor a"))
    #expect(isRefused(file(entry(), data: 4), "end at byte"))
    #expect(isRefused(file(entry(), data: 9), "end at byte"))
    #expect(isRefused(file(entry(shape: "[3]")), "tensor a", "does not fill"))
    #expect(isRefused(file(entry(shape: "[4611686018427387904,4]")), "tensor a", "does not fill"))
    #expect(isRefused(file(entry(shape: "[9223372036854775807,9223372036854775807]")), "does not fill"))
    #expect(isRefused(file(entry(offsets: "[0,80000000000]"), data: 8), "does not fill"))
    #expect(
      isRefused(file(entry("U8", shape: "[1]", offsets: "[0,1]"), entry(offsets: "[1,9]"), data: 9), "no multiple"))
    #expect(isRefused(file(entry(shape: "[\(String(repeating: "1,", count: 70))2]")), "tensor a", "axes"))
  }

  @Test func wrongHeadersAreRefused() {
    let good = "{\"a\":\(entry())}"
    for cut in 1..<good.count {
      #expect(isRefused(safetensors(String(good.prefix(cut)), data: eight)))
    }
    #expect(isRefused(littleEndian(20_000_000_000, 8) + Array(good.utf8), "20000000000"))
    #expect(isRefused(littleEndian(-1, 8) + Array(good.utf8), "18446744073709551615"))
    #expect(isRefused(safetensors("{\"a\":\(entry()),\"a\":\(entry())}", data: eight), "a appears twice"))
    #expect(isRefused(safetensors("{\"a\":\(entry("F4"))}", data: eight), "tensor a", "F4"))
    #expect(isRefused(safetensors("{\"a\":{\"dtype\":\"F32\"}}", data: eight), "needs dtype"))
    #expect(isRefused(safetensors("{\"a\":\(entry(shape: "[-1]"))}", data: eight), "whole number"))
    #expect(isRefused(safetensors("{\"a\":\(entry(shape: "[1e9]"))}", data: eight), "header byte"))
    #expect(isRefused(safetensors("{\"a\":\(entry(shape: "[02]"))}", data: eight), "whole number"))
    #expect(isRefused(safetensors("{\"a\":\(entry(shape: "[99999999999999999999]"))}", data: eight), "too large"))
    #expect(isRefused(safetensors(good + "x", data: eight), "after the closing brace"))
    #expect(isRefused(safetensors("{\"__metadata__\":{\"a\":1}}", data: []), "header byte"))
    #expect(isRefused(safetensors("{\"\\ud800\":\(entry())}", data: eight), "surrogate"))
    #expect(isRefused(safetensors("{\"a\":" + String(repeating: "[", count: 1_000_000)), "header byte"))
    #expect(isRefused(safetensors(String(repeating: "{\"a\":", count: 100_000)), "unknown or repeated key"))
    let long = String(repeating: "n", count: 100_000)
    #expect(isRefused(safetensors("{\"\(long)\":\(entry("F4"))}", data: eight), "…", "F4"))
  }

  @Test func numbersThatAreNotFiniteAreNamed() {
    let header = "{\"a.b\":\(entry(shape: "[2,3]", offsets: "[0,24]"))}"
    let data = bytes([1, 2, 3, 4, .nan, .infinity])
    #expect(outcome(safetensors(header, data: data)) == "read a.b", "numbers are looked at only when asked for")
    #expect(isRefused(safetensors(header, data: data), "tensor a.b: number [1, 1] is nan", withNumbers: true))
    let wide = "{\"d\":\(entry("F64", shape: "[1]"))}"
    #expect(isRefused(safetensors(wide, data: [0, 0, 0, 0, 0, 0, 0xe0, 0x7f]), "number [0] is inf", withNumbers: true))
    let half = "{\"h\":\(entry("F16", shape: "[1]", offsets: "[0,2]"))}"
    #expect(isRefused(safetensors(half, data: [0x00, 0xfc]), "number [0] is -inf", withNumbers: true))
  }

  @Test func strangersAndMissingFilesAreNamed() throws {
    let folder = try TemporaryFolder()
    try folder.write(Array("hello world".utf8), to: "a.safetensors")
    try folder.write([], to: "empty.pth")
    func status(_ name: String) -> Support.ExitStatus? {
      do { _ = try WeightFile.read(folder.file(name)) } catch { return (error as? Failure)?.status }
      return nil
    }
    #expect(status("none.pth") == .missingInput)
    #expect(status("a.safetensors") == .badData)
    #expect(status("empty.pth") == .badData)
    #expect(status("") == .badData, "a folder")
    #expect(isRefused([], "neither"))
    #expect(isRefused(Array("hello".utf8), "neither"))
  }
}
