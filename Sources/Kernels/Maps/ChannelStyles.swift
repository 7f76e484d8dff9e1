// The style of an image as a feature map shows it, mean and deviation of every channel, and the same map in another style.
// N samples, H×W pixels, C channels, S styles.

import Support
import Tensors

/// Styles: mean and deviation of every channel.
public struct ChannelStyles {
  /// Means, [S, C].
  public let means: Tensor
  /// Deviations, [S, C].
  public let deviations: Tensor

  /// From both.
  /// - Precondition: the shapes agree.
  public init(means: Tensor, deviations: Tensor) {
    precondition(
      means.shape.rank == 2 && means.shape == deviations.shape, "means \(means.shape), deviations \(deviations.shape)")
    self.means = means
    self.deviations = deviations
  }

  /// The styles of the samples of a map [N, H, W, C], each a row: the deviation is that of a sample from a larger set, with
  /// H·W - 1 for divisor, and 0 where there is one pixel.
  public init(of map: Tensor) {
    let mark = KernelMeter.begin(.elementwise)
    defer { KernelMeter.end(mark) }
    let channels = map.channels
    let tiles = SampleTiles(rowsOf: map)
    let partial = DoubleScratch(rows: map.samples * tiles.perSample, columns: 2 * channels)
    tiles.run { sample, tile, first, rows in
      let sums = partial.row(sample * tiles.perSample + tile)
      sums.update(repeating: 0, count: 2 * channels)
      for row in first..<first + rows {
        let values = map.pointer + row * channels
        for channel in 0..<channels {
          let value = Double(values[channel])
          sums[channel] += value
          sums[channels + channel] += value * value
        }
      }
    }
    let sums = partial.sums(samples: map.samples, tiles: tiles.perSample)
    let count = Double(tiles.rows)
    var (means, deviations) = ([Float](), [Float]())
    for sample in 0..<map.samples {
      for channel in 0..<channels {
        let mean = sums[2 * sample * channels + channel] / count
        let squares = sums[(2 * sample + 1) * channels + channel] - count * mean * mean
        means.append(Float(mean))
        deviations.append(Float(max(0, squares / max(1, count - 1)).squareRoot()))
      }
    }
    self.init(
      means: Tensor(means, [map.samples, channels]), deviations: Tensor(deviations, [map.samples, channels]))
  }

  /// From rows [S, 2·C]: means, then deviations.
  public init(rows: Tensor) {
    let channels = rows.channels / 2
    let values = rows.values
    func half(_ start: Int) -> Tensor {
      Tensor(
        (0..<rows.samples).flatMap { values[(2 * $0 + start) * channels..<(2 * $0 + start + 1) * channels] },
        [rows.samples, channels])
    }
    self.init(means: half(0), deviations: half(1))
  }

  /// Means, then deviations of each style, [S, 2·C].
  public var rows: Tensor {
    let channels = means.channels
    let (first, second) = (means.values, deviations.values)
    return Tensor(
      (0..<means.samples).flatMap { style in
        [first, second].flatMap { $0[style * channels..<(style + 1) * channels] }
      }, [means.samples, 2 * channels])
  }

  /// Blends of these styles: means and deviations are averaged by weight, in Double.
  /// - Parameter weights: of each blend S numbers.
  /// - Returns: as many styles as there are lists of weights.
  public func blended(_ weights: [[Double]]) -> ChannelStyles {
    precondition(weights.allSatisfy { $0.count == means.samples }, "weights of other than \(means.samples) styles")
    let channels = means.channels
    func blend(_ values: [Float]) -> Tensor {
      Tensor(
        weights.flatMap { weights in
          (0..<channels).map { channel in
            Float(weights.indices.reduce(0.0) { $0 + weights[$1] * Double(values[$1 * channels + channel]) })
          }
        }, [weights.count, channels])
    }
    return ChannelStyles(means: blend(means.values), deviations: blend(deviations.values))
  }
}

/// A map in other styles: `(x - mean) / (deviation + 10⁻⁷)` by its own style, times the other deviation plus the other mean.
///
/// Shapes: `x` and the result [N, H, W, C]; `own` and `styles` [N, C]. Own statistics are constants of the gradient, which is
/// `scaleChannels` with the returned factors [N, C].
/// Source: SHADE (Zhao et al., ECCV 2022), style hallucination.
public func restyled(_ x: Tensor, own: ChannelStyles, to styles: ChannelStyles) -> (output: Tensor, factors: Tensor) {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  let channels = x.channels
  precondition(
    own.means.shape == [x.samples, channels] && styles.means.shape == own.means.shape,
    "styles \(own.means.shape) and \(styles.means.shape) of \(x.shape)")
  let factors = Tensor(
    zip(styles.deviations.values, own.deviations.values).map { Float(Double($0) / (Double($1) + 1e-7)) },
    own.means.shape)
  let output = Tensor(uninitialized: x.shape)
  SampleTiles(rowsOf: x).run { sample, _, first, rows in
    let factors = factors.pointer + sample * channels
    let (from, to) = (own.means.pointer + sample * channels, styles.means.pointer + sample * channels)
    for row in first..<first + rows {
      let (source, target) = (x.pointer + row * channels, output.pointer + row * channels)
      for channel in 0..<channels {
        target[channel] = factors[channel] * (source[channel] - from[channel]) + to[channel]
      }
    }
  }
  return (output, factors)
}
