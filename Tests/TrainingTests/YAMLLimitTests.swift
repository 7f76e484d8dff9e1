// YAML that a few lines blow up: refused in one line and in no time; honest anchors are read.

import Domains
import Foundation
import Support
import Testing
import Training

@Suite struct YAMLLimitTests {
  /// Lists of lists, each of two of the one before.
  private func doubled(_ levels: Int) -> String {
    (1...levels).map { "a\($0): &a\($0) [\($0 == 1 ? "x, x" : "*a\($0 - 1), *a\($0 - 1)")]" }.joined(separator: "\n")
  }

  private func isRefused(_ yaml: String, _ words: String) -> Bool {
    let watch = Stopwatch()
    let met = complaint(yaml)
    let isRight = met?.status == .badData && met?.what.contains(words) == true
    if !isRight { print("\(String(describing: met))") }
    // What doubles with each line would take years.
    return isRight && watch.seconds < 60
  }

  @Test func bombsAreRefused() {
    #expect(isRefused(doubled(40), "40 anchors (&)"))
    #expect(isRefused(doubled(16), "more than 50000 values"))
    let wide = "a: &a [\(Array(repeating: "x", count: 3000).joined(separator: ", "))]\n"
    #expect(isRefused(wide + (0..<30).map { "b\($0): *a" }.joined(separator: "\n"), "more than 50000 values"))
    for key in ["? *a16\n: 1", "*a16 : 1", "{[*a16]: 1}", "b: {{c: *a16} : 1}"] {
      #expect(isRefused(doubled(16) + "\n" + key, "a key that is an alias"), "\(key)")
    }
  }

  @Test func depthAndLengthAreBounded() {
    let deep = String(repeating: "[", count: 900) + String(repeating: "]", count: 900)
    #expect(isRefused("a: \(deep)", "more than 32 levels"))
    let chain = (1...16).map { number -> String in
      let inner = number == 1 ? "x" : "*a\(number - 1)"
      let open = String(repeating: "[", count: 900)
      return "a\(number): &a\(number) \(open)\(inner)\(String(repeating: "]", count: 900))"
    }
    #expect(isRefused(chain.joined(separator: "\n"), "more than 32 levels"))
    #expect(isRefused("# " + String(repeating: "x", count: 1 << 20), "bytes of YAML"))
    #expect(isRefused((0..<60_000).map { "k\($0): 1" }.joined(separator: "\n"), "more than 50000 values"))
  }

  @Test func honestAnchorsAreRead() throws {
    let read = try recipe(
      """
      seed: 7
      crop: {size: &size [256, 512]}
      network: {detailCrop: *size}
      data:
        source: &set {kind: procedural, size: *size}
        target: *set
      """)
    #expect(read.network.detailCrop == PixelSize(height: 256, width: 512))
    #expect(read.data.target?.size == PixelSize(height: 256, width: 512))
  }

  @Test func aClassSetHasTheSameLimits() throws {
    let path = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString).yaml").path
    try Data(doubled(40).utf8).write(to: URL(filePath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    do {
      _ = try ClassSet(contentsOf: path)
      Issue.record("a bomb was read")
    } catch let failure as Failure {
      #expect(failure.status == .badData && failure.place == path && failure.what.contains("40 anchors"))
    }
  }
}
