// What lines the street: buildings, walls, fences, hedges, and what stands behind them. Painted from far to near.

import Support

/// What one stretch of a street's side holds.
private enum Stretch {
  case building
  case wall
  case fence
  case hedge
  case park
}

/// The appearance of one building.
struct BuildingStyle {
  let wall: Colour
  let trim: Colour
  let glass: Colour
  let roof: Colour
  let height: Float
  let storey: Float
  /// Metres from window to window.
  let bay: Float
  /// Share of a bay and of a storey that is window.
  let opening: (across: Float, up: Float)
  let shop: Bool
  let bricks: Bool

  init(_ style: SceneStyle, _ random: inout RandomStream) {
    wall = random.pick(style.walls) * random.nextUniform(in: 0.9...1.08)
    trim = mix(wall, Colour(repeating: style.texture > 0 ? 0.62 : 1), 0.5)
    glass = style.window * random.nextUniform(in: 0.8...1.2)
    roof = random.pick(style.roofs)
    storey = random.nextUniform(in: 2.9...3.6)
    height = storey * Float(random.whole(2...6)) + 0.8
    bay = random.nextUniform(in: 2.2...4.2)
    opening = (random.nextUniform(in: 0.35...0.62), random.nextUniform(in: 0.4...0.62))
    shop = random.chance(0.35)
    bricks = random.chance(0.4)
  }

  /// Colour at a position on the front, in metres along and up; `light` is the light the face gets.
  @inline(__always)
  func front(_ along: Float, _ up: Float, footprint: Float, light: Float, _ style: SceneStyle) -> Paint {
    if up > height { return paint(style.textured(roof * light, along, up, scale: 6, strength: 0.4)) }
    if up > height - 0.45 { return paint(trim * light) }
    let floor = Float(Int32(up / storey))
    let across = fraction(along / bay) - 0.5
    let level = up / storey - floor - 0.52
    let wide = shop && floor == 0
    let (half, tall) = wide ? (Float(0.45), Float(0.38)) : (opening.across / 2, opening.up / 2)
    // Windows far away are narrower than a cell: their mean replaces them before they shimmer.
    let detail = min(1, max(0, 1.6 - footprint / bay * 2.5))
    var plain = wall
    if style.texture > 0 {
      if bricks && footprint < 0.15 && (fraction(up * 3.5) < 0.16 || fraction(along * 1.7) < 0.08) { plain *= 0.86 }
      plain = style.textured(plain, along, up, scale: 5, strength: 0.34)
      plain *= 0.9 + 0.1 * min(1, up / 4)
    }
    let inside = abs(across) < half && abs(level) < tall
    let frame = abs(across) < half + 0.035 && abs(level) < tall + 0.04
    let pane = abs(across) < 0.018 ? trim : glass * (0.85 + 0.5 * (level + 0.5) * (floor > 0 ? 1 : 0.6))
    let sharp = inside ? pane : (frame ? trim : plain)
    let mean = mix(plain, glass, half * tall * 3)
    return paint(mix(mean, sharp, detail) * light)
  }
}

/// Both sides of the street and what closes it at the end.
func paintStreetSides(
  _ plan: StreetPlan, _ style: SceneStyle, on canvas: inout SceneCanvas, _ random: inout RandomStream
) {
  paintEnd(plan, style, on: &canvas, &random)
  for side in plan.sides { paintBackdrop(side, plan, style, on: &canvas, &random) }
  for side in plan.sides {
    var stretches: [(Stretch, ClosedRange<Float>)] = []
    var z: Float = 3
    while z < plan.end {
      let kind = stretch(plan.domain, &random)
      let length = kind == .building ? random.nextUniform(in: 8...22) : random.nextUniform(in: 7...18)
      if !plan.crosses(z, margin: 2) {
        // A stretch ends at the corner of a crossing street.
        let limit = plan.crossing.map { z < $0.lowerBound ? $0.lowerBound - 2 : .infinity } ?? .infinity
        if min(z + length, limit) > z + 2 { stretches.append((kind, z...min(z + length, limit, plan.end))) }
      } else if let crossing = plan.crossing {
        z = crossing.upperBound + 2 - length
      }
      z += length
    }
    for (kind, range) in stretches.reversed() { paintStretch(kind, range, side, style, on: &canvas, &random) }
  }
}

private func stretch(_ domain: StreetScenes.Domain, _ random: inout RandomStream) -> Stretch {
  let draw = random.nextUniform()
  let shares: [(Stretch, Float)] =
    domain == .source
    ? [(.building, 0.46), (.wall, 0.62), (.fence, 0.78), (.hedge, 0.86), (.park, 1)]
    : [(.building, 0.42), (.wall, 0.58), (.fence, 0.76), (.hedge, 0.86), (.park, 1)]
  return shares.first { draw < $0.1 }?.0 ?? .park
}

private func paintEnd(
  _ plan: StreetPlan, _ style: SceneStyle, on canvas: inout SceneCanvas, _ random: inout RandomStream
) {
  var x: Float = -90
  while x < 90 {
    let width = random.nextUniform(in: 12...26)
    if random.chance(0.6) {
      let building = BuildingStyle(style, &random)
      canvas.frontal(z: plan.end + 12, x: x...x + width, y: 0...building.height + 1.5, label: StreetClass.building) {
        building.front($0, $1, footprint: 0.4, light: style.light.front, style)
      }
    } else {
      let leaves = random.pick(style.leaves)
      for _ in 0..<4 {
        let tall = random.nextUniform(in: 6...13)
        let shift = random.nextUniform(in: 0...width)
        paintCrown(
          z: plan.end + 12, x: x + shift, y: tall * 0.45, radius: tall * 0.55, leaves, style, on: &canvas, 0)
      }
    }
    x += width
  }
}

/// A row of trees and houses well behind the building line, seen through gaps.
private func paintBackdrop(
  _ side: StreetSide, _ plan: StreetPlan, _ style: SceneStyle, on canvas: inout SceneCanvas,
  _ random: inout RandomStream
) {
  var ranges: [ClosedRange<Float>] = []
  var z: Float = 6
  while z < plan.end + 10 {
    let length = random.nextUniform(in: 10...24)
    ranges.append(z...z + length)
    z += length
  }
  for range in ranges.reversed() {
    let x = side.sign * (side.line + random.nextUniform(in: 9...16))
    if random.chance(0.5) {
      let building = BuildingStyle(style, &random)
      paintBuilding(building, x, range, style, on: &canvas)
    } else {
      let leaves = random.pick(style.leaves)
      let tall = random.nextUniform(in: 5...10)
      let light = style.light(at: x)
      canvas.along(x: x, z: range, y: 0...tall, label: StreetClass.vegetation) { z, up, _ in
        let ragged = NoiseTile.smooth(z * 5 + style.offset, 40) * 1.6
        return up < tall - 1.2 + ragged ? foliage(leaves * light * (0.6 + 0.4 * up / tall), z, up, style) : nothing
      }
    }
  }
}

private func paintStretch(
  _ kind: Stretch, _ range: ClosedRange<Float>, _ side: StreetSide, _ style: SceneStyle, on canvas: inout SceneCanvas,
  _ random: inout RandomStream
) {
  let x = side.sign * side.line
  let light = style.light(at: x)
  switch kind {
  case .building:
    paintBuilding(BuildingStyle(style, &random), x, range, style, on: &canvas)
  case .wall:
    let colour = random.pick(style.lowWalls)
    let height = random.nextUniform(in: 1.3...2.8)
    paintPlainFace(x, range, height, colour, StreetClass.wall, style, on: &canvas)
  case .fence:
    paintFence(x, range, random.nextUniform(in: 1.1...1.9), random.pick(style.fences), style, on: &canvas)
  case .hedge:
    let leaves = random.pick(style.leaves)
    let height = random.nextUniform(in: 0.9...2.2)
    canvas.along(x: x, z: range, y: 0...height + 0.3, label: StreetClass.vegetation) { z, up, _ in
      let ragged = NoiseTile.smooth(z * 30 + style.offset, 90) * 0.3
      return up < height + ragged ? foliage(leaves * light * (0.65 + 0.35 * up / height), z, up, style) : nothing
    }
  case .park:
    for _ in 0..<random.whole(2...5) {
      let z = random.nextUniform(in: range)
      let away = side.sign * random.nextUniform(in: 0.8...6)
      let tree = Tree(style, &random)
      tree.paint(z: z, x: x + away, style, on: &canvas)
    }
  }
}

/// A house: its front along the street, and its gable towards the camera.
private func paintBuilding(
  _ building: BuildingStyle, _ x: Float, _ range: ClosedRange<Float>, _ style: SceneStyle,
  on canvas: inout SceneCanvas
) {
  let ends = x < 0 ? x - 11...x : x...x + 11
  canvas.frontal(z: range.lowerBound, x: ends, y: 0...building.height + 1.4, label: StreetClass.building) { right, up in
    if up > building.height {
      // The gable narrows towards the ridge.
      return abs(right - 5.5) < 5.5 * (1 - (up - building.height) / 1.5)
        ? paint(building.wall * style.light.front) : nothing
    }
    return building.front(right, up, footprint: 0.1, light: style.light.front, style)
  }
  let light = style.light(at: x)
  canvas.along(x: x, z: range, y: 0...building.height + 1.2, label: StreetClass.building) { z, up, footprint in
    building.front(z - range.lowerBound, up, footprint: footprint, light: light, style)
  }
}

/// A low wall with a coping and its end towards the camera.
private func paintPlainFace(
  _ x: Float, _ range: ClosedRange<Float>, _ height: Float, _ colour: Colour, _ label: UInt8, _ style: SceneStyle,
  on canvas: inout SceneCanvas
) {
  let light = style.light(at: x)
  canvas.frontal(z: range.lowerBound, x: x < 0 ? x - 0.3...x : x...x + 0.3, y: 0...height, label: label) { _, _ in
    paint(colour * style.light.front)
  }
  canvas.along(x: x, z: range, y: 0...height, label: label) { z, up, footprint in
    let joint = footprint < 0.3 && (fraction(up / 0.4) < 0.1 || fraction(z / 0.9) < 0.05)
    let shade: Float = up > height - 0.12 ? 1.12 : (joint ? 0.86 : 1)
    return paint(style.textured(colour * light * shade, z, up, scale: 8, strength: 0.4))
  }
}

/// Rails and bars; the gaps show what is behind and still are fence.
private func paintFence(
  _ x: Float, _ range: ClosedRange<Float>, _ height: Float, _ colour: Colour, _ style: SceneStyle,
  on canvas: inout SceneCanvas
) {
  let light = style.light(at: x)
  canvas.along(x: x, z: range, y: 0...height, label: StreetClass.fence) { z, up, footprint in
    let rail = up > height - 0.12 || abs(up - 0.2) < 0.05
    let bar = fraction(z / 0.32) < 0.42 || fraction(z / 2.4) < 0.06
    // Bars narrower than a cell become an even veil.
    let opacity: Float = rail ? 1 : (footprint > 0.25 ? 0.7 : (bar ? 1 : 0.25))
    return paint(style.textured(colour * light, z, up, scale: 8, strength: 0.3), opacity: opacity)
  }
}
