// Class statistics and rare class sampling: the published probabilities, convergence of draws, index files.

import Domains
import Support
import Tensors
import Testing

@Suite struct RareClassSamplerTests {
  @Test func absentClassesAreNeverDrawn() {
    #expect(rareClassProbabilities(pixels: [900, 0, 100], temperature: 1)[1] == 0)
  }

  @Test func thresholdsScaleWithTheCrop() {
    let published = RareClassOptions(scaledTo: PixelSize(height: 1024, width: 1024))
    #expect(published.minimumPixels == 3000 && published.minimumCropPixels == 6000)
    let half = RareClassOptions(scaledTo: PixelSize(height: 512, width: 512))
    #expect(half.minimumPixels == 750 && half.minimumCropPixels == 1500)
  }

  private let statistics = ClassStatistics(
    names: ["a", "b", "c"], pixels: [[900, 0, 30], [500, 60, 0], [400, 100, 10]], ignored: [0, 5, 0])

  @Test func drawsConvergeToTheProbabilities() throws {
    let options = RareClassOptions(temperature: 0.5, minimumPixels: 5, minimumCropPixels: 5)
    let sampler = try RareClassSampler(statistics, options, classNames: [])
    let draws = 20_000
    var classes = [Int](repeating: 0, count: 3)
    var images = [[Int]](repeating: [0, 0, 0], count: 3)
    for step in 0..<draws / 4 {
      for sample in 0..<4 {
        let draw = sampler.draw(seed: 7, step: step, sample: sample)
        classes[draw.label] += 1
        images[draw.label][draw.image] += 1
      }
    }
    // Four and a half standard deviations of a binomial share: a sound sampler fails once in 10^5 seeds.
    for label in 0..<3 {
      let expected = sampler.probabilities[label]
      let bound = 4.5 * (expected * (1 - expected) / Double(draws)).squareRoot()
      #expect(abs(Double(classes[label]) / Double(draws) - expected) < bound)
      let eligible = statistics.images(of: label, moreThan: 5)
      for image in 0..<3 {
        let share = eligible.contains(image) ? 1 / Double(eligible.count) : 0
        let deviation = (share * (1 - share) / Double(classes[label])).squareRoot()
        #expect(abs(Double(images[label][image]) / Double(classes[label]) - share) <= 4.5 * deviation)
      }
    }
  }

  @Test func imagesNeedMoreThanTheMinimum() throws {
    let options = RareClassOptions(minimumPixels: 60, minimumCropPixels: 5)
    #expect(statistics.images(of: 1, moreThan: 60) == [2])
    let failed = failure { _ = try RareClassSampler(statistics, options, classNames: ["x", "y", "z"]) }
    #expect(failed?.status == .badData)
    #expect(failed?.what == "no image has more than 60 pixels of class 2 (z), the most is 30")
  }

  @Test func impossibleSamplersAreRefused() {
    let zero = RareClassOptions(temperature: 0, minimumPixels: 0, minimumCropPixels: 0)
    #expect(failure { _ = try RareClassSampler(statistics, zero, classNames: []) }?.status == .badData)
    let blank = ClassStatistics(names: ["a"], pixels: [[0, 0]], ignored: [9])
    let options = RareClassOptions(minimumPixels: 0, minimumCropPixels: 0)
    #expect(failure { _ = try RareClassSampler(blank, options, classNames: []) }?.what == "no source pixel is labelled")
  }

  @Test func dominantClasses() {
    let rules = CropRules(crop: PixelSize(height: 2, width: 2))
    func pixels(_ counts: [Int: Int]) -> [Int] { (0..<256).map { counts[$0] ?? 0 } }
    #expect(rules.isVaried(pixels([0: 74, 3: 26])))
    #expect(!rules.isVaried(pixels([0: 75, 3: 25])))
    #expect(!rules.isVaried(pixels([4: 10])))
    #expect(!rules.isVaried(pixels([255: 10])))
    #expect(!rules.isVaried(pixels([0: 8, 1: 2, 255: 90])))
    #expect(CropRules(crop: PixelSize(height: 2, width: 2), dominantShare: 1).isVaried(pixels([4: 10])))
  }
}

@Suite struct ClassStatisticsTests {
  @Test func countsEveryLabel() throws {
    let statistics = try ClassStatistics(of: ToyDataset(), classCount: 4)
    #expect(statistics.names.count == 6)
    #expect(statistics.pixels[0] == [480, 384, 96, 0])
    #expect(statistics.pixels[1] == [480, 384, 0, 96])
    #expect(statistics.totals == [2880, 2304, 288, 288])
    #expect(abs(statistics.shares[0] - 0.5) < 1e-15)
    #expect(statistics.images(of: 3, moreThan: 95) == [1, 3, 5])
  }

  @Test func refusesWhatCannotBeCounted() {
    let few = failure { _ = try ClassStatistics(of: ToyDataset(), classCount: 3) }
    #expect(few?.status == .badData && few?.place == "toy-1" && few?.what.contains("label 3") == true)
    let none = failure { _ = try ClassStatistics(of: ToyDataset(isLabelled: false), classCount: 4) }
    #expect(none?.status == .badData && none?.what.contains("no labels") == true)
  }

  @Test func savedIndicesComeBackAndAreChecked() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/index.json"
    let statistics = try ClassStatistics(of: ToyDataset(), classCount: 4)
    try statistics.save(to: path)
    let loaded = try ClassStatistics(contentsOf: path)
    #expect(loaded == statistics && loaded.digest == statistics.digest && loaded.encoded == statistics.encoded)
    try loaded.check(against: ToyDataset(), classCount: 4, place: path)
    #expect(failure { try loaded.check(against: ToyDataset(count: 5), classCount: 4, place: path) }?.status == .badData)
    #expect(failure { try loaded.check(against: ToyDataset(), classCount: 5, place: path) }?.status == .badData)
    #expect(loaded.fits(ToyDataset(), classCount: 4) && !loaded.fits(ToyDataset(count: 5), classCount: 4))
    let named = ClassStatistics(
      names: loaded.names, pixels: loaded.pixels, ignored: loaded.ignored, dataDigest: "of other files")
    #expect(failure { try named.check(against: ToyDataset(), classCount: 4, place: path) }?.status == .badData)
    // Those of earlier versions name no data: they are known by the names of images only.
    let former = ClassStatistics(names: loaded.names, pixels: loaded.pixels, ignored: loaded.ignored)
    try former.check(against: ToyDataset(), classCount: 4, place: path)
    #expect(!former.fits(ToyDataset(), classCount: 4) && former.digest == loaded.digest)
    let text = String(decoding: statistics.encoded, as: UTF8.self)
    let forged = Array(text.replacing("480", with: "481").utf8)
    #expect(failure { _ = try ClassStatistics(encoded: forged, place: path) }?.what.contains("digest") == true)
    for count in [-1, Int.max] {
      let impossible = ClassStatistics(names: ["a", "b"], pixels: [[count], [1]], ignored: [0, 0])
      #expect(
        failure { _ = try ClassStatistics(encoded: impossible.encoded, place: path) }?.what == "a count is impossible")
    }
    #expect(failure { _ = try ClassStatistics(encoded: Array("{}".utf8), place: path) }?.place == path)
    #expect(failure { _ = try ClassStatistics(contentsOf: path + "x") }?.status == .missingInput)
  }
}
