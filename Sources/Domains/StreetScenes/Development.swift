// From painted cells to camera pixels: haze, averaging, light and colour, blur, vignetting, noise.

import Imagery
import Support

/// The picture a camera makes of a painted canvas.
func develop(_ canvas: SceneCanvas, _ style: SceneStyle, _ random: inout RandomStream) -> RGBImage {
  let height = canvas.rows / SceneCanvas.fineness
  let width = canvas.columns / SceneCanvas.fineness
  var pixels = exposed(canvas, style, height: height, width: width)
  if style.blur > 0 {
    // The variance of one pass is half a pixel squared.
    let spread = style.blur * Float(width)
    for _ in 0..<max(1, Int(2 * spread * spread + 0.5)) { pixels = blurred(pixels, height: height, width: width) }
  }
  let (down, across) = (random.whole(0...255), random.whole(0...255))
  var bytes = [UInt8](repeating: 0, count: height * width * 3)
  for row in 0..<height {
    let v = (Float(row) + 0.5) / Float(height) * 2 - 1
    for column in 0..<width {
      let u = (Float(column) + 0.5) / Float(width) * 2 - 1
      var colour = pixels[row * width + column] * (1 - style.vignetting * (u * u + v * v) / 2)
      // Three reads of one tile, far apart, and another start in every row of tiles.
      let shift = across + (column / NoiseTile.size) * 37 + (row / NoiseTile.size) * 91
      colour +=
        style.noise
        * SIMD4(
          NoiseTile.grain.at(row: row + down, column: column + shift),
          NoiseTile.grain.at(row: row + down + 85, column: column + shift + 31),
          NoiseTile.grain.at(row: row + down + 170, column: column + shift + 67), 0)
      colour = (colour * 255 + 0.5).clamped(lowerBound: SIMD4(), upperBound: SIMD4(repeating: 255))
      let start = (row * width + column) * 3
      bytes[start] = UInt8(colour.x)
      bytes[start + 1] = UInt8(colour.y)
      bytes[start + 2] = UInt8(colour.z)
    }
  }
  return RGBImage(height: height, width: width, pixels: bytes)
}

/// Pixels as means of their cells behind haze, in the light's colours.
private func exposed(_ canvas: SceneCanvas, _ style: SceneStyle, height: Int, width: Int) -> [SIMD4<Float>] {
  let fineness = SceneCanvas.fineness
  let haze = SIMD4(style.skyHorizon, 0)
  let share = 1 / Float(fineness * fineness)
  let balance = SIMD4(style.balance, 0)
  var pixels = [SIMD4<Float>](repeating: SIMD4(), count: height * width)
  for row in 0..<height {
    for column in 0..<width {
      var sum = SIMD4<Float>()
      for y in row * fineness..<(row + 1) * fineness {
        for x in column * fineness..<(column + 1) * fineness {
          let cell = canvas.cells[y * canvas.columns + x]
          sum += cell + (haze - cell) * (cell.w / (cell.w + style.hazeRange))
        }
      }
      let colour = sum * share
      let grey = 0.3 * colour.x + 0.59 * colour.y + 0.11 * colour.z
      let toned = (SIMD4(repeating: grey) + (colour - grey) * style.saturation - 0.5) * style.contrast + 0.5
      pixels[row * width + column] = toned * balance
    }
  }
  return pixels
}

/// One pass of the filter 1 2 1 along both directions.
private func blurred(_ pixels: [SIMD4<Float>], height: Int, width: Int) -> [SIMD4<Float>] {
  var across = pixels
  for row in 0..<height {
    for column in 0..<width {
      let left = pixels[row * width + max(0, column - 1)]
      let right = pixels[row * width + min(width - 1, column + 1)]
      across[row * width + column] = (left + right) * 0.25 + pixels[row * width + column] * 0.5
    }
  }
  var result = across
  for row in 0..<height {
    for column in 0..<width {
      let above = across[max(0, row - 1) * width + column]
      let below = across[min(height - 1, row + 1) * width + column]
      result[row * width + column] = (above + below) * 0.25 + across[row * width + column] * 0.5
    }
  }
  return result
}
