// Small values and texts that all ranks must know of each other, and failures that all ranks must share.
// Every function here is called by all ranks, in the same order.

import Support

extension Communicator {
  /// The smallest of all ranks' values, index by index.
  public func allMinimum(_ values: [Int64]) throws -> [Int64] {
    try combined(values) { first, second, count in
      for index in 0..<count { first[index] = min(first[index], second[index]) }
    }
  }

  /// The smallest of all ranks' values.
  public func allMinimum(_ value: Int64) throws -> Int64 { try allMinimum([value])[0] }

  /// The largest of all ranks' values, index by index.
  public func allMaximum(_ values: [Int64]) throws -> [Int64] {
    try combined(values) { first, second, count in
      for index in 0..<count { first[index] = max(first[index], second[index]) }
    }
  }

  /// The largest of all ranks' values.
  public func allMaximum(_ value: Int64) throws -> Int64 { try allMaximum([value])[0] }

  /// The sum over ranks, index by index. It wraps on overflow.
  public func sumIntegers(_ values: [Int64]) throws -> [Int64] {
    try combined(values) { first, second, count in
      for index in 0..<count { first[index] &+= second[index] }
    }
  }

  /// The bits set on any rank.
  public func orBits(_ bits: UInt64) throws -> UInt64 { try orBits([bits])[0] }

  /// The bits set on any rank, word by word.
  public func orBits(_ words: [UInt64]) throws -> [UInt64] {
    try combined(words) { first, second, count in
      for index in 0..<count { first[index] |= second[index] }
    }
  }

  private func combined<Element: BitwiseCopyable>(
    _ values: [Element], by join: RankTree.Join<Element>
  ) throws -> [Element] {
    var values = values
    try values.withUnsafeMutableBufferPointer { try RankTree(on: self).combine($0, by: join) }
    return values
  }
}

extension Communicator {
  /// The root's bytes, on every rank; what the others pass is not looked at.
  public func broadcastBytes(_ bytes: [UInt8], from root: Int = 0) throws -> [UInt8] {
    var count = [Int64(bytes.count)]
    try count.withUnsafeMutableBytes { try broadcast($0, from: root) }
    var bytes = rank == root ? bytes : [UInt8](repeating: 0, count: Int(count[0]))
    try bytes.withUnsafeMutableBytes { try broadcast($0, from: root) }
    return bytes
  }

  /// The root's text, on every rank.
  public func broadcastString(_ text: String, from root: Int = 0) throws -> String {
    String(decoding: try broadcastBytes(Array(text.utf8), from: root), as: UTF8.self)
  }

  /// All ranks' bytes, in rank order, on every rank. Lengths may differ. Twice log2 P exchanges, see `gathered`.
  public func gatherBytes(_ bytes: [UInt8]) throws -> [[UInt8]] { try gathered(bytes) }

  /// All ranks' texts, in rank order, on every rank.
  public func gatherStrings(_ text: String) throws -> [String] {
    try gatherBytes(Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
  }
}

extension Communicator {
  /// Returns this rank's value if every rank has one; else all ranks throw the failure of the lowest rank that failed.
  ///
  /// The failure names that rank and its host unless all ranks failed. It is remembered as `agreedFailure`, so that
  /// the command can end in good order and rank 0 alone prints it.
  public func agree<Value>(_ result: Result<Value, Failure>) throws -> Value {
    let mine: Failure? = if case .failure(let failure) = result { failure } else { nil }
    let votes = try allMinimum([Int64(mine == nil ? worldSize : rank), mine == nil ? 0 : 1])
    guard votes[0] == worldSize else {
      let place = votes[1] == 1 ? nil : "rank \(votes[0]) on \(hostName)"
      throw failTogether(try broadcastFailure(place.flatMap { mine?.within($0) } ?? mine, from: Int(votes[0])))
    }
    return try result.get()
  }

  /// Runs `body` on this rank and agrees on the outcome: it returns on all ranks or throws the same failure on all.
  ///
  /// `body` must not communicate, since a rank that fails in it would leave the others waiting. Errors other than
  /// `Failure` count as internal ones.
  public func together<Value>(_ body: () throws -> Value) throws -> Value {
    try agree(
      Result { try body() }.mapError { error in
        error as? Failure ?? Failure(.internal, "\(error)")
      })
  }

  /// Remembers and returns a failure that every rank has come to by itself, from reduced values, to be thrown by all.
  public func failTogether(_ failure: Failure) -> Failure {
    agreedFailure = failure
    return failure
  }

  private func broadcastFailure(_ failure: Failure?, from root: Int) throws -> Failure {
    let status = try broadcastBytes([UInt8(truncatingIfNeeded: failure?.status.rawValue ?? 0)], from: root)
    let what = try broadcastString(failure?.what ?? "", from: root)
    let place = try broadcastString(failure?.place ?? "", from: root)
    let remedy = try broadcastString(failure?.remedy ?? "", from: root)
    return Failure(
      ExitStatus(rawValue: Int32(status[0])) ?? .internal, what, at: place.isEmpty ? nil : place,
      remedy: remedy.isEmpty ? nil : remedy)
  }
}
