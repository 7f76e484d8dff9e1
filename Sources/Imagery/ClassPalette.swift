// Class names and colours, label maps as pictures.

import Tensors

/// Names and colours of the classes of a label map.
public struct ClassPalette: Sendable, Equatable {
  /// Class names, by train id.
  public let names: [String]
  /// Red, green and blue, by train id.
  public let colours: [SIMD3<UInt8>]

  /// From names and colours of the same classes.
  /// - Precondition: as many names as colours, at most 255.
  public init(names: [String], colours: [SIMD3<UInt8>]) {
    precondition(names.count == colours.count && names.count <= 255, "\(names.count) names, \(colours.count) colours")
    self.names = names
    self.colours = colours
  }

  /// Number of classes.
  public var classCount: Int { names.count }

  /// Colour of a label; black for ignored pixels and ids outside the palette.
  public func colour(of label: UInt8) -> SIMD3<UInt8> { label < colours.count ? colours[Int(label)] : SIMD3() }

  /// The 19 evaluation classes of Cityscapes (Cordts et al., CVPR 2016) in the order of their train ids.
  public static let cityscapes = ClassPalette(
    names: [
      "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
      "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
    ],
    colours: [
      SIMD3(128, 64, 128), SIMD3(244, 35, 232), SIMD3(70, 70, 70), SIMD3(102, 102, 156), SIMD3(190, 153, 153),
      SIMD3(153, 153, 153), SIMD3(250, 170, 30), SIMD3(220, 220, 0), SIMD3(107, 142, 35), SIMD3(152, 251, 152),
      SIMD3(70, 130, 180), SIMD3(220, 20, 60), SIMD3(255, 0, 0), SIMD3(0, 0, 142), SIMD3(0, 0, 70),
      SIMD3(0, 60, 100), SIMD3(0, 80, 100), SIMD3(0, 0, 230), SIMD3(119, 11, 32),
    ])

  /// The 11 classes of CamVid (Brostow, Fauqueur, Cipolla, PRL 2009) in the order of the SegNet release.
  public static let camVid = ClassPalette(
    names: [
      "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
    ],
    colours: [
      SIMD3(128, 128, 128), SIMD3(128, 0, 0), SIMD3(192, 192, 128), SIMD3(128, 64, 128), SIMD3(60, 40, 222),
      SIMD3(128, 128, 0), SIMD3(192, 128, 128), SIMD3(64, 64, 128), SIMD3(64, 0, 128), SIMD3(64, 64, 0),
      SIMD3(0, 128, 192),
    ])
}

/// A label map in its classes' colours; ignored pixels are black.
/// - Precondition: `labels` holds one sample.
public func colourised(_ labels: LabelMap, _ palette: ClassPalette) -> RGBImage {
  precondition(labels.samples == 1, "\(labels.samples) label maps for one image")
  let table = (0...255).map { palette.colour(of: UInt8($0)) }
  var pixels = [UInt8]()
  pixels.reserveCapacity(labels.values.count * 3)
  for label in labels.values {
    let colour = table[Int(label)]
    pixels.append(colour.x)
    pixels.append(colour.y)
    pixels.append(colour.z)
  }
  return RGBImage(height: labels.height, width: labels.width, pixels: pixels)
}

/// Class colours laid over an image; ignored pixels show the image alone.
/// - Parameters:
///   - image: the image.
///   - labels: class of every pixel.
///   - palette: colours by class.
///   - opacity: 0 shows the image only, 1 the colours only.
/// - Precondition: one label map of the image's size.
public func overlay(_ image: RGBImage, _ labels: LabelMap, _ palette: ClassPalette, opacity: Float) -> RGBImage {
  precondition(
    labels.samples == 1 && labels.height == image.height && labels.width == image.width,
    "labels \(labels.samples)x\(labels.height)x\(labels.width) over an image of \(image.height)x\(image.width)")
  var result = colourised(labels, palette)
  for (pixel, label) in labels.values.enumerated() {
    let share = label == LabelMap.ignored ? 0 : opacity
    for channel in 0..<3 {
      let below = Float(image.pixels[pixel * 3 + channel])
      let above = Float(result.pixels[pixel * 3 + channel])
      result.pixels[pixel * 3 + channel] = UInt8(min(255, max(0, below + share * (above - below) + 0.5)))
    }
  }
  return result
}
