// A few labelled images: which are chosen, what their labels show, and crops of them for any split of a batch.

import Domains
import Imagery
import Support
import Tensors
import Testing

@Suite struct FewShotImagesTests {
  private func chosen(
    _ classes: [Int] = [2, 3], perClass: Int = 2, seed: UInt64 = 123, of set: ToyDataset = ToyDataset(count: 12)
  ) throws -> FewShotImages {
    try FewShotImages(
      of: set, try ClassStatistics(of: set, classCount: 5),
      FewShotRules(classes: classes, perClass: perClass, seed: seed), classNames: ["a", "b", "c", "d", "e"])
  }

  private func names(_ images: FewShotImages) -> [String] { (0..<images.count).map(images.name) }

  @Test func aFewImagesOfEachClassAreChosenAndShowThatClassOnly() throws {
    let images = try chosen()
    #expect(images.count == 4)
    for index in 0..<4 {
      let label = UInt8(index < 2 ? 2 : 3)
      #expect(images.name(index).hasSuffix("for class \(label)"))
      let labels = try #require(try images.labels(index))
      #expect(Set(labels.values) == [label, LabelMap.ignored])
      // Four of forty columns.
      #expect(labels.values.count { $0 == label } == 24 * 4)
      #expect(try images.image(index) == ToyDataset(count: 12).image(Int(images.place(index).dropFirst(4)) ?? -1))
    }
  }

  @Test func theChoiceIsThatOfItsSeed() throws {
    let one = try names(chosen())
    #expect(try names(chosen()) == one)
    // A class's images do not depend on the other classes.
    #expect(try names(chosen([3])) == Array(one.suffix(2)))
    let others = try (0..<24).map { try names(chosen(seed: $0)) }
    #expect(Set(others).count > 12)
    let all = Set(others.flatMap { $0 })
    #expect(try all.count == names(chosen(perClass: 6)).count, "every image has its chance")
  }

  @Test func allImagesOfAClassAreTakenWhereThereAreFewer() throws {
    #expect(try chosen(perClass: 30).count == 12)
    #expect(try chosen([0, 1], perClass: 30).count == 24, "an image is there for each class that it shows")
  }

  @Test func aClassThatNoImageShowsIsRefused() {
    let failed = failure { _ = try chosen([2, 4]) }
    #expect(failed?.status == .badData && failed?.place == "data.fewShot.classes")
    #expect(failed?.what == "none of 12 few-shot images shows class 4 (e)")
  }

  private func loader(_ parts: [Range<Int>], fewShot: (any Dataset)?) throws -> SampleLoader {
    try SampleLoader(
      source: ToyDataset(), target: SealedDataset(), fewShot: fewShot, sampler: nil,
      options: SampleLoader.Options(
        rules: CropRules(crop: PixelSize(height: 16, width: 24)), seed: 5, parts: parts))
  }

  @Test func cropsDependOnTheSampleAlone() throws {
    let images = try chosen()
    for step in [0, 7] {
      let whole = try loader([0..<4], fewShot: images).batch(step: step)
      let few = try #require(whole.fewShot)
      let labels = try #require(few.labels)
      for split in [[0..<2, 2..<4], [0..<1, 1..<2, 2..<3, 3..<4]] {
        let found = try split.map { try loader([$0], fewShot: images).batch(step: step).fewShot }
        #expect(found.flatMap { $0?.provenance ?? [] } == few.provenance)
        #expect(found.flatMap { $0?.image.values ?? [] } == Array(few.image.values))
        #expect(found.flatMap { $0?.labels?.values ?? [] } == labels.values)
      }
      #expect(Set(few.provenance.map(\.box)).count > 1, "samples are drawn apart")
      // Images to learn from otherwise stay what they are.
      let without = try loader([0..<4], fewShot: nil).batch(step: step)
      #expect(without.fewShot == nil && without.source?.provenance == whole.source?.provenance)
      #expect(without.target?.provenance == whole.target?.provenance)
      for (sample, place) in few.provenance.enumerated() {
        let cut = try #require(try images.labels(place.image)).cropped(to: place.box)
        #expect(labels.sample(sample) == (place.flipped ? cut.flippedHorizontally() : cut))
      }
    }
  }

  @Test func imagesThatDoNotHoldTheCropAreRefused() throws {
    let small = try chosen(of: ToyDataset(count: 12, height: 12))
    let failed = failure { _ = try loader([0..<4], fewShot: small) }
    #expect(failed?.status == .badData && failed?.what.contains("smaller than the crop") == true)
  }
}
