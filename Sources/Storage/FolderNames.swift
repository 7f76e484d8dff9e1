// What is in a folder. A folder that cannot be listed is not an empty one: a run would start afresh beside its own state.

import Foundation
import Support

/// Names in a folder, in no particular order; none if there is no such folder.
/// - Throws: `Failure` 74 if there is something of that name and it cannot be listed.
public func fileNames(in folder: String) throws -> [String] {
  func refusal(_ reason: String) -> Failure {
    Failure(
      .inputOutput, "cannot list the folder (\(reason))", at: folder,
      remedy: "see to it that it is a folder which may be read")
  }
  // Foundation tells "is not there" and "may not be read" apart, but not in words for people.
  guard let opened = opendir(folder) else {
    let number = errno
    if number == ENOENT { return [] }
    throw refusal(String(cString: strerror(number)))
  }
  closedir(opened)
  do {
    return try FileManager.default.contentsOfDirectory(atPath: folder)
  } catch { throw refusal(error.localizedDescription) }
}
