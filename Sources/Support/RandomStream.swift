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

/// One block of Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011): four 32-bit numbers from a counter and a key.
public func philox4x32(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
  // Scalars: inserting into vectors and extracting from them costs more than the arithmetic.
  var (x, y, z, w) = (counter.x, counter.y, counter.z, counter.w)
  var (low, high) = (key.x, key.y)
  for _ in 0..<10 {
    let first = UInt64(0xd251_1f53) &* UInt64(x)
    let second = UInt64(0xcd9e_8d57) &* UInt64(z)
    (x, y) = (UInt32(truncatingIfNeeded: second >> 32) ^ y ^ low, UInt32(truncatingIfNeeded: second))
    (z, w) = (UInt32(truncatingIfNeeded: first >> 32) ^ w ^ high, UInt32(truncatingIfNeeded: first))
    low &+= 0x9e37_79b9
    high &+= 0xbb67_ae85
  }
  return SIMD4(x, y, z, w)
}

/// A stream of random numbers for one (seed, step, sample, purpose).
///
/// Draws are numbered; `next…` functions take the next number, `…(at:)` functions any number without moving.
/// As a `RandomNumberGenerator` it serves `shuffled(using:)` and `Int.random(in:using:)`.
public struct RandomStream: RandomNumberGenerator, Sendable {
  let key: SIMD2<UInt32>
  let step: UInt32
  let sample: UInt32
  var position: UInt32 = 0

  /// - Parameters:
  ///   - sample: global index of the sample, or nil for a draw shared by the whole batch.
  public init(seed: UInt64, step: Int, sample: Int?, purpose: Purpose) {
    let code = mixed(seed) ^ purpose.code
    key = SIMD2(UInt32(truncatingIfNeeded: code), UInt32(truncatingIfNeeded: code >> 32))
    self.step = UInt32(truncatingIfNeeded: step)
    self.sample = sample.map { UInt32(truncatingIfNeeded: $0 + 1) } ?? 0
  }

  /// The 32 random bits with number `index`.
  public func bits(at index: UInt32) -> UInt32 { block(of: index)[Int(index & 3)] }

  /// The four numbers that are made together with number `index`.
  private func block(of index: UInt32) -> SIMD4<UInt32> {
    philox4x32(counter: SIMD4(index >> 2, step, sample, 0), key: key)
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
