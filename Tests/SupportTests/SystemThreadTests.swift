// Threads: that they run, and what happens where the system has none.

import Foundation
import Support
import Synchronization
import TestSupport
import Testing

@Suite struct SystemThreadTests {
  private final class Words: Sendable {
    let all = Mutex<[String]>([])
    func add(_ word: String) { all.withLock { $0.append(word) } }
    var list: [String] { all.withLock { $0 } }
  }

  @Test func aJoinedThreadHasRun() throws {
    let words = Words()
    try SystemThread("test") { words.add("done") }.join()
    #expect(words.list == ["done"])
  }

  @Test func aThreadHasItsName() throws {
    let words = Words()
    try SystemThread("apus-test") {
      words.add((try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)) ?? "")
    }.join()
    #expect(words.list == ["apus-test\n"])
  }

  @Test func workIsDoneInOrderAndNotHere() {
    let (words, done) = (Words(), DispatchSemaphore(value: 0))
    let queue = BackgroundQueue("test")
    let here = pthread_self()
    for number in 0..<100 {
      queue.run { words.add(pthread_equal(here, pthread_self()) != 0 ? "here" : "\(number)") }
    }
    queue.run { done.signal() }
    done.wait()
    #expect(words.list == (0..<100).map(String.init))
  }

  @Test func workAfterAPauseIsDoneToo() {
    let (words, done) = (Words(), DispatchSemaphore(value: 0))
    let queue = BackgroundQueue("test")
    for number in 0..<3 {
      queue.run {
        words.add("\(number)")
        done.signal()
      }
      done.wait()
      Thread.sleep(forTimeInterval: 0.01)
    }
    #expect(words.list == ["0", "1", "2"])
  }

  @Test func aThreadThatIsNotToBeHadIsAFailure() async {
    await #expect(processExitsWith: .exitCode(70)) {
      refuseThreads()
      do {
        try SystemThread("test") {}.join()
      } catch let failure as Failure where failure.what.contains("no thread left for test") {
        exit(failure.status.rawValue)
      }
    }
  }

  @Test func workWithoutAThreadIsDoneByWhoeverHandsItOver() async {
    await #expect(processExitsWith: .exitCode(3)) {
      refuseThreads()
      let words = Words()
      let queue = BackgroundQueue("test")
      for number in 0..<3 { queue.run { words.add("\(number)") } }
      exit(Int32(words.list.count))
    }
  }

  @Test func signalsWithoutAThreadAreAFailure() async {
    await #expect(processExitsWith: .exitCode(70)) {
      refuseThreads()
      do { try StopSignals.install() } catch { exit((error as? Failure)?.status.rawValue ?? 1) }
    }
  }

  @Test func theLastResortIsOneLineAndTheStatus() async throws {
    let result = try #require(
      await #expect(processExitsWith: .exitCode(70), observing: [\.standardErrorContent]) {
        endWithoutMemory(123, for: "a buffer")
      })
    let text = String(decoding: result.standardErrorContent, as: UTF8.self)
    #expect(text.contains("apus: the system does not give 123 bytes of memory for a buffer; "), "\(text)")
  }
}
