// Sums over ranks and over samples along one fixed binary tree, so that a sum over the global batch has the same bits
// for every rank count: at each level neighbours (2i, 2i+1) are added, an odd last one moves up.
// P is the number of ranks, n the number of values.

/// The fixed addition tree over ranks.
///
/// With P a power of two, long vectors are reduce-scattered by vector halving and distance doubling and then gathered
/// by all (2 (P-1)/P · n values sent per rank: the least possible), short ones are added by recursive doubling. Other
/// P send along the tree to the first rank, which broadcasts. Each value is added along the same tree in all three,
/// and addition commutes, so they agree bit for bit (payloads of not-a-numbers apart).
///
/// Source: Thakur, Rabenseifner, Gropp, Optimization of Collective Communication Operations in MPICH, IJHPCA 2005,
/// section 4.5; differs in: the order of distances (doubling in the first half, so that the large messages go between
/// neighbours), and ranks other than a power of two.
public struct RankTree {
  /// Adds, or otherwise joins, `count` values of the second run into the first.
  typealias Join<Element> = (UnsafeMutablePointer<Element>, UnsafePointer<Element>, Int) -> Void

  /// Messages of fewer bytes go by recursive doubling: there the number of messages costs more than their length.
  static let shortMessageBytes = 16 << 10

  private let communicator: any Communicator
  /// Rank at each position of the tree.
  private let order: [Int]
  private let position: Int

  /// The tree whose positions are the ranks themselves.
  public init(on communicator: any Communicator) {
    self.init(on: communicator, order: Array(0..<communicator.worldSize))
  }

  /// The tree over another order of the ranks. Its sums differ from the promised ones from three ranks on: this is
  /// the control that shows that a test can tell trees apart.
  /// - Precondition: `order` holds each rank once.
  public init(on communicator: any Communicator, order: [Int]) {
    precondition(order.sorted() == Array(0..<communicator.worldSize), "\(order) is no order of the ranks")
    self.communicator = communicator
    self.order = order
    position = order.firstIndex(of: communicator.rank) ?? communicator.rank
  }

  /// Every rank's values become their sum over ranks. Called by all ranks, with equally many values.
  /// - Parameters:
  ///   - values: summed in place.
  ///   - scratch: memory for as many values again; taken from the heap where nil.
  public func sum(_ values: UnsafeMutableBufferPointer<Float>, scratch: UnsafeMutableBufferPointer<Float>? = nil) throws
  {
    try combine(values, scratch: scratch) { first, second, count in
      for index in 0..<count { first[index] += second[index] }
    }
  }

  /// As above, in Double.
  public func sum(
    _ values: UnsafeMutableBufferPointer<Double>, scratch: UnsafeMutableBufferPointer<Double>? = nil
  ) throws {
    try combine(values, scratch: scratch) { first, second, count in
      for index in 0..<count { first[index] += second[index] }
    }
  }

  /// Every rank's values become their join over ranks, along the tree.
  func combine<Element: BitwiseCopyable>(
    _ values: UnsafeMutableBufferPointer<Element>, scratch: UnsafeMutableBufferPointer<Element>? = nil,
    by join: Join<Element>
  ) throws {
    guard order.count > 1, let base = values.baseAddress, values.count > 0 else { return }
    let own = scratch == nil ? UnsafeMutableBufferPointer<Element>.allocate(capacity: values.count) : nil
    defer { own?.deallocate() }
    guard let other = (scratch ?? own)?.baseAddress else { return }
    precondition((scratch?.count ?? values.count) >= values.count, "scratch for \(values.count) values is too small")
    if order.count.nonzeroBitCount > 1 {
      try gatherToFirst(base, other, values.count, join)
    } else if values.count * MemoryLayout<Element>.stride < RankTree.shortMessageBytes {
      try doubling(base, other, values.count, join)
    } else {
      try halving(base, other, values.count, join)
    }
  }

  private func doubling<Element>(
    _ values: UnsafeMutablePointer<Element>, _ scratch: UnsafeMutablePointer<Element>, _ count: Int,
    _ join: Join<Element>
  ) throws {
    var distance = 1
    while distance < order.count {
      try swap(values, scratch, sending: 0..<count, receiving: 0..<count, with: order[position ^ distance])
      join(values, scratch, count)
      distance *= 2
    }
  }

  private func halving<Element>(
    _ values: UnsafeMutablePointer<Element>, _ scratch: UnsafeMutablePointer<Element>, _ count: Int,
    _ join: Join<Element>
  ) throws {
    var kept = 0..<count
    var given: [Range<Int>] = []
    var distance = 1
    while distance < order.count {
      let middle = kept.lowerBound + kept.count / 2
      let halves = (kept.lowerBound..<middle, middle..<kept.upperBound)
      let (mine, theirs) = position & distance == 0 ? halves : (halves.1, halves.0)
      try swap(values, scratch, sending: theirs, receiving: mine, with: order[position ^ distance])
      join(values + mine.lowerBound, scratch + mine.lowerBound, mine.count)
      given.append(theirs)
      kept = mine
      distance *= 2
    }
    while let theirs = given.popLast() {
      distance /= 2
      try swap(values, values, sending: kept, receiving: theirs, with: order[position ^ distance])
      kept = min(kept.lowerBound, theirs.lowerBound)..<max(kept.upperBound, theirs.upperBound)
    }
  }

  private func gatherToFirst<Element>(
    _ values: UnsafeMutablePointer<Element>, _ scratch: UnsafeMutablePointer<Element>, _ count: Int,
    _ join: Join<Element>
  ) throws {
    let bytes = UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(start: values, count: count))
    var distance = 1
    while distance < order.count {
      if position % (2 * distance) == distance {
        try communicator.send(UnsafeRawBufferPointer(bytes), to: order[position - distance])
        break
      }
      if position + distance < order.count {
        let incoming = UnsafeMutableBufferPointer(start: scratch, count: count)
        try communicator.receive(UnsafeMutableRawBufferPointer(incoming), from: order[position + distance])
        join(values, scratch, count)
      }
      distance *= 2
    }
    try communicator.broadcast(bytes, from: order[0])
  }

  /// Sends a range of `values` and receives a range into `target`, to and from one partner.
  private func swap<Element>(
    _ values: UnsafeMutablePointer<Element>, _ target: UnsafeMutablePointer<Element>, sending: Range<Int>,
    receiving: Range<Int>, with partner: Int
  ) throws {
    let outgoing = UnsafeBufferPointer(start: values + sending.lowerBound, count: sending.count)
    let incoming = UnsafeMutableBufferPointer(start: target + receiving.lowerBound, count: receiving.count)
    try communicator.exchange(
      sending: UnsafeRawBufferPointer(outgoing), to: partner,
      receiving: UnsafeMutableRawBufferPointer(incoming), from: partner)
  }
}

/// Every rank's values become their sum over ranks, along the fixed tree. Called by all ranks, with equally many values.
public func sumTree(_ values: UnsafeMutableBufferPointer<Float>, on communicator: any Communicator) throws {
  try RankTree(on: communicator).sum(values)
}

/// As above, in Double.
public func sumTree(_ values: UnsafeMutableBufferPointer<Double>, on communicator: any Communicator) throws {
  try RankTree(on: communicator).sum(values)
}

/// As above, for an array.
public func sumTree(_ values: inout [Double], on communicator: any Communicator) throws {
  try values.withUnsafeMutableBufferPointer { try sumTree($0, on: communicator) }
}

/// The sum of `samples` rows of `count` values along the fixed tree over samples; zeros for no samples.
///
/// Shapes: `rows` [samples, count] row-major; result [count].
/// - Precondition: `rows` has samples · count values.
public func sumSamples(_ rows: [Double], samples: Int, count: Int) -> [Double] {
  precondition(rows.count == samples * count, "\(rows.count) values for [\(samples), \(count)]")
  guard samples > 0 else { return Array(repeating: 0, count: count) }
  var rows = rows
  var distance = 1
  while distance < samples {
    for first in stride(from: 0, to: samples - distance, by: 2 * distance) {
      for index in 0..<count { rows[first * count + index] += rows[(first + distance) * count + index] }
    }
    distance *= 2
  }
  return Array(rows[..<count])
}

/// The sum over the samples of all ranks: up the tree over this rank's samples, then up the tree over ranks.
///
/// The bits are those of one rank that holds all samples if the ranks hold contiguous, equal, power-of-two blocks.
/// Shapes as in `sumSamples`; `count` is the same on all ranks. Called by all ranks.
public func globalSum(
  rows: [Double], samples: Int, count: Int, on communicator: any Communicator
) throws -> [Double] {
  var sums = sumSamples(rows, samples: samples, count: count)
  try sumTree(&sums, on: communicator)
  return sums
}
