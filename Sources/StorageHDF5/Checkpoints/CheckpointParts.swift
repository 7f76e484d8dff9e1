// Checkpoints in parts: every rank writes some of the tensors as a sealed file of its own, and a small sealed file under
// the checkpoint's name, the manifest, names the parts with their digests.

import CHDF5
import Foundation
import Storage
import Support
import Tensors

/// One part as the manifest names it.
struct CheckpointPart: Equatable {
  /// Such as `step-00000100.part-00000-of-00004.h5`, in the manifest's folder.
  let name: String
  /// Bytes after the part's user block.
  let byteCount: Int
  /// SHA-256 of those bytes.
  let digest: String

  init(name: String, byteCount: Int, digest: String) {
    self.name = name
    self.byteCount = byteCount
    self.digest = digest
  }

  /// From the line that the rank which wrote it sent.
  init?(line: String) {
    let words = line.split(separator: " ").map(String.init)
    guard words.count == 3, let count = Int(words[1]) else { return nil }
    self.init(name: words[0], byteCount: count, digest: words[2])
  }

  /// The three on a line.
  var line: String { "\(name) \(byteCount) \(digest)" }

  static func name(step: Int, _ number: Int, of count: Int) -> String {
    func padded(_ value: Int) -> String { String(repeating: "0", count: max(0, 5 - "\(value)".count)) + "\(value)" }
    return "\(CheckpointName.of(step: step).dropLast(3)).part-\(padded(number))-of-\(padded(count)).h5"
  }

  /// The step in the name of a part; nil if it is no such name.
  static func step(in name: String) -> Int? {
    guard let mark = name.range(of: ".part-") else { return nil }
    let step = CheckpointName.step(in: name[..<mark.lowerBound] + ".h5")
    let numbers = name[mark.upperBound...].dropLast(3).split(separator: "-of-").compactMap { Int($0) }
    guard let step, numbers.count == 2, name == CheckpointPart.name(step: step, numbers[0], of: numbers[1]) else {
      return nil
    }
    return step
  }
}

extension HDF5CheckpointStore {
  /// Copies one part of a snapshot; `publish` returns the line by which the manifest names it.
  public func preparePart(_ snapshot: Snapshot, _ number: Int, of count: Int) throws -> any PreparedCheckpoint {
    let name = CheckpointPart.name(step: snapshot.step, number, of: count)
    return try prepare(snapshot.part(number, of: count), .checkpointPart, to: "\(folder)/\(name)") { seal in
      CheckpointPart(name: name, byteCount: seal.byteCount, digest: seal.digest).line
    }
  }

  /// Describes the whole of parts that are on disk; `publish` looks whether they are.
  public func prepareManifest(_ snapshot: Snapshot, parts: [String]) throws -> any PreparedCheckpoint {
    let parts = try parts.map { line in
      guard let part = CheckpointPart(line: line) else { throw Failure(.internal, "\"\(line)\" names no part") }
      return part
    }
    let paths = parts.indices.map { snapshot.part($0, of: parts.count).records.map(\.path) }
    return PreparedManifest(
      run: snapshot.run, parts: parts, paths: paths, path: file(step: snapshot.step), disk: disk)
  }

  /// The parts that a manifest names: files of its own folder.
  static func parts(_ manifest: StoredFile) throws -> [CheckpointPart] {
    let attributes = try manifest.attributes(of: "parts")
    guard let names = attributes["name"]?.texts, let bytes = attributes["bytes"]?.wholeNumbers,
      let digests = attributes["sha256"]?.texts, names.count == bytes.count, names.count == digests.count
    else { throw Failure(.badData, "names no parts", at: manifest.path) }
    guard names.allSatisfy({ CheckpointPart.step(in: $0) != nil }), Set(names).count == names.count else {
      throw notOfTheFormat("what it names are no parts", at: manifest.place("parts"))
    }
    // The links are for other programs, but they must not lead those elsewhere either.
    for (path, target) in manifest.outside where !names.contains(target.file) || target.path != absolute(path) {
      throw notOfTheFormat("a link leads to another file than a part", at: manifest.place(path))
    }
    return names.indices.map { CheckpointPart(name: names[$0], byteCount: bytes[$0], digest: digests[$0]) }
  }

  /// Names of files in the folder that are parts, with their steps.
  private func partNames() throws -> [(name: String, step: Int)] {
    try fileNames(in: folder).compactMap { name in CheckpointPart.step(in: name).map { (name, $0) } }
  }

  /// Deletes the checkpoint of a step: the file of its name first, so that no manifest is ever without its parts.
  public func remove(step: Int) throws {
    try disk.remove(file(step: step))
    try disk.flushFolder(folder)
    let parts = try partNames().filter { $0.step == step }
    for part in parts { try disk.remove("\(folder)/\(part.name)") }
    if !parts.isEmpty { try disk.flushFolder(folder) }
  }

  /// Deletes parts of steps up to this one that no manifest names: their ranks were killed before all had written.
  public func removeLooseParts(upTo step: Int) throws {
    let byStep = Dictionary(grouping: try partNames().filter { $0.step <= step }, by: \.step)
    for (step, parts) in byStep.sorted(by: { $0.key < $1.key }) {
      let path = file(step: step)
      var named: [String] = []
      var isFolder: ObjCBool = false
      if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue {
        let kinds: [Seal.Kind] = [.checkpoint, .checkpointManifest]
        // What a damaged manifest names is not known.
        guard let kind = try? Seal.claimed(RegularFile(path), kinds).kind else { continue }
        if kind == .checkpointManifest {
          guard let read = try? HDF5CheckpointStore.parts(StoredFile(path, kinds)) else { continue }
          named = read.map(\.name)
        }
      }
      for part in parts where !named.contains(part.name) { try disk.remove("\(folder)/\(part.name)") }
    }
  }
}

/// A manifest to be written when the parts are on disk.
private final class PreparedManifest: PreparedCheckpoint {
  let step: Int
  private let run: RunDescription
  private let parts: [CheckpointPart]
  private let paths: [[String]]
  private let path: String
  private let disk: DurableFile

  init(run: RunDescription, parts: [CheckpointPart], paths: [[String]], path: String, disk: DurableFile) {
    step = run.step
    self.run = run
    self.parts = parts
    self.paths = paths
    self.path = path
    self.disk = disk
  }

  /// A manifest holds no values.
  func put(_ values: Tensor, at first: Int, of path: String) { preconditionFailure("\(path) put into a manifest") }

  func publish() throws -> String {
    try checkParts()
    let file = try HDF5File(building: "manifest", userBlock: Seal.length, capacity: 1 << 20)
    try file.setAttribute("format", of: "", to: .text(HDF5CheckpointStore.format))
    try file.setAttribute("format-version", of: "", to: .integer(HDF5CheckpointStore.formatVersion))
    try file.write(run, to: "run")
    try file.createGroup("parts")
    try file.setAttribute("name", of: "parts", to: .texts(parts.map(\.name)))
    try file.setAttribute("bytes", of: "parts", to: .integers(parts.map(\.byteCount)))
    try file.setAttribute("sha256", of: "parts", to: .texts(parts.map(\.digest)))
    for (part, paths) in zip(parts, paths) {
      for path in paths { try file.link(path, toFile: part.name) }
    }
    try file.close()
    guard let image = file.image else { throw Failure(.internal, "a manifest has no memory", at: path) }
    try disk.write(image.bytes, as: .checkpointManifest, to: path)
    return path
  }

  /// Other hosts may have written into another folder of the same name.
  private func checkParts() throws {
    let folder = (path as NSString).deletingLastPathComponent
    for part in parts {
      let place = "\(folder)/\(part.name)"
      let found = (try? FileManager.default.attributesOfItem(atPath: place))?[.size] as? Int
      guard found == part.byteCount + Seal.length else {
        throw Failure(
          .inputOutput, "rank 0 does not find this part of a checkpoint as its rank wrote it", at: place,
          remedy: "checkpoints in parts need a folder that all hosts share")
      }
    }
  }
}

extension HDF5File {
  /// Makes a path lead to the object of the same path in another file of the folder.
  func link(_ path: String, toFile name: String) throws {
    try perform(path) { file, site in
      try createGroup(above: path, in: file, site)
      try site.check(
        H5Lcreate_external(name, absolute(path), file, absolute(path), ch5_p_default(), ch5_p_default()),
        "link to \(name)")
    }
  }
}
