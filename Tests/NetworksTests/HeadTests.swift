// Heads by themselves: reference numbers, names and shapes, gradients against differences, padding of cells.

import Autograd
import Foundation
import Kernels
import Networks
import Tensors
import TestSupport
import Testing

/// Channels and sizes of the feature maps: a coarse side that does not divide, then equal strides as in a dilated
/// ResNet.
private let channels = [8, 12, 16, 20]
private let sizes = [(12, 10), (6, 5), (6, 5), (6, 5)]

/// The formula of the reference numbers, as a Float32 vector.
private func formula(_ count: Int, _ number: Int) -> [Double] {
  (1...count).map { index in
    let i = Double(index)
    return sin(0.37 * i + 1.7 * Double(number + 1)) + 0.5 * sin(2.71 * i * (1 + 0.01 * Double(number)))
  }
}

private func floats(_ values: [Double]) -> [Float] { values.map { Float($0) } }

private func product(_ values: [Float], _ number: Int) -> Double {
  innerProduct(values.map(Double.init), formula(values.count, number))
}

/// A head with formula weights on formula features.
private struct HeadCase {
  let head: any SegmentationHead
  let parameters: NetworkParameters
  var features: [Tensor]

  init(_ name: String, _ options: HeadOptions, samples: Int = 2) throws {
    let registry = ParameterRegistry()
    let entry = try #require(HeadCatalogue.entry(name))
    var options = options
    options.dropout = 0
    head = entry.make(registry, "decode_head", channels, 3, options)
    parameters = NetworkParameters(registry, gradientSlots: samples, seed: 1)
    features = zip(channels, sizes).enumerated().map { level, map in
      let shape = [samples, map.0, map.1.0, map.1.1]
      return nchwToNHWC(floats(formula(shape.reduce(1, *), 100 + level)), shape)
    }
    for (number, slice) in sortedSlices.enumerated() {
      let u = formula(slice.range.count, number)
      let fanIn = Double(slice.range.count / slice.officialShape[0])
      let values = u.map { value in
        slice.officialShape.count > 1
          ? value / fanIn.squareRoot() : slice.name.hasSuffix("bn.weight") ? 1 + 0.1 * value : 0.02 * value
      }
      _ = parameters.load(floats(values), named: slice.name, into: parameters.values)
    }
  }

  var sortedSlices: [NetworkParameters.Slice] {
    parameters.slices.sorted { Array($0.name.utf8).lexicographicallyPrecedes(Array($1.name.utf8)) }
  }

  /// Gradients of all parameters, summed over samples, in the layout of the arena.
  var gradient: Tensor {
    let sum = Tensor(zeros: [parameters.values.count])
    guard let slots = parameters.gradients else { return sum }
    for sample in 0..<slots.samples {
      for index in 0..<sum.count { sum.pointer[index] += slots.sample(sample).pointer[index] }
    }
    return sum
  }

  func logits(_ features: [Tensor], _ mode: NormalizationMode = .batch) throws -> Tensor {
    let context = soloContext(features[0].samples, mode)
    defer { context.statistics.apply() }
    return try head(features.map { Variable(constant: $0) }, context).logits.value
  }
}

@Suite struct HeadTests {
  @Test(arguments: HeadReference.all) func referenceNumbers(_ reference: HeadReference) throws {
    let test = try HeadCase(reference.head, reference.options)
    let tape = Tape()
    let context = soloContext(2, tape: tape)
    let features = test.features.map { Variable(tracked: $0) }
    let output = try test.head(features, context).logits
    context.statistics.apply()
    let shape = output.value.shape
    let official = nhwcToNCHW(output.value)
    let norm = official.reduce(0.0) { $0 + Double($1) * Double($1) }
    let own = product(official, 201)
    #expect(abs(own - reference.logits[0]) < 2e-5 * norm.squareRoot(), "\(own)")
    #expect(abs(norm - reference.logits[1]) < 1e-5 * norm, "\(norm)")

    let cotangent = floats(formula(output.value.count, 200))
    output.cell?.accumulate(nchwToNHWC(cotangent, [shape[0], shape[3], shape[1], shape[2]]))
    tape.walkBack()
    for (level, feature) in features.enumerated() {
      let gradient = feature.gradient.map { nhwcToNCHW($0) } ?? [0]
      expectProduct(gradient, 400 + level, reference.inputs[level], whole: 0, "feature \(level)")
    }
    let gradient = test.gradient
    let whole = gradient.values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    let slices = test.sortedSlices
    try #require(slices.count == reference.parameters.count)
    for (number, slice) in slices.enumerated() {
      let values = NetworkParameters.official(slice, of: gradient)
      expectProduct(values, 300 + number, reference.parameters[number], whole: whole, slice.name)
    }
    let buffers = test.parameters.officialBuffers().sorted { $0.name < $1.name }
    let statistics = buffers.enumerated().reduce(0.0) { $0 + product($1.element.values, 500 + $1.offset) }
    #expect(abs(statistics - reference.statistics) < 1e-5 * max(1, abs(reference.statistics)))
  }

  /// A product of a gradient, allowed the usual size of such a product times 10⁻³: a ReLU input within rounding of zero
  /// may fall to either side.
  private func expectProduct(_ gradient: [Float], _ number: Int, _ expected: Double, whole: Double, _ name: String) {
    let own = product(gradient, number)
    let size = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    #expect(abs(own - expected) <= 1e-3 * size + 1e-5 * whole, "\(name): \(own) instead of \(expected)")
  }

  /// The directional derivative along features and parameters together is the central difference.
  ///
  /// Batch norms shift by 4, so that next to no input of a ReLU lies near its kink. An error is told as in the checks of
  /// single operations: as a part of the derivative or, if that is larger, of the usual size of such a product.
  @Test(arguments: HeadReference.all) func gradientsAreDifferences(_ reference: HeadReference) throws {
    let test = try HeadCase(reference.head, reference.options)
    let start = test.parameters.values
    for slice in test.parameters.slices where slice.name.hasSuffix("bn.bias") {
      _ = test.parameters.load([Float](repeating: 4, count: slice.range.count), named: slice.name, into: start)
    }
    let cotangent = randomTensor(try test.logits(test.features).shape, seed: 9)
    let tape = Tape()
    let features = test.features.map { Variable(tracked: $0) }
    let output = try test.head(features, soloContext(2, tape: tape)).logits
    output.cell?.accumulate(cotangent)
    tape.walkBack()
    let origin = start.copy()
    let direction = randomTensor([start.count], seed: 10, scale: 0.1)
    let directions = test.features.enumerated().map { randomTensor($1.shape, seed: 20 + UInt64($0)) }
    var products = zip(doubles(test.gradient), doubles(direction)).map { $0 * $1 }
    for (feature, direction) in zip(features, directions) {
      if let gradient = feature.gradient { products += zip(doubles(gradient), doubles(direction)).map { $0 * $1 } }
    }
    let claimed = products.reduce(0, +)
    let usual = products.reduce(0) { $0 + $1 * $1 }.squareRoot()
    func shifted(_ point: Tensor, _ direction: Tensor, _ length: Double) -> Tensor {
      Tensor(zip(doubles(point), doubles(direction)).map { Float($0 + length * $1) }, point.shape)
    }
    func value(_ length: Double) throws -> Double {
      start.assign(shifted(origin, direction, length))
      let moved = zip(test.features, directions).map { shifted($0, $1, length) }
      return innerProduct(doubles(try test.logits(moved)), doubles(cotangent))
    }
    let step = 1e-3
    let measured = (try value(step) - value(-step)) / (2 * step)
    #expect(abs(measured - claimed) < 5e-3 * max(abs(claimed), usual), "\(claimed), usually \(usual): \(measured)")
  }

  /// A sample's logits and slot do not depend on what shares the call.
  @Test(arguments: HeadReference.all) func samplesAreIndependent(_ reference: HeadReference) throws {
    func bits(_ samples: Range<Int>) throws -> [[UInt32]] {
      var test = try HeadCase(reference.head, reference.options, samples: samples.count)
      let all = try HeadCase(reference.head, reference.options, samples: 5).features
      test.features = all.map { $0.samples(samples).copy() }
      let tape = Tape()
      let output = try test.head(
        test.features.map { Variable(constant: $0) }, soloContext(samples.count, tape: tape, .running)
      ).logits
      output.cell?.accumulate(output.value)
      tape.walkBack()
      let gradients = try #require(test.parameters.gradients)
      return (0..<samples.count).map { sample in
        (output.value.sample(sample).values + gradients.sample(sample).values).map(\.bitPattern)
      }
    }
    let all = try bits(0..<5)
    #expect(Set(all).count == 5)
    for range in [0..<1, 1..<3, 2..<5] {
      let part = try bits(range)
      #expect(part == Array(all[range]), "\(range)")
    }
  }
}

@Suite struct HeadCatalogueTests {
  private static func names(_ head: String, _ options: HeadOptions) throws -> [String: [Int]] {
    let registry = ParameterRegistry()
    let entry = try #require(HeadCatalogue.entry(head))
    _ = entry.make(registry, "h", [4, 6], 3, options)
    let parameters = NetworkParameters(registry, gradientSlots: 0, seed: 1)
    return Dictionary(uniqueKeysWithValues: parameters.slices.map { ($0.name, $0.officialShape) })
  }

  /// Names and shapes of a convolution without bias and its batch norm.
  private static func module(_ name: String, _ outputs: Int, _ inputs: Int, _ kernel: Int) -> [String: [Int]] {
    [
      "\(name).conv.weight": [outputs, inputs, kernel, kernel], "\(name).bn.weight": [outputs],
      "\(name).bn.bias": [outputs],
    ]
  }

  private static func merged(_ parts: [[String: [Int]]]) -> [String: [Int]] {
    parts.reduce(into: [:]) { all, part in all.merge(part) { first, _ in first } }
  }

  /// What every DAFormer head of width 8 has outside its fusion.
  private static let embedded: [String: [Int]] = [
    "h.embed_layers.0.proj.weight": [8, 4], "h.embed_layers.0.proj.bias": [8],
    "h.embed_layers.1.proj.weight": [8, 6], "h.embed_layers.1.proj.bias": [8],
    "h.conv_seg.weight": [3, 8, 1, 1], "h.conv_seg.bias": [3],
  ]

  @Test func daformerNames() throws {
    let fuse = "h.fuse_layer"
    let separable = HeadCatalogueTests.merged([
      HeadCatalogueTests.embedded, HeadCatalogueTests.module("\(fuse).aspp_modules.0", 8, 16, 1),
      HeadCatalogueTests.module("\(fuse).aspp_modules.1.depthwise_conv", 16, 1, 3),
      HeadCatalogueTests.module("\(fuse).aspp_modules.1.pointwise_conv", 8, 16, 1),
      HeadCatalogueTests.module("\(fuse).bottleneck", 8, 16, 3),
    ])
    #expect(try HeadCatalogueTests.names("daformer", HeadOptions(width: 8, dilations: [1, 6])) == separable)
    let dense = HeadCatalogueTests.merged([
      HeadCatalogueTests.embedded, HeadCatalogueTests.module("\(fuse).aspp_modules.0", 8, 16, 1),
      HeadCatalogueTests.module("\(fuse).aspp_modules.1", 8, 16, 3),
      HeadCatalogueTests.module("\(fuse).bottleneck", 8, 16, 3),
    ])
    #expect(try HeadCatalogueTests.names("daformer", HeadOptions(fusion: .aspp, width: 8, dilations: [1, 6])) == dense)
    let pointwise = HeadCatalogueTests.merged([HeadCatalogueTests.embedded, HeadCatalogueTests.module(fuse, 8, 16, 1)])
    #expect(try HeadCatalogueTests.names("daformer", HeadOptions(fusion: .pointwise, width: 8)) == pointwise)
    let relations = ["global_relation", "local_relation"].flatMap { part in
      ["key_project", "query_project", "output_project"].map {
        HeadCatalogueTests.module("\(fuse).\(part).\($0)", 8, 8, 1)
      } + [["\(fuse).\(part).value_project.weight": [8, 8, 1, 1], "\(fuse).\(part).value_project.bias": [8]]]
    }
    let isa = HeadCatalogueTests.merged(
      [HeadCatalogueTests.embedded, HeadCatalogueTests.module("\(fuse).in_conv", 8, 16, 1)] + relations)
    #expect(try HeadCatalogueTests.names("daformer", HeadOptions(fusion: .isa, width: 8)) == isa)
    let onCoarsest = HeadCatalogueTests.merged([
      HeadCatalogueTests.embedded.filter { !$0.key.contains("embed_layers.1") },
      ["h.embed_layers.1.0.weight": [8, 6, 1, 1], "h.embed_layers.1.0.bias": [8]],
      HeadCatalogueTests.module("h.embed_layers.1.1.aspp_modules.0.depthwise_conv", 8, 1, 3),
      HeadCatalogueTests.module("h.embed_layers.1.1.aspp_modules.0.pointwise_conv", 8, 8, 1),
      HeadCatalogueTests.module("h.embed_layers.1.1.bottleneck", 8, 8, 3), HeadCatalogueTests.module(fuse, 8, 16, 1),
    ])
    let options = HeadOptions(fusion: .coarsestASPP, width: 8, dilations: [6])
    #expect(try HeadCatalogueTests.names("daformer", options) == onCoarsest)
  }

  @Test func namesOfOtherHeads() throws {
    let segformer = HeadCatalogueTests.merged([
      [
        "h.linear_c.0.proj.weight": [8, 4], "h.linear_c.0.proj.bias": [8], "h.linear_c.1.proj.weight": [8, 6],
        "h.linear_c.1.proj.bias": [8], "h.linear_pred.weight": [3, 8, 1, 1], "h.linear_pred.bias": [3],
      ], HeadCatalogueTests.module("h.linear_fuse", 8, 16, 1),
    ])
    #expect(try HeadCatalogueTests.names("segformer", HeadOptions(width: 8)) == segformer)
    let deeplab: [String: [Int]] = [
      "h.aspp_modules.0.conv.weight": [3, 6, 3, 3], "h.aspp_modules.0.conv.bias": [3],
      "h.aspp_modules.1.conv.weight": [3, 6, 3, 3], "h.aspp_modules.1.conv.bias": [3],
    ]
    #expect(try HeadCatalogueTests.names("deeplabv2", HeadOptions(dilations: [6, 12])) == deeplab)
    let pooled = (0..<4).map { HeadCatalogueTests.module("h.psp_modules.\($0).1", 8, 6, 1) }
    let upernet = HeadCatalogueTests.merged(
      pooled + [
        HeadCatalogueTests.module("h.bottleneck", 8, 38, 3), HeadCatalogueTests.module("h.lateral_convs.0", 8, 4, 1),
        HeadCatalogueTests.module("h.fpn_convs.0", 8, 8, 3), HeadCatalogueTests.module("h.fpn_bottleneck", 8, 16, 3),
        ["h.conv_seg.weight": [3, 8, 1, 1], "h.conv_seg.bias": [3]],
      ])
    #expect(try HeadCatalogueTests.names("upernet", HeadOptions(width: 8)) == upernet)
  }

  @Test func theCatalogueHoldsThem() {
    #expect(
      HeadCatalogue.names == [
        "daformer", "segformer", "deeplabv2", "upernet", "depth-guided", "daformer-depth-guided",
      ])
    #expect(HeadCatalogue.entry("fcn") == nil)
    #expect(FusionKind.allCases.map(\.rawValue) == ["separable-aspp", "aspp", "pointwise", "isa", "coarsest-aspp"])
    let strides = [4, 8, 8, 8]
    #expect(HeadCatalogue.entries.map { $0.grid.stride(of: strides) } == [4, 4, 8, 4, 8, 4])
  }
}
