// Which checkpoints to keep.

/// Keeps the newest few, and every so-many-th step for good.
public struct Retention: Sendable, Equatable {
  /// How many of the newest to keep.
  public let newest: Int
  /// Steps divisible by this are kept for good; nil keeps none besides the newest.
  public let every: Int?

  /// A rule.
  /// - Precondition: `newest` and `every` are positive.
  public init(newest: Int, every: Int? = nil) {
    precondition(newest > 0 && (every ?? 1) > 0, "keep \(newest) newest and every \(every ?? 1)-th")
    self.newest = newest
    self.every = every
  }

  /// The steps to delete, ascending.
  /// - Parameters:
  ///   - steps: those of all checkpoints, ascending.
  ///   - verified: never deleted; nor is anything newer, which may yet be looked into.
  public func surplus(of steps: [Int], verified: Int) -> [Int] {
    let sorted = steps.sorted()
    return sorted.dropLast(newest).filter { step in
      if let every, step % every == 0 { return false }
      return step < verified
    }
  }
}
