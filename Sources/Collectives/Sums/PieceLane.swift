// One piece on its way through a sum over ranks: what is sent and received in each round, and what is added in between.

import CKernels

/// What is done with a stretch of a vector.
public enum PieceWork: Sendable {
  /// Every rank ends with the sum.
  case sum
  /// Every rank ends with the sum of the part it owns; the rest is undefined.
  case scatter
  /// Every rank's own part goes to all others.
  case gather
}

/// How values travel.
public enum WireFormat: String, Sendable {
  /// As they are.
  case float32
  /// Rounded to eight significant bits (bfloat16) before every message; sums are formed in Float.
  case bfloat16
}

/// The rounds of one piece on one lane of a channel.
///
/// With P a power of two: log2 P exchanges of halves with partners at distances 1, 2, 4 …, adding what comes, then the
/// same exchanges backwards. Else two rounds: parts to their owners, which add along the tree, and sums to all.
final class PieceLane {
  private let channel: any MessageChannel
  private let lane: Int
  private let layout: PieceLayout
  private let order: [Int]
  private let position: Int
  private let format: WireFormat
  private let scratch: UnsafeMutablePointer<Float>

  private var values: UnsafeMutablePointer<Float>
  private var piece = 0..<0
  private var kept = 0..<0
  private var given: [Range<Int>] = []
  private var distance = 1
  private var gathers = false
  private var work = PieceWork.sum
  private var wire = WireFormat.float32
  /// Whether a piece is under way.
  private(set) var isBusy = false

  /// - Parameters:
  ///   - order: rank at each position of the tree.
  ///   - position: this rank's.
  ///   - scratch: memory of this lane alone, for `scratchCount` elements.
  init(
    _ channel: any MessageChannel, lane: Int, _ layout: PieceLayout, order: [Int], position: Int, wire: WireFormat,
    scratch: UnsafeMutablePointer<Float>
  ) {
    self.channel = channel
    self.lane = lane
    self.layout = layout
    self.order = order
    self.position = position
    format = wire
    self.scratch = scratch
    values = scratch
  }

  /// Elements of scratch that one lane needs: a half of a piece, or the parts of all other ranks, where parts of short
  /// pieces may be longer than the rest by a grain. Numbers of half the width need room for what is sent, too.
  static func scratchCount(_ layout: PieceLayout) -> Int {
    let count = layout.longestCount
    return layout.halves
      ? (count / 2 / PieceLayout.grain + 2) * PieceLayout.grain : count + layout.ranks * PieceLayout.grain
  }

  /// Posts the first round of a piece of `values`, at its place in the whole vector.
  func begin(_ piece: Range<Int>, of values: UnsafeMutablePointer<Float>, _ work: PieceWork) throws {
    precondition(!isBusy && piece.count <= layout.longestCount, "a piece of \(piece.count) elements")
    self.values = values
    self.piece = piece
    self.work = work
    // What is only gathered is no sum but state, which must not lose a bit.
    wire = work == .gather ? .float32 : format
    isBusy = true
    gathers = false
    given = []
    kept = piece
    distance = 1
    guard work == .gather else { return try postScatter() }
    try startGathering()
  }

  /// Called when the round's messages have arrived: adds or unpacks them and posts the next round.
  func advance() throws {
    if gathers { unpackGathered() } else { addScattered() }
    if !gathers, layout.halves, distance < order.count { return try postScatter() }
    if !gathers {
      guard work == .sum else {
        // As in a sum, where the owner holds what the others receive.
        if wire == .bfloat16 { roundToWire(values + kept.lowerBound, kept.count) }
        return isBusy = false
      }
      return try startGathering()
    }
    guard layout.halves, distance > 1 else { return isBusy = false }
    try postGather()
  }

  // MARK: first half: every rank ends with the sum of its part

  private func postScatter() throws {
    guard layout.halves else { return try postDirectScatter() }
    let (mine, theirs) = halves()
    let partner = order[position ^ distance]
    try receive(0, mine.count, from: partner)
    try send(theirs, to: partner, after: mine.count)
  }

  private func halves() -> (mine: Range<Int>, theirs: Range<Int>) {
    layout.halves(of: kept, in: piece, at: position, distance: distance)
  }

  private func addScattered() {
    guard layout.halves else { return addDirect() }
    let (mine, theirs) = halves()
    add(0, mine.count, to: values + mine.lowerBound)
    given.append(theirs)
    kept = mine
    distance *= 2
  }

  private func postDirectScatter() throws {
    kept = layout.part(of: piece, at: position)
    var place = 0
    for other in order.indices where other != position {
      try receive(place, kept.count, from: order[other])
      place += kept.count
    }
    for other in order.indices where other != position {
      let part = layout.part(of: piece, at: other)
      try send(part, to: order[other], after: place)
      place += part.count
    }
  }

  /// Adds the ranks' rows along the tree over positions; this rank's own row is in place.
  private func addDirect() {
    distance = order.count
    let count = kept.count
    guard count > 0 else { return }
    if wire == .bfloat16 {
      for row in (0..<order.count - 1).reversed() { widenBackwards(row * count, count, to: scratch + row * count) }
    }
    let own = values + kept.lowerBound
    func row(_ other: Int) -> UnsafeMutablePointer<Float> {
      other == position ? own : scratch + (other < position ? other : other - 1) * count
    }
    var step = 1
    while step < order.count {
      for first in stride(from: 0, to: order.count - step, by: 2 * step) {
        ck_add_in_place(row(first), row(first + step), count)
      }
      step *= 2
    }
    if position != 0 { own.update(from: row(0), count: count) }
  }

  // MARK: second half: every rank's part goes to all

  private func startGathering() throws {
    gathers = true
    if work == .gather {
      kept = piece
      distance = 1
      while layout.halves, distance < order.count {
        let (mine, theirs) = halves()
        given.append(theirs)
        kept = mine
        distance *= 2
      }
      if !layout.halves { kept = layout.part(of: piece, at: position) }
    }
    // What the others receive is rounded; the owner must hold the same bits.
    if wire == .bfloat16 { roundToWire(values + kept.lowerBound, kept.count) }
    try postGather()
  }

  private func postGather() throws {
    guard layout.halves else { return try postDirectGather() }
    distance /= 2
    let partner = order[position ^ distance]
    let theirs = given[given.count - 1]
    try receiveInto(theirs, at: 0, from: partner)
    try send(kept, to: partner, after: theirs.count)
  }

  private func postDirectGather() throws {
    var place = 0
    for other in order.indices where other != position {
      let part = layout.part(of: piece, at: other)
      try receiveInto(part, at: place, from: order[other])
      place += part.count
    }
    for other in order.indices where other != position { try send(kept, to: order[other], after: place) }
  }

  private func unpackGathered() {
    if layout.halves {
      let theirs = given.removeLast()
      if wire == .bfloat16 { widen(0, theirs.count, to: values + theirs.lowerBound) }
      kept = min(kept.lowerBound, theirs.lowerBound)..<max(kept.upperBound, theirs.upperBound)
      return
    }
    guard wire == .bfloat16 else { return }
    var place = 0
    for other in order.indices where other != position {
      let part = layout.part(of: piece, at: other)
      widen(place, part.count, to: values + part.lowerBound)
      place += part.count
    }
  }

  // MARK: messages, in elements; nothing is sent where there is nothing to send

  /// Memory for short numbers: element `place` of the scratch taken as 16-bit words.
  private func words(_ place: Int) -> UnsafeMutablePointer<UInt16> {
    UnsafeMutableRawPointer(scratch).assumingMemoryBound(to: UInt16.self) + place
  }

  private func send(_ range: Range<Int>, to rank: Int, after place: Int) throws {
    guard !range.isEmpty else { return }
    switch wire {
    case .float32:
      let bytes = UnsafeBufferPointer(start: values + range.lowerBound, count: range.count)
      try channel.send(UnsafeRawBufferPointer(bytes), to: rank, lane: lane)
    case .bfloat16:
      let short = words(place)
      narrow(values + range.lowerBound, range.count, to: short)
      try channel.send(
        UnsafeRawBufferPointer(UnsafeBufferPointer(start: short, count: range.count)), to: rank, lane: lane)
    }
  }

  /// Receives into the scratch.
  private func receive(_ place: Int, _ count: Int, from rank: Int) throws {
    guard count > 0 else { return }
    let bytes =
      wire == .float32
      ? UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(start: scratch + place, count: count))
      : UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(start: words(place), count: count))
    try channel.receive(bytes, from: rank, lane: lane)
  }

  /// Receives into the vector, or into the scratch where numbers come short.
  private func receiveInto(_ range: Range<Int>, at place: Int, from rank: Int) throws {
    guard wire == .float32 else { return try receive(place, range.count, from: rank) }
    guard !range.isEmpty else { return }
    let target = UnsafeMutableBufferPointer(start: values + range.lowerBound, count: range.count)
    try channel.receive(UnsafeMutableRawBufferPointer(target), from: rank, lane: lane)
  }

  private func add(_ place: Int, _ count: Int, to sum: UnsafeMutablePointer<Float>) {
    switch wire {
    case .float32: ck_add_in_place(sum, scratch + place, count)
    case .bfloat16:
      let term = words(place)
      for index in 0..<count { sum[index] += Float(bitPattern: UInt32(term[index]) << 16) }
    }
  }

  /// Short numbers of the scratch as Float, somewhere else.
  private func widen(_ place: Int, _ count: Int, to target: UnsafeMutablePointer<Float>) {
    let source = words(place)
    for index in 0..<count { target[index] = Float(bitPattern: UInt32(source[index]) << 16) }
  }

  /// Short numbers of the scratch as Float, further back in the scratch: written from the end.
  private func widenBackwards(_ place: Int, _ count: Int, to target: UnsafeMutablePointer<Float>) {
    let source = words(place)
    for index in stride(from: count - 1, through: 0, by: -1) {
      target[index] = Float(bitPattern: UInt32(source[index]) << 16)
    }
  }
}

/// The nearest bfloat16, ties to even; not-a-number stays one.
@inline(__always)
private func narrowed(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  let rounded = (bits &+ 0x7fff &+ (bits >> 16 & 1)) >> 16
  return UInt16(truncatingIfNeeded: bits & 0x7fff_ffff > 0x7f80_0000 ? bits >> 16 | 0x40 : rounded)
}

private func narrow(_ values: UnsafePointer<Float>, _ count: Int, to target: UnsafeMutablePointer<UInt16>) {
  for index in 0..<count { target[index] = narrowed(values[index]) }
}

private func roundToWire(_ values: UnsafeMutablePointer<Float>, _ count: Int) {
  for index in 0..<count { values[index] = Float(bitPattern: UInt32(narrowed(values[index])) << 16) }
}
