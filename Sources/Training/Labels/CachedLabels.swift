// Labels that an earlier stage made, read beside the images of a data set.

import Adaptation
import Collectives
import Domains
import Imagery
import Recipes
import Storage
import Support
import Tensors

/// A data set whose labels come from a cache: crops and flips cut them along with the images.
///
/// A pixel keeps its label where its stored confidence reaches its class's threshold; elsewhere it is 255.
public struct CachedLabels: Dataset {
  private let images: any Dataset
  private let cache: LabelCache
  private let thresholds: [UInt16]

  /// Images of a set with the labels of a cache.
  /// - Parameter thresholds: least confidence by class, as stored.
  init(_ set: any Dataset, _ cache: LabelCache, thresholds: [UInt16]) {
    images = set
    self.cache = cache
    self.thresholds = thresholds
  }

  /// As the set's.
  public var count: Int { images.count }
  /// As the set's.
  public func name(_ index: Int) -> String { images.name(index) }
  /// As the set's.
  public func image(_ index: Int) throws -> RGBImage { try images.image(index) }
  /// As the set's.
  public func size(_ index: Int) throws -> PixelSize { try images.size(index) }
  /// As the set's.
  public var mapNames: Set<String> { images.mapNames }
  /// As the set's.
  public func map(_ name: String, _ index: Int) throws -> PixelMap { try images.map(name, index) }
  /// As the set's: labels are looked at when the cache is opened.
  public func checkFiles(_ index: Int) throws -> PixelSize { try images.checkFiles(index) }
  /// As the set's.
  public func place(_ index: Int) -> String { images.place(index) }
  /// As the set's.
  public var identity: DatasetIdentity { images.identity }
  /// As the set's.
  public var inventory: DatasetInventory? { images.inventory }

  /// The cached labels of an image.
  /// - Throws: a `Failure` 65 that names the cache.
  public func labels(_ index: Int) throws -> LabelMap? {
    let entry = try cache.entry(index)
    var labels = entry.labels.values
    for (pixel, confidence) in entry.confidences16.enumerated() where labels[pixel] != LabelMap.ignored {
      if confidence < thresholds[Int(labels[pixel])] { labels[pixel] = LabelMap.ignored }
    }
    return LabelMap(height: entry.labels.height, width: entry.labels.width, values: labels)
  }

  /// Both, of one size.
  /// - Throws: a `Failure` 65 that names the image, if it has another size than its labels.
  public func imageAndLabels(_ index: Int) throws -> (image: RGBImage, labels: LabelMap?) {
    let (image, labels) = (try image(index), try labels(index))
    guard let labels, labels.height == image.height, labels.width == image.width else {
      throw Failure(
        .badData, "image is \(image.width)x\(image.height), its cached labels are not", at: place(index),
        remedy: "build the cache \(cache.folder) anew")
    }
    return (image, labels)
  }
}

/// The published entries of a cache by image.
struct LabelCache: Sendable {
  let folder: String
  private let readers: [any PseudoLabelCacheReader]
  private let places: [(reader: Int, position: Int)]
  private let classCount: Int

  /// Opens a cache and finds an entry of every image of a set.
  /// - Throws: `Failure` 66 if there is no cache or it lacks images, 65 if it is damaged or of other images.
  init(_ store: any PseudoLabelStore, of set: any Dataset, classCount: Int) throws {
    let remedy = "name the folder of a finished labels stage or of apus cache build"
    do {
      readers = try store.readers()
    } catch let failure as Failure where failure.status == .missingInput {
      throw Failure(
        .missingInput, "labels.cache is \(store.folder), which holds no whole cache: \(failure)", remedy: remedy)
    }
    (folder, self.classCount) = (store.folder, classCount)
    let origin = readers[0].origin
    guard origin.dataDigest == set.identity.digest else {
      throw Failure(
        .badData, "labels.cache holds labels of other images than data.target", at: folder, remedy: remedy)
    }
    var newest = [(reader: Int, position: Int)?](repeating: nil, count: set.count)
    for (number, reader) in readers.enumerated() {
      for (position, image) in reader.images.enumerated() where image < set.count {
        newest[image] = (number, position)
      }
    }
    if let missing = newest.firstIndex(where: { $0 == nil }) {
      throw Failure(
        .missingInput, "labels.cache has no labels of \(set.name(missing))", at: folder,
        remedy: "finish it with apus cache build")
    }
    places = newest.compactMap { $0 }
  }

  /// What the labels were made with.
  var origin: PseudoLabelOrigin { readers[0].origin }

  /// The newest entry of an image.
  /// - Throws: `Failure` 65 if it is damaged or names a class that there is not.
  func entry(_ image: Int) throws -> PseudoLabelEntry {
    let entry = try readers[places[image].reader].entry(at: places[image].position)
    if let strange = entry.labels.values.first(where: { $0 != LabelMap.ignored && Int($0) >= classCount }) {
      throw Failure(
        .badData, "image \(image) has a pixel of class \(strange), there are \(classCount) classes", at: folder)
    }
    return entry
  }
}

extension CachedLabels {
  /// A target set with the labels that a recipe names, and what these labels are. A collective: ranks count confidences
  /// of images of their own.
  /// - Parameters:
  ///   - set: the images.
  ///   - cache: their labels.
  ///   - recipe: thresholds.
  ///   - classCount: number of classes.
  ///   - communicator: the ranks.
  /// - Throws: on all ranks, as `LabelCache`; 75 if a signal asked to stop.
  static func opened(
    _ set: any Dataset, _ cache: LabelCache, _ recipe: Recipe.Labels, classCount: Int,
    on communicator: any Communicator
  ) throws -> (labelled: CachedLabels, identity: DatasetIdentity) {
    Activity.prepare("cached labels")
    var counts = ConfidenceHistogram(classes: classCount)
    let (rank, ranks) = (communicator.rank, communicator.worldSize)
    // So many labels between two agreements that a signal is obeyed soon.
    for start in stride(from: 0, to: set.count, by: 16 * ranks) {
      try communicator.together {
        for image in stride(from: start + rank, to: min(start + 16 * ranks, set.count), by: ranks) {
          let entry = try cache.entry(image)
          counts.add(labels: entry.labels.values, confidences: entry.confidences16)
        }
      }
      try communicator.requireNoSignal("while cached labels were read")
    }
    let sums = try communicator.sumIntegers(counts.counts.map(Int64.init)).map { Int($0) }
    let all = ConfidenceHistogram(classes: classCount, counts: sums)
    let thresholds = LabelThresholds(all, recipe).values
    let origin = cache.origin
    return (
      CachedLabels(set, cache, thresholds: thresholds),
      DatasetIdentity(
        drawing: "labels \(all.digest.prefix(16)) by \(origin.teacherDigest.prefix(16)), recipe "
          + "\(origin.recipeDigest.prefix(16))")
    )
  }
}
