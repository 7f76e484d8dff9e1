// `apus verify` on a small reference file of known numbers.

import Foundation
import StorageHDF5
import TestSupport
import Testing

@Suite struct VerifyCommandTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A file with one soft-max over two equal numbers.
  private func reference(_ name: String, group: String = "softmax_last", output: [Float] = [0.5, 0.5]) throws -> String
  {
    let file = try HDF5File(building: name, userBlock: 0, capacity: 1 << 14)
    let values: [(String, [Float])] = [
      ("input", [3, 3]), ("output", output), ("grad_output", [1, 0]), ("grad_input", [0.25, -0.25]),
    ]
    for (dataset, numbers) in values {
      let path = "\(group)/\(dataset)"
      try file.write(floats: numbers, shape: [1, 1, 2], to: path)
      try file.setAttribute("layout", of: path, to: .text("NLC"))
      try file.setAttribute("f32_noise", of: path, to: .number(1e-7))
      try file.setAttribute("max_abs", of: path, to: .number(0.5))
    }
    return try written(file, name)
  }

  private func written(_ file: HDF5File, _ name: String) throws -> String {
    try file.close()
    try folder.write(Array(try #require(file.image).bytes), to: name)
    return folder.file(name)
  }

  @Test func rightNumbersPass() throws {
    let outcome = try apus("verify", reference("any-name.h5"), "--json")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let object = try outcome.object()
    #expect(object["items"] as? Int == 2)
    #expect(object["failed"] as? Int == 0)
    let items = try #require((object["files"] as? [[String: Any]])?.first?["items"] as? [[String: Any]])
    #expect(items.compactMap { $0["name"] as? String } == ["softmax_last/output", "softmax_last/grad_input"])
    #expect(items.allSatisfy { $0["ok"] as? Bool == true && ($0["at"] as? [Int])?.count == 3 })
    #expect(items.allSatisfy { $0["maxAbs"] is Double && $0["maxRel"] is Double && $0["timesAllowed"] is Double })
  }

  @Test func wrongNumbersAreNamed() throws {
    let file = try reference("a.h5", output: [0.5, 0.6])
    let outcome = try apus("verify", file)
    #expect(outcome.status == 1)
    let over = outcome.output.split(separator: "\n").filter { $0.contains("OVER") }
    #expect(over.count == 1 && over[0].contains("softmax_last/output") && over[0].contains("0,0,1"))
    #expect(outcome.output.contains("2 items in 1 files, 1 over tolerance"))
    #expect(try apus("verify", file, "--tolerance", "1e6").status == 0)
    #expect(try apus("verify", file, "--tolerance", "0").status == 64)
  }

  @Test func unknownKindsFail() throws {
    let outcome = try apus("verify", reference("a.h5", group: "softmin_last"), "--json")
    #expect(outcome.status == 1)
    #expect(try outcome.object()["failed"] as? Int == 1)
  }

  @Test func nothingCheckedIsAFailure() throws {
    let file = try HDF5File(building: "weights.h5", userBlock: 0, capacity: 1 << 14)
    try file.write(floats: [1], shape: [1], to: "student/backbone.norm1.bias")
    let weights = try written(file, "weights.h5")
    let alone = try apus("verify", weights, "--json")
    #expect(alone.status == 1)
    #expect(try alone.object()["items"] as? Int == 0)
    #expect(try apus("verify", weights, reference("a.h5")).status == 0)
  }

  @Test func missingAndForeignFilesAreToldApart() throws {
    #expect(try apus("verify", reference("a.h5"), folder.file("none.h5")).status == 66)
    try folder.write([1, 2, 3], to: "foreign.h5")
    let foreign = try apus("verify", folder.file("foreign.h5"))
    #expect(foreign.status == 65)
    #expect(foreign.errors.split(separator: "\n").count == 1)
  }

  /// A level that this CPU lacks falls back to its highest, which then is checked twice. A failure of later steps alone may be
  /// an input of ReLU within rounding of zero: docs/numerics.md, "Steps after the first".
  @Test(
    .enabled(if: hasSharedFolder, "needs ../shared"), arguments: ["portable", "avx2", "avx512"], [1, 2])
  func sharedReferenceFilesAreKeptAtEveryLevel(level: String, threads: Int) throws {
    let folder = sharedFolder + "/fixtures"
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".h5") }.sorted()
    let outcome = try apus(
      ["verify", "--json"] + names.map { "\(folder)/\($0)" },
      environment: ["APUS_CPU_LEVEL": level, "APUS_THREADS": "\(threads)"])
    let object = try outcome.object()
    let items = (object["files"] as? [[String: Any]] ?? []).flatMap { $0["items"] as? [[String: Any]] ?? [] }
    let over = items.filter { $0["ok"] as? Bool != true }.compactMap { $0["name"] as? String }
    #expect(over == [])
    #expect(outcome.status == 0 && items.count == object["items"] as? Int && items.count > 1000)
  }
}
