// Colours of drawn scenes as plain numbers, and what shaders answer. Every operation acts on each channel by itself and
// rounds as it is written, so that every machine draws the same.

/// Red, green, blue, 0 ... 1.
struct Colour: Equatable {
  var red: Float
  var green: Float
  var blue: Float

  @inline(__always)
  init(_ red: Float, _ green: Float, _ blue: Float) {
    self.red = red
    self.green = green
    self.blue = blue
  }

  /// Grey.
  @inline(__always)
  init(repeating value: Float) { self.init(value, value, value) }

  @inline(__always)
  static func + (first: Colour, second: Colour) -> Colour {
    Colour(first.red + second.red, first.green + second.green, first.blue + second.blue)
  }

  @inline(__always)
  static func - (first: Colour, second: Colour) -> Colour {
    Colour(first.red - second.red, first.green - second.green, first.blue - second.blue)
  }

  @inline(__always)
  static func * (first: Colour, second: Colour) -> Colour {
    Colour(first.red * second.red, first.green * second.green, first.blue * second.blue)
  }

  @inline(__always)
  static func + (colour: Colour, value: Float) -> Colour { colour + Colour(repeating: value) }

  @inline(__always)
  static func - (colour: Colour, value: Float) -> Colour { colour - Colour(repeating: value) }

  @inline(__always)
  static func * (colour: Colour, factor: Float) -> Colour { colour * Colour(repeating: factor) }

  @inline(__always)
  static func *= (colour: inout Colour, factor: Float) { colour = colour * factor }

  @inline(__always)
  static func / (colour: Colour, divisor: Float) -> Colour {
    Colour(colour.red / divisor, colour.green / divisor, colour.blue / divisor)
  }
}

/// A colour from 0xRRGGBB.
func rgb(_ code: UInt32) -> Colour {
  Colour(Float(code >> 16 & 255), Float(code >> 8 & 255), Float(code & 255)) / 255
}

/// Between two colours.
@inline(__always)
func mix(_ first: Colour, _ second: Colour, _ share: Float) -> Colour { first + (second - first) * share }

/// What a shader answers.
struct Paint {
  var colour: Colour
  /// 0 ... 1 sets label and depth and blends; below 0 leaves the cell.
  var opacity: Float
}

/// Outside of a shape.
let nothing = Paint(colour: Colour(repeating: 0), opacity: -1)

/// A colour as paint.
@inline(__always)
func paint(_ colour: Colour, opacity: Float = 1) -> Paint { Paint(colour: colour, opacity: opacity) }

/// One painted cell.
struct SceneCell {
  var colour: Colour
  /// Metres; 0 for the sky.
  var depth: Float
}
