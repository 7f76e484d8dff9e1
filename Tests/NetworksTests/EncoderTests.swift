// Mix Transformers: published sizes, feature maps, odd images, drop path.

import Autograd
import Networks
import Support
import Tensors
import TestSupport
import Testing

@Suite(.serialized) struct EncoderTests {
  private static func encoder(
    _ name: String, dropPath: Float = 0.1
  ) throws -> (encoder: any Encoder, parameters: NetworkParameters) {
    let registry = ParameterRegistry()
    let encoder = try #require(
      EncoderCatalogue.make(name, registry, prefix: "backbone", EncoderOptions(dropPath: dropPath)))
    return (encoder, NetworkParameters(registry, gradientSlots: 0, seed: 1))
  }

  /// Parameters by the shapes of SegFormer's table 6: 3.3, 13.2, 24.2, 44.1, 60.8 and 81.4 million.
  @Test(arguments: [
    ("tiny", 192_144, 100), ("b0", 3_319_392, 176), ("b1", 13_151_424, 176), ("b2", 24_196_288, 332),
    ("b3", 44_072_128, 572), ("b4", 60_842_688, 832),
  ])
  func parametersOfTheVariants(name: String, count: Int, tensors: Int) throws {
    defer { WorkerPool.configure(threads: 1) }
    WorkerPool.configure(threads: 2)
    let (encoder, parameters) = try EncoderTests.encoder(name)
    #expect(parameters.values.count == count)
    #expect(parameters.slices.count == tensors && parameters.bufferSlices.isEmpty)
    #expect(encoder.channels == MixTransformerVariant.all.first { $0.name == name }?.widths)
  }

  /// Tensors of whole HRDA networks as the reference counts them, running statistics left out.
  @Test(arguments: [("tiny", 147, 192_144), ("b0", 223, 3_319_392), ("b5", 1099, 81_443_008)])
  func tensorsOfWholeNetworks(name: String, tensors: Int, encoderCount: Int) throws {
    defer { WorkerPool.configure(threads: 1) }
    WorkerPool.configure(threads: 2)
    let parameters = try SegmentationNetwork(
      NetworkConfiguration(encoder: .named(name), classCount: 19, detailHeight: 512, detailWidth: 512),
      gradientSlots: 0,
      seed: 1
    ).parameters
    #expect(parameters.slices.count == tensors)
    let own = parameters.slices.filter { $0.name.hasPrefix("backbone.") }
    #expect(own.reduce(0) { $0 + $1.range.count } == encoderCount)
    #expect(parameters.bufferSlices.count == 2 * 9)
  }

  @Test func theCatalogueHoldsThem() {
    #expect(Set(["tiny", "b0", "b1", "b2", "b3", "b4", "b5"]).isSubset(of: EncoderCatalogue.names))
    #expect(EncoderCatalogue.make("b9", ParameterRegistry(), prefix: "backbone", EncoderOptions()) == nil)
    #expect(throws: Failure.self) {
      try SegmentationNetwork(
        NetworkConfiguration(encoder: "b9", classCount: 2, detailHeight: 8, detailWidth: 8), gradientSlots: 0, seed: 0)
    }
  }

  @Test func networksOfOtherSizes() throws {
    let variant = MixTransformerVariant(
      "own", widths: [8, 24, 40, 48], heads: [2, 3, 5, 6], depths: [1, 2, 1, 1], reductions: [4, 2, 2, 1], expansion: 2)
    let network = try SegmentationNetwork(
      NetworkConfiguration(
        encoder: .mixTransformer(variant), classCount: 3, detailHeight: 32, detailWidth: 32, headWidth: 12,
        attentionWidth: 20), gradientSlots: 0, seed: 1)
    var shapes: [String: [Int]] = [:]
    for slice in network.parameters.slices { shapes[slice.name] = slice.officialShape }
    #expect(shapes["backbone.block2.1.mlp.fc1.weight"] == [48, 24])
    #expect(shapes["backbone.block1.0.attn.sr.weight"] == [8, 8, 4, 4])
    #expect(shapes["backbone.block3.1.norm1.weight"] == nil)
    #expect(shapes["decode_head.scale_attention.embed_layers.3.proj.weight"] == [20, 48])
    let image = Variable(constant: randomTensor([1, 64, 64, 3], seed: 1))
    let maps = try network.features(image, soloContext(1)).map(\.value.shape)
    #expect(maps == [[1, 16, 16, 8], [1, 8, 8, 24], [1, 4, 4, 40], [1, 2, 2, 48]])
  }

  @Test func featureMapsOfB0() throws {
    let (encoder, _) = try EncoderTests.encoder("b0")
    let image = Variable(constant: randomTensor([1, 64, 64, 3], seed: 1))
    let maps = try encoder(image, soloContext(1)).map(\.value)
    #expect(maps.map(\.shape) == [[1, 16, 16, 32], [1, 8, 8, 64], [1, 4, 4, 160], [1, 2, 2, 256]])
    for map in maps {
      // The last layer norm of each stage has scale 1 and shift 0.
      let row = doubles(map).prefix(map.channels)
      let mean = row.reduce(0, +) / Double(row.count)
      let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(row.count)
      #expect(abs(mean) < 1e-5 && abs(variance - 1) < 1e-3)
    }
  }

  @Test(arguments: [(33, 47), (50, 38), (63, 65), (31, 32)]) func oddSizesAreRoundedUp(height: Int, width: Int) throws {
    let (encoder, _) = try EncoderTests.encoder("tiny")
    let image = Variable(constant: randomTensor([2, height, width, 3], seed: 2))
    let maps = try encoder(image, soloContext(2)).map(\.value)
    #expect(encoder.strides == [4, 8, 16, 32])
    for (map, stride) in zip(maps, encoder.strides) {
      #expect(map.shape[1] == (height + stride - 1) / stride && map.shape[2] == (width + stride - 1) / stride)
      #expect(map.values.allSatisfy { $0.isFinite })
    }
  }

  @Test func dropPathGrowsLinearlyWithDepth() throws {
    func output(dropPath: Float, step: Int?) throws -> [Float] {
      let (encoder, _) = try EncoderTests.encoder("tiny", dropPath: dropPath)
      var context = soloContext(1)
      context.draws = step.map { StochasticDraws(seed: 1, step: $0, pass: "source") }
      let maps = try encoder(Variable(constant: randomTensor([1, 32, 32, 3], seed: 3)), context)
      return maps[0].value.values + maps[3].value.values
    }
    let plain = try output(dropPath: 0.5, step: nil)
    #expect(try output(dropPath: 0, step: 0) == plain)
    let dropped = try (0..<8).map { try output(dropPath: 0.5, step: $0) }
    #expect(dropped.contains { $0 != plain })
    // The first block's rate is 0, and the first stage of this variant has no other.
    #expect(dropped.allSatisfy { $0.prefix(8 * 8 * 16) == plain.prefix(8 * 8 * 16) })
  }
}
