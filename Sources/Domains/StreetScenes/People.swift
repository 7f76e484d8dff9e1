// Pedestrians, riders, bicycles and motorcycles, as flat figures facing the camera or crossing its view.

import Support

/// Square of the distance from a point to a line segment.
@inline(__always)
private func squaredDistance(_ x: Float, _ y: Float, from a: SIMD2<Float>, to b: SIMD2<Float>) -> Float {
  let point = SIMD2(x, y) - a
  let line = b - a
  let share = min(1, max(0, (point * line).sum() / (line * line).sum()))
  let rest = point - line * share
  return (rest * rest).sum()
}

/// One human figure.
struct Figure {
  private let height: Float
  private let coat: Colour
  private let trousers: Colour
  private let skin: Colour
  private let hair: Colour
  private let stride: Float

  init(_ style: SceneStyle, _ random: inout RandomStream) {
    height = random.nextUniform(in: 1.5...1.9)
    coat = random.pick(style.clothes)
    trousers = random.pick(style.clothes) * 0.7
    skin = random.pick([rgb(0xE8B898), rgb(0xC08860), rgb(0x80543C)]) * (style.texture > 0 ? 0.85 : 1)
    hair = random.pick([rgb(0x201810), rgb(0x604020), rgb(0xB09050)])
    stride = random.nextUniform(in: 0...0.26)
  }

  /// Draws a person standing or walking at (x, z).
  func paint(z: Float, x: Float, _ style: SceneStyle, on canvas: inout SceneCanvas) {
    let reach = height * 0.2
    canvas.frontal(z: z, x: x - reach...x + reach, y: 0...height, label: StreetClass.person) { right, up in
      let (u, v) = ((right - reach) / height, up / height)
      if let head = head(u, v - 0.925) { return head }
      if v > 0.48 && v < 0.85 {
        if abs(u) < 0.115 - 0.03 * abs(v - 0.75) { return Domains.paint(coat * style.light.front) }
        return abs(u) < 0.16 && v > 0.5 ? Domains.paint(coat * style.light.front * 0.8) : nothing
      }
      guard v <= 0.48 else { return nothing }
      let centre = 0.05 + stride * (0.48 - v)
      let leg = min(abs(u - centre), abs(u + centre))
      return leg < 0.052 ? Domains.paint(v < 0.05 ? rgb(0x181818) : trousers) : nothing
    }
  }

  private func head(_ u: Float, _ v: Float) -> Paint? {
    let square = u * u * 1.3 + v * v
    guard square < 0.0056 else { return nil }
    return Domains.paint(v > 0.02 ? hair : skin)
  }

  /// Draws a rider seen from behind or ahead, with the seat at a height.
  func paintRiding(z: Float, x: Float, seat: Float, _ style: SceneStyle, on canvas: inout SceneCanvas) {
    canvas.frontal(z: z, x: x - 0.34...x + 0.34, y: seat - 0.5...seat + 0.95, label: StreetClass.rider) { right, up in
      let (u, v) = (right - 0.34, up - 0.5)
      if let head = head(u / 1.75, (v - 0.8) / 1.75) { return head }
      if v > 0 && v < 0.68 {
        return abs(u) < 0.2 + 0.12 * (0.68 - v) ? Domains.paint(coat * style.light.front) : nothing
      }
      return v <= 0 && abs(abs(u) - 0.14) < 0.08 ? Domains.paint(trousers) : nothing
    }
  }

  /// Draws a rider seen from the side, moving to the side `direction` points to.
  func paintRidingSideways(
    z: Float, x: Float, seat: Float, direction: Float, _ style: SceneStyle, on canvas: inout SceneCanvas
  ) {
    canvas.frontal(z: z, x: x - 0.6...x + 0.6, y: seat - 0.6...seat + 0.95, label: StreetClass.rider) { right, up in
      let (u, v) = ((right - 0.6) * direction, up - 0.6)
      if let head = head((u - 0.28) / 1.75, (v - 0.8) / 1.75) { return head }
      let back = squaredDistance(u, v, from: SIMD2(-0.15, 0.02), to: SIMD2(0.2, 0.58))
      if back < 0.026 { return Domains.paint(coat * style.light.front) }
      if squaredDistance(u, v, from: SIMD2(0.2, 0.5), to: SIMD2(0.5, 0.18)) < 0.004 {
        return Domains.paint(coat * 0.75)
      }
      let thigh = squaredDistance(u, v, from: SIMD2(-0.12, 0), to: SIMD2(0.16, -0.12))
      let shin = squaredDistance(u, v, from: SIMD2(0.16, -0.12), to: SIMD2(0.06, -0.52))
      return min(thigh, shin) < 0.007 ? Domains.paint(trousers) : nothing
    }
  }
}

/// A bicycle or motorcycle.
struct TwoWheeler {
  let motor: Bool
  private let frame: Colour

  init(motor: Bool, _ style: SceneStyle, _ random: inout RandomStream) {
    self.motor = motor
    frame = random.pick(style.bodies)
  }

  /// Its class.
  var label: UInt8 { motor ? StreetClass.motorcycle : StreetClass.bicycle }
  /// Height of the saddle.
  var seat: Float { motor ? 0.85 : 0.92 }

  /// Draws it seen from behind or ahead.
  func paint(z: Float, x: Float, _ style: SceneStyle, on canvas: inout SceneCanvas) {
    let half: Float = motor ? 0.17 : 0.06
    canvas.frontal(z: z, x: x - 0.36...x + 0.36, y: 0...1.12, label: label) { right, up in
      let u = abs(right - 0.36)
      if up < 0.66 && u < half { return Domains.paint(rgb(0x141416)) }
      if motor && up > 0.35 && up < 0.9 && u < 0.28 { return Domains.paint(frame) }
      if up > 1.0 && u < 0.33 { return Domains.paint(rgb(0x30343C)) }
      return up >= 0.66 && u < half + 0.03 ? Domains.paint(frame) : nothing
    }
  }

  /// Draws it seen from the side.
  func paintSideways(z: Float, x: Float, direction: Float, _ style: SceneStyle, on canvas: inout SceneCanvas) {
    let radius: Float = motor ? 0.31 : 0.34
    let base: Float = motor ? 0.66 : 0.53
    let thick: Float = motor ? 0.02 : 0.0016
    canvas.frontal(z: z, x: x - 1...x + 1, y: 0...1.12, label: label) { right, up in
      let (u, v) = ((right - 1) * direction, up)
      let tube = min(
        squaredDistance(u, v, from: SIMD2(-base, radius), to: SIMD2(-0.18, seat - 0.06)),
        min(
          squaredDistance(u, v, from: SIMD2(-0.2, seat), to: SIMD2(-0.05, 0.3)),
          min(
            squaredDistance(u, v, from: SIMD2(-0.15, 0.62), to: SIMD2(0.36, 0.78)),
            min(
              squaredDistance(u, v, from: SIMD2(-0.05, 0.3), to: SIMD2(0.36, 0.78)),
              squaredDistance(u, v, from: SIMD2(base, radius), to: SIMD2(0.38, 1.02))))))
      if tube < (motor ? thick : 0.0016) { return Domains.paint(frame) }
      let (left, right) = (u + base, u - base)
      let wheel = min(left * left, right * right) + (v - radius) * (v - radius)
      guard wheel < radius * radius else { return nothing }
      // The spokes of a bicycle show what is behind them.
      let rim = wheel > radius * radius * (motor ? 0.3 : 0.66)
      return Domains.paint(rim ? rgb(0x141416) : rgb(0x808488), opacity: rim || motor ? 1 : 0.25)
    }
  }
}
