// The street of one scene: where road, sidewalks and building lines run, the crossing, the camera. Metres.

import Support

/// One side of the street; distances from the camera's axis outward.
struct StreetSide {
  /// -1 left, 1 right.
  let sign: Float
  /// Where the road ends.
  let kerb: Float
  /// Where the green strip along the kerb ends; equal to `kerb` without one.
  let verge: Float
  /// Where the sidewalk ends.
  let walk: Float
  /// Where buildings begin; front gardens lie between.
  let line: Float
  /// Cars are parked along the kerb.
  let parking: Bool
}

/// The street of one scene.
struct StreetPlan {
  let domain: StreetScenes.Domain
  let camera: SceneCamera
  let laneWidth: Float
  /// Lanes to the left of the camera's, the last of them oncoming; and to its right.
  let lanesLeft: Int
  let lanesRight: Int
  let left: StreetSide
  let right: StreetSide
  /// Where another street crosses.
  let crossing: ClosedRange<Float>?
  /// Where a building or park closes the view.
  let end: Float

  /// Both sides of the street.
  var sides: [StreetSide] { [left, right] }

  init(_ domain: StreetScenes.Domain, _ random: inout RandomStream) {
    self.domain = domain
    let clean = domain == .source
    camera = SceneCamera(
      height: random.nextUniform(in: clean ? 1.45...1.7 : 1.15...2.0),
      focal: random.nextUniform(in: clean ? 0.8...0.92 : 0.92...1.15),
      horizon: random.nextUniform(in: clean ? 0.44...0.5 : 0.36...0.48),
      centre: random.nextUniform(in: clean ? 0.47...0.53 : 0.4...0.6))
    laneWidth = random.nextUniform(in: clean ? 3.3...3.6 : 2.7...3.2)
    lanesLeft = clean ? random.whole(1...2) : (random.chance(0.75) ? 1 : 2)
    lanesRight = random.chance(clean ? 0.4 : 0.12) ? 1 : 0
    let drift = random.nextUniform(in: -0.3...0.3)
    let leftEdge = (Float(lanesLeft) + 0.5) * laneWidth - drift
    let rightEdge = (Float(lanesRight) + 0.5) * laneWidth + drift
    left = StreetPlan.side(-1, lanes: leftEdge, clean, &random)
    right = StreetPlan.side(1, lanes: rightEdge, clean, &random)
    let corner = random.nextUniform(in: clean ? 22...50 : 14...45)
    let breadth = random.nextUniform(in: clean ? 8...11 : 6...9)
    crossing = random.chance(clean ? 0.45 : 0.5) ? corner...corner + breadth : nil
    end = random.nextUniform(in: clean ? 110...200 : 60...140)
  }

  private static func side(_ sign: Float, lanes: Float, _ clean: Bool, _ random: inout RandomStream) -> StreetSide {
    let parking = random.chance(clean ? 0.45 : 0.7)
    let kerb = lanes + (parking ? 2.1 : 0.3)
    let verge = kerb + 0.15 + (random.chance(clean ? 0.4 : 0.25) ? random.nextUniform(in: 1...2.2) : 0)
    let walk = verge + random.nextUniform(in: clean ? 2.4...4.2 : 1.3...2.8)
    let line = walk + (random.chance(0.4) ? random.nextUniform(in: 1.5...5) : 0)
    return StreetSide(sign: sign, kerb: kerb, verge: verge, walk: walk, line: line, parking: parking)
  }

  /// True where a crossing street leaves no room for things beside the road.
  func crosses(_ z: Float, margin: Float = 0) -> Bool {
    guard let crossing else { return false }
    return z > crossing.lowerBound - margin && z < crossing.upperBound + margin
  }
}

/// A smooth sky, lighter towards the horizon, with clouds.
func paintSky(_ style: SceneStyle, on canvas: inout SceneCanvas, _ random: inout RandomStream) {
  let horizon = canvas.horizon / Float(canvas.rows)
  canvas.screen(y: 0...min(1, horizon + 0.02), label: StreetClass.sky, depth: 0) { across, down in
    var colour = mix(style.skyTop, style.skyHorizon, min(1, down / max(horizon, 0.01)))
    if style.texture > 0 {
      let smooth = NoiseTile.smooth(across * 60 + style.offset, down * 110 + style.offset)
      colour = mix(colour, style.cloud, min(0.75, max(0, 0.35 + smooth * 0.8)))
    }
    return paint(colour)
  }
  guard style.texture == 0 else { return }
  for _ in 0..<random.whole(1...4) {
    let (x, y) = (random.nextUniform(), random.nextUniform(in: 0.04...0.26))
    for _ in 0..<5 {
      let (u, v) = (x + random.nextUniform(in: -0.07...0.07), y + random.nextUniform(in: -0.02...0.02))
      let (a, b) = (random.nextUniform(in: 0.03...0.07), random.nextUniform(in: 0.015...0.035))
      canvas.screen(
        x: u - a...u + a, y: max(0, v - b)...min(horizon, max(0, v + b)), label: StreetClass.sky, depth: 0
      ) { across, down in
        let (p, q) = ((across - u) / a, (down - v) / b)
        return p * p + q * q < 1 ? paint(style.cloud, opacity: 0.8) : nothing
      }
    }
  }
}

/// Road, lane marks, kerbs, sidewalks, strips of grass and the crossing street, up to the horizon.
func paintGround(_ plan: StreetPlan, _ style: SceneStyle, on canvas: inout SceneCanvas) {
  let far: ClosedRange<Float> = 0.5...2000
  let ground = style.terrain * 0.95
  canvas.flat(y: 0, x: -2000...2000, z: far, label: StreetClass.terrain) { x, z in
    paint(style.textured(ground, x, z, scale: 4, strength: 0.5))
  }
  for side in plan.sides {
    func band(_ from: Float, _ to: Float, _ colour: Colour, _ label: UInt8, _ strength: Float, _ on: inout SceneCanvas)
    {
      let x = side.sign > 0 ? from...to : -to...(-from)
      on.flat(y: 0, x: x, z: far, label: label) { x, z in
        paint(style.textured(colour, x, z, scale: 9, strength: strength))
      }
    }
    band(0, side.kerb, style.road, StreetClass.road, 0.28, &canvas)
    band(side.kerb, side.kerb + 0.15, style.kerb, StreetClass.sidewalk, 0.2, &canvas)
    band(side.kerb + 0.15, side.verge, style.terrain, StreetClass.terrain, 0.5, &canvas)
    paintSidewalk(side, style, on: &canvas)
  }
  paintMarks(plan, style, on: &canvas)
  guard let crossing = plan.crossing else { return }
  canvas.flat(y: 0, x: -400...400, z: crossing, label: StreetClass.road) { x, z in
    paint(style.textured(style.road, x, z, scale: 9, strength: 0.28))
  }
  paintZebra(plan, from: crossing.lowerBound - 3.5, style, on: &canvas)
}

/// Paving between strip and building line, with joints.
private func paintSidewalk(_ side: StreetSide, _ style: SceneStyle, on canvas: inout SceneCanvas) {
  let x = side.sign > 0 ? side.verge...side.walk : -side.walk...(-side.verge)
  canvas.flat(y: 0, x: x, z: 0.5...2000, label: StreetClass.sidewalk) { x, z in
    let joint = z < 30 && (fraction(z / 1.2) < 0.06 || fraction(x / 1.2) < 0.06)
    let colour = joint ? style.sidewalk * 0.82 : style.sidewalk
    return paint(style.textured(colour, x, z, scale: 8, strength: 0.32))
  }
}

/// Dashed lines between lanes, solid ones at the edges; they are road.
private func paintMarks(_ plan: StreetPlan, _ style: SceneStyle, on canvas: inout SceneCanvas) {
  let worn = style.texture > 0
  func line(at x: Float, dashed: Bool, _ on: inout SceneCanvas) {
    on.flat(y: 0, x: x - 0.08...x + 0.08, z: 0.5...150, label: StreetClass.road) { x, z in
      if dashed && fraction(z / 9) > 0.45 || plan.crosses(z, margin: 5) { return nothing }
      guard worn else { return paint(style.marking) }
      return paint(style.marking, opacity: min(1, max(0, 0.6 + NoiseTile.smooth(x * 40, z * 6 + style.offset))))
    }
  }
  let edge = (Float(plan.lanesRight) + 0.5) * plan.laneWidth
  let shift = plan.right.kerb - edge - (plan.right.parking ? 2.1 : 0.3)
  for lane in 1..<plan.lanesLeft + plan.lanesRight + 1 {
    let x = edge + shift - Float(lane) * plan.laneWidth
    line(at: x, dashed: lane != plan.lanesRight + 1 || plan.lanesLeft == 1, &canvas)
  }
  for side in plan.sides where side.parking || !worn {
    line(at: side.sign * (side.kerb - (side.parking ? 2.1 : 0.3)), dashed: false, &canvas)
  }
}

/// White bars along the street, in front of the crossing.
private func paintZebra(_ plan: StreetPlan, from start: Float, _ style: SceneStyle, on canvas: inout SceneCanvas) {
  let worn = style.texture > 0
  canvas.flat(y: 0, x: -plan.left.kerb...plan.right.kerb, z: start...start + 2.6, label: StreetClass.road) { x, z in
    guard fraction(x) < 0.5 else { return nothing }
    return paint(style.marking, opacity: worn ? 0.5 + 0.3 * NoiseTile.smooth(x * 20, z * 20 + style.offset) : 1)
  }
}

/// The bonnet of the camera's car at the lower edge, without a class.
func paintBonnet(_ style: SceneStyle, on canvas: inout SceneCanvas, _ random: inout RandomStream) {
  guard random.chance(0.6) else { return }
  let top = random.nextUniform(in: 0.92...0.97)
  let body = random.pick(style.bodies) * 0.45
  canvas.screen(y: top...1, label: 255, depth: 0.5) { across, down in
    let middle = (across - 0.5) * 2
    let edge = top + (1 - top) * 0.9 * middle * middle
    return down > edge ? paint(body * (1 + 3 * (down - edge))) : nothing
  }
}
