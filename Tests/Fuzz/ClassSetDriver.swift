// libFuzzer on class set files.

import Domains
import Foundation
import Support
import Recipes

/// One file for all inputs, in memory.
private let path = "/dev/shm/apus-fuzz-classes-\(getpid()).yaml"

/// Called by libFuzzer for each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func readClassSet(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard FileManager.default.createFile(atPath: path, contents: Data(bytes: start, count: count)) else {
    fatalError("cannot write \(path)")
  }
  do {
    let set = try ClassSet(contentsOf: path)
    precondition((1...255).contains(set.count) && set.scoredAs.count == set.count)
  } catch let failure as Failure {
    precondition(failure.status == .badData && !"\(failure)".contains(where: \.isNewline))
  } catch {
    fatalError("\(error)")
  }
  return 0
}
