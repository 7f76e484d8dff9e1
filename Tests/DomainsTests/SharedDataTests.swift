// Loading and counting real images; skipped without the shared data.

import Domains
import Imagery
import Support
import Tensors
import Testing

/// Real images: what their descriptions say about classes must come out of loading and counting them.
@Suite(.enabled(if: hasSharedData, "needs ../shared")) struct SharedDataTests {
  private func folder(_ name: String, _ classes: ClassSet, resize: ImageResize? = nil) throws -> any Dataset {
    let base = "\(sharedData)/\(name)"
    return try makeDataset(
      .folder(images: base + "/images", labels: base + "/labels", resize: resize), classes: classes)
  }

  /// Percent of all pixels, ignored ones included, by class; the last is the ignored share.
  private func percentages(_ statistics: ClassStatistics) -> [Double] {
    let counts = statistics.totals + [statistics.ignored.reduce(0, +)]
    let all = Double(counts.reduce(0, +))
    return counts.map { 100 * Double($0) / all }
  }

  @Test func camvidSharesAreThoseOfItsDescription() throws {
    let expected = [13.08, 22.70, 0.61, 24.65, 7.51, 17.77, 0.77, 2.35, 4.89, 0.83, 1.54, 3.31]
    let set = try folder("camvid/val", .camvid11)
    #expect(set.count == 60)
    #expect(try set.size(59) == PixelSize(height: 360, width: 480))
    let own = percentages(try ClassStatistics(of: set, classCount: 11))
    for (found, described) in zip(own, expected) { #expect(abs(found - described) <= 0.0051) }
    let mapped = try ClassStatistics(of: folder("camvid/val", .camvidAsCityscapes19), classCount: 19)
    let trainIds = [10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 12, 19]
    let shared = percentages(mapped)
    for (index, trainId) in trainIds.enumerated() { #expect(shared[trainId] == own[index]) }
    for absent in [3, 6, 9, 14, 15, 16, 17, 18] { #expect(mapped.totals[absent] == 0) }
  }

  @Test func carlaRoadSharesAreThoseOfItsDescription() throws {
    let set = try folder("carla-roads-160x80", .cityscapes19)
    let statistics = try ClassStatistics(of: set, classCount: 19)
    #expect(set.count == 300)
    let found = percentages(statistics)
    #expect(abs(found[0] - 27.4) <= 0.051 && abs(found[1] - 12.9) <= 0.051 && abs(found[19] - 59.7) <= 0.051)
  }

  @Test func gtaFramesLoadAndResize() throws {
    let set = try folder("gta5-sample", .cityscapesFiles, resize: .fit(PixelSize(height: 720, width: 1280)))
    #expect((0..<set.count).map(set.name) == ["00002", "00003", "11851", "16742"])
    for index in 0..<set.count {
      #expect(try set.size(index) == PixelSize(height: 704, width: 1280))
      let (image, labels) = try set.imageAndLabels(index)
      #expect(image.height == 704 && image.width == 1280 && labels?.height == 704 && labels?.width == 1280)
    }
    let original = try #require(try set.originalLabels(0))
    #expect(original.height == 1052 && original.width == 1914)
    #expect(failure { _ = try folder("gta5-sample", .cityscapes19).labels(0) }?.status == .badData)
  }

  @Test func carlaScapesLoad() throws {
    let set = try folder("carlascapes-sample", .carlascapes19)
    let statistics = try ClassStatistics(of: set, classCount: 19)
    #expect(set.count == 3)
    // A town's street: mostly road, buildings and plants, and more than half of the classes somewhere.
    #expect(statistics.totals.count(where: { $0 > 0 }) > 9)
    #expect(statistics.shares[0] > 0.1)
  }

  @Test func roadsAdaptToCamvid() throws {
    let source = try folder("carla-roads-160x80", .cityscapes19)
    let target = try FolderDataset(
      images: "\(sharedData)/camvid/train/images", resize: .size(PixelSize(height: 120, width: 160)))
    let statistics = try ClassStatistics(of: source, classCount: 19)
    let options = RareClassOptions(minimumPixels: 500, minimumCropPixels: 200)
    let sampler = try RareClassSampler(statistics, options, classNames: ClassSet.cityscapes19.names)
    #expect(sampler.probabilities[1] > 0.999, "the pavement is rarer than the road")
    let loader = try SampleLoader(
      source: source, target: target, sampler: sampler,
      options: SampleLoader.Options(
        rules: CropRules(crop: PixelSize(height: 64, width: 64)), seed: 1, parts: [0..<4],
        margins: ImageMargins(top: 4, bottom: 8, left: 4, right: 4)))
    let batch = try loader.batch(step: 3)
    #expect(batch.source!.image.shape == [4, 64, 64, 3] && batch.target!.image.shape == [4, 64, 64, 3])
    #expect(batch.target!.validMask?.shape == [4, 64, 64])
    #expect(batch.source!.image.values.allSatisfy { abs($0) < 2.7 })
    for place in 0..<4 {
      let pavement = batch.source!.labels!.sample(place).values.count { $0 == 1 }
      #expect(pavement > 0)
    }
  }
}
