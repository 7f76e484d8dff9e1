// libFuzzer on sealed pseudo-label caches and views, whose seal is right whatever they hold.

import Storage
import StorageHDF5
import Support
import Tensors

private let store = HDF5PseudoLabelStore(folder: Scratch.folder)
private let origin = PseudoLabelOrigin(
  teacherDigest: "aa", recipeDigest: "bb", threshold: 0.5, height: 3, width: 9, rank: 0, worldSize: 1)

/// Called by libFuzzer for each input. Its first byte chooses what is read, and how.
@_cdecl("LLVMFuzzerTestOneInput")
public func readCache(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count > 0 else { return 0 }
  let isView = start[0] % 2 == 1
  let name = isView ? HDF5PseudoLabelView.name : "rank-00000.h5"
  let path = "\(Scratch.folder)/\(name)"
  Scratch.put(
    UnsafeBufferPointer(start: start, count: count), kinds: ["pseudo-labels", "pseudo-label-view"], name: name)
  guard !isView else {
    reading { _ = try HDF5PseudoLabelView(verifying: path) }
    return 0
  }
  guard start[0] / 2 % 2 == 0 else {
    reading {
      let writer = try store.resume(origin, completedSteps: 1)
      for image in 0..<3 { _ = try writer.newest(image: image) }
    }
    return 0
  }
  reading {
    let reader = try HDF5PseudoLabelReader(path)
    for position in reader.images.indices.prefix(16) { _ = try? reader.entry(at: position) }
    try reader.verify()
  }
  return 0
}

/// A cache without entries, one with three, and a view.
func seeds() throws -> [[UInt8]] {
  var seeds: [[UInt8]] = []
  for count in [0, 3] {
    let writer = try store.start(origin)
    for image in 0..<count {
      try writer.append(
        PseudoLabelEntry(
          image: image, step: 0, labels: LabelMap(height: 3, width: 9),
          probabilities: [Float](repeating: 0.5, count: 27), threshold: 0.5))
    }
    try writer.publish(completedSteps: 1)
    for choice in [0, 2] as [UInt8] { seeds.append(try Scratch.seed(choice, "rank-00000.h5")) }
  }
  _ = try HDF5PseudoLabelView.write(store)
  return seeds + [try Scratch.seed(1, HDF5PseudoLabelView.name)]
}
