// Unfinished files go where their writer has certainly ended, and stay where it may live: on this host, in a container
// or elsewhere.

import Foundation
import Storage
import StorageHDF5
import Support
import TestSupport
import Testing

@Suite struct TemporaryTests {
  private let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  /// Fields of a name, `step-00000001.HOST.BOOT-NAMESPACE-PROCESS-START-NUMBER.h5.tmp`.
  private func name(_ fields: [String]) -> String { "step-00000001.node7.\(fields.joined(separator: "-"))-0.h5.tmp" }

  /// Puts an unfinished file of every kind of owner into the folder.
  /// - Returns: the names by kind.
  private func leftovers() throws -> [String: String] {
    let own = "\(ProcessIdentity.current)".split(separator: "-").map(String.init)
    let names = [
      "living": name(own), "used again": name(own[..<3] + ["1"]),
      "ended": name(own[..<2] + ["4194304", own[3]]), "of another host": name(["0123456789ab"] + own[1...]),
      "of a container": name([own[0], "1", own[2], own[3]]), "of a former version": "step-00000001.4711-0.h5.tmp",
    ]
    for name in names.values { try folder.write([1], to: name) }
    return names
  }

  @Test func aSaveRemovesWhatTheDeadLeft() throws {
    let names = try leftovers()
    try HDF5CheckpointStore(folder: folder.path).save(exampleSnapshot(step: 2))
    let left = Set(folder.names)
    let kept = ["living", "of another host", "of a container", "of a former version"]
    for (kind, name) in names { #expect(left.contains(name) == kept.contains(kind), "\(kind)") }
    #expect(left.count == kept.count + 1 && left.contains("step-00000002.h5"), "\(left)")
  }

  @Test func aRunBeginsWithoutUnfinishedFiles() throws {
    let names = try leftovers()
    try folder.write([1], to: "notes.tmp")
    #expect(readyForWriting([folder.path, folder.file("none")]) == [])
    #expect(folder.names == ["notes.tmp", try #require(names["living"])].sorted())
  }

  /// The system's calls, but every unfinished file is looked at.
  private struct Watching: FileOperations {
    let system = SystemFileOperations()
    let created: @Sendable (String) -> Void
    func makeFolder(_ path: String) throws(SystemError) { try system.makeFolder(path) }
    func create(_ path: String) throws(SystemError) -> Int32 {
      created(path)
      return try system.create(path)
    }
    func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at place: Int) throws(SystemError) -> Int {
      try system.write(bytes, to: descriptor, at: place)
    }
    func flush(_ descriptor: Int32) throws(SystemError) { try system.flush(descriptor) }
    func rename(_ path: String, to name: String) throws(SystemError) { try system.rename(path, to: name) }
    func remove(_ path: String) throws(SystemError) { try system.remove(path) }
    func flushFolder(_ path: String) throws(SystemError) { try system.flushFolder(path) }
  }

  @Test func anUnfinishedFileNamesItsWriter() throws {
    let long = folder.file("\(String(repeating: "ä", count: 120)).h5")
    let operations = Watching { path in
      let name = (path as NSString).lastPathComponent
      #expect(name.utf8.count <= 255 && name.contains(".\(ProcessIdentity.current)-"), "\(name)")
    }
    let store = HDF5CheckpointStore(folder: folder.path, operations: operations)
    _ = try store.prepare(exampleSnapshot(step: 3), to: long).publish()
    #expect(FileManager.default.fileExists(atPath: long))
    try store.verify(file: long)
  }
}
