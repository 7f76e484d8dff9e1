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
      let grain = Colour(
        NoiseTile.grain.at(row: row + down, column: column + shift),
        NoiseTile.grain.at(row: row + down + 85, column: column + shift + 31),
        NoiseTile.grain.at(row: row + down + 170, column: column + shift + 67))
      colour = (colour + grain * style.noise) * 255 + 0.5
      let start = (row * width + column) * 3
      bytes[start] = UInt8(min(max(colour.red, 0), 255))
      bytes[start + 1] = UInt8(min(max(colour.green, 0), 255))
      bytes[start + 2] = UInt8(min(max(colour.blue, 0), 255))
    }
  }
  return RGBImage(height: height, width: width, pixels: bytes)
}

/// Pixels as means of their cells behind haze, in the light's colours.
private func exposed(_ canvas: SceneCanvas, _ style: SceneStyle, height: Int, width: Int) -> [Colour] {
  let fineness = SceneCanvas.fineness
  let haze = style.skyHorizon
  let share = 1 / Float(fineness * fineness)
  var pixels = [Colour](repeating: Colour(repeating: 0), count: height * width)
  for row in 0..<height {
    for column in 0..<width {
      var sum = Colour(repeating: 0)
      for y in row * fineness..<(row + 1) * fineness {
        for x in column * fineness..<(column + 1) * fineness {
          let cell = canvas.cells[y * canvas.columns + x]
          sum = sum + mix(cell.colour, haze, cell.depth / (cell.depth + style.hazeRange))
        }
      }
      let colour = sum * share
      let grey = 0.3 * colour.red + 0.59 * colour.green + 0.11 * colour.blue
      let toned = (Colour(repeating: grey) + (colour - grey) * style.saturation - 0.5) * style.contrast + 0.5
      pixels[row * width + column] = toned * style.balance
    }
  }
  return pixels
}

/// One pass of the filter 1 2 1 along both directions.
private func blurred(_ pixels: [Colour], height: Int, width: Int) -> [Colour] {
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
