// How the pixels of a label file say their class.

import Support
import Tensors

/// How the pixels of a label file say their class.
public enum LabelCode: Sendable, Equatable {
  /// The raw values of a grey or palettised PNG of at most 8 bits, or of a grey one of 16.
  case index
  /// The first channel of a PNG of 8 or 16 bits: red, or grey. SYNTHIA's labels have instances in the others.
  case firstChannel
  /// An RGB or palettised PNG of 8 bits: id k is the k-th of these colours.
  case colours([SIMD3<UInt8>])

  /// Makes sure that a PNG can be read so.
  /// - Throws: `Failure` 65 that says what it holds and how it may be read.
  func check(bitDepth: UInt8, colourType: UInt8, name: String) throws {
    switch self {
    case .index: try LabelCode.checkIndex(bitDepth: bitDepth, colourType: colourType, name: name)
    case .firstChannel:
      // Eight bytes a pixel are what nobody's labels have.
      guard bitDepth < 16 || colourType != 6 else {
        throw LabelCode.refusal(bitDepth, colourType, "one channel or more of ids", name, remedy: "take the alpha away")
      }
    case .colours:
      guard bitDepth <= 8, colourType & 2 != 0 else {
        throw LabelCode.refusal(
          bitDepth, colourType, "colours", name, remedy: "leave labelCode: palette out where pixels are ids")
      }
    }
  }

  private static func checkIndex(bitDepth: UInt8, colourType: UInt8, name: String) throws {
    guard colourType == 0 || (colourType == 3 && bitDepth <= 8) else {
      let remedy =
        switch (bitDepth, colourType) {
        case (16, _): "if the class is the first channel, as in SYNTHIA, use labelCode: first-channel"
        case (_, 2), (_, 6): "if colours stand for classes, use labelCode: palette; else give grey or palettised PNG"
        default: "give grey or palettised PNG"
        }
      throw refusal(bitDepth, colourType, "class indices", name, remedy: remedy)
    }
  }

  private static func refusal(
    _ bitDepth: UInt8, _ colourType: UInt8, _ expected: String, _ name: String, remedy: String
  ) -> Failure {
    Failure(
      .badData, "labels are \(bitDepth)-bit \(kind(ofColourType: colourType)), not \(expected)", at: name,
      remedy: remedy)
  }

  /// Ids of 16 bits as labels of 8.
  /// - Throws: `Failure` 65 that names the first id above 255.
  static func narrowed(_ ids: [UInt16], height: Int, width: Int, name: String) throws -> LabelMap {
    if let position = ids.firstIndex(where: { $0 > 255 }) {
      throw Failure(
        .badData,
        "label id \(ids[position]) at row \(position / width), column \(position % width) is above 255", at: name,
        remedy: "give files of class ids; those of instances have larger numbers")
    }
    return LabelMap(height: height, width: width, values: ids.map { UInt8($0) })
  }

  /// Ids of colours.
  /// - Throws: `Failure` 65 that names the first colour that is not listed.
  static func ids(of image: RGBImage, _ colours: [SIMD3<UInt8>], name: String) throws -> LabelMap {
    let ids = Dictionary(
      colours.enumerated().map { (number($1.x, $1.y, $1.z), UInt8($0)) }, uniquingKeysWith: { first, _ in first })
    let values = try (0..<image.height * image.width).map { pixel -> UInt8 in
      let (red, green, blue) = (image.pixels[3 * pixel], image.pixels[3 * pixel + 1], image.pixels[3 * pixel + 2])
      guard let id = ids[number(red, green, blue)] else {
        throw Failure(
          .badData,
          "colour [\(red), \(green), \(blue)] at row \(pixel / image.width), column \(pixel % image.width) is not in "
            + "the palette of \(colours.count) colours", at: name, remedy: "list it in the palette of the data set")
      }
      return id
    }
    return LabelMap(height: image.height, width: image.width, values: values)
  }

  private static func number(_ red: UInt8, _ green: UInt8, _ blue: UInt8) -> Int {
    Int(red) << 16 | Int(green) << 8 | Int(blue)
  }
}
