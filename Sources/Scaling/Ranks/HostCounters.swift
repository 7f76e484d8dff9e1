// What the system counted of this host and of this process: how much of the cores went to somebody else.

import Foundation
import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Counters of the kernel at one moment. Seconds are of cores: two busy cores count two seconds a second.
struct HostCounters: Sendable {
  /// Seconds that all cores of the host were busy, time taken by the machine below left out.
  var busy = 0.0
  /// Seconds that the machine below gave to others while somebody here wanted them.
  var stolen = 0.0
  /// Seconds that this process computed, all threads together.
  var own = 0.0
  /// Times a thread of this process lost its core to another one.
  var contextSwitches = 0
  /// Wall-clock seconds since an unknown moment.
  var clock = 0.0

  /// As counted now.
  static func now() -> HostCounters {
    var counters = HostCounters()
    let ticks = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
    let line = systemFileLines("/proc/stat").first { $0.hasPrefix("cpu ") } ?? ""
    // user, nice, system, idle, iowait, irq, softirq, steal
    let fields = line.split(separator: " ").dropFirst().compactMap { Double($0) }
    if fields.count >= 8 {
      counters.busy = (fields[0] + fields[1] + fields[2] + fields[5] + fields[6]) / ticks
      counters.stolen = fields[7] / ticks
    }
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    counters.own = [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) * 1e-6 }
    counters.contextSwitches = usage.ru_nivcsw
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    counters.clock = Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    return counters
  }

  /// What was counted since.
  static func - (now: HostCounters, before: HostCounters) -> HostCounters {
    var counters = HostCounters()
    counters.busy = now.busy - before.busy
    counters.stolen = now.stolen - before.stolen
    counters.own = now.own - before.own
    counters.contextSwitches = now.contextSwitches - before.contextSwitches
    counters.clock = now.clock - before.clock
    return counters
  }

  /// Cores of the host, whether or not this process may use them.
  static var cores: Int {
    max(1, systemFileLines("/proc/stat").count { $0.hasPrefix("cpu") && !$0.hasPrefix("cpu ") })
  }

  /// The kernel of this host: hosts that one machine plays share it.
  static var kernelIdentity: String { systemFileLines("/proc/sys/kernel/random/boot_id").first ?? "unknown" }
}

/// What the ranks know of where they ran, gathered: the nature of the launch, steal and foreign load.
struct LaunchPlace: Sendable {
  /// Facts of one rank.
  struct Rank: Codable, Sendable {
    var host: String
    var kernel: String
    /// Numbers of the cores it may use.
    var allowed: [Int]
    /// What its control group leaves it, such as 1.5 cores.
    var usable: Double
    var threads: Int
    /// Cores of the host.
    var cores: Int
    var busy = 0.0
    var stolen = 0.0
    var own = 0.0
    var clock = 0.0

    /// As a launch keeps them.
    var facts: LaunchRank {
      var facts = LaunchRank()
      (facts.host, facts.cores) = (host, allowed.count)
      return facts
    }
  }

  private let machines: [[Rank]]

  init(_ ranks: [Rank]) { machines = Dictionary(grouping: ranks, by: \.kernel).values.map { $0 } }

  /// Measured where every thread has a core and no machine plays several hosts.
  var nature: CellNature {
    let isMeasured = machines.allSatisfy { ranks in
      let cores = min(Double(Set(ranks.flatMap(\.allowed)).count), ranks.map(\.usable).max() ?? 0)
      let threads = ranks.reduce(0) { $0 + $1.threads }
      return Set(ranks.map(\.host)).count == 1 && Double(threads) <= cores.rounded(.up)
    }
    return isMeasured ? .measured : .functional
  }

  /// Share of the cores' time that the machine below took, on the worst host.
  var steal: Double { machines.map { share($0) { $0.map(\.stolen).max() ?? 0 } }.max() ?? 0 }

  /// Share of the cores' time that was busy and not by these ranks, on the worst host.
  var foreign: Double {
    machines.map { share($0) { ($0.map(\.busy).max() ?? 0) - $0.reduce(0) { $0 + $1.own } } }.max() ?? 0
  }

  private func share(_ ranks: [Rank], _ seconds: ([Rank]) -> Double) -> Double {
    let clock = ranks.map(\.clock).max() ?? 0
    let cores = Double(ranks.map(\.cores).max() ?? 1)
    return clock > 0 ? max(0, seconds(ranks) / (clock * cores)) : 0
  }
}
