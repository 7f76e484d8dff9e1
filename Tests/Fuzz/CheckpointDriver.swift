// libFuzzer on sealed checkpoints and manifests, whose seal is right whatever they hold.

import Storage
import StorageHDF5
import Support
import Tensors

/// Called by libFuzzer for each input. Its first byte chooses what is read, and how.
@_cdecl("LLVMFuzzerTestOneInput")
public func readCheckpoint(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count > 0 else { return 0 }
  let name = CheckpointName.of(step: 1)
  Scratch.put(
    UnsafeBufferPointer(start: start, count: count), kinds: ["checkpoint", "checkpoint-manifest"], name: name)
  let store = HDF5CheckpointStore(folder: Scratch.folder)
  let path = "\(Scratch.folder)/\(name)"
  switch start[0] / 2 % 3 {
  case 0: reading { _ = try store.outline(file: path) }
  case 1: reading { try store.verify(file: path) }
  default:
    reading {
      let snapshot = try store.load(file: path, groups: nil)
      precondition(snapshot.byteCount <= count, "more values than bytes")
    }
  }
  return 0
}

/// A small checkpoint, one with groups and attributes that need trees, and a manifest.
func seeds() throws -> [[UInt8]] {
  let store = HDF5CheckpointStore(folder: Scratch.folder)
  func snapshot(_ tensors: Int, digests: Int, recipe: Int) -> Snapshot {
    var run = RunDescription(
      step: 1, recipe: String(repeating: "a: 1\n", count: recipe), classNames: ["road", "sidewalk"], worldSize: 2,
      programVersion: "1", libraryVersions: [:], cpuLevel: "avx2", schedule: ["steps": 2])
    for number in 0..<digests { run.digests["d\(number)"] = "0" }
    let groups = [Snapshot.student, Snapshot.firstMoment]
    let records = groups.flatMap { group in
      (0..<tensors).map { Snapshot.Record("\(group)/layer.\($0)", Tensor([1, 2], [1, 2])) }
    }
    return Snapshot(run: run, records: records + [Snapshot.Record("objective/a/b", Tensor([3], []))])
  }
  let name = CheckpointName.of(step: 1)
  var seeds: [[UInt8]] = []
  for snapshot in [snapshot(2, digests: 0, recipe: 2), snapshot(24, digests: 40, recipe: 900)] {
    try store.save(snapshot)
    for choice in [0, 2, 4] as [UInt8] { seeds.append(try Scratch.seed(choice, name)) }
  }
  let small = snapshot(2, digests: 0, recipe: 2)
  let lines = try (0..<2).map { try store.preparePart(small, $0, of: 2).publish() }
  _ = try store.prepareManifest(small, parts: lines).publish()
  return seeds + [try Scratch.seed(5, name)]
}
