// What a data set is to the rest of the program.

import Imagery
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
}
