// Crashes under a limit on memory: told as such where the limit is near, left alone elsewhere.

import Foundation
import Support
import Testing

@Suite struct MemoryLimitTests {
  @Test func anAbortNearTheLimitIsOneLine() async throws {
    let result = try #require(
      await #expect(processExitsWith: .exitCode(70), observing: [\.standardErrorContent]) {
        limitAddresses(leaving: 100 << 20)
        MemoryLimit.prepare()
        abort()
      })
    expectTheLine(result.standardErrorContent)
  }

  @Test func aFaultNearTheLimitIsOneLine() async throws {
    let result = try #require(
      await #expect(processExitsWith: .exitCode(70), observing: [\.standardErrorContent]) {
        limitAddresses(leaving: 100 << 20)
        MemoryLimit.prepare()
        raise(SIGSEGV)
      })
    expectTheLine(result.standardErrorContent)
  }

  private func expectTheLine(_ bytes: [UInt8]) {
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    #expect(lines.count == 1, "\(lines)")
    #expect(lines.first?.hasPrefix("apus: less than 128 MB are left under this process's memory limit") == true)
  }

  @Test func anAbortFarFromTheLimitStaysOne() async {
    await #expect(processExitsWith: .signal(SIGABRT)) {
      limitAddresses(leaving: 1 << 40)
      MemoryLimit.prepare()
      abort()
    }
  }

  @Test func aFaultFarFromTheLimitStaysOne() async {
    await #expect(processExitsWith: .signal(SIGILL)) {
      limitAddresses(leaving: 1 << 40)
      MemoryLimit.prepare()
      preconditionFailure("a defect")
    }
  }

  @Test func buffersKeepTheReserve() async {
    await #expect(processExitsWith: .success) {
      limitAddresses(leaving: MemoryLimit.reserve + (20 << 20))
      try #require(MemoryLimit.isSet && !MemoryLimit.isNear)
      let taken = mmap(nil, 30 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      try #require(taken != MAP_FAILED && MemoryLimit.isNear)
    }
  }
}

/// Limits this process to the addresses it has and so many bytes more.
private func limitAddresses(leaving bytes: Int) {
  let pages = systemFileLines("/proc/self/statm").first?.split(separator: " ").first.flatMap { Int($0) } ?? 0
  var limit = rlimit()
  getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
  limit.rlim_cur = rlim_t(pages * Int(getpagesize()) + bytes)
  setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
}
