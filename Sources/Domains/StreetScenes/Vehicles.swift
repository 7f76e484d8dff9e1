// Cars, trucks and buses: boxes in perspective seen from behind or ahead, and silhouettes seen from the side.

import Support

/// The kinds of vehicle with four wheels or more.
enum VehicleKind {
  case saloon
  case van
  case truck
  case bus
}

/// One vehicle; its own z runs from the end nearer to the camera.
struct Vehicle {
  let kind: VehicleKind
  let length: Float
  let width: Float
  private let body: Colour
  private let cargo: Colour
  private let glass: Colour
  /// Seen from behind; otherwise it comes towards the camera.
  private let leaving: Bool

  init(_ kind: VehicleKind, leaving: Bool, _ style: SceneStyle, _ random: inout RandomStream) {
    self.kind = kind
    self.leaving = leaving
    let stretch = random.nextUniform(in: 0.93...1.08)
    switch kind {
    case .saloon: (length, width) = (4.3 * stretch, 1.78)
    case .van: (length, width) = (4.6 * stretch, 1.9)
    case .truck: (length, width) = (8 * stretch, 2.45)
    case .bus: (length, width) = (11 * stretch, 2.5)
    }
    body = random.pick(style.bodies)
    cargo = random.pick(
      style.texture > 0
        ? [rgb(0x9A9C9C), rgb(0x6A7076), rgb(0x8A8478)] : [rgb(0xF0F0F0), rgb(0x3060C0), rgb(0xE0B020)])
    glass = style.texture > 0 ? rgb(0x20262C) : rgb(0x283C58)
  }

  /// Its class.
  var label: UInt8 {
    switch kind {
    case .saloon, .van: StreetClass.car
    case .truck: StreetClass.truck
    case .bus: StreetClass.bus
    }
  }

  /// Draws the vehicle with its nearer end at z and its middle at x.
  func paint(z: Float, x: Float, _ style: SceneStyle, on canvas: inout SceneCanvas) {
    canvas.flat(y: 0, x: x - width / 2...x + width / 2, z: z...z + length, label: SceneCanvas.keep) { _, _ in
      Domains.paint(Colour(0.05, 0.05, 0.06), opacity: 0.75)
    }
    switch kind {
    case .saloon:
      box(z: z...z + length, x, 0.28...0.95, width, body, style, &canvas)
      let cabin: ClosedRange<Float> = leaving ? 0.14...0.7 : 0.3...0.86
      cabinBox(z: z + length * cabin.lowerBound...z + length * cabin.upperBound, x, 0.95...1.45, 0.14, style, &canvas)
    case .van:
      box(z: z...z + length, x, 0.3...1.05, width, body, style, &canvas)
      let cabin: ClosedRange<Float> = leaving ? 0.02...0.76 : 0.24...0.98
      cabinBox(z: z + length * cabin.lowerBound...z + length * cabin.upperBound, x, 1.05...1.78, 0.08, style, &canvas)
    case .truck:
      let cab = leaving ? z + length * 0.76...z + length : z...z + length * 0.24
      let load = leaving ? z...z + length * 0.72 : z + length * 0.28...z + length
      let parts = leaving ? [(cab, false), (load, true)] : [(load, true), (cab, false)]
      for (range, isLoad) in parts {
        if isLoad {
          box(z: range, x, 0.9...3.3, width, cargo, style, &canvas)
          box(z: range, x, 0.45...0.9, width * 0.94, cargo * 0.35, style, &canvas)
        } else {
          box(z: range, x, 0.45...1.5, width * 0.94, body, style, &canvas)
          cabinBox(z: range, x, 1.5...2.6, 0.05, style, &canvas)
        }
      }
    case .bus:
      box(z: z...z + length, x, 0.35...1.15, width, body, style, &canvas)
      cabinBox(z: z...z + length, x, 1.15...2.5, 0, style, &canvas)
      box(z: z...z + length, x, 2.5...3.0, width, body, style, &canvas)
    }
    wheels(z: z, x, style, &canvas)
    lamps(z: z, x, style, &canvas)
  }

  /// The faces of a box that the camera sees: top, inner side, end.
  private func box(
    z: ClosedRange<Float>, _ x: Float, _ y: ClosedRange<Float>, _ width: Float, _ colour: Colour, _ style: SceneStyle,
    _ canvas: inout SceneCanvas
  ) {
    let across = x - width / 2...x + width / 2
    let top = colour * 1.08
    canvas.flat(y: y.upperBound, x: across, z: z, label: label) { _, _ in Domains.paint(top) }
    let side = colour * style.light(at: x)
    if let face = facing(x, width) {
      canvas.along(x: face, z: z, y: y, label: label) { _, up, _ in
        Domains.paint(side * (up < 0.12 ? 0.75 : 1))
      }
    }
    let end = colour * (style.light.front * 0.95)
    canvas.frontal(z: z.lowerBound, x: across, y: y, label: label) { right, up in
      Domains.paint(style.textured(end * (up < 0.2 ? 0.7 : 1), right, up, scale: 12, strength: 0.12))
    }
  }

  /// A box with windows on every side, `inset` narrower than the body.
  private func cabinBox(
    z: ClosedRange<Float>, _ x: Float, _ y: ClosedRange<Float>, _ inset: Float, _ style: SceneStyle,
    _ canvas: inout SceneCanvas
  ) {
    let wide = width - 2 * inset
    let across = x - wide / 2...x + wide / 2
    let tall = y.upperBound - y.lowerBound
    let length = z.upperBound - z.lowerBound
    let roof = body * 1.08
    canvas.flat(y: y.upperBound, x: across, z: z, label: label) { _, _ in Domains.paint(roof) }
    if let face = facing(x, wide) {
      let side = body * style.light(at: x)
      let panes = max(2, Float(Int32(length / 1.6)))
      canvas.along(x: face, z: z, y: y, label: label) { distance, up, _ in
        let share = (distance - z.lowerBound) / length
        // Slanted screens at both ends of a car's cabin.
        if inset > 0.06 && min(share, 1 - share) * length < up / tall * 0.35 { return nothing }
        let pillar = fraction(share * panes) < 0.1
        return Domains.paint(pillar || up > tall - 0.1 ? side : glass)
      }
    }
    let lean: Float = inset > 0.06 ? 0.12 : 0
    let end = body * (style.light.front * 0.95)
    let shine = glass * (style.texture > 0 ? 1.5 : 1.25)
    canvas.frontal(z: z.lowerBound, x: across, y: y, label: label) { right, up in
      let middle = abs(right - wide / 2)
      if middle > wide / 2 - lean * up / tall { return nothing }
      let window = middle < wide / 2 - 0.12 - lean * up / tall && up > 0.08 && up < tall - 0.1
      return Domains.paint(window ? mix(glass, shine, up / tall) : end)
    }
  }

  /// Where the side lies that the camera sees, or nil right ahead.
  private func facing(_ x: Float, _ width: Float) -> Float? {
    if x - width / 2 > 0 { return x - width / 2 }
    return x + width / 2 < 0 ? x + width / 2 : nil
  }

  private func wheels(z: Float, _ x: Float, _ style: SceneStyle, _ canvas: inout SceneCanvas) {
    let large = kind == .truck || kind == .bus
    let radius: Float = large ? 0.48 : 0.33
    if let face = facing(x, width) {
      for share: Float in [0.18, 0.8] {
        let hub = z + length * share
        canvas.along(x: face, z: hub - radius...hub + radius, y: 0...2 * radius, label: label) { distance, up, _ in
          let (u, v) = (distance - hub, up - radius)
          let square = (u * u + v * v) / (radius * radius)
          return square < 1 ? Domains.paint(square < 0.3 ? rgb(0xA8A8AC) : rgb(0x141416)) : nothing
        }
      }
    }
    for middle in [x - width / 2 + 0.16, x + width / 2 - 0.16] {
      canvas.frontal(z: z + 0.01, x: middle - 0.13...middle + 0.13, y: 0...(large ? 0.5 : 0.32), label: label) { _, _ in
        Domains.paint(rgb(0x141416))
      }
    }
  }

  /// Lamps at both sides and a number plate, on the end towards the camera.
  private func lamps(z: Float, _ x: Float, _ style: SceneStyle, _ canvas: inout SceneCanvas) {
    let colour = leaving ? rgb(style.texture > 0 ? 0xA03028 : 0xFF2020) : rgb(style.texture > 0 ? 0xE8E4D0 : 0xFFFFF0)
    let height: Float = kind == .saloon || kind == .van ? 0.72 : 0.85
    for side: Float in [-1, 1] {
      let middle = x + side * (width / 2 - 0.2)
      canvas.frontal(z: z - 0.01, x: middle - 0.16...middle + 0.16, y: height...height + 0.16, label: label) { _, _ in
        Domains.paint(colour)
      }
    }
    canvas.frontal(z: z - 0.01, x: x - 0.26...x + 0.26, y: 0.5...0.62, label: label) { _, _ in
      Domains.paint(style.texture > 0 ? rgb(0xC8C4B0) : rgb(0xFFFFFF))
    }
  }

  /// Draws a car, truck or bus that crosses the street at z, its middle at x.
  func paintSideways(z: Float, x: Float, _ style: SceneStyle, on canvas: inout SceneCanvas) {
    let tall: Float = kind == .saloon ? 1.45 : (kind == .van ? 1.78 : 3.1)
    let waist: Float = kind == .saloon ? 0.95 : (kind == .van ? 1.05 : 1.2)
    let radius: Float = tall > 2 ? 0.48 : 0.33
    let colour = body * style.light.front
    canvas.frontal(z: z, x: x - length / 2...x + length / 2, y: 0...tall, label: label) { right, up in
      for hub in [length * 0.19, length * 0.8] {
        let (u, v) = (right - hub, up - radius)
        let square = (u * u + v * v) / (radius * radius)
        if square < 1 { return Domains.paint(square < 0.3 ? rgb(0xA8A8AC) : rgb(0x141416)) }
      }
      guard up > 0.26 else { return nothing }
      let share = right / length
      if up < waist { return Domains.paint(colour * (up < 0.42 ? 0.75 : 1)) }
      if kind == .truck { return Domains.paint(share < 0.72 ? cargo * style.light.front : (up > 2.5 ? colour : glass)) }
      let lean = (up - waist) / (tall - waist) * (kind == .saloon ? 0.13 : (kind == .van ? 0.05 : 0.008))
      let cabin: ClosedRange<Float> = kind == .saloon ? 0.1 + lean...0.76 - lean : 0.01 + lean...0.97 - 2 * lean
      guard cabin.contains(share) else { return nothing }
      let pillar = fraction(share * (kind == .bus ? 7 : 3.3)) < 0.08
      let frame = up > tall - 0.12 || (kind == .bus && up > tall - 0.6)
      return Domains.paint(pillar || frame || kind == .truck ? colour : glass)
    }
  }
}
