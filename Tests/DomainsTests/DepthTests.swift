// Depth beside images: units, folders, crops, and what drawn scenes know of it.

import Domains
import Foundation
import Imagery
import Support
import Tensors
import Testing

/// Images of `ToyDataset` whose depth names the place of every pixel.
private struct DeepDataset: Dataset {
  let inner = ToyDataset()
  var count: Int { inner.count }
  var mapNames: Set<String> { [PixelMap.depth] }
  func name(_ index: Int) -> String { inner.name(index) }
  func image(_ index: Int) throws -> RGBImage { try inner.image(index) }
  func labels(_ index: Int) throws -> LabelMap? { try inner.labels(index) }
  func map(_ name: String, _ index: Int) throws -> PixelMap {
    PixelMap(
      height: inner.height, width: inner.width,
      values: (0..<inner.height * inner.width).map { Float(index * 10_000 + $0) })
  }
}

@Suite struct DepthTests {
  @Test func unitsOfTheSpecification() {
    #expect(DepthCode.stereo.inverseDepth(0) == 1 && DepthCode.stereo.inverseDepth(0.0999) == 1)
    #expect(abs(DepthCode.stereo.inverseDepth(10) - 65.4705) < 1e-4)
    #expect(DepthCode.stereo.inverseDepth(655.35) == 1 && DepthCode.stereo.inverseDepth(1e6) == 1)
    #expect(DepthCode.monocular.inverseDepth(0) == 1 && DepthCode.monocular.inverseDepth(2.5) == 3.5)
    #expect(DepthCode.synthia.inverseDepth(0) == 65536 && DepthCode.synthia.inverseDepth(700) < 1)
  }

  /// Two images of 2x4 pixels with depth in centimetres, read at half size.
  @Test func aFolderBringsDepth() throws {
    let folder = try TemporaryFolder()
    let (images, depths) = (try folder.folder("images"), try folder.folder("depth"))
    for stem in ["a", "b"] { try writePNG(RGBImage(height: 2, width: 4), to: "\(images)/\(stem).png") }
    let numbers: [UInt16] = [0, 1000, 2000, 65535, 9, 10, 100, 4000]
    try writePNG(GreyMap(height: 2, width: 4, values: numbers), to: "\(depths)/a_d.png")
    try writePNG(GreyMap(height: 2, width: 4, values: numbers.reversed()), to: "\(depths)/b_d.png")
    func set(_ change: (inout DepthSpecification) -> Void = { _ in }, resize: ImageResize? = nil) throws
      -> FolderDataset
    {
      var depth = DepthSpecification(folder: depths, suffix: "_d")
      change(&depth)
      return try FolderDataset(images: images, resize: resize, depth: depth)
    }
    let stereo = try set()
    #expect(stereo.mapNames == [PixelMap.depth])
    let bare = try FolderDataset(images: images)
    #expect(bare.mapNames.isEmpty && bare.identity.digest != stereo.identity.digest)
    #expect(
      try stereo.map(PixelMap.depth, 0).values
        == [0, 10, 20, 655.35, 0.09, 0.1, 1, 40].map { DepthCode.stereo.inverseDepth($0) })
    #expect(try stereo.map(PixelMap.depth, 1).values == stereo.map(PixelMap.depth, 0).values.reversed())
    #expect(
      try set { $0.code = .monocular }.map(PixelMap.depth, 0).values == numbers.map { Float($0) / 256 + 1 })
    #expect(
      try set { $0.scale = 1 }.map(PixelMap.depth, 0).values[6] == DepthCode.stereo.inverseDepth(100))
    let half = try set(resize: .factor(0.5)).map(PixelMap.depth, 0)
    #expect(half.size == PixelSize(height: 1, width: 2) && half.values == [1, DepthCode.stereo.inverseDepth(20)])
    #expect(try stereo.checkFiles(1) == PixelSize(height: 2, width: 4))
    #expect(stereo.faults([0, 1]).isEmpty)
    try writePNG(GreyMap(height: 2, width: 2, values: [1, 2, 3, 4]), to: "\(depths)/b_d.png")
    let wrong = try set()
    let fault = try #require(wrong.faults([0, 1]).first)
    #expect(fault.index == 1 && fault.failure.description.contains("depth is 2x2, its image 4x2"))
    #expect(failure { _ = try wrong.map(PixelMap.depth, 1) }?.what == fault.failure.what)
    try FileManager.default.removeItem(atPath: "\(depths)/b_d.png")
    let missing = failure { _ = try set() }
    #expect(missing?.status == .missingInput && missing?.what == "no depth b_d.png" && missing?.place == depths)
  }

  @Test func depthFollowsCropsAndFlips() throws {
    let crop = PixelSize(height: 16, width: 24)
    func options(_ parts: [Range<Int>]) -> SampleLoader.Options {
      var options = SampleLoader.Options(rules: CropRules(crop: crop), seed: 5, parts: parts)
      options.maps = [PixelMap.depth]
      return options
    }
    let set = DeepDataset()
    let batch = try SampleLoader(source: set, target: set, sampler: nil, options: options([0..<8])).batch(step: 3)
    for domain in [try #require(batch.source), try #require(batch.target)] {
      let depth = try #require(domain.maps[PixelMap.depth])
      #expect(depth.shape == [8, 16, 24] && Set(domain.provenance.map(\.flipped)).count == 2)
      for (sample, place) in domain.provenance.enumerated() {
        for (row, column) in [(0, 0), (0, 23), (15, 0), (7, 11)] {
          let across = place.flipped ? place.box.right - 1 - column : place.box.left + column
          let expected = place.image * 10_000 + (place.box.top + row) * 40 + across
          #expect(depth.sample(sample).values[row * 24 + column] == Float(expected))
        }
      }
    }
    let split = try SampleLoader(source: set, target: set, sampler: nil, options: options([4..<8])).batch(step: 3)
    #expect(split.target?.maps[PixelMap.depth]?.values == batch.target?.maps[PixelMap.depth]?.values.suffix(4 * 384))
    let none = failure {
      _ = try SampleLoader(source: set, target: ToyDataset(), sampler: nil, options: options([0..<1]))
    }
    #expect(none?.status == .badData && none?.what == "the target set has no map depth")
  }

  private func scenes(_ depth: StreetScenes.Depth?, _ domain: StreetScenes.Domain = .target) -> StreetScenes {
    StreetScenes(domain: domain, count: 8, height: 64, width: 128, seed: 7, depth: depth)
  }

  /// Farther up the road is farther away; the sky and the bonnet are unknown, and what is as far as 655 m.
  @Test(arguments: StreetScenes.Domain.allCases)
  func exactDepthIsThatOfTheScene(_ domain: StreetScenes.Domain) throws {
    let set = scenes(.exact, domain)
    #expect(set.mapNames == [PixelMap.depth] && scenes(nil, domain).mapNames.isEmpty)
    for index in 0..<8 {
      let (depth, labels) = (set.map(PixelMap.depth, index), try #require(set.labels(index)))
      #expect(depth.size == PixelSize(height: 64, width: 128))
      #expect(set.image(index) == scenes(nil, domain).image(index), "depth changes no pixel")
      var farAway = 0
      for (number, label) in zip(depth.values, labels.values) {
        let isUnknown = label == 255 || label == 10
        // Ground at the horizon may be as far as unknown.
        if number == 1 && !isUnknown { farAway += 1 }
        #expect(isUnknown ? number == 1 : number >= 1 && number < 1400, "class \(label) at \(number)")
      }
      #expect(farAway < 8)
      for column in stride(from: 0, to: 128, by: 16) {
        let road = (0..<64).filter { labels.values[$0 * 128 + column] == 0 }.map { depth.values[$0 * 128 + column] }
        #expect(road == road.sorted(), "the lower, the nearer")
      }
    }
  }

  @Test func estimatedDepthIsSpoilt() throws {
    let (exact, estimated) = (scenes(.exact), scenes(.estimated))
    #expect(exact.identity.digest == scenes(nil).identity.digest)
    #expect(exact.identity.digest != estimated.identity.digest)
    var (factors, holes): ([Float], Int) = ([], 0)
    for index in 0..<8 {
      let (truth, found) = (exact.map(PixelMap.depth, index), estimated.map(PixelMap.depth, index))
      #expect(found == estimated.map(PixelMap.depth, index))
      let known = truth.values.indices.filter { truth.values[$0] != 1 }
      #expect(truth.values.indices.allSatisfy { truth.values[$0] != 1 || found.values[$0] == 1 })
      let ratios = known.filter { found.values[$0] != 1 }.map { found.values[$0] / truth.values[$0] }.sorted()
      holes += known.count - ratios.count
      factors.append(ratios[ratios.count / 2])
      #expect(ratios[ratios.count / 10] < 0.98 * ratios[ratios.count / 2], "noise and blur")
    }
    #expect(factors.allSatisfy { (0.7...1.4).contains($0) } && (factors.max() ?? 0) > 1.1 * (factors.min() ?? 0))
    #expect(holes > 400 && holes < 8 * 64 * 128 / 10, "\(holes) pixels in holes")
  }
}
