// When a job is started again, and after how long.

import Support

/// The rules of restarts: what is final, how many in a row, and the pauses between them.
public struct RestartPlan: Sendable {
  /// Restarts in a row without a newer checkpoint.
  public let limit: Int
  /// Seconds before the second of them; each further pause is twice as long, up to five minutes.
  public let backoff: Int
  /// Restarts since the last newer checkpoint.
  public private(set) var inRow = 0
  private var nextPause = 0
  private static let longestPause = 300

  /// From its limits.
  /// - Precondition: neither is negative.
  public init(limit: Int, backoff: Int) {
    precondition(limit >= 0 && backoff >= 0, "\(limit) restarts, \(backoff) s")
    self.limit = limit
    self.backoff = backoff
  }

  /// Whether no restart mends what ended a job with this status: wrong usage, a bad or missing input, an output that
  /// cannot be made.
  public static func isFinal(_ status: Int32) -> Bool {
    let final: [ExitStatus] = [.done, .usage, .badData, .missingInput, .cannotCreate]
    return final.contains { $0.rawValue == status }
  }

  /// Counts a restart. The first after a newer checkpoint is immediate.
  /// - Parameter hasNewerCheckpoint: whether the job that ended left one.
  /// - Returns: seconds to wait before it, or nil if there were enough.
  public mutating func nextRestart(hasNewerCheckpoint: Bool) -> Int? {
    if hasNewerCheckpoint { (inRow, nextPause) = (0, 0) }
    guard inRow < limit else { return nil }
    inRow += 1
    let pause = nextPause
    nextPause = pause == 0 ? backoff : min(2 * pause, max(RestartPlan.longestPause, backoff))
    return pause
  }
}
