// Trees: a trunk and a crown of overlapping balls, or a cone. Trunk and crown are vegetation.

import Support

/// Leaves at a position in metres: flat in the clean rendering, mottled in the photograph.
@inline(__always)
func foliage(_ colour: Colour, _ u: Float, _ v: Float, _ style: SceneStyle) -> Paint {
  paint(style.textured(colour, u, v, scale: 14, strength: 0.8))
}

/// One ball of leaves; `ragged` shifts its edge noise.
func paintCrown(
  z: Float, x: Float, y: Float, radius: Float, _ leaves: Colour, _ style: SceneStyle, on canvas: inout SceneCanvas,
  _ ragged: Float
) {
  canvas.frontal(
    z: z, x: x - radius...x + radius, y: max(0, y - radius)...y + radius, label: StreetClass.vegetation
  ) { right, up in
    let u = right / radius - 1
    let v = (max(0, y - radius) + up - y) / radius
    let edge: Float =
      style.texture > 0 ? 0.78 + 0.4 * NoiseTile.smooth(right * 22 + style.offset + ragged, up * 22 + ragged) : 0.98
    let distance = u * u + v * v
    guard distance < edge else { return nothing }
    // Lit from above, on the side the shadows fall away from.
    let shade = 0.82 + 0.22 * v - 0.12 * u * style.shadowSide
    return foliage(leaves * shade, right, up, style)
  }
}

/// The shape of one tree.
struct Tree {
  private let trunk: Float
  private let radius: Float
  private let cone: Bool
  private let bark: Colour
  private let leaves: Colour
  private let balls: [(x: Float, y: Float, radius: Float)]

  init(_ style: SceneStyle, _ random: inout RandomStream) {
    let size = random.nextUniform(in: 0.75...1.25)
    trunk = random.nextUniform(in: 2...3) * size
    radius = random.nextUniform(in: 1.3...2.1) * size
    cone = random.chance(style.texture > 0 ? 0.12 : 0.25)
    bark = style.texture > 0 ? rgb(0x3C342E) : rgb(0x7A4A28)
    leaves = random.pick(style.leaves) * random.nextUniform(in: 0.85...1.1)
    let spread = radius
    balls = (0..<5).map { _ in
      (
        x: random.nextUniform(in: -0.6...0.6) * spread, y: random.nextUniform(in: -0.35...0.8) * spread,
        radius: random.nextUniform(in: 0.55...0.85) * spread
      )
    }
  }

  /// Metres the shadow reaches around the trunk.
  var shadowRadius: Float { radius }

  /// Draws the tree standing at (x, z).
  func paint(z: Float, x: Float, _ style: SceneStyle, on canvas: inout SceneCanvas) {
    canvas.frontal(z: z, x: x - 0.16...x + 0.16, y: 0...trunk + 0.4, label: StreetClass.vegetation) { right, up in
      Domains.paint(style.textured(bark * (0.8 + right), right, up, scale: 20, strength: 0.5))
    }
    if cone {
      let tall = radius * 3.4
      canvas.frontal(
        z: z, x: x - radius...x + radius, y: trunk * 0.5...trunk * 0.5 + tall, label: StreetClass.vegetation
      ) { right, up in
        let u = right / radius - 1
        let step = 0.12 * fraction(up / tall * 4)
        guard abs(u) < 1 - up / tall + step - 0.06 else { return nothing }
        return foliage(leaves * (0.85 - 0.15 * u * style.shadowSide), right, up, style)
      }
      return
    }
    for (index, ball) in balls.enumerated() {
      paintCrown(
        z: z, x: x + ball.x, y: trunk + radius * 0.7 + ball.y, radius: ball.radius, leaves, style, on: &canvas,
        Float(index) * 31)
    }
  }
}
