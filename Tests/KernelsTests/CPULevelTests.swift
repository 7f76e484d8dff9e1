// What the kernels say about themselves: the level they and oneDNN compute at, and the libraries behind them.

import Kernels
import Support
import Tensors
import Testing

@Suite struct CPULevelTests {
  @Test func aLevelCannotChangeAfterTheFirstProduct() async {
    await #expect(processExitsWith: .success) {
      try #require(try CPULevel.use(.portable) == .portable)
      _ = linear(Tensor(repeating: 1, [1, 2, 3]), weight: Tensor(repeating: 1, [3, 4]))
      try #require(try CPULevel.use(.portable) == .portable)
      guard CPULevel.supported != .portable else { return }
      _ = try #require(throws: Failure.self) { try CPULevel.use(.supported) }
      try #require(CPULevel.current == .portable)
    }
  }

  @Test func aProductWithoutALevelMakesLowerOnesImpossible() async {
    await #expect(processExitsWith: .success) {
      _ = linear(Tensor(repeating: 1, [1, 2, 3]), weight: Tensor(repeating: 1, [3, 4]))
      guard CPULevel.supported != .portable else { return }
      _ = try #require(throws: Failure.self) { try CPULevel.use(.portable) }
      try #require(CPULevel.current == .supported)
    }
  }

  @Test func versionsOfAllLibrariesWithArithmeticAreKnown() {
    let versions = arithmeticLibraryVersions
    #expect(versions.keys.sorted() == ["glibc", "oneDNN"])
    for (name, version) in versions { #expect(version.contains(/^\d+\.\d+/), "\(name) \(version)") }
  }
}
