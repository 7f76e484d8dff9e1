// The behaviour every communicator owes, as checks that all ranks run together: the unit tests run them on threads,
// `apus self-test` over MPI. Each compares with a plain computation on gathered data.

import Support

/// The outcome of one check, the same on all ranks.
public struct CheckOutcome: Sendable, Equatable, Codable {
  /// What was checked.
  public let name: String
  /// Whether it held on every rank.
  public let holds: Bool
}

/// Checks of one communicator.
public struct CollectiveChecks {
  /// Vector lengths tried: none, one, primes, and both sides of the limit between short and long messages.
  public static let lengths = [0, 1, 2, 3, 7, 31, 1021, 4095, 4096, 4099, 50_021]

  private let communicator: any Communicator
  private var rank: Int { communicator.rank }
  private var worldSize: Int { communicator.worldSize }

  /// Checks of this communicator.
  public init(on communicator: any Communicator) { self.communicator = communicator }

  /// Runs all checks. Called by all ranks.
  /// - Parameter exchangeBytes: length of the longest single message.
  /// - Throws: what an operation throws; a check that merely does not hold is an outcome.
  public func run(exchangeBytes: Int = 17_000_003) throws -> [CheckOutcome] {
    var outcomes = try CollectiveChecks.lengths.map { try check("sum of \($0) values", sumHolds($0)) }
    outcomes.append(try check("other trees give other bits", otherTreeDiffers()))
    outcomes.append(try check("native sum", nativeSumHolds()))
    outcomes.append(try check("ring exchange of \(exchangeBytes) bytes", exchangeHolds(exchangeBytes)))
    outcomes.append(try check("broadcast of \(exchangeBytes) bytes", broadcastHolds(exchangeBytes)))
    outcomes.append(try check("agreement on integers", integersHold()))
    outcomes.append(try check("gathered texts", textsHold()))
    outcomes.append(try check("agreement on failures", failuresHold()))
    try communicator.barrier()
    return outcomes
  }

  private func check(_ name: String, _ holds: Bool) throws -> CheckOutcome {
    CheckOutcome(name: name, holds: try communicator.allMinimum(holds ? 1 : 0) == 1)
  }

  /// The values one rank brings to a sum: of very different size, so that each order of additions rounds differently.
  private func values(_ rank: Int, _ count: Int) -> [Double] {
    var stream = RandomStream(seed: 17, step: count, sample: rank, purpose: Purpose("collective checks"))
    return (0..<count).map { _ in stream.nextNormal() * (stream.nextNormal() * 4).exponential }
  }

  /// The plain tree: a list of vectors, neighbours added until one is left.
  private func plainTree<Element: FloatingPoint>(_ rows: [[Element]]) -> [Element] {
    var level = rows
    while level.count > 1 {
      level = stride(from: 0, to: level.count, by: 2).map { first in
        first + 1 < level.count ? zip(level[first], level[first + 1]).map { $0 + $1 } : level[first]
      }
    }
    return level[0]
  }

  private func sumHolds(_ count: Int) throws -> Bool {
    var long = values(rank, count)
    var short = long.map { Float($0) }
    let rows = try communicator.gatherBytes(long.withUnsafeBytes { Array($0) }).map { bytes in
      bytes.withUnsafeBytes { Array($0.bindMemory(to: Double.self)) }
    }
    try sumTree(&long, on: communicator)
    try short.withUnsafeMutableBufferPointer { try sumTree($0, on: communicator) }
    let sameLong = zip(long, plainTree(rows)).allSatisfy { $0.bitPattern == $1.bitPattern }
    let plainShort = plainTree(rows.map { row in row.map { Float($0) } })
    return sameLong && zip(short, plainShort).allSatisfy { $0.bitPattern == $1.bitPattern }
      && rows.allSatisfy { $0.count == count } && long.count == count && short.count == count
  }

  /// The sums must tell one tree from another, or the checks above would prove nothing. Two ranks have one tree only.
  private func otherTreeDiffers() throws -> Bool {
    guard worldSize > 2 else { return true }
    var straight = values(rank, 1021)
    var permuted = straight
    try sumTree(&straight, on: communicator)
    let order = [0, 2, 1] + Array(3..<worldSize)
    try permuted.withUnsafeMutableBufferPointer { try RankTree(on: communicator, order: order).sum($0) }
    return straight != permuted && zip(straight, permuted).allSatisfy { abs($0 - $1) <= 1e-9 * max(abs($0), 1) }
  }

  private func nativeSumHolds() throws -> Bool {
    var numbers = (0..<5003).map { Float(($0 + rank) % 97) }
    try numbers.withUnsafeMutableBufferPointer { try communicator.nativeSum($0) }
    return numbers.indices.allSatisfy { index in
      numbers[index] == Float((0..<worldSize).reduce(0) { $0 + (index + $1) % 97 })
    }
  }

  private func pattern(_ rank: Int, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 31) ^ ($0 >> 9) ^ (rank &* 89)) }
  }

  private func exchangeHolds(_ count: Int) throws -> Bool {
    let (next, previous) = ((rank + 1) % worldSize, (rank + worldSize - 1) % worldSize)
    let outgoing = pattern(rank, count)
    var incoming = [UInt8](repeating: 0, count: count)
    try outgoing.withUnsafeBytes { sent in
      try incoming.withUnsafeMutableBytes { received in
        try communicator.exchange(sending: sent, to: next, receiving: received, from: previous)
      }
    }
    return incoming == pattern(previous, count)
  }

  private func broadcastHolds(_ count: Int) throws -> Bool {
    let root = worldSize - 1
    let bytes = try communicator.broadcastBytes(rank == root ? pattern(root, count) : [], from: root)
    return bytes == pattern(root, count)
  }

  private func integersHold() throws -> Bool {
    let last = Int64(worldSize - 1)
    let mine = Int64(rank)
    return try communicator.allMinimum([mine, -mine]) == [0, -last]
      && communicator.allMaximum([mine, Int64.min + mine]) == [last, Int64.min + last]
      && communicator.sumIntegers([1, mine]) == [last + 1, last * (last + 1) / 2]
      && communicator.orBits(1 << UInt64(rank % 64)) == (worldSize < 64 ? (1 << UInt64(worldSize)) - 1 : UInt64.max)
  }

  private func textsHold() throws -> Bool {
    let text = { (rank: Int) in String(repeating: "é", count: rank) }
    return try communicator.gatherStrings(text(rank)) == (0..<worldSize).map(text)
  }

  /// Two ranks fail, and all learn the failure of the lower one; then nobody fails, and all go on.
  private func failuresHold() throws -> Bool {
    let failing = [worldSize / 2, worldSize - 1]
    let before = communicator.agreedFailure
    defer { communicator.agreedFailure = before }
    var learnt: Failure?
    do {
      try communicator.together {
        if failing.contains(rank) { throw Failure(.badData, "number \(rank)", at: "here", remedy: "none") }
      }
    } catch let failure as Failure {
      learnt = failure
    }
    let everyoneFailed = Set(failing).count == worldSize
    return try communicator.together { 5 } == 5
      && learnt?.status == .badData && learnt?.what == "number \(failing[0])" && learnt?.remedy == "none"
      && learnt?.place?.hasPrefix(everyoneFailed ? "here" : "rank \(failing[0]) on ") == true
      && learnt == communicator.agreedFailure
  }
}
