// What the system does not give: threads, memory, numbers that could count so many elements.

import Support
import Synchronization
import Tensors
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#endif

@Suite struct ShortageTests {
  @Test func aPoolHasTheThreadsItCanGet() async {
    await #expect(processExitsWith: .exitCode(1)) {
      refuseThreads()
      let pool = WorkerPool(threads: 4)
      let seen = Mutex(0)
      pool.run(tiles: 100) { _ in seen.withLock { $0 += 1 } }
      exit(seen.withLock { $0 } == 100 ? Int32(pool.threads) : 99)
    }
  }

  private func line(_ result: ExitTest.Result?) throws -> String {
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    return text.split(separator: "\n").map(String.init).first { $0.hasPrefix("apus: ") } ?? text
  }

  @Test func aBufferThatDoesNotFitEndsInOneLine() async throws {
    let result = await #expect(processExitsWith: .exitCode(70), observing: [\.standardErrorContent]) {
      // The pool asks for sizes in steps of an eighth of a power of two.
      limitFurtherMemory(to: 64 << 20)
      _ = BufferPool.shared.take(100 << 20)
    }
    #expect(try line(result).hasPrefix("apus: the system does not give 436207616 bytes of memory for a buffer; "))
  }

  @Test(arguments: [1 << 58, Int.max]) func aBufferBeyondAllAddressesEndsInOneLine(count: Int) async throws {
    let result = await #expect(processExitsWith: .exitCode(70), observing: [\.standardErrorContent]) { [count] in
      _ = BufferPool.shared.take(count)
    }
    #expect(try line(result).hasPrefix("apus: the system does not give more memory than there are addresses"))
  }

  @Test func aShapeThatCannotBeCountedEndsInOneLine() async throws {
    let result = await #expect(processExitsWith: .exitCode(70), observing: [\.standardErrorContent]) {
      exit(Int32(truncatingIfNeeded: Shape([1 << 31, 1 << 31, 1 << 31]).count))
    }
    #expect(try line(result).contains("a tensor of shape"))
  }
}
