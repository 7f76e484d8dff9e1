// Colour jitter and blur in Double, one pixel at a time, from the definitions of HSV and of the Gaussian.

import Support

/// Hue in turns [0, 1), saturation and value of RGB in 0...1; ties of the largest go to the first channel.
public func naiveHSV(_ rgb: [Double]) -> [Double] {
  let value = rgb.max() ?? 0
  let range = value - (rgb.min() ?? 0)
  let largest = rgb.firstIndex(of: value) ?? 0
  let safe = range == 0 ? 1 : range
  let sector = 2 * Double(largest) + (rgb[(largest + 1) % 3] - rgb[(largest + 2) % 3]) / safe
  let hue = sector / 6
  return [hue - hue.rounded(.down), range / (value + 1e-6), value]
}

/// RGB of hue in turns, saturation and value.
public func naiveRGB(_ hsv: [Double]) -> [Double] {
  [5.0, 3.0, 1.0].map { offset in
    let turned = hsv[0] * 6 + offset
    let k = turned - 6 * (turned / 6).rounded(.down)
    return hsv[2] * (1 - hsv[1] * max(0, min(k, 4 - k, 1)))
  }
}

/// Jitter of one RGB pixel in 0...1; factors are brightness, contrast, saturation, hue, numbered so in `order`.
public func naiveJitter(_ rgb: [Double], factors: [Double], order: [Int]) -> [Double] {
  func clamped(_ x: Double) -> Double { min(max(x, 0), 1) }
  return order.reduce(rgb) { rgb, operation in
    switch operation {
    case 0: return rgb.map { clamped($0 + (factors[0] - 1)) }
    case 1: return rgb.map { clamped($0 * factors[1]) }
    default:
      var hsv = naiveHSV(rgb)
      if operation == 2 {
        hsv[1] = clamped(hsv[1] * factors[2])
      } else {
        hsv[0] = (hsv[0] + factors[3]).truncatingRemainder(dividingBy: 1)
      }
      return naiveRGB(hsv)
    }
  }
}

/// Gaussian blur of one image [H, W, C] with the whole window and mirrored border.
public func naiveBlur(_ image: [Double], height: Int, width: Int, channels: Int, sigma: Double) -> [Double] {
  func taps(_ side: Int) -> [Double] {
    let tenth = Int((0.1 * Double(side)).rounded(.up))
    let half = (tenth % 2 == 0 ? tenth - 1 : tenth) / 2
    let weights = (-half...half).map { (-Double($0 * $0) / (2 * sigma * sigma)).exponential }
    return weights.map { $0 / weights.reduce(0, +) }
  }
  func mirrored(_ index: Int, _ side: Int) -> Int {
    index < 0 ? -index : index >= side ? 2 * (side - 1) - index : index
  }
  let (rowTaps, columnTaps) = (taps(height), taps(width))
  var result = [Double](repeating: 0, count: image.count)
  for element in 0..<image.count {
    let (row, column, channel) = (element / (width * channels), element / channels % width, element % channels)
    for (i, rowTap) in rowTaps.enumerated() {
      for (j, columnTap) in columnTaps.enumerated() {
        let from = mirrored(row + i - rowTaps.count / 2, height) * width
        let pixel = from + mirrored(column + j - columnTaps.count / 2, width)
        result[element] += rowTap * columnTap * image[pixel * channels + channel]
      }
    }
  }
  return result
}
