// How a long vector is cut for sums over ranks: into pieces that fit the cache, or not at all, and each piece into the
// parts that ranks own between the two halves of a sum.

/// The cut of a vector over ranks. A function of the vector's length, of the number of ranks and of three constants.
///
/// Ranks are numbered by their positions in the tree. P is their number.
public struct PieceLayout: Sendable, Equatable {
  /// Parts begin at multiples of this many elements, so that what is computed of such stretches has one owner.
  public static let grain = 4096

  /// Number of ranks.
  public let ranks: Int
  /// Elements of one piece, a multiple of the grain; pieces begin at its multiples.
  public let pieceCount: Int
  /// Elements of the longest stretch that is summed as one piece, wherever it begins.
  public let wholeCount: Int

  /// A cut for `ranks` ranks into pieces of about `pieceBytes` bytes of Float; stretches of at most `wholeBytes` bytes
  /// that are summed on every rank stay whole.
  public init(ranks: Int, pieceBytes: Int, wholeBytes: Int = 0) {
    self.ranks = ranks
    let grains = pieceBytes / MemoryLayout<Float>.stride / PieceLayout.grain
    pieceCount = max(1, grains) * PieceLayout.grain
    wholeCount = wholeBytes / MemoryLayout<Float>.stride
  }

  /// Whether vectors are halved: the number of ranks is a power of two. Else every rank gets its part from all others.
  var halves: Bool { ranks.nonzeroBitCount == 1 }

  /// Elements of the longest piece.
  var longestCount: Int { max(pieceCount, wholeCount) }

  /// The pieces in which a stretch of the vector travels, in order. Where parts have owners, owners must not depend on
  /// how the vector is cut into stretches.
  func pieces(of range: Range<Int>, for work: PieceWork) -> [Range<Int>] {
    work == .sum && !range.isEmpty && range.count <= wholeCount ? [range] : pieces(of: range)
  }

  /// The pieces of a stretch of the vector whose parts have owners, in order.
  func pieces(of range: Range<Int>) -> [Range<Int>] {
    guard !range.isEmpty else { return [] }
    return (range.lowerBound / pieceCount...(range.upperBound - 1) / pieceCount).map {
      max(range.lowerBound, $0 * pieceCount)..<min(range.upperBound, ($0 + 1) * pieceCount)
    }
  }

  /// Where a part is halved: in its middle, at a multiple of the grain.
  func middle(of range: Range<Int>) -> Int {
    max(range.lowerBound, (range.lowerBound + range.count / 2) / PieceLayout.grain * PieceLayout.grain)
  }

  /// The part of a piece that the rank at a position owns once ranks have added theirs.
  func part(of piece: Range<Int>, at position: Int) -> Range<Int> {
    guard halves else {
      let cut = { (position: Int) in
        let exact = piece.lowerBound + piece.count * position / ranks
        return position == ranks
          ? piece.upperBound : max(piece.lowerBound, exact / PieceLayout.grain * PieceLayout.grain)
      }
      return cut(position)..<cut(position + 1)
    }
    var part = piece
    var distance = 1
    while distance < ranks {
      part = halves(of: part, in: piece, at: position, distance: distance).mine
      distance *= 2
    }
    return part
  }

  /// What a rank keeps and what it gives away in the round with partners at a distance.
  ///
  /// A part of one grain is cut no further. Pieces then take turns over the ranks that may have it: were it always the
  /// later one, the last ranks would own everything as soon as a piece has fewer grains than there are ranks. Bits of the
  /// piece's number are taken in reverse, so that pieces that follow each other go to ranks that are far apart.
  func halves(
    of part: Range<Int>, in piece: Range<Int>, at position: Int, distance: Int
  ) -> (mine: Range<Int>, theirs: Range<Int>) {
    let middle = middle(of: part)
    let (low, high) = (part.lowerBound..<middle, middle..<part.upperBound)
    var isLow = position & distance == 0
    if low.isEmpty, (piece.lowerBound / pieceCount) & (ranks / (2 * distance)) != 0 { isLow.toggle() }
    return isLow ? (low, high) : (high, low)
  }

  /// All parts of a stretch that the rank at a position owns, in order, those that touch as one.
  public func owned(of range: Range<Int>, at position: Int) -> [Range<Int>] {
    pieces(of: range).reduce(into: []) { owned, piece in
      let part = part(of: piece, at: position)
      if part.isEmpty { return }
      guard let last = owned.last, last.upperBound == part.lowerBound else { return owned.append(part) }
      owned[owned.count - 1] = last.lowerBound..<part.upperBound
    }
  }
}
