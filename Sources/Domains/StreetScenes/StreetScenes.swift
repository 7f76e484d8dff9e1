// Procedural street scenes with exact labels: the data every installation has. Two domains show the same kind of street
// through different eyes, so that adaptation from one to the other can be exercised without any file.

import Imagery
import Support
import Tensors

/// Drawn street scenes in the 19 Cityscapes classes, without any file.
///
/// A scene is a function of (seed, domain, index) alone: neither `count` nor the order of calls matters, and another size
/// shows the same scene with more or fewer pixels. Train (16) does not occur; 255 marks the bonnet of the camera's car.
///
/// - `source`: a clean rendering. Flat saturated colours, hard shadows, blue sky, regular wide streets.
/// - `target`: a poor camera. Textured surfaces, other colours, overcast or evening light, haze, blur, noise, vignetting,
///   another camera height and field of view, narrower and fuller streets.
///
/// - Complexity: O(height * width) time and memory per call; nothing is kept.
public struct StreetScenes: Dataset {
  /// Which of the two renderings.
  public enum Domain: String, Sendable, CaseIterable {
    case source
    case target
  }

  /// How well depth is known.
  public enum Depth: Sendable, Equatable {
    /// Exactly, but for sky and bonnet.
    case exact
    /// As a network knows it that learned depth without being told it: up to a factor, blurred, noisy, with holes.
    case estimated
  }

  /// Which of the two renderings.
  public let domain: Domain
  /// Number of scenes.
  public let count: Int
  /// Rows of every image.
  public let height: Int
  /// Columns of every image.
  public let width: Int
  /// Seed of all scenes.
  public let seed: UInt64
  /// How well the map of depth is known; nil without one.
  public let depth: Depth?

  /// A set of scenes; nothing is drawn yet.
  /// - Precondition: sizes are positive and `count` is not negative.
  public init(domain: Domain, count: Int, height: Int, width: Int, seed: UInt64, depth: Depth? = nil) {
    precondition(count >= 0 && height > 0 && width > 0, "\(count) scenes of \(height)x\(width)")
    self.domain = domain
    self.count = count
    self.height = height
    self.width = width
    self.seed = seed
    self.depth = depth
  }

  /// Such as `source-000012`.
  public func name(_ index: Int) -> String {
    let digits = String(index)
    return "\(domain.rawValue)-" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
  }

  /// What draws the scenes. The number in front counts versions of the drawing: one that draws other pixels has another.
  public var identity: DatasetIdentity {
    DatasetIdentity(
      drawing: "street scenes 1: \(count) of \(domain.rawValue), \(width)x\(height), seed \(seed)"
        + (depth == .estimated ? ", estimated depth" : ""))
  }

  /// The image of a scene.
  public func image(_ index: Int) -> RGBImage { scene(index).image }

  /// Train ids of a scene's pixels; never nil.
  public func labels(_ index: Int) -> LabelMap? { scene(index).labels }

  /// Depth, where it is wanted.
  public var mapNames: Set<String> { depth == nil ? [] : [PixelMap.depth] }

  /// Depth of a scene.
  /// - Precondition: it is wanted.
  public func map(_ name: String, _ index: Int) -> PixelMap {
    guard name == PixelMap.depth, let map = drawn(index).depth else {
      preconditionFailure("scenes without a map \(name)")
    }
    return map
  }

  /// Image and labels together, in the time of one.
  /// - Precondition: `index` is in 0 ..< count.
  public func scene(_ index: Int) -> (image: RGBImage, labels: LabelMap) {
    let scene = drawn(index)
    return (scene.image, scene.labels)
  }

  /// Image, labels and depth together, in the time of one.
  /// - Precondition: `index` is in 0 ..< count.
  func drawn(_ index: Int) -> (image: RGBImage, labels: LabelMap, depth: PixelMap?) {
    precondition(index >= 0 && index < count, "scene \(index) of \(count)")
    var random = RandomStream(
      seed: seed, step: 0, sample: index, purpose: Purpose("street-scenes", domain.rawValue))
    let style = SceneStyle(domain, &random)
    let plan = StreetPlan(domain, &random)
    var canvas = SceneCanvas(height: height, width: width, camera: plan.camera)
    paintSky(style, on: &canvas, &random)
    paintGround(plan, style, on: &canvas)
    paintStreetSides(plan, style, on: &canvas, &random)
    let objects = streetObjects(plan, style, &random).sorted { $0.depth > $1.depth }
    for object in objects { object.paintShadow(style, on: &canvas) }
    for object in objects { object.paint(&canvas) }
    paintBonnet(style, on: &canvas, &random)
    return (develop(canvas, style, &random), canvas.pointSampledLabels(), depth.map { depth(canvas, index, $0) })
  }

  private func depth(_ canvas: SceneCanvas, _ index: Int, _ kind: Depth) -> PixelMap {
    guard kind == .estimated else { return canvas.depth() }
    var random = RandomStream(
      seed: seed, step: 0, sample: index, purpose: Purpose("street-scenes", domain.rawValue, "depth"))
    return DepthFaults().spoil(canvas.depth(), &random)
  }
}

/// Cityscapes train ids of what is drawn.
enum StreetClass {
  static let road: UInt8 = 0
  static let sidewalk: UInt8 = 1
  static let building: UInt8 = 2
  static let wall: UInt8 = 3
  static let fence: UInt8 = 4
  static let pole: UInt8 = 5
  static let trafficLight: UInt8 = 6
  static let trafficSign: UInt8 = 7
  static let vegetation: UInt8 = 8
  static let terrain: UInt8 = 9
  static let sky: UInt8 = 10
  static let person: UInt8 = 11
  static let rider: UInt8 = 12
  static let car: UInt8 = 13
  static let truck: UInt8 = 14
  static let bus: UInt8 = 15
  static let motorcycle: UInt8 = 17
  static let bicycle: UInt8 = 18
}

extension RandomStream {
  /// True with a probability.
  mutating func chance(_ probability: Float) -> Bool { nextUniform() < probability }

  /// One of the elements, each as likely.
  mutating func pick<Element>(_ elements: [Element]) -> Element {
    elements[min(elements.count - 1, Int(nextUniform() * Float(elements.count)))]
  }

  /// A whole number in a range, each as likely.
  mutating func whole(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + min(range.count - 1, Int(nextUniform() * Float(range.count)))
  }

  /// Plus or minus one.
  mutating func side() -> Float { chance(0.5) ? 1 : -1 }
}
