// Depth of drawn scenes: exact, or spoilt as a network's estimate is that learned depth without being told it.
// Only + - * / and comparisons decide numbers, so that every machine has the same.

import Support
import Tensors

extension SceneCanvas {
  /// Metres of one cell of every pixel, the cell of its label; 0 for the sky and the bonnet.
  func pointSampledDepths() -> [Float] {
    let fineness = SceneCanvas.fineness
    var metres = [Float]()
    metres.reserveCapacity(rows * columns / (fineness * fineness))
    for row in stride(from: fineness / 2, to: rows, by: fineness) {
      for column in stride(from: fineness / 2, to: columns, by: fineness) {
        let cell = row * columns + column
        metres.append(labels[cell] == LabelMap.ignored ? 0 : cells[cell].depth)
      }
    }
    return metres
  }

  /// Depth in the units of maps, as stereo would have it without fault.
  func depth() -> PixelMap {
    let fineness = SceneCanvas.fineness
    return PixelMap(
      height: rows / fineness, width: columns / fineness,
      values: pointSampledDepths().map { DepthCode.stereo.inverseDepth(Double($0)) })
  }
}

/// How an estimate of depth differs from the truth.
struct DepthFaults {
  /// Range of the factor on a whole image: such networks know depth up to a scale.
  var scale: ClosedRange<Float> = 0.8...1.25
  /// Passes of the filter 1 2 1 for each 64 pixels of width: edges run into what is behind them.
  var blurPasses = 1
  /// Size of smooth relative errors.
  var waviness: Float = 0.1
  /// Size of relative errors of single pixels.
  var noise: Float = 0.03
  /// Number of holes.
  var holes = 6
  /// Longest side of a hole, as a share of the image's.
  var holeSide: Float = 0.15

  /// A spoilt map.
  /// - Parameters:
  ///   - exact: where 1 is unknown; what is unknown stays so.
  ///   - random: of the scene.
  func spoil(_ exact: PixelMap, _ random: inout RandomStream) -> PixelMap {
    let (height, width) = (exact.height, exact.width)
    var values = exact.values
    for _ in 0..<blurPasses * max(1, width / 64) { values = blurred(values, height: height, width: width) }
    let factor = random.nextUniform(in: scale)
    let (u, v) = (random.nextUniform(in: 0...255), random.nextUniform(in: 0...255))
    let (down, across) = (random.whole(0...255), random.whole(0...255))
    for row in 0..<height {
      for column in 0..<width where exact.values[row * width + column] != 1 {
        let wave = NoiseTile.smooth(u + 96 * Float(column) / Float(width), v + 96 * Float(row) / Float(width))
        let grain = NoiseTile.grain.at(row: row + down, column: column + across)
        let error = max(0.1, factor * (1 + waviness * wave + noise * grain))
        values[row * width + column] *= error
      }
    }
    for _ in 0..<holes {
      let (rows, columns) = (hole(height, &random), hole(width, &random))
      for row in rows { for column in columns { values[row * width + column] = 1 } }
    }
    return PixelMap(height: height, width: width, values: values)
  }

  private func hole(_ extent: Int, _ random: inout RandomStream) -> Range<Int> {
    let side = max(1, Int(random.nextUniform() * holeSide * Float(extent)))
    let first = Int(random.nextUniform() * Float(extent))
    return min(first, extent)..<min(first + side, extent)
  }

  /// One pass of the filter 1 2 1 along both directions over what is known.
  private func blurred(_ values: [Float], height: Int, width: Int) -> [Float] {
    func pass(_ values: [Float], _ step: Int, _ place: (Int) -> Int, _ extent: Int) -> [Float] {
      var result = values
      for index in values.indices where values[index] != 1 {
        let before = place(index) > 0 ? values[index - step] : 1
        let after = place(index) < extent - 1 ? values[index + step] : 1
        let own = values[index]
        result[index] = (before == 1 ? own : before) * 0.25 + own * 0.5 + (after == 1 ? own : after) * 0.25
      }
      return result
    }
    let across = pass(values, 1, { $0 % width }, width)
    return pass(across, width, { $0 / width }, height)
  }
}
