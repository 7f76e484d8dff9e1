// Threads of a test's own, as many as it asks for, whatever the number of cores.

import Foundation

/// Runs `body(index)` on `count` new threads at once and waits for all of them.
///
/// Test expectations belong behind this call: a thread that is not the test's own cannot report them.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  let group = DispatchGroup()
  for index in 0..<count {
    group.enter()
    Thread.detachNewThread {
      body(index)
      group.leave()
    }
  }
  group.wait()
}
