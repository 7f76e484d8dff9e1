// The body of a call that threads share, handed to them without heap memory. A closure that may not escape lies on its
// caller's stack, and Swift lets nobody keep it; `withoutActuallyEscaping` does, and asks for a block of heap memory each
// time. A step has thousands of such calls, so the pool keeps the two words instead that a call passes for a closure:
// its function and its context. Functions that take a closure and functions that take two words are called alike, so a
// bit cast of the function turns the one into the other; the closure itself is never copied, retained or released.

/// The two words of a closure that may not escape. Valid until the call returns that lent them.
struct TileBody: @unchecked Sendable {
  private let function: UnsafeRawPointer
  private let context: UnsafeRawPointer?

  /// Runs `use` with the words of `body`, which it may call on any thread until it returns.
  static func lend(_ body: (Int) -> Void, _ use: (TileBody) -> Void) { lender.call(body, use) }

  /// Calls the closure.
  func callAsFunction(_ tile: Int) { caller.call(self, tile) }
}

// Fields of structures have the calling convention they are written with; as arguments of `unsafeBitCast` itself,
// functions would be wrapped.

private struct LendClosure: Sendable {
  let call: @Sendable (_ body: (Int) -> Void, _ use: (TileBody) -> Void) -> Void
}

private struct LendWords: Sendable {
  let call: @Sendable (_ body: TileBody, _ use: (TileBody) -> Void) -> Void
}

private struct CallClosure: Sendable {
  let call: @Sendable (_ body: (Int) -> Void, _ tile: Int) -> Void
}

private struct CallWords: Sendable {
  let call: @Sendable (_ body: TileBody, _ tile: Int) -> Void
}

private let lender = unsafeBitCast(LendWords { body, use in use(body) }, to: LendClosure.self)
private let caller = unsafeBitCast(CallClosure { body, tile in body(tile) }, to: CallWords.self)
