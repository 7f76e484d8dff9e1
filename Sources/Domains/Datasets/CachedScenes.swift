// Procedural scenes kept in memory, since drawing one takes longer than cutting a crop out of it.

import Imagery
import Support
import Tensors

/// Street scenes that are drawn once, as far as a memory bound allows.
public struct CachedScenes: Dataset {
  private struct Scene: Sendable {
    let image: RGBImage
    let labels: LabelMap
    let depth: PixelMap?

    var bytes: Int { image.pixels.count + labels.values.count + 4 * (depth?.values.count ?? 0) }
  }

  private let scenes: StreetScenes
  private let map: LabelIdMap?
  private let cache: DecodedCache<Scene>

  /// - Parameters:
  ///   - scenes: what draws them.
  ///   - map: train ids of the ids that they are drawn in; nil takes these.
  ///   - cacheBytes: images and labels kept in memory.
  public init(_ scenes: StreetScenes, map: LabelIdMap? = nil, cacheBytes: Int = 256 << 20) {
    self.scenes = scenes
    self.map = map
    cache = DecodedCache(limit: cacheBytes)
  }

  private func scene(_ index: Int) throws -> Scene {
    try cache.value(index, bytes: \.bytes) {
      let drawn = scenes.drawn(index)
      let labels = try map?.apply(to: drawn.labels, file: name(index)) ?? drawn.labels
      return Scene(image: drawn.image, labels: labels, depth: drawn.depth)
    }
  }

  /// What draws the scenes, and what their ids become.
  public var identity: DatasetIdentity { DatasetIdentity(drawing: scenes.identity.drawing ?? "", map: map) }
  /// Number of scenes.
  public var count: Int { scenes.count }
  /// Name of a scene.
  public func name(_ index: Int) -> String { scenes.name(index) }
  /// Size of every scene.
  public func size(_ index: Int) -> PixelSize { PixelSize(height: scenes.height, width: scenes.width) }
  /// The image of a scene.
  /// - Throws: as `labels(_:)`.
  public func image(_ index: Int) throws -> RGBImage { try scene(index).image }
  /// Train ids of a scene's pixels; never nil.
  /// - Throws: `Failure` 65 that names the scene, if it shows a class that the map does not have.
  public func labels(_ index: Int) throws -> LabelMap? { try scene(index).labels }
  /// Depth, where scenes have it.
  public var mapNames: Set<String> { scenes.mapNames }
  /// A map of a scene.
  public func map(_ name: String, _ index: Int) throws -> PixelMap {
    try scene(index).depth ?? scenes.map(name, index)
  }
  /// Image and labels together, in the time of one.
  public func imageAndLabels(_ index: Int) throws -> (image: RGBImage, labels: LabelMap?) {
    let scene = try scene(index)
    return (scene.image, scene.labels)
  }
}
