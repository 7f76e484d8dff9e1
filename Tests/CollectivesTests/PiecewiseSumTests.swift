// Long sums in pieces, blocking and polled, on threads as ranks, against the plain tree over lists.

import Collectives
import CollectivesTesting
import Support
import Testing

@Suite struct PiecewiseSumTests {
  private static func row(_ index: Int, _ count: Int) -> [Float] {
    var stream = RandomStream(seed: 6, step: count, sample: index, purpose: Purpose("rows"))
    return (0..<count).map { _ in Float(stream.nextNormal() * (stream.nextNormal() * 3).exponential) }
  }

  private static func plainTree(_ rows: [[Float]]) -> [Float] {
    guard rows.count > 1 else { return rows[0] }
    return plainTree(
      stride(from: 0, to: rows.count, by: 2).map { index in
        index + 1 < rows.count ? zip(rows[index], rows[index + 1]).map { $0 + $1 } : rows[index]
      })
  }

  /// Every rank's values after stretches that end at `cuts` were summed, last one first, with `polls` polls after each.
  private static func summed(
    _ rows: [[Float]], cuts: [Int], pieceBytes: Int = 1 << 16, lanes: Int = 3, wholeBytes: Int? = 0,
    wire: WireFormat = .float32,
    polls: @escaping @Sendable (_ rank: Int, _ stretch: Int) -> Int = { _, _ in 0 }
  ) throws -> [[Float]] {
    try LoopbackCommunicator.run(ranks: rows.count) { communicator in
      var values = rows[communicator.rank]
      let sum = try PiecewiseSum(
        on: communicator, wire: wire, pieceBytes: pieceBytes, lanes: lanes, wholeBytes: wholeBytes)
      try values.withUnsafeMutableBufferPointer { values in
        guard let base = values.baseAddress else { return }
        for (stretch, end) in cuts.enumerated().reversed() {
          try sum.start((stretch == 0 ? 0 : cuts[stretch - 1])..<end, of: base)
          for _ in 0..<polls(communicator.rank, stretch) { try sum.poll() }
        }
        try sum.wait()
      }
      return values
    }
  }

  @Test(arguments: 1...9) func ranksAddAlongTheTree(ranks: Int) throws {
    for count in [1, 2, 100, 4095, 4097, 20_011, 100_003] {
      let rows = (0..<ranks).map { Self.row($0, count) }
      let tree = Self.plainTree(rows).map(\.bitPattern)
      for (pieceBytes, lanes) in [(16 << 10, 1), (64 << 10, 4), (1 << 20, 2)] {
        let sums = try Self.summed(rows, cuts: [count], pieceBytes: pieceBytes, lanes: lanes)
        let equal = sums.map { $0.map(\.bitPattern) == tree }
        #expect(equal == Array(repeating: true, count: ranks), "\(count) values, \(ranks) ranks, \(pieceBytes) bytes")
      }
    }
  }

  @Test(arguments: [2, 3, 4, 5, 6, 8]) func usualPiecesHaveTheBitsOfAnyOthers(ranks: Int) throws {
    // More than two usual pieces, so that the scratch is used again, and an odd rest.
    let count = 2 * PiecewiseSum.usualPieceBytes / 4 + 70_001
    let rows = (0..<ranks).map { Self.row($0, 1009) }.map { row in (0..<count).map { row[$0 % row.count] } }
    let tree = Self.plainTree(rows)
    let usual = PiecewiseSum.usualPieceBytes
    for (pieceBytes, lanes, wholeBytes) in [(usual, 1, nil), (usual, 1, 0), (usual, 2, nil), (5 << 18, 3, 0)] {
      let sums = try Self.summed(rows, cuts: [count], pieceBytes: pieceBytes, lanes: lanes, wholeBytes: wholeBytes)
      let equal = sums.map { $0 == tree }
      #expect(equal == Array(repeating: true, count: ranks), "\(ranks) ranks, \(pieceBytes) bytes, \(lanes) lanes")
    }
  }

  @Test(arguments: 1...9) func stretchesThatStayWholeAddAlongTheTree(ranks: Int) throws {
    // One is just as long as may be and begins at no grain, one is a value longer and is cut, one is short.
    let (whole, begin) = (37_003, 5001)
    let ends = [begin, begin + whole, begin + 2 * whole + 1, begin + 2 * whole + 8]
    let rows = (0..<ranks).map { Self.row($0, ends[3]) }
    let tree = Self.plainTree(rows)
    for lanes in [1, 2] {
      let sums = try Self.summed(rows, cuts: ends, lanes: lanes, wholeBytes: whole * 4)
      let equal = sums.map { $0 == tree }
      #expect(equal == Array(repeating: true, count: ranks), "\(ranks) ranks, \(lanes) lanes")
    }
    let short = try Self.summed(rows, cuts: ends, lanes: 1, wholeBytes: whole * 4, wire: .bfloat16)
    let agree = short.map { $0 == short[0] }
    #expect(agree == Array(repeating: true, count: ranks), "\(ranks) ranks, short numbers")
  }

  @Test func onlySumsStayWhole() throws {
    let owned = try LoopbackCommunicator.run(ranks: 4) { communicator in
      try [0, 1 << 20].map { wholeBytes in
        try PiecewiseSum(on: communicator, pieceBytes: 1 << 16, lanes: 1, wholeBytes: wholeBytes).owned(of: 0..<70_000)
      }
    }
    let equal = owned.map { $0[0] == $0[1] && $0[0].count > 1 }
    #expect(equal == Array(repeating: true, count: 4), "owners do not depend on what stays whole")
  }

  @Test(arguments: [2, 3, 4, 5, 6, 7, 8]) func shortNumbersFitTheScratch(ranks: Int) throws {
    // Whole pieces of one grain and of an odd number of grains: there the halves are most unequal.
    for grains in [1, 2, 3, 5, 7] {
      let bytes = grains * PieceLayout.grain * MemoryLayout<Float>.stride
      let rows = (0..<ranks).map { Self.row($0, 2 * grains * PieceLayout.grain + 4095) }
      let sums = try Self.summed(rows, cuts: [rows[0].count], pieceBytes: bytes, lanes: 2, wire: .bfloat16)
      let alone = try Self.summed(rows, cuts: [rows[0].count], pieceBytes: bytes, lanes: 1, wire: .bfloat16)
      let equal = zip(sums, alone).map { $0 == $1 && $0 == sums[0] }
      #expect(equal == Array(repeating: true, count: ranks), "\(ranks) ranks, \(grains) grains")
    }
  }

  @Test func ranksOfOneHostHaveOneLane() throws {
    let lanes = try LoopbackCommunicator.run(ranks: 3) { try PiecewiseSum.usualLanes(on: $0) }
    #expect(lanes == [1, 1, 1])
  }

  @Test(arguments: [2, 3, 4, 6, 8]) func pollsAndCutsChangeNoBit(ranks: Int) throws {
    let rows = (0..<ranks).map { Self.row($0, 90_001) }
    let tree = Self.plainTree(rows)
    for cuts in [[90_001], [1, 4096, 50_000, 90_001], Array(stride(from: 7001, to: 90_001, by: 7001)) + [90_001]] {
      let sums = try Self.summed(rows, cuts: cuts, lanes: 4) { rank, stretch in (rank * 5 + stretch * 3) % 7 }
      let equal = sums.map { $0 == tree }
      #expect(equal == Array(repeating: true, count: ranks), "\(ranks) ranks, stretches that end at \(cuts)")
    }
  }

  @Test(arguments: [1, 2, 3, 4, 5, 8]) func partsAreScatteredAndGathered(ranks: Int) throws {
    let count = 150_007
    let rows = (0..<ranks).map { Self.row($0, count) }
    let tree = Self.plainTree(rows)
    let results = try LoopbackCommunicator.run(ranks: ranks) { communicator in
      var values = rows[communicator.rank]
      let sum = try PiecewiseSum(on: communicator, pieceBytes: 1 << 17)
      let owned = sum.owned(of: 0..<count)
      var isSummed = true
      try values.withUnsafeMutableBufferPointer { values in
        guard let base = values.baseAddress else { return }
        try sum.start(0..<count, of: base, .scatter)
        try sum.wait()
        isSummed = owned.allSatisfy { $0.allSatisfy { values[$0] == tree[$0] } }
        for range in owned { for index in range { values[index] *= 2 } }
        try sum.start(0..<count, of: base, .gather)
        try sum.wait()
      }
      return (owned, isSummed, values)
    }
    let doubled = tree.map { $0 * 2 }
    let held = results.map { $0.1 && $0.2 == doubled }
    #expect(held == Array(repeating: true, count: ranks))
    let owners = results.flatMap(\.0).sorted { $0.lowerBound < $1.lowerBound }
    let joins = zip(owners, owners.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound }
    #expect(joins && owners.first?.lowerBound == 0 && owners.last?.upperBound == count, "each element has one owner")
    let cuts = owners.dropFirst().map { $0.lowerBound % PieceLayout.grain }
    #expect(cuts.allSatisfy { $0 == 0 })
  }

  @Test("beyond as many ranks as a piece has grains, pieces take turns over the ranks that own them")
  func ownersAreSpread() {
    // 21 pieces of 128 grains, the last one short.
    let count = 20 * 128 * PieceLayout.grain + 70_001
    for ranks in [64, 128, 256, 512, 4096] {
      let layout = PieceLayout(ranks: ranks, pieceBytes: PiecewiseSum.usualPieceBytes)
      let owned = (0..<ranks).map { layout.owned(of: 0..<count, at: $0) }
      let elements = owned.flatMap { $0 }.sorted { $0.lowerBound < $1.lowerBound }
      let isWhole = zip(elements, elements.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound }
      #expect(isWhole && elements.first?.lowerBound == 0 && elements.last?.upperBound == count)
      let most = owned.map { $0.reduce(0) { $0 + $1.count } }.max() ?? 0
      // As even as grains and pieces allow: a grain of a piece is never cut.
      let pieces = (21 * 128 + ranks - 1) / ranks
      #expect(most <= (pieces + 1) * PieceLayout.grain, "\(ranks) ranks: \(most)")
      let lastQuarter = owned.suffix(ranks / 4).reduce(0) { $0 + $1.reduce(0) { $0 + $1.count } }
      #expect(Double(lastQuarter) < 0.32 * Double(count), "\(ranks) ranks: \(lastQuarter) of \(count)")
    }
  }

  @Test("256 ranks, more than a piece has grains, add along the tree") func moreRanksThanGrains() throws {
    let rows = (0..<256).map { Self.row($0, 5 * PieceLayout.grain) }
    let tree = Self.plainTree(rows)
    let sums = try Self.summed(rows, cuts: [rows[0].count], pieceBytes: 2 * PieceLayout.grain * 4, lanes: 1)
    #expect(sums.allSatisfy { $0 == tree })
  }

  @Test(arguments: [2, 3, 4, 8]) func shortNumbersKeepReplicasEqualAndStayNear(ranks: Int) throws {
    let rows = (0..<ranks).map { Self.row($0, 50_000) }
    let sums = try Self.summed(rows, cuts: [20_000, 50_000], wire: .bfloat16)
    let tree = Self.plainTree(rows)
    let equal = sums.map { $0 == sums[0] }
    #expect(equal == Array(repeating: true, count: ranks))
    let difference = zip(sums[0], tree).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }.squareRoot()
    let norm = tree.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    let error = difference / norm
    #expect(error < 0.004 && error > 0.0005, "\(error)")
  }

  @Test func sentBytesAreThoseOfTheSchedule() throws {
    let sent = try LoopbackCommunicator.run(ranks: 4) { communicator in
      var values = [Float](repeating: 1, count: 40_000)
      let sum = try PiecewiseSum(on: communicator)
      try values.withUnsafeMutableBufferPointer { values in
        guard let base = values.baseAddress else { return }
        try sum.start(0..<40_000, of: base)
        try sum.wait()
      }
      return sum.sentBytes
    }
    #expect(sent == Array(repeating: 240_000, count: 4))
  }

  @Test func aRankThatIsDoneIsFound() throws {
    var text = ""
    do {
      try LoopbackCommunicator.run(ranks: 2) { communicator in
        let sum = try PiecewiseSum(on: communicator)
        var values = [Float](repeating: 1, count: 40_000)
        guard communicator.rank == 0 else { return }
        try values.withUnsafeMutableBufferPointer { values in
          guard let base = values.baseAddress else { return }
          try sum.start(0..<40_000, of: base)
          try sum.wait()
        }
      }
    } catch { text = "\(error)" }
    #expect(text.contains("polls for rank 1, which is done"))
  }
}
