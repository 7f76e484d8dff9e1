// A pinhole camera above the origin and a painting surface of two by two cells per pixel. World: x right, y up, z ahead,
// in metres, the camera at (0, camera height, 0). A tilted view is drawn as a shifted lens: verticals stay vertical.
// Only + - * / and square roots decide pixels, so that every machine draws the same.

import Tensors

/// The fractional part, for values above -65536.
func fraction(_ value: Float) -> Float {
  let shifted = value + 65536
  return shifted - Float(Int32(shifted))
}

/// Where the camera stands and what it sees, in units that do not depend on the image size.
struct SceneCamera {
  /// Metres above the road.
  var height: Float
  /// Focal length as a share of the image width.
  var focal: Float
  /// Height of the horizon as a share of the image height, from the top.
  var horizon: Float
  /// Column of the vanishing point as a share of the image width.
  var centre: Float
}

/// Colours, depths and labels of two by two cells per pixel, painted back to front.
struct SceneCanvas {
  /// Cells per pixel and direction.
  static let fineness = 2
  /// A label that leaves the one below.
  static let keep: UInt8 = 254
  let rows: Int
  let columns: Int
  let cameraHeight: Float
  /// Cells.
  let focal: Float
  let horizon: Float
  let centre: Float
  var cells: [SceneCell]
  var labels: [UInt8]

  init(height: Int, width: Int, camera: SceneCamera) {
    rows = height * SceneCanvas.fineness
    columns = width * SceneCanvas.fineness
    cameraHeight = camera.height
    focal = camera.focal * Float(columns)
    horizon = camera.horizon * Float(rows)
    centre = camera.centre * Float(columns)
    cells = [SceneCell](repeating: SceneCell(colour: Colour(repeating: 0), depth: 0), count: rows * columns)
    labels = [UInt8](repeating: StreetClass.sky, count: rows * columns)
  }

  /// Labels of one cell of every pixel.
  func pointSampledLabels() -> LabelMap {
    let fineness = SceneCanvas.fineness
    var values = [UInt8]()
    values.reserveCapacity(rows * columns / (fineness * fineness))
    for row in stride(from: fineness / 2, to: rows, by: fineness) {
      for column in stride(from: fineness / 2, to: columns, by: fineness) {
        values.append(labels[row * columns + column])
      }
    }
    return LabelMap(height: rows / fineness, width: columns / fineness, values: values)
  }

  /// Cells whose centres lie between two coordinates, inside the canvas.
  @inline(__always)
  func cells(from first: Float, to last: Float, below limit: Int) -> Range<Int> {
    let low = Int(min(max(first + 0.5, 0), Float(limit)))
    let high = Int(min(max(last + 0.5, 0), Float(limit)))
    return low..<max(low, high)
  }

  /// Blends paint into one cell.
  @inline(__always)
  mutating func put(_ index: Int, _ paint: Paint, _ label: UInt8, _ depth: Float) {
    let opacity = paint.opacity
    guard opacity >= 0 else { return }
    var colour = paint.colour
    if label == SceneCanvas.keep || opacity < 1 {
      let below = cells[index].colour
      colour = below + (colour - below) * opacity
    }
    cells[index].colour = colour
    guard label != SceneCanvas.keep else { return }
    cells[index].depth = depth
    labels[index] = label
  }

  /// A rectangle facing the camera at distance z. The shader takes metres from its left edge and from its bottom.
  @inline(__always)
  mutating func frontal(
    z: Float, x: ClosedRange<Float>, y: ClosedRange<Float>, label: UInt8, _ shader: (Float, Float) -> Paint
  ) {
    guard z > 0.5 else { return }
    let scale = z / focal
    let across = cells(from: centre + x.lowerBound / scale, to: centre + x.upperBound / scale, below: columns)
    let down = cells(
      from: horizon + (cameraHeight - y.upperBound) / scale, to: horizon + (cameraHeight - y.lowerBound) / scale,
      below: rows)
    for row in down {
      let up = cameraHeight - (Float(row) + 0.5 - horizon) * scale - y.lowerBound
      for column in across {
        let right = (Float(column) + 0.5 - centre) * scale - x.lowerBound
        put(row * columns + column, shader(right, up), label, z)
      }
    }
  }

  /// A vertical plane along the street at constant x. The shader takes z, metres from the bottom, and the metres along
  /// z that one cell covers.
  @inline(__always)
  mutating func along(
    x: Float, z: ClosedRange<Float>, y: ClosedRange<Float>, label: UInt8, _ shader: (Float, Float, Float) -> Paint
  ) {
    let near = max(z.lowerBound, 0.5)
    guard z.upperBound > near, x != 0 else { return }
    let ends = (centre + x * focal / near, centre + x * focal / z.upperBound)
    for column in cells(from: min(ends.0, ends.1), to: max(ends.0, ends.1), below: columns) {
      let offset = Float(column) + 0.5 - centre
      let distance = x * focal / offset
      let scale = distance / focal
      let footprint = abs(distance / offset)
      let down = cells(
        from: horizon + (cameraHeight - y.upperBound) / scale, to: horizon + (cameraHeight - y.lowerBound) / scale,
        below: rows)
      for row in down {
        let up = cameraHeight - (Float(row) + 0.5 - horizon) * scale - y.lowerBound
        put(row * columns + column, shader(distance, up, footprint), label, distance)
      }
    }
  }

  /// A horizontal rectangle at height y, seen from above. The shader takes x and z.
  @inline(__always)
  mutating func flat(
    y: Float, x: ClosedRange<Float>, z: ClosedRange<Float>, label: UInt8, _ shader: (Float, Float) -> Paint
  ) {
    let above = cameraHeight - y
    let near = max(z.lowerBound, 0.5)
    guard above > 0, z.upperBound > near else { return }
    for row in cells(from: horizon + above * focal / z.upperBound, to: horizon + above * focal / near, below: rows) {
      let distance = above * focal / (Float(row) + 0.5 - horizon)
      let scale = distance / focal
      let across = cells(from: centre + x.lowerBound / scale, to: centre + x.upperBound / scale, below: columns)
      for column in across {
        put(row * columns + column, shader((Float(column) + 0.5 - centre) * scale, distance), label, distance)
      }
    }
  }

  /// A rectangle given in shares of the image's width and height, which the shader takes too.
  @inline(__always)
  mutating func screen(
    x: ClosedRange<Float> = 0...1, y: ClosedRange<Float>, label: UInt8, depth: Float,
    _ shader: (Float, Float) -> Paint
  ) {
    let across = cells(from: x.lowerBound * Float(columns), to: x.upperBound * Float(columns), below: columns)
    for row in cells(from: y.lowerBound * Float(rows), to: y.upperBound * Float(rows), below: rows) {
      let down = (Float(row) + 0.5) / Float(rows)
      for column in across {
        put(row * columns + column, shader((Float(column) + 0.5) / Float(columns), down), label, depth)
      }
    }
  }
}
