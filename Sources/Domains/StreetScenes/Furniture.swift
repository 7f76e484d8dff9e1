// Thin things on the sidewalk: lamp posts, bollards, traffic lights and signs.

import Support

/// A post of constant width; a lamp post has an arm over the road.
func paintPost(
  z: Float, x: Float, height: Float, width: Float, arm: Float, _ colour: Colour, _ style: SceneStyle,
  on canvas: inout SceneCanvas
) {
  canvas.frontal(z: z, x: x - width / 2...x + width / 2, y: 0...height, label: StreetClass.pole) { right, up in
    paint(style.textured(colour * (1.1 - 0.5 * right / width), right, up, scale: 20, strength: 0.2))
  }
  guard arm != 0 else { return }
  canvas.frontal(
    z: z, x: min(x, x + arm)...max(x, x + arm), y: height - 0.14...height, label: StreetClass.pole
  ) { _, _ in paint(colour) }
}

/// Three lamps in a dark case.
func paintTrafficLight(
  z: Float, x: Float, bottom: Float, lit: Int, facing: Bool, _ style: SceneStyle, on canvas: inout SceneCanvas
) {
  let casing = style.texture > 0 ? rgb(0x24282A) : rgb(0x101418)
  let colours = [rgb(0x30E060), rgb(0xFFC020), rgb(0xFF3020)]
  canvas.frontal(z: z, x: x - 0.24...x + 0.24, y: bottom...bottom + 1.2, label: StreetClass.trafficLight) { right, up in
    let lamp = min(2, Int(Int32(up / 0.4)))
    let (u, v) = (right - 0.24, up - 0.2 - Float(lamp) * 0.4)
    guard facing, u * u + v * v < 0.03 else { return paint(casing) }
    return paint(lamp == lit ? colours[lamp] * (style.texture > 0 ? 0.9 : 1) : colours[lamp] * 0.22)
  }
}

/// What a traffic sign looks like.
struct SignStyle {
  /// 0 round, 1 triangle, 2 square, 3 direction board.
  private let shape: Int
  private let size: Float
  private let border: Colour
  private let face: Colour

  init(_ style: SceneStyle, _ random: inout RandomStream) {
    shape = random.whole(0...3)
    size = random.nextUniform(in: 0.7...1.0)
    let faded: Float = style.texture > 0 ? 0.72 : 1
    let red = rgb(0xE01818) * faded
    let blue = rgb(0x1848D0) * faded
    let white = rgb(0xF8F8F8) * faded
    switch shape {
    case 0: (border, face) = random.chance(0.6) ? (red, white) : (blue, blue)
    case 1: (border, face) = (red, white)
    case 2: (border, face) = (white, blue)
    default: (border, face) = (white, random.pick([blue, rgb(0xF0C818) * faded]))
    }
  }

  /// Draws the plate with its lower edge at a height.
  func paint(z: Float, x: Float, bottom: Float, _ style: SceneStyle, on canvas: inout SceneCanvas) {
    let half = shape == 3 ? size * 0.9 : size / 2
    let tall = shape == 3 ? size * 0.7 : size
    canvas.frontal(z: z, x: x - half...x + half, y: bottom...bottom + tall, label: StreetClass.trafficSign) {
      right, up in
      let (u, v) = (right / half - 1, up / tall * 2 - 1)
      var edge = max(abs(u), abs(v))
      if shape == 0 { edge = u * u + v * v }
      if shape == 1 { edge = max(-v, abs(u) * 1.3 + v * 0.7 + 0.1) }
      guard edge < 1 else { return nothing }
      let plate = edge > 0.68 ? border : (abs(v) < 0.16 && abs(u) < 0.45 ? border * 0.5 : face)
      return Domains.paint(plate * style.light.front)
    }
  }
}
