// One tile of smooth noise and one of grain, the same for all scenes; scenes look them up at offsets of their own.

import Support

/// A square tile of numbers that repeats in both directions.
struct NoiseTile: Sendable {
  /// Cells a side, a power of two.
  static let size = 256
  private let values: [Float]

  /// The number at a position in cells; positions above -65536 in both directions.
  @inline(__always)
  func callAsFunction(_ u: Float, _ v: Float) -> Float {
    let mask = Int32(NoiseTile.size - 1)
    let column = Int32(u + 65536) & mask
    let row = Int32(v + 65536) & mask
    return values[Int(row) * NoiseTile.size + Int(column)]
  }

  /// The number at a whole position.
  @inline(__always)
  func at(row: Int, column: Int) -> Float {
    values[(row & (NoiseTile.size - 1)) * NoiseTile.size + (column & (NoiseTile.size - 1))]
  }

  /// Value noise of six octaves, about -1 ... 1.
  static let smooth = NoiseTile { size, random in
    var sum = [Float](repeating: 0, count: size * size)
    var strength: Float = 0.5
    for octave in 2..<8 {
      let knots = 1 << octave
      let grid = (0..<knots * knots).map { _ in random.nextUniform() * 2 - 1 }
      let pitch = size / knots
      for row in 0..<size {
        for column in 0..<size {
          let top = row / pitch * knots
          let bottom = (row / pitch + 1) % knots * knots
          let left = column / pitch
          let right = (left + 1) % knots
          let along = Float(column % pitch) / Float(pitch)
          let down = Float(row % pitch) / Float(pitch)
          let upper = grid[top + left] + (grid[top + right] - grid[top + left]) * along
          let lower = grid[bottom + left] + (grid[bottom + right] - grid[bottom + left]) * along
          sum[row * size + column] += strength * (upper + (lower - upper) * down)
        }
      }
      strength *= 0.75
    }
    return sum
  }

  /// Independent numbers, nearly normal with unit variance: the sum of four uniform ones.
  static let grain = NoiseTile { size, random in
    (0..<size * size).map { _ in
      var sum: Float = 0
      for _ in 0..<4 { sum += random.nextUniform() }
      return (sum - 2) * 1.7320508
    }
  }

  private init(_ make: (Int, inout RandomStream) -> [Float]) {
    var random = RandomStream(seed: 0, step: 0, sample: nil, purpose: Purpose("street-scenes", "noise"))
    values = make(NoiseTile.size, &random)
  }
}
