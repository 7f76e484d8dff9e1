// Processes that count their requests for heap memory: this one does not.

import Foundation

/// Runs `body`; processes that it starts, those of exit tests among them, load the library that counts.
public func countingHeapRequests(_ body: () async throws -> Void) async rethrows {
  setenv("LD_PRELOAD", apusExecutable.deletingLastPathComponent().appending(path: "libHeapCount.so").path, 1)
  defer { unsetenv("LD_PRELOAD") }
  try await body()
}
