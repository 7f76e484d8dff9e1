// Layer norm and batch norm in Double, written for clearness. Values are rows of `channels` numbers.

import Kernels

/// Normalises every row: `(x - mean) / sqrt(variance + epsilon) · scale + shift`.
public func naiveLayerNorm(_ x: [Double], scale: [Double], shift: [Double], epsilon: Double) -> [Double] {
  let channels = scale.count
  return x.indices.map { index in
    let row = x[index / channels * channels..<(index / channels + 1) * channels]
    let (mean, deviation) = meanAndDeviation(Array(row), epsilon)
    return (x[index] - mean) / deviation * scale[index % channels] + shift[index % channels]
  }
}

/// Gradients of `naiveLayerNorm`; those of scale and shift are summed over all rows.
public func naiveLayerNormGradients(
  _ x: [Double], scale: [Double], epsilon: Double, gradient: [Double]
) -> (x: [Double], scale: [Double], shift: [Double]) {
  let channels = scale.count
  var result = (
    x: [Double](), scale: [Double](repeating: 0, count: channels), shift: [Double](repeating: 0, count: channels)
  )
  for first in stride(from: 0, to: x.count, by: channels) {
    let row = Array(x[first..<first + channels])
    let (mean, deviation) = meanAndDeviation(row, epsilon)
    let normalised = row.map { ($0 - mean) / deviation }
    let scaled = (0..<channels).map { gradient[first + $0] * scale[$0] }
    let plain = scaled.reduce(0, +) / Double(channels)
    let dotted = innerProduct(scaled, normalised) / Double(channels)
    for c in 0..<channels {
      result.x.append((scaled[c] - plain - normalised[c] * dotted) / deviation)
      result.scale[c] += gradient[first + c] * normalised[c]
      result.shift[c] += gradient[first + c]
    }
  }
  return result
}

/// Batch norm with the statistics of all rows, then the rectifier.
public func naiveBatchNorm(
  _ x: [Double], scale: [Double], shift: [Double], epsilon: Double, rectifier: Rectifier
) -> [Double] {
  let channels = scale.count
  let statistics = (0..<channels).map { meanAndDeviation(column($0, of: x, channels), epsilon) }
  return x.indices.map { index in
    let c = index % channels
    let value = (x[index] - statistics[c].mean) / statistics[c].deviation * scale[c] + shift[c]
    return rectified(value, rectifier)
  }
}

/// Gradients of `naiveBatchNorm`, through the statistics too.
public func naiveBatchNormGradients(
  _ x: [Double], scale: [Double], shift: [Double], epsilon: Double, rectifier: Rectifier, gradient: [Double]
) -> (x: [Double], scale: [Double], shift: [Double]) {
  let channels = scale.count
  let output = naiveBatchNorm(x, scale: scale, shift: shift, epsilon: epsilon, rectifier: rectifier)
  let masked = x.indices.map { isCut(output[$0], rectifier) ? 0 : gradient[$0] }
  var result = (x: [Double](repeating: 0, count: x.count), scale: [Double](), shift: [Double]())
  for c in 0..<channels {
    let values = column(c, of: x, channels)
    let arriving = column(c, of: masked, channels)
    let (mean, deviation) = meanAndDeviation(values, epsilon)
    let normalised = values.map { ($0 - mean) / deviation }
    let plain = arriving.reduce(0, +)
    let dotted = innerProduct(arriving, normalised)
    for row in values.indices {
      result.x[row * channels + c] =
        scale[c] / deviation
        * (arriving[row] - plain / Double(values.count) - normalised[row] * dotted / Double(values.count))
    }
    result.scale.append(dotted)
    result.shift.append(plain)
  }
  return result
}

/// Every `channels`-th number from `index` on.
public func column(_ index: Int, of values: [Double], _ channels: Int) -> [Double] {
  stride(from: index, to: values.count, by: channels).map { values[$0] }
}

private func rectified(_ value: Double, _ rectifier: Rectifier) -> Double {
  switch rectifier {
  case .identity: value
  case .relu: max(value, 0)
  case .relu6: min(max(value, 0), 6)
  }
}

private func isCut(_ output: Double, _ rectifier: Rectifier) -> Bool {
  rectifier != .identity && output <= 0 || rectifier == .relu6 && output >= 6
}

private func meanAndDeviation(_ values: [Double], _ epsilon: Double) -> (mean: Double, deviation: Double) {
  let mean = values.reduce(0, +) / Double(values.count)
  let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
  return (mean, (variance + epsilon).squareRoot())
}
