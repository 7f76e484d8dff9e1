// The system's calls with one fault: the k-th fails, or the process ends there.

import Foundation
import StorageHDF5
import Synchronization

/// What happens at the chosen operation.
enum Fault: String, CaseIterable {
  /// It fails for want of room.
  case noRoom
  /// It fails by an error of the device.
  case deviceError
  /// A write does half of its work, then the device fails; other operations fail before they begin.
  case tornError
  /// The process is killed before it.
  case killBefore
  /// A write does half of its work, then the process is killed; other operations are killed before they begin.
  case killTorn
  /// The process is killed after it.
  case killAfter

  static let errors: [Fault] = [.noRoom, .deviceError, .tornError]
  static let kills: [Fault] = [.killBefore, .killTorn, .killAfter]
}

/// Counts operations and does a fault at one of them. Writes go in small pieces, so that there are many.
final class FaultyOperations: FileOperations {
  private let system = SystemFileOperations()
  private let fault: (at: Int, kind: Fault)?
  private let done = Mutex<[String]>([])
  private static let piece = 4096

  /// Without a fault it only counts.
  init(_ fault: (at: Int, kind: Fault)? = nil) { self.fault = fault }

  /// Names of the operations so far.
  var names: [String] { done.withLock { $0 } }

  private func step<Result>(
    _ name: String, half: () -> Void = {}, _ body: () throws(SystemError) -> Result
  ) throws(SystemError) -> Result {
    let number = done.withLock { names in
      names.append(name)
      return names.count - 1
    }
    guard let fault, fault.at == number else { return try body() }
    switch fault.kind {
    case .noRoom: throw SystemError(ENOSPC)
    case .deviceError: throw SystemError(EIO)
    case .tornError:
      half()
      throw SystemError(EIO)
    case .killBefore: die()
    case .killTorn:
      half()
      die()
    case .killAfter:
      _ = try? body()
      die()
    }
  }

  private func die() -> Never {
    kill(getpid(), SIGKILL)
    while true { pause() }
  }

  func makeFolder(_ path: String) throws(SystemError) {
    try step("makeFolder") { () throws(SystemError) in try system.makeFolder(path) }
  }

  func create(_ path: String) throws(SystemError) -> Int32 {
    try step("create") { () throws(SystemError) in try system.create(path) }
  }

  func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at place: Int) throws(SystemError) -> Int {
    let piece = UnsafeRawBufferPointer(rebasing: bytes.prefix(FaultyOperations.piece))
    let half = UnsafeRawBufferPointer(rebasing: piece.prefix(piece.count / 2))
    return try step(
      "write", half: { _ = try? system.write(half, to: descriptor, at: place) }
    ) { () throws(SystemError) in
      try system.write(piece, to: descriptor, at: place)
    }
  }

  func flush(_ descriptor: Int32) throws(SystemError) {
    try step("flush") { () throws(SystemError) in try system.flush(descriptor) }
  }

  func rename(_ path: String, to name: String) throws(SystemError) {
    try step("rename") { () throws(SystemError) in try system.rename(path, to: name) }
  }

  func remove(_ path: String) throws(SystemError) {
    try step("remove") { () throws(SystemError) in try system.remove(path) }
  }

  func flushFolder(_ path: String) throws(SystemError) {
    try step("flushFolder") { () throws(SystemError) in try system.flushFolder(path) }
  }
}
