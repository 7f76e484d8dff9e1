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
