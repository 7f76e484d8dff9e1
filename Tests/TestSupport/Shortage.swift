// A process that gets nothing more from the system. The limits last for the life of the process: for exit tests only.

import Foundation

/// Leaves this process so little address space that no stack for another thread fits into it.
public func refuseThreads() {
  // A stack takes 8 MiB; small requests are still served.
  limitAddressSpace(to: addressSpace() + 4 << 20)
}

/// Lets this process have no further thread, whatever memory there is. Limits of number do not hold root, which therefore
/// becomes nobody: files that are needed are made afterwards.
public func allowNoFurtherThread() {
  if geteuid() == 0 {
    setgid(65534)
    setuid(65534)
  }
  var limit = rlimit(rlim_cur: 1, rlim_max: 1)
  setrlimit(__rlimit_resource_t(__RLIMIT_NPROC.rawValue), &limit)
}

/// Leaves this process `bytes` of address space besides what it has.
public func limitFurtherMemory(to bytes: Int) { limitAddressSpace(to: addressSpace() + bytes) }

private func limitAddressSpace(to bytes: Int) {
  var limit = rlimit(rlim_cur: rlim_t(bytes), rlim_max: rlim_t(bytes))
  setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
}

private func addressSpace() -> Int {
  let pages = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ").first
  return (pages.flatMap { Int($0) } ?? 0) * 4096
}
