// Memory that Open MPI's ranks share on a host, and leave behind where they are killed.

import Foundation
import Support

/// Segments of ranks of one host: files `vader_segment.HOST.USER.JOB.RANK` (Open MPI 4) or `sm_segment.…` (5), 4 MB each.
///
/// Whoever made or uses a segment has it open or mapped for as long as it lives, so that one which no process has is
/// left over. Other hosts cannot be asked from here: what is left there goes when ranks of a later job are ended there in
/// the usual way, or with the host.
public struct SharedSegments: Sendable {
  /// Where they lie.
  private let folder: String
  /// Segments made before are not looked at: they are not the job's.
  private let since: Date

  /// Segments in a folder that were made since then.
  public init(in folder: String = "/dev/shm", since: Date) {
    self.folder = folder
    self.since = since
  }

  /// Removes the job's segments that no process has any more. Ranks that are just being killed are waited for.
  /// - Returns: how many were removed.
  public func removeLeftOver(patience: Duration = .seconds(2)) async -> Int {
    let deadline = ContinuousClock.now + patience
    var removed = 0
    while true {
      let present = candidates
      guard !present.isEmpty else { return removed }
      let held = SharedSegments.held(present)
      for name in present where !held.contains(name) {
        if unlink("\(folder)/\(name)") == 0 { removed += 1 }
      }
      guard !held.isEmpty, ContinuousClock.now < deadline else { return removed }
      try? await Task.sleep(for: .milliseconds(50))
    }
  }

  /// Names of this user's segments on this host that are new enough.
  private var candidates: [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let host = ProcessInfo.processInfo.hostName
    let hosts = [host, String(host.prefix { $0 != "." })]
    return names.filter { name in
      guard let match = name.wholeMatch(of: /(?:vader|sm)_segment\.(.+)\.(\d+)\.[0-9a-f]+\.\d+/),
        hosts.contains(String(match.1)), match.2 == String(geteuid()),
        let made = try? FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")[.modificationDate] as? Date
      else { return false }
      return made >= since
    }
  }

  /// Which of the files a process has open or mapped. A file is opened first and mapped then, so looking in that order
  /// misses nobody.
  private static func held(_ names: [String]) -> Set<String> {
    let files = FileManager.default
    var held: Set<String> = []
    func look(_ path: String) { held.formUnion(names.filter { path.hasSuffix("/" + $0) }) }
    for process in (try? files.contentsOfDirectory(atPath: "/proc")) ?? [] where Int(process) != nil {
      let folder = "/proc/\(process)"
      for descriptor in (try? files.contentsOfDirectory(atPath: folder + "/fd")) ?? [] {
        if let path = try? files.destinationOfSymbolicLink(atPath: "\(folder)/fd/\(descriptor)") { look(path) }
      }
      let maps = files.contents(atPath: folder + "/maps") ?? Data()
      for line in String(decoding: maps, as: UTF8.self).split(separator: "\n") { look(String(line)) }
    }
    return held
  }
}
