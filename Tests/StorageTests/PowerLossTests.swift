// The power fails after any operation of a save: of what was not flushed, the disk may have kept all, some or nothing.

import Foundation
import Storage
import StorageHDF5
import Support
import Synchronization
import TestSupport
import Testing

/// What a disk may have kept when the power failed.
private enum Survival: CaseIterable {
  /// Only what was flushed, names and contents.
  case flushedOnly
  /// All names, but of contents only what was flushed.
  case allNames
  /// All names and lengths, zeros where contents were not flushed.
  case allNamesWithHoles
  /// All contents, but only names that were flushed.
  case allContents
}

/// A disk as the operations leave it, and as it is after a power failure.
private struct Disk {
  struct File {
    var content: [UInt8]
    var flushed: [UInt8]
  }
  private var files: [File] = []
  private var names: [String: Int] = [:]
  private var flushedNames: [String: Int] = [:]
  private var descriptors: [Int32: Int] = [:]

  /// What is in a folder, all of it flushed.
  init(_ folder: String) throws {
    for name in try FileManager.default.subpathsOfDirectory(atPath: folder) {
      let bytes = [UInt8](try Data(contentsOf: URL(filePath: "\(folder)/\(name)")))
      names["\(folder)/\(name)"] = files.count
      files.append(File(content: bytes, flushed: bytes))
    }
    flushedNames = names
  }

  mutating func apply(_ event: Journal.Event) {
    switch event {
    case .makeFolder: break
    case .create(let path, let descriptor):
      names[path] = files.count
      descriptors[descriptor] = files.count
      files.append(File(content: [], flushed: []))
    case .write(let bytes, let descriptor, let place):
      guard let file = descriptors[descriptor] else { return }
      let missing = place + bytes.count - files[file].content.count
      if missing > 0 { files[file].content += [UInt8](repeating: 0, count: missing) }
      files[file].content.replaceSubrange(place..<place + bytes.count, with: bytes)
    case .flush(let descriptor):
      if let file = descriptors[descriptor] { files[file].flushed = files[file].content }
    case .rename(let path, let name): names[name] = names.removeValue(forKey: path)
    case .remove(let path): names[path] = nil
    case .flushFolder(let folder):
      func lies(_ path: String) -> Bool { (path as NSString).deletingLastPathComponent == folder }
      flushedNames = flushedNames.filter { !lies($0.key) }.merging(names.filter { lies($0.key) }) { $1 }
    }
  }

  /// Puts what survives into another folder.
  func survivors(_ survival: Survival, of folder: String, in target: String) throws {
    let kept = survival == .flushedOnly || survival == .allContents ? flushedNames : names
    for (path, number) in kept {
      let file = files[number]
      let bytes =
        switch survival {
        case .flushedOnly, .allNames: file.flushed
        case .allNamesWithHoles:
          file.flushed + [UInt8](repeating: 0, count: max(0, file.content.count - file.flushed.count))
        case .allContents: file.content
        }
      let place = target + path.dropFirst(folder.count)
      try FileManager.default.createDirectory(
        atPath: (place as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      try Data(bytes).write(to: URL(filePath: place))
    }
  }
}

/// The system's calls, written down.
private final class Journal: FileOperations {
  enum Event {
    case makeFolder(String)
    case create(String, Int32)
    case write([UInt8], Int32, Int)
    case flush(Int32)
    case rename(String, String)
    case remove(String)
    case flushFolder(String)
  }
  private let system = SystemFileOperations()
  private let list = Mutex<[Event]>([])

  var events: [Event] { list.withLock { $0 } }

  private func note(_ event: Event) { list.withLock { $0.append(event) } }

  func makeFolder(_ path: String) throws(SystemError) {
    try system.makeFolder(path)
    note(.makeFolder(path))
  }

  func create(_ path: String) throws(SystemError) -> Int32 {
    let descriptor = try system.create(path)
    note(.create(path, descriptor))
    return descriptor
  }

  func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at place: Int) throws(SystemError) -> Int {
    let piece = UnsafeRawBufferPointer(rebasing: bytes.prefix(4096))
    let count = try system.write(piece, to: descriptor, at: place)
    note(.write(Array(piece.prefix(count)), descriptor, place))
    return count
  }

  func flush(_ descriptor: Int32) throws(SystemError) {
    try system.flush(descriptor)
    note(.flush(descriptor))
  }

  func rename(_ path: String, to name: String) throws(SystemError) {
    try system.rename(path, to: name)
    note(.rename(path, name))
  }

  func remove(_ path: String) throws(SystemError) {
    try system.remove(path)
    note(.remove(path))
  }

  func flushFolder(_ path: String) throws(SystemError) {
    try system.flushFolder(path)
    note(.flushFolder(path))
  }
}

@Suite struct PowerLossTests {
  @Test(arguments: Saving.allCases) func aPowerFailureAnywhereLosesNothing(saving: Saving) throws {
    let folder = try TemporaryFolder()
    try saving.prepare(folder.path)
    var disk = try Disk(folder.path)
    let journal = Journal()
    try saving.run(folder.path, journal)
    let events = journal.events
    #expect(events.count > 10)
    for number in 0...events.count {
      for survival in Survival.allCases {
        let after = try TemporaryFolder()
        try disk.survivors(survival, of: folder.path, in: after.path)
        let complaint = try saving.complaint(after.path)
        #expect(complaint == nil, "after \(number) operations, \(survival)")
      }
      if number < events.count { disk.apply(events[number]) }
    }
  }
}
