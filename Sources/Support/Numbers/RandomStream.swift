// Randomness as a function, not a state: Philox4x32-10 keyed by seed and purpose, counted by step, sample and
// position. The same key gives the same numbers on every rank, thread and resumption; nothing needs saving.

/// What a random draw is for. Two draws with different purposes are independent.
public struct Purpose: Hashable, Sendable {
  /// Mixed 64-bit hash of the parts.
  public let code: UInt64

  /// A purpose from its parts, such as `Purpose("mixed", "context", "backbone.block1.0", "drop-path")`.
  public init(_ parts: String...) {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for part in parts {
      for byte in part.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
      hash = (hash ^ 0xff) &* 0x100_0000_01b3
    }
    code = mixed(hash)
  }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): every input bit reaches every output bit.
@inlinable
func mixed(_ value: UInt64) -> UInt64 {
  var z = value &+ 0x9e37_79b9_7f4a_7c15
  z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
  z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
  return z ^ (z >> 31)
}

/// Four 32-bit words: a counter of Philox or the random bits made of it.
public struct RandomBlock: Equatable, Sendable {
  /// The words in order.
  public var first, second, third, fourth: UInt32

  /// From its words.
  public init(_ first: UInt32, _ second: UInt32, _ third: UInt32, _ fourth: UInt32) {
    self.first = first
    self.second = second
    self.third = third
    self.fourth = fourth
  }

  /// Word 0 to 3.
  public subscript(index: Int) -> UInt32 {
    switch index {
    case 0: first
    case 1: second
    case 2: third
    default: fourth
    }
  }
}

/// One block of Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011): four 32-bit numbers from a counter and a key.
/// - Parameters:
///   - counter: the block's number, four words.
///   - key: both key words, the first in the lower half.
public func philox4x32(counter: RandomBlock, key: UInt64) -> RandomBlock {
  var (x, y, z, w) = (counter.first, counter.second, counter.third, counter.fourth)
  var (low, high) = (UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32))
  for _ in 0..<10 {
    let first = UInt64(0xd251_1f53) &* UInt64(x)
    let second = UInt64(0xcd9e_8d57) &* UInt64(z)
    (x, y) = (UInt32(truncatingIfNeeded: second >> 32) ^ y ^ low, UInt32(truncatingIfNeeded: second))
    (z, w) = (UInt32(truncatingIfNeeded: first >> 32) ^ w ^ high, UInt32(truncatingIfNeeded: first))
    low &+= 0x9e37_79b9
    high &+= 0xbb67_ae85
  }
  return RandomBlock(x, y, z, w)
}

/// A stream of random numbers for one (seed, step, sample, purpose).
///
/// Draws are numbered; `next…` functions take the next number, `…(at:)` functions any number without moving.
/// As a `RandomNumberGenerator` it serves `shuffled(using:)` and `Int.random(in:using:)`.
public struct RandomStream: RandomNumberGenerator, Sendable {
  let key: UInt64
  let step: UInt32
  let sample: UInt32
  var position: UInt32 = 0

  /// - Parameters:
  ///   - seed: the run's seed.
  ///   - step: number of the step, from 0.
  ///   - sample: global index of the sample, or nil for a draw shared by the whole batch.
  ///   - purpose: what the numbers are for.
  public init(seed: UInt64, step: Int, sample: Int?, purpose: Purpose) {
    key = mixed(seed) ^ purpose.code
    self.step = UInt32(truncatingIfNeeded: step)
    self.sample = sample.map { UInt32(truncatingIfNeeded: $0 + 1) } ?? 0
  }

  /// The 32 random bits with number `index`.
  public func bits(at index: UInt32) -> UInt32 { block(of: index)[Int(index & 3)] }

  /// The four numbers that are made together with number `index`.
  private func block(of index: UInt32) -> RandomBlock {
    philox4x32(counter: RandomBlock(index >> 2, step, sample, 0), key: key)
  }

  /// Uniform in [0, 1) with 24 bits, so that every value is exact in Float32.
  public func uniform(at index: UInt32) -> Float { RandomStream.uniform(bits(at: index)) }

  private static func uniform(_ bits: UInt32) -> Float { Float(bits >> 8) * 0x1p-24 }

  /// The next 64 random bits.
  public mutating func next() -> UInt64 {
    let low = bits(at: position)
    let high = bits(at: position &+ 1)
    position &+= 2
    return UInt64(high) << 32 | UInt64(low)
  }

  /// Uniform in [0, 1).
  public mutating func nextUniform() -> Float {
    defer { position &+= 1 }
    return uniform(at: position)
  }

  /// Uniform in `range`.
  public mutating func nextUniform(in range: ClosedRange<Float>) -> Float {
    range.lowerBound + (range.upperBound - range.lowerBound) * nextUniform()
  }

  /// Uniform in 0..<count, without bias.
  /// - Precondition: `count` is positive.
  public mutating func nextIndex(below count: Int) -> Int { Int.random(in: 0..<count, using: &self) }

  /// Standard normal by the Box-Muller transform.
  public mutating func nextNormal() -> Double {
    defer { position &+= 2 }
    let block = block(of: position)
    let lane = Int(position & 3)
    let second = lane < 3 ? block[lane + 1] : bits(at: position &+ 1)
    let radius = (1 - Double(RandomStream.uniform(block[lane]))).logarithm
    return (-2 * radius).squareRoot() * (2 * .pi * Double(RandomStream.uniform(second))).cosine
  }
}
