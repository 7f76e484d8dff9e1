// Styles of maps [samples, pixels, channels] in Double.

/// Mean and unbiased deviation of every channel of every sample; no deviation where there is one pixel.
public func naiveChannelStyles(
  _ x: [Double], samples: Int, channels: Int
) -> (means: [Double], deviations: [Double]) {
  let pixels = x.count / samples / channels
  var (means, deviations) = ([Double](), [Double]())
  for sample in 0..<samples {
    for channel in 0..<channels {
      let values = (0..<pixels).map { x[(sample * pixels + $0) * channels + channel] }
      let mean = values.reduce(0, +) / Double(pixels)
      means.append(mean)
      let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      deviations.append(pixels > 1 ? (squares / Double(pixels - 1)).squareRoot() : 0)
    }
  }
  return (means, deviations)
}

/// `(x - mean) / (deviation + 1e-7)` by one style, times the other's deviation, plus its mean.
public func naiveRestyled(
  _ x: [Double], own: (means: [Double], deviations: [Double]), to styles: (means: [Double], deviations: [Double]),
  samples: Int, channels: Int
) -> [Double] {
  let perSample = x.count / samples
  return x.indices.map { index in
    let place = index / perSample * channels + index % channels
    return (x[index] - own.means[place]) / (own.deviations[place] + 1e-7) * styles.deviations[place]
      + styles.means[place]
  }
}
