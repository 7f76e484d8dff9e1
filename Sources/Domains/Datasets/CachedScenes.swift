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
  private let cache: DecodedCache<Scene>

  /// - Parameters:
  ///   - scenes: what draws them.
  ///   - cacheBytes: images and labels kept in memory.
  public init(_ scenes: StreetScenes, cacheBytes: Int = 256 << 20) {
    self.scenes = scenes
    cache = DecodedCache(limit: cacheBytes)
  }

  private func scene(_ index: Int) -> Scene {
    cache.value(index, bytes: \.bytes) {
      let drawn = scenes.drawn(index)
      return Scene(image: drawn.image, labels: drawn.labels, depth: drawn.depth)
    }
  }

  /// What draws the scenes.
  public var identity: DatasetIdentity { scenes.identity }
  /// Number of scenes.
  public var count: Int { scenes.count }
  /// Name of a scene.
  public func name(_ index: Int) -> String { scenes.name(index) }
  /// Size of every scene.
  public func size(_ index: Int) -> PixelSize { PixelSize(height: scenes.height, width: scenes.width) }
  /// The image of a scene.
  public func image(_ index: Int) -> RGBImage { scene(index).image }
  /// Train ids of a scene's pixels; never nil.
  public func labels(_ index: Int) -> LabelMap? { scene(index).labels }
  /// Depth, where scenes have it.
  public var mapNames: Set<String> { scenes.mapNames }
  /// A map of a scene.
  public func map(_ name: String, _ index: Int) -> PixelMap { scene(index).depth ?? scenes.map(name, index) }
  /// Image and labels together, in the time of one.
  public func imageAndLabels(_ index: Int) -> (image: RGBImage, labels: LabelMap?) {
    let scene = scene(index)
    return (scene.image, scene.labels)
  }
}
