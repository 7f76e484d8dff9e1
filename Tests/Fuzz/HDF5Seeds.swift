// What the drivers of HDF5 files share: sound files to begin with, and the way from an input to a sealed file.

import Foundation
import Storage
import StorageHDF5
import Support
import Tensors

/// Called by libFuzzer once, before anything else. With FUZZ_SEEDS=FOLDER, writes the driver's seeds there and stops.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(_: UnsafeMutableRawPointer?, _: UnsafeMutableRawPointer?) -> CInt {
  do {
    try Scratch.make()
    guard let folder = ProcessInfo.processInfo.environment["FUZZ_SEEDS"] else { return 0 }
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for (index, seed) in try seeds().enumerated() {
      try Data(seed).write(to: URL(filePath: "\(folder)/seed-\(index)"))
    }
    exit(0)
  } catch { fatalError("\(error)") }
}

/// A folder in memory for the file that is read.
enum Scratch {
  static let folder = "/dev/shm/apus-fuzz-\(getpid())"

  static func make() throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    atexit { try? FileManager.default.removeItem(atPath: Scratch.folder) }
  }

  /// Writes an input under a seal that fits it: the first byte chooses the kind, the others follow the user block.
  static func put(_ input: UnsafeBufferPointer<UInt8>, kinds: [String], name: String) {
    let content = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(input)[1...])
    let hash = SHA256()
    hash.update(content.bytes)
    let kind = kinds[Int(input[0]) % kinds.count]
    var block = Array(
      "APUS SEALED FILE 1\nkind \(kind)\nbytes \(content.count)\nsha256 \(hash.hexadecimal())\n".utf8)
    block += [UInt8](repeating: 0x20, count: 511 - block.count) + [0x0a]
    let descriptor = open("\(folder)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    precondition(descriptor >= 0)
    guard write(descriptor, block, block.count) == block.count,
      write(descriptor, content.baseAddress, content.count) == content.count
    else { fatalError("no room in memory") }
    close(descriptor)
  }

  /// The bytes after the user block of a file of the folder, behind the byte that chooses their kind.
  static func seed(_ choice: UInt8, _ name: String) throws -> [UInt8] {
    [choice] + (try Data(contentsOf: URL(filePath: "\(folder)/\(name)"))).dropFirst(512)
  }
}

/// Reads; only failures of status 65 or 66 in one line may come of it.
func reading(_ body: () throws -> Void) {
  do {
    try body()
  } catch let failure as Failure {
    let text = "\(failure)"
    precondition([.badData, .missingInput].contains(failure.status), text)
    precondition(!text.contains(where: \.isNewline) && text.utf8.count < 6000, text)
  } catch {
    fatalError("\(error)")
  }
}
