// What the system lets this process use: cores and memory by affinity and control group (cgroups v2 and v1).

import Foundation

/// Lines of a file, also of one whose length the system does not know beforehand; none if it cannot be read.
public func systemFileLines(_ path: String) -> [String] {
  guard let bytes = try? FileHandle(forReadingFrom: URL(fileURLWithPath: path)).readToEnd() else { return [] }
  return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
}

/// Cores that this process may keep busy: those of its affinity, or its control group's quota where that is less.
public func usableCores() -> Double {
  min(Double(ProcessInfo.processInfo.activeProcessorCount), ControlGroup().cores ?? .infinity)
}

/// Limits of the control groups that this process is in. A group's limit binds all groups below it.
public struct ControlGroup {
  private let root: String

  /// This process's groups.
  /// - Parameter root: a folder that stands for `/`; only tests have a reason for another.
  public init(root: String = "") { self.root = root }

  /// Cores that the least quota allows, such as 1.5; nil without a quota.
  public var cores: Double? {
    let unified = folders("", ["", "unified/"]).compactMap { folder -> Double? in
      let words = (systemFileLines("\(folder)/cpu.max").first ?? "").split(separator: " ").map { Double($0) }
      return words.count == 2 ? ControlGroup.share(words[0], words[1]) : nil
    }
    let legacy = folders("cpu", ["cpu/", "cpu,cpuacct/"]).compactMap { folder in
      ControlGroup.share(number("\(folder)/cpu.cfs_quota_us"), number("\(folder)/cpu.cfs_period_us"))
    }
    return (unified + legacy).min()
  }

  /// Bytes that the tightest limit leaves to further use; nil without a limit.
  public var availableMemoryBytes: Int? {
    let unified = folders("", ["", "unified/"]).map { ("\($0)/memory.max", "\($0)/memory.current") }
    let legacy = folders("memory", ["memory/"]).map {
      ("\($0)/memory.limit_in_bytes", "\($0)/memory.usage_in_bytes")
    }
    return (unified + legacy).compactMap { limit, used -> Int? in
      // Version 1 writes a number near the largest one where there is no limit.
      guard let limit = number(limit), limit < 0x1p60 else { return nil }
      return Int(max(0, limit - (number(used) ?? 0)))
    }.min()
  }

  private static func share(_ quota: Double?, _ period: Double?) -> Double? {
    guard let quota, let period, quota > 0, period > 0 else { return nil }
    return quota / period
  }

  private func number(_ path: String) -> Double? {
    systemFileLines(path).first.flatMap(Double.init).flatMap { $0.isFinite ? $0 : nil }
  }

  /// Folders of this process's group of a controller and of all groups above it; "" is the unified hierarchy.
  private func folders(_ controller: String, _ mounts: [String]) -> [String] {
    for line in systemFileLines("\(root)/proc/self/cgroup") {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3,
        parts[1].split(separator: ",", omittingEmptySubsequences: false).contains(Substring(controller))
      else { continue }
      let names = parts[2].split(separator: "/")
      // In a container, the path may be the host's while the files are those of the group at the top.
      return mounts.flatMap { mount in
        (0...names.count).map { "\(root)/sys/fs/cgroup/\(mount)" + names.prefix($0).joined(separator: "/") }
      }
    }
    return []
  }
}
