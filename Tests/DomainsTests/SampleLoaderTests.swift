// The sample loader: equal bits for every split, prefetching, crops against their provenance, refusals at the start.

import Domains
import Imagery
import Support
import Tensors
import Testing

@Suite struct SampleLoaderTests {
  private let crop = PixelSize(height: 16, width: 24)
  private let mean: [Float] = [123.675, 116.28, 103.53]
  private let deviation: [Float] = [58.395, 57.12, 57.375]

  private func loader(
    _ parts: [Range<Int>], source: any Dataset = ToyDataset(), target: any Dataset = SealedDataset(), seed: UInt64 = 5,
    rare: Bool = true, margins: ImageMargins? = nil, prefetch: Int = 0, flipProbability: Float = 0.5
  ) throws -> SampleLoader {
    let options = RareClassOptions(temperature: 0.2, minimumPixels: 50, minimumCropPixels: 40)
    let sampler =
      rare ? try RareClassSampler(ClassStatistics(of: source, classCount: 4), options, classNames: []) : nil
    return try SampleLoader(
      source: source, target: target, sampler: sampler,
      options: SampleLoader.Options(
        rules: CropRules(crop: crop), flipProbability: flipProbability, seed: seed, parts: parts, margins: margins,
        prefetch: prefetch))
  }

  /// All that a batch holds, sample by sample.
  private func samples(_ batch: DomainBatch) -> [String] {
    batch.samples.indices.map { index in
      let place = index - batch.samples.lowerBound
      let tensors = [batch.source!.image, batch.target!.image].map { "\($0.sample(place).values)" }
      let mask = batch.target!.validMask.map { "\($0.sample(place).values)" } ?? "none"
      return "\(tensors) \(mask) \(batch.source!.labels!.sample(place).values) \(batch.source!.provenance[place]) "
        + "\(batch.target!.provenance[place])"
    }
  }

  @Test func samplesDoNotDependOnTheSplit() throws {
    let margins = ImageMargins(top: 3, bottom: 2, left: 1, right: 4)
    let splits = [[0..<4], [0..<2, 2..<4], [0..<1, 1..<2, 2..<3, 3..<4]]
    for step in [0, 1, 1000] {
      let found = try splits.map { split in
        try split.flatMap { try samples(loader([$0], margins: margins).batch(step: step)) }
      }
      #expect(found[0].count == 4)
      #expect(found[1] == found[0] && found[2] == found[0])
      #expect(Set(found[0]).count == 4, "samples of one batch are drawn apart")
      let parts = try loader(splits[1], margins: margins)
      #expect(try samples(parts.batch(step: step, part: 0)) + samples(parts.batch(step: step, part: 1)) == found[0])
      let whole = try parts.batches(step: step)
      #expect(whole.flatMap(samples) == found[0])
      #expect(whole.map(\.microBatch) == [0, 1] && whole.map(\.samples) == splits[1])
    }
  }

  @Test func targetLabelsAreCutAlongWithTheirImages() throws {
    var options = SampleLoader.Options(rules: CropRules(crop: crop), seed: 5, parts: [0..<8])
    options.labelsTarget = true
    let set = ToyDataset()
    let batch = try SampleLoader(source: nil, target: set, sampler: nil, options: options).batch(step: 0)
    let (target, labels) = (try #require(batch.target), try #require(batch.target?.labels))
    for (sample, place) in target.provenance.enumerated() {
      let whole = try #require(try set.labels(place.image)).cropped(to: place.box)
      #expect(labels.sample(sample).values == (place.flipped ? whole.flippedHorizontally() : whole).values)
    }
    #expect(Set(target.provenance.map(\.flipped)).count == 2, "both ways must occur")
    options.labelsTarget = false
    let bare = try SampleLoader(source: nil, target: set, sampler: nil, options: options).batch(step: 0)
    #expect(bare.target?.labels == nil && bare.target?.image.values == target.image.values)
  }

  @Test func seedsAndStepsDiffer() throws {
    let first = try samples(loader([0..<2]).batch(step: 0))
    #expect(try samples(loader([0..<2], seed: 6).batch(step: 0)) != first)
    #expect(try samples(loader([0..<2]).batch(step: 1)) != first)
  }

  @Test(arguments: [1, 2]) func prefetchingChangesNothing(depth: Int) throws {
    let plain = try loader([0..<2, 2..<4])
    let ahead = try loader([0..<2, 2..<4], prefetch: depth)
    // Forward, then back and far ahead, as a resumed run would ask.
    for (step, part) in [(0, 0), (0, 1), (1, 0), (1, 1), (0, 1), (0, 1), (50, 0), (50, 1)] {
      #expect(
        try samples(ahead.batch(step: step, part: part)) == samples(plain.batch(step: step, part: part)),
        "step \(step), part \(part)")
    }
  }

  @Test func cropsAreWhatTheProvenanceSays() throws {
    let margins = ImageMargins(top: 5, bottom: 6, left: 7, right: 9)
    let loader = try loader([0..<4], margins: margins)
    var flips = 0
    for step in 0..<8 {
      let batch = try loader.batch(step: step)
      let mask = try #require(batch.target!.validMask).values
      for place in 0..<4 {
        let provenance = batch.target!.provenance[place]
        flips += provenance.flipped ? 1 : 0
        #expect(provenance.box.height == crop.height && provenance.box.width == crop.width)
        let values = batch.target!.image.sample(place).values
        var wrong = 0
        for row in 0..<crop.height {
          for column in 0..<crop.width {
            let y = provenance.box.top + row
            let x = provenance.box.left + (provenance.flipped ? crop.width - 1 - column : column)
            let pixel = [Float(y), Float(x), Float(provenance.image)]
            for channel in 0..<3 {
              let value = values[(row * crop.width + column) * 3 + channel]
              if abs(value - (pixel[channel] - mean[channel]) / deviation[channel]) > 1e-6 { wrong += 1 }
            }
            let trusted = y >= 5 && y < 24 - 6 && x >= 7 && x < 40 - 9
            if mask[(place * crop.height + row) * crop.width + column] != (trusted ? 1 : 0) { wrong += 1 }
          }
        }
        #expect(wrong == 0)
        try expectSource(batch, place)
      }
    }
    #expect(flips > 4 && flips < 28, "32 fair coins")
  }

  private func expectSource(_ batch: DomainBatch, _ place: Int) throws {
    let provenance = batch.source!.provenance[place]
    let labels = try #require(try ToyDataset().labels(provenance.image)).cropped(to: provenance.box)
    #expect(batch.source!.labels!.sample(place) == (provenance.flipped ? labels.flippedHorizontally() : labels))
    let rare = try #require(provenance.rareClass)
    #expect(try #require(try ToyDataset().labels(provenance.image)).values.contains(UInt8(rare)))
  }

  @Test func redrawsSeekTheRareClass() throws {
    // The rare stripe is four columns wide at the right edge: 2 of the 17 columns a crop may start at show more than 40
    // pixels of it.
    func share(_ redraws: Int) throws -> Double {
      let source = ToyDataset()
      let options = RareClassOptions(temperature: 0.01, minimumPixels: 50, minimumCropPixels: 40, redraws: redraws)
      let sampler = try RareClassSampler(ClassStatistics(of: source, classCount: 4), options, classNames: [])
      let loader = try SampleLoader(
        source: source, target: source, sampler: sampler,
        options: SampleLoader.Options(rules: CropRules(crop: crop, dominantShare: 1), seed: 3, parts: [0..<4]))
      var served = 0
      for step in 0..<50 {
        let batch = try loader.batch(step: step)
        for place in 0..<4 {
          let rare = UInt8(try #require(batch.source!.provenance[place].rareClass))
          if batch.source!.labels!.sample(place).values.count(where: { $0 == rare }) > 40 { served += 1 }
        }
      }
      return Double(served) / 200
    }
    // 2/17 = 0.118 alone, 1 - (15/17)^11 = 0.748 with ten redraws; bounds at four standard deviations.
    #expect(abs(try share(0) - 0.118) < 0.092)
    #expect(abs(try share(10) - 0.748) < 0.123)
  }

  @Test func uniformSamplingReachesEveryImage() throws {
    let loader = try loader([0..<4], rare: false, flipProbability: 0)
    var seen = Set<Int>()
    for step in 0..<30 {
      let batch = try loader.batch(step: step)
      seen.formUnion(batch.source!.provenance.map(\.image))
      #expect(batch.source!.provenance.allSatisfy { $0.rareClass == nil && !$0.flipped })
      #expect(batch.target!.validMask == nil)
    }
    #expect(seen == Set(0..<6))
  }

  @Test func cropsOfTheWholeImageAreTaken() throws {
    let whole = ToyDataset(height: 16, width: 24)
    let batch = try loader([0..<2], source: whole, target: whole).batch(step: 0)
    #expect(batch.source!.provenance[0].box == Box(top: 0, bottom: 16, left: 0, right: 24))
  }

  @Test func cropsLargerThanAnImageAreFoundAtTheStart() {
    let small = ToyDataset(height: 15, width: 40)
    for failed in [
      failure { _ = try loader([0..<1], source: small) }, failure { _ = try loader([0..<1], target: small) },
    ] {
      #expect(failed?.status == .badData && failed?.place == "toy-0")
      #expect(failed?.what == "image is 40x15, smaller than the crop of 24x16")
    }
  }

  @Test func impossibleLoadersAreRefused() {
    #expect(failure { _ = try loader([0..<1], target: ToyDataset(count: 0)) }?.status == .missingInput)
    let bare = ToyDataset(isLabelled: false)
    #expect(failure { _ = try loader([0..<1], source: bare, rare: false) }?.what == "the source set has no labels")
    let margins = ImageMargins(top: 12, bottom: 12, left: 0, right: 0)
    #expect(failure { _ = try loader([0..<1], margins: margins) }?.what.contains("leave nothing") == true)
    #expect(failure { _ = try loader([0..<1], flipProbability: 2) }?.status == .badData)
  }

  @Test(arguments: [0, 1]) func failuresSurfaceAtTheirBatch(prefetch: Int) throws {
    /// A set whose files vanish after the loader has looked at them.
    struct FailingDataset: Dataset {
      let inner = ToyDataset()
      var count: Int { inner.count }
      func name(_ index: Int) -> String { inner.name(index) }
      func size(_ index: Int) throws -> PixelSize { PixelSize(height: 24, width: 40) }
      func labels(_ index: Int) throws -> LabelMap? { nil }
      func image(_ index: Int) throws -> RGBImage {
        if index == 3 { throw Failure(.inputOutput, "cannot be read", at: name(index)) }
        return try inner.image(index)
      }
    }
    let loader = try loader([0..<1], target: FailingDataset(), prefetch: prefetch)
    var failed = 0
    for step in 0..<40 {
      let found = failure {
        let batch = try loader.batch(step: step)
        #expect(batch.target!.provenance[0].image != 3)
      }
      if let found {
        failed += 1
        #expect(found.place == "toy-3")
      }
    }
    #expect(failed > 0 && failed < 40)
  }
}
