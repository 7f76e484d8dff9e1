// The look of one scene: colours, light, weather and camera faults. Here the two domains part ways.

import Support

/// Colours, light and camera faults of one scene.
struct SceneStyle {
  /// Strength of surface textures; 0 is flat colour.
  var texture: Float
  var road: Colour
  var marking: Colour
  var kerb: Colour
  var sidewalk: Colour
  var terrain: Colour
  var leaves: [Colour]
  var walls: [Colour]
  var roofs: [Colour]
  var lowWalls: [Colour]
  var fences: [Colour]
  var posts: [Colour]
  var bodies: [Colour]
  var clothes: [Colour]
  var window: Colour
  var skyTop: Colour
  var skyHorizon: Colour
  var cloud: Colour
  /// Light on faces to the left of the street, to its right, and towards the camera.
  var light: (left: Float, right: Float, front: Float)
  /// Side the shadows fall to, and their darkness.
  var shadowSide: Float
  var shadow: Float
  /// Metres at which haze hides half.
  var hazeRange: Float
  /// Gains by channel.
  var balance: Colour
  var contrast: Float
  var saturation: Float
  /// Standard deviation of the sensor's noise.
  var noise: Float
  var vignetting: Float
  /// Width of the blur as a share of the image width.
  var blur: Float
  /// Where this scene reads the noise tiles.
  var offset: Float
}

extension SceneStyle {
  init(_ domain: StreetScenes.Domain, _ random: inout RandomStream) {
    switch domain {
    case .source: self = SceneStyle.rendered(&random)
    case .target: self = SceneStyle.photographed(&random)
    }
  }

  /// Light on a vertical plane at x along the street.
  func light(at x: Float) -> Float { x < 0 ? light.left : light.right }

  /// A colour varied by smooth noise; `scale` is noise cells per metre.
  @inline(__always)
  func textured(_ colour: Colour, _ u: Float, _ v: Float, scale: Float, strength: Float) -> Colour {
    guard texture > 0 else { return colour }
    let coarse = NoiseTile.smooth(u * scale + offset, v * scale + offset)
    let fine = NoiseTile.smooth(u * scale * 7, v * scale * 7 + offset)
    return colour * (1 + texture * strength * (0.6 * coarse + 0.4 * fine))
  }

  private static func rendered(_ random: inout RandomStream) -> SceneStyle {
    let side = random.side()
    return SceneStyle(
      texture: 0, road: random.pick([rgb(0x62646E), rgb(0x54565E), rgb(0x76767A), rgb(0x6A665F)]),
      marking: rgb(0xF6F6F0),
      kerb: rgb(0xD9D5CC), sidewalk: random.pick([rgb(0xC8B8A8), rgb(0xD0BCB0), rgb(0xACA8A4), rgb(0xB8A898)]),
      terrain: random.pick([rgb(0x8CC050), rgb(0x98C85C), rgb(0xB0B058), rgb(0x90A048)]),
      leaves: [rgb(0x2F9A32), rgb(0x3CAA3A), rgb(0x268A3C), rgb(0x52B040)],
      walls: [
        rgb(0xE8A080), rgb(0xF0D8A0), rgb(0xB8C8E0), rgb(0xD86850), rgb(0xE8E0D0), rgb(0xC89060), rgb(0xA8B8A0),
      ],
      roofs: [rgb(0xA03028), rgb(0x803830), rgb(0x505868)],
      lowWalls: [rgb(0xD8C8B0), rgb(0xB87858), rgb(0xC0C0C0)], fences: [rgb(0xF0F0F0), rgb(0x806040), rgb(0x404048)],
      posts: [rgb(0x888C94), rgb(0x50545C), rgb(0xA8ACB4)],
      bodies: [
        rgb(0xD01818), rgb(0x1850C8), rgb(0xF0F0F0), rgb(0xF0C010), rgb(0x18A048), rgb(0x202028), rgb(0xE07018),
      ],
      clothes: [
        rgb(0xE02828), rgb(0x2848E0), rgb(0xF0E040), rgb(0x30B050), rgb(0xF0F0F0), rgb(0x9030B0), rgb(0x303848),
      ],
      window: rgb(0x4878B0), skyTop: random.pick([rgb(0x3C88E8), rgb(0x64A4F0), rgb(0x94BEEC)]),
      skyHorizon: random.pick([rgb(0xB0D8FA), rgb(0xDCECF8)]), cloud: rgb(0xFFFFFF),
      light: side > 0 ? (1, 0.68, 0.85) : (0.68, 1, 0.85), shadowSide: -side, shadow: 0.42, hazeRange: 900,
      balance: Colour(repeating: random.nextUniform(in: 0.82...1.06)),
      contrast: random.nextUniform(in: 0.9...1), saturation: random.nextUniform(in: 0.75...1), noise: 0.008,
      vignetting: 0, blur: 0, offset: random.nextUniform(in: 0...255))
  }

  private static func photographed(_ random: inout RandomStream) -> SceneStyle {
    var style = SceneStyle(
      texture: random.nextUniform(in: 0.8...1.2), road: random.pick([rgb(0x7C766E), rgb(0x686460), rgb(0x8A867E)]),
      marking: random.pick([rgb(0xBEBAB0), rgb(0xAAA69C)]), kerb: rgb(0x9A968E),
      sidewalk: random.pick([rgb(0x8E8A84), rgb(0x948A80), rgb(0x9C9892)]),
      terrain: random.pick([rgb(0x748448), rgb(0x868C50), rgb(0x66783E)]),
      leaves: random.pick([
        [rgb(0x3A6428), rgb(0x46702A), rgb(0x345A2C)], [rgb(0x46682E), rgb(0x5A7030), rgb(0x3C5E2E)],
        [rgb(0x74742E), rgb(0x666C28), rgb(0x55642C)],
      ]),
      walls: [
        rgb(0xA8988A), rgb(0x8E6A58), rgb(0xB4AC98), rgb(0x787880), rgb(0x96745C), rgb(0xC0AC88), rgb(0x94807A),
      ],
      roofs: [rgb(0x4E4642), rgb(0x5C4C44), rgb(0x3E4044)],
      lowWalls: [rgb(0x8C8478), rgb(0x74645A), rgb(0x9A9A94)], fences: [rgb(0x5A5650), rgb(0x46483E), rgb(0x74685A)],
      posts: [rgb(0x5A5A58), rgb(0x747470), rgb(0x464A48)],
      bodies: [
        rgb(0x2A2C30), rgb(0x8E9296), rgb(0xC8C8C4), rgb(0x2E4878), rgb(0x782A28), rgb(0x54565A), rgb(0x16181C),
      ],
      clothes: [rgb(0x2A2C34), rgb(0x4A4440), rgb(0x5C5048), rgb(0x30384A), rgb(0x6E3634), rgb(0x8A867C)],
      window: rgb(0x3C4248), skyTop: random.pick([rgb(0xB4C6DC), rgb(0xA6BEDC), rgb(0x94B2DA)]),
      skyHorizon: rgb(0xE6E8E8), cloud: rgb(0xA8ACB4),
      light: (random.nextUniform(in: 0.84...0.96), random.nextUniform(in: 0.84...0.96), 0.88), shadowSide: 0,
      shadow: 0.35, hazeRange: random.nextUniform(in: 140...400), balance: Colour(repeating: 1),
      contrast: random.nextUniform(in: 0.84...0.98), saturation: random.nextUniform(in: 0.85...1.1),
      noise: random.nextUniform(in: 0.008...0.02), vignetting: random.nextUniform(in: 0.15...0.45),
      blur: random.nextUniform(in: 0.0012...0.0026), offset: random.nextUniform(in: 0...255))
    let exposure = random.nextUniform(in: 0.88...1.14)
    if random.chance(0.2) {
      style.skyTop = random.pick([rgb(0xA4A8BC), rgb(0x9898AC)])
      style.skyHorizon = random.pick([rgb(0xF0C89C), rgb(0xECBCA4), rgb(0xE4D0B4)])
      style.cloud = rgb(0xCCA898)
      style.balance = Colour(1.08, 0.98, 0.9) * exposure * 0.96
    } else {
      let warmth = random.nextUniform(in: -0.08...0.08)
      style.balance = Colour(1 + warmth, 1, 1 - warmth) * exposure
    }
    return style
  }
}
