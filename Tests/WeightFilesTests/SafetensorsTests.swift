// Safetensors files: round trip and layout.

import Foundation
import Support
import TestSupport
import Testing
import WeightFiles

@Suite struct SafetensorsTests {
  @Test func roundTripKeepsEveryBit() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("a.safetensors")
    let values: [Float] = [-0.0, 0, 1, -1.5, .leastNonzeroMagnitude, .greatestFiniteMagnitude]
    try writeSafetensors(
      [("b.weight", [2, 3], values), ("a", [], [7]), ("empty", [0, 4], [])], metadata: ["format": "pt"], to: path)
    let file = try WeightFile.read(path)
    #expect(file.metadata == ["format": "pt"])
    #expect(file.tensors.map(\.name) == ["a", "b.weight", "empty"])
    let read = try #require(file.tensor("b.weight"))
    let bits = try read.floats().map(\.bitPattern)
    #expect(read.shape == [2, 3] && read.element == .float32)
    #expect(bits == values.map(\.bitPattern))
    #expect(folder.names == ["a.safetensors"])
  }
}
