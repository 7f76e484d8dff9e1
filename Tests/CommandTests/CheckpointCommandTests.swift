// `apus checkpoint` and `apus cache` on real files.

import Foundation
import Storage
import StorageHDF5
import Tensors
import TestSupport
import Testing

@Suite struct CheckpointCommandTests {
  let folder: TemporaryFolder
  let store: HDF5CheckpointStore

  init() throws {
    folder = try TemporaryFolder()
    store = HDF5CheckpointStore(folder: folder.path)
  }

  @discardableResult
  private func save(step: Int, _ values: [Float]) throws -> String {
    let run = RunDescription(
      step: step, recipe: "seed: 1\n", classNames: ["road"], worldSize: 1, programVersion: "0", libraryVersions: [:],
      cpuLevel: "avx2")
    return try store.save(Snapshot(run: run, records: [.init("student/a.weight", Tensor(values, [values.count]))]))
  }

  @Test func inspectTellsWhatIsInside() throws {
    let object = try apus("checkpoint", "inspect", save(step: 7, [1, 2]), "--json").object()
    #expect(object["step"] as? Int == 7)
    #expect(object["classes"] as? [String] == ["road"])
    #expect((object["tensors"] as? [[String: Any]])?.first?["shape"] as? [Int] == [2])
  }

  @Test func compareMeasures() throws {
    let first = try save(step: 1, [1, 2])
    let second = try save(step: 2, [1, 2])
    let third = try save(step: 3, [1, 2.5])
    let equal = try apus("checkpoint", "compare", first, second, "--json")
    #expect(equal.status == 0)
    #expect(try equal.object()["identical"] as? Bool == true)
    let different = try apus("checkpoint", "compare", first, third, "--json")
    #expect(different.status == 1)
    #expect(try different.object()["identical"] as? Bool == false)
    let tensor = try #require((try different.object()["tensors"] as? [[String: Any]])?.first)
    #expect(tensor["name"] as? String == "student/a.weight")
    #expect(tensor["maxAbs"] as? Double == 0.5)
    #expect(tensor["maxRel"] as? Double == 0.2)
    #expect(tensor["ulp"] as? Int == 1 << 21)
    #expect(try apus("checkpoint", "compare", first, folder.file("none.h5")).status == 66)
  }

  @Test func compareListsTheLargestDifferencesFirst() throws {
    func save(_ name: String, _ values: [Float]) throws -> String {
      let run = RunDescription(
        step: 1, recipe: "", classNames: [], worldSize: 1, programVersion: "0", libraryVersions: [:], cpuLevel: "avx2")
      let records = values.enumerated().map { Snapshot.Record("student/\($0)", Tensor([$1], [1])) }
      return try store.save(Snapshot(run: run, records: records), to: folder.file(name))
    }
    let first = try save("a.h5", [1, 1, 1, 1])
    let second = try save("b.h5", [Float(1).nextUp, 1, 2, -1])
    let outcome = try apus("checkpoint", "compare", first, second, "--limit", "2")
    #expect(outcome.status == 1)
    #expect(
      outcome.output == """
        student/3: absolute 2, relative 2, 2130706433 ulp
        student/2: absolute 1, relative 0.5, 8388608 ulp
        and 1 more
        3 of 4 tensors differ

        """)
  }

  @Test func partsAreOneCheckpoint() throws {
    let run = RunDescription(
      step: 7, recipe: "", classNames: ["road"], worldSize: 2, programVersion: "0", libraryVersions: [:],
      cpuLevel: "avx2")
    let snapshot = Snapshot(run: run, records: ["a", "b"].map { .init("student/\($0)", Tensor([1, 2], [2])) })
    let plain = try store.save(snapshot, to: folder.file("plain.h5"))
    let lines = try (0..<2).map { try store.preparePart(snapshot, $0, of: 2).publish() }
    let manifest = try store.prepareManifest(snapshot, parts: lines).publish()
    let object = try apus("checkpoint", "inspect", manifest, "--json").object()
    #expect(object["files"] as? [String] == (0..<2).map { folder.file("step-00000007.part-0000\($0)-of-00002.h5") })
    #expect((object["tensors"] as? [[String: Any]])?.count == 2)
    #expect(try apus("checkpoint", "verify", folder.path).status == 0)
    #expect(try apus("checkpoint", "compare", manifest, plain).status == 0)
    let part = "step-00000007.part-00001-of-00002.h5"
    var bytes = try folder.bytes(part)
    bytes[bytes.count - 9] ^= 1
    try folder.write(bytes, to: part)
    let outcome = try apus("checkpoint", "verify", manifest)
    #expect(outcome.status == 1)
    #expect(outcome.errors.hasPrefix("apus: \(folder.file(part)): is damaged"), "\(outcome)")
    try FileManager.default.removeItem(atPath: folder.file(part))
    let lacking = try apus("checkpoint", "verify", manifest)
    #expect(lacking.status == 1)
    #expect(lacking.errors.contains("lacks its part \(part)"), "\(lacking)")
    #expect(try apus("checkpoint", "prune", folder.path, "--keep-newest", "1").status == 0)
  }

  @Test func verifyFindsDamage() throws {
    let file = try save(step: 1, [1, 2])
    #expect(try apus("checkpoint", "verify", folder.path).status == 0)
    var bytes = try folder.bytes("step-00000001.h5")
    bytes[bytes.count - 9] ^= 1
    try folder.write(bytes, to: "step-00000001.h5")
    let outcome = try apus("checkpoint", "verify", file)
    #expect(outcome.status == 1)
    #expect(outcome.errors.hasPrefix("apus: \(file): is damaged"))
    #expect(outcome.errors.split(separator: "\n").count == 1)
    #expect(try apus("checkpoint", "verify", file, "--json").object()["ok"] as? Bool == false)
    #expect(try apus("checkpoint", "verify", folder.file("none.h5")).status == 66)
  }

  @Test func pruneKeepsWhatItIsTold() throws {
    for step in 1...5 { try save(step: step, [1]) }
    let object = try apus("checkpoint", "prune", folder.path, "--keep-newest", "1", "--keep-every", "2", "--json")
      .object()
    #expect(object["deleted"] as? [Int] == [1, 3])
    #expect(try store.steps() == [2, 4, 5])
    #expect(try apus("checkpoint", "prune", folder.path, "--keep-newest", "0").status == 64)
  }

  @Test func cachesAreInspectedAndVerified() throws {
    let caches = HDF5PseudoLabelStore(folder: folder.file("pseudo-labels"))
    #expect(try apus("cache", "verify", folder.path).status == 66)
    let origin = PseudoLabelOrigin(
      teacherDigest: "aa", recipeDigest: "bb", threshold: 0.5, height: 2, width: 3, rank: 0, worldSize: 1)
    let writer = try caches.start(origin)
    let labels = LabelMap(height: 2, width: 3)
    try writer.append(
      PseudoLabelEntry(
        image: 4, step: 2, labels: labels, probabilities: [Float](repeating: 1, count: 6), threshold: 0.5))
    try writer.publish(completedSteps: 3)
    let object = try apus("cache", "inspect", caches.folder, "--json").object()
    #expect(object["entries"] as? Int == 1)
    #expect(try apus("cache", "verify", caches.folder).status == 0)
    try Data("nothing".utf8).write(to: URL(filePath: caches.file(rank: 0)))
    let outcome = try apus("cache", "verify", caches.folder)
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("was not written by this program"))
  }
}
