// What a data set is to the rest of the program.

import Imagery
import Support
import Tensors

/// Images by index, with labels where the domain has them. All calls may come from any thread.
public protocol Dataset: Sendable {
  /// Number of images.
  var count: Int { get }
  /// File stem or scene name of an image, unique in the set.
  func name(_ index: Int) -> String
  /// An image.
  /// - Throws: a `Failure` that names the file, if it cannot be read.
  func image(_ index: Int) throws -> RGBImage
  /// Train ids of an image's pixels, or nil where the set has no labels.
  /// - Throws: a `Failure` that names the file, if it cannot be read, has another size than the image, or holds an id
  ///   outside the map.
  func labels(_ index: Int) throws -> LabelMap?
  /// An image and its labels, for sets that make both in the time of one.
  /// - Throws: as `image(_:)` and `labels(_:)`.
  func imageAndLabels(_ index: Int) throws -> (image: RGBImage, labels: LabelMap?)
  /// Names of the maps that images bring, such as `PixelMap.depth`.
  var mapNames: Set<String> { get }
  /// A map of an image, of its size.
  /// - Precondition: the set has maps of that name.
  /// - Throws: a `Failure` that names the file, if it cannot be read or has another size than the image.
  func map(_ name: String, _ index: Int) throws -> PixelMap
  /// Size of an image as `image(_:)` returns it, found without decoding it where possible.
  /// - Throws: a `Failure` that names the file, if it cannot be read.
  func size(_ index: Int) throws -> PixelSize
  /// Labels before any resize: class statistics count these, as the published code does.
  /// - Throws: as `labels(_:)`.
  func originalLabels(_ index: Int) throws -> LabelMap?
  /// Makes sure that the files of an image and of its labels can be read and fit together, as far as their headers tell.
  /// - Returns: the size of the image as `image(_:)` returns it.
  /// - Throws: a `Failure` that names the file.
  func checkFiles(_ index: Int) throws -> PixelSize
  /// Where an image comes from, for messages: a path, or the scene's name.
  func place(_ index: Int) -> String
  /// What the set is, wherever it lies.
  var identity: DatasetIdentity { get }
  /// How many files the set has, and what was left out; nil for sets without files.
  var inventory: DatasetInventory? { get }
}

extension Dataset {
  /// First the image, then the labels.
  public func imageAndLabels(_ index: Int) throws -> (image: RGBImage, labels: LabelMap?) {
    (try image(index), try labels(index))
  }

  /// None.
  public var mapNames: Set<String> { [] }

  /// There are none.
  public func map(_ name: String, _ index: Int) throws -> PixelMap {
    preconditionFailure("\(place(index)) has no map \(name)")
  }

  /// The size of the decoded image.
  public func size(_ index: Int) throws -> PixelSize {
    let image = try image(index)
    return PixelSize(height: image.height, width: image.width)
  }

  /// The size alone.
  public func checkFiles(_ index: Int) throws -> PixelSize { try size(index) }

  /// The labels themselves.
  public func originalLabels(_ index: Int) throws -> LabelMap? { try labels(index) }

  /// The name itself.
  public func place(_ index: Int) -> String { name(index) }

  /// The names alone.
  public var identity: DatasetIdentity {
    DatasetIdentity(images: (0..<count).map { DatasetIdentity.Image(name: name($0), bytes: 0) })
  }

  /// No files.
  public var inventory: DatasetInventory? { nil }
}

/// The first image of a set with its labels, as a set of its own.
public struct FirstImage: Dataset {
  private let set: any Dataset

  /// The first image of `set`.
  public init(of set: any Dataset) { self.set = set }

  /// 1, or 0 for an empty set.
  public var count: Int { min(1, set.count) }
  /// As the set's.
  public func name(_ index: Int) -> String { set.name(index) }
  /// As the set's.
  public func image(_ index: Int) throws -> RGBImage { try set.image(index) }
  /// As the set's.
  public func labels(_ index: Int) throws -> LabelMap? { try set.labels(index) }
  /// As the set's.
  public func size(_ index: Int) throws -> PixelSize { try set.size(index) }
  /// As the set's.
  public func place(_ index: Int) -> String { set.place(index) }
}

extension PixelSize {
  /// Whether a rectangle of this size fits into one of another size.
  public func fits(in other: PixelSize) -> Bool { height <= other.height && width <= other.width }
}

/// How images and labels are resized when they are read.
public enum ImageResize: Equatable, Sendable {
  /// To exactly this size.
  case size(PixelSize)
  /// By one factor on both axes; extents rounded to the nearest pixel.
  case factor(Double)
  /// As large as possible inside this size, keeping the aspect: long side to long side, short to short.
  case fit(PixelSize)

  /// The size an image has afterwards, at least one pixel.
  ///
  /// `fit` is the `keep_ratio` rule of the published code: GTA5's 1914x1052 inside 2560x1440 becomes 2560x1407.
  public func applied(to size: PixelSize) -> PixelSize {
    switch self {
    case .size(let fixed): return fixed
    case .factor(let factor): return ImageResize.scaled(size, factor)
    case .fit(let bound):
      let long = Double(max(bound.height, bound.width)) / Double(max(size.height, size.width))
      let short = Double(min(bound.height, bound.width)) / Double(min(size.height, size.width))
      return ImageResize.scaled(size, min(long, short))
    }
  }

  private static func scaled(_ size: PixelSize, _ factor: Double) -> PixelSize {
    PixelSize(
      height: max(1, Int(Double(size.height) * factor + 0.5)), width: max(1, Int(Double(size.width) * factor + 0.5)))
  }
}
