// Residual and efficient encoders: published sizes, PyTorch's numbers with formula weights, odd images, same bits for
// every batch, thread and rank count.

import Autograd
import Collectives
import Kernels
import Networks
import Support
import Tensors
import TestSupport
import Testing

@Suite(.serialized) struct ConvolutionalEncoderTests {
  static let names = ["resnet50", "efficientnet-lite0"]

  private static func make(_ name: String, slots: Int) throws -> (encoder: any Encoder, parameters: NetworkParameters) {
    let registry = ParameterRegistry()
    let encoder = try #require(EncoderCatalogue.make(name, registry, prefix: "backbone", EncoderOptions()))
    return (encoder, NetworkParameters(registry, gradientSlots: slots, seed: 1))
  }

  /// ResNet-50 has 23,508,032 parameters without classifier and ResNet-101 42,500,160, both with a 7x7 stem of 9,536,
  /// where v1c has three convolutions of 28,768. EfficientNet-Lite0: 2,998,352 numbers, among them
  /// two running statistics of 19,728 channels and a counter for each of its 48 batch norms.
  @Test(arguments: [
    ("resnet50", 23_527_264, 55, [256, 512, 1024, 2048]), ("resnet101", 42_519_392, 106, [256, 512, 1024, 2048]),
    ("efficientnet-lite0", 2_958_848, 48, [24, 40, 112, 320]),
  ])
  func sizes(name: String, count: Int, norms: Int, channels: [Int]) throws {
    let (encoder, parameters) = try ConvolutionalEncoderTests.make(name, slots: 0)
    #expect(parameters.values.count == count)
    #expect(parameters.bufferSlices.count == 2 * norms)
    #expect(encoder.channels == channels)
    #expect(parameters.slices.count == 3 * norms)
  }

  @Test func residualNamesAndStart() throws {
    let (_, parameters) = try ConvolutionalEncoderTests.make("resnet50", slots: 0)
    let shapes = Dictionary(uniqueKeysWithValues: parameters.slices.map { ($0.name, $0.officialShape) })
    #expect(shapes["backbone.stem.0.weight"] == [32, 3, 3, 3])
    #expect(shapes["backbone.stem.1.bias"] == [32])
    #expect(shapes["backbone.stem.6.weight"] == [64, 32, 3, 3])
    #expect(shapes["backbone.layer1.0.downsample.0.weight"] == [256, 64, 1, 1])
    #expect(shapes["backbone.layer4.2.conv2.weight"] == [512, 512, 3, 3])
    #expect(shapes["backbone.layer4.1.downsample.0.weight"] == nil)
    #expect(parameters.bufferSlices.contains { $0.name == "backbone.layer3.5.bn2.running_var" })
    let values = parameters.official(of: parameters.values)
    #expect(values.first { $0.name == "backbone.layer2.0.bn3.weight" }?.values.allSatisfy { $0 == 0 } == true)
    #expect(values.first { $0.name == "backbone.layer2.0.bn2.weight" }?.values.allSatisfy { $0 == 1 } == true)
    // Kaiming: variance 2 / (outputs · taps).
    let weight = try #require(values.first { $0.name == "backbone.layer4.1.conv2.weight" }).values.map(Double.init)
    let variance = innerProduct(weight, weight) / Double(weight.count)
    #expect(abs(variance * Double(512 * 9) / 2 - 1) < 0.01)
  }

  @Test(arguments: names, [(33, 47), (50, 38), (64, 96), (31, 32)])
  func extentsAreRoundedUp(name: String, size: (Int, Int)) throws {
    let (encoder, _) = try ConvolutionalEncoderTests.make(name, slots: 0)
    let image = Variable(constant: randomTensor([1, size.0, size.1, 3], seed: 2))
    let maps = try encoder(image, soloContext(1, .running)).map(\.value)
    let shapes = zip(encoder.strides, encoder.channels).map { stride, channels in
      Shape([1, (size.0 + stride - 1) / stride, (size.1 + stride - 1) / stride, channels])
    }
    #expect(maps.map(\.shape) == shapes)
    #expect(encoder.strides == (name == "resnet50" ? [4, 8, 8, 8] : [4, 8, 16, 32]))
  }

  /// Maps, running statistics and gradients of two images of 72x88 beside PyTorch's Float64 run. An input within rounding
  /// of a ReLU's zero changes every gradient before it, so gradients may be ten times as far off as PyTorch's own Float32
  /// run, which is up to 1.2 % from its Float64 run with batch statistics (these are ill-conditioned in a random network)
  /// and 0.036 % with running ones; EfficientNet's, with running ones, meets no such input.
  @Test(arguments: [
    ("resnet50", NormalizationMode.batch, residualTraining, 0.03),
    ("resnet50", .running, residualEvaluation, 3.6e-3),
    ("efficientnet-lite0", .batch, efficientTraining, 0.03),
    ("efficientnet-lite0", .running, efficientEvaluation, 1e-5),
  ])
  func agreesWithPyTorch(
    name: String, mode: NormalizationMode, references: [Reference], gradientTolerance: Double
  ) throws {
    let (encoder, parameters) = try ConvolutionalEncoderTests.make(name, slots: 2)
    fillByFormula(parameters)
    let context = soloContext(2, tape: Tape(), mode)
    let pair = patternPixels(height: 72, width: 88)
    let turned = stride(from: pair.count - 3, through: 0, by: -3).flatMap { pair[$0..<$0 + 3] }
    let image = normalised(pair + turned, samples: 2, height: 72, width: 88)
    let maps = try encoder(Variable(constant: image), context)
    var found: [String: [Float]] = [:]
    for (index, map) in maps.enumerated() {
      found["map \(index)"] = map.value.values
      let scale = 1 / Double(map.value.count).squareRoot()
      map.cell?.accumulate(
        Tensor(hashed(1000 + index, map.value.count).map { Float($0 * scale) }, map.value.shape))
    }
    context.tape?.walkBack()
    context.statistics.apply()
    for entry in try summedGradients(parameters) + parameters.officialBuffers().map({ ($0.name, $0.values) }) {
      found[String(entry.0.dropFirst("backbone.".count))] = entry.1
    }
    for reference in references {
      let values = try #require(found[reference.name]).map(Double.init)
      let norm = innerProduct(values, values).squareRoot()
      let product = innerProduct(values, hashed(2000, values.count))
      let error = max(abs(norm - reference.norm), abs(product - reference.product)) / reference.norm
      let isGradient = !reference.name.hasPrefix("map") && !reference.name.contains("running")
      let tolerance = isGradient ? gradientTolerance : mode == .batch ? 1e-4 : 1e-5
      #expect(error < tolerance, "\(reference.name): \(norm), \(product)")
    }
  }

  /// The encoder sees (v - 127) / 128 of the pixels v whose ImageNet normalisation it is given, and pads with zeros of
  /// its own: without offsets, an image of 127 everywhere is nothing to it, not even at the edges.
  @Test func efficientNetChangesTheNormalisation() throws {
    #expect(EfficientNetLite.input == InputNormalisation(mean: [127, 127, 127], deviation: [128, 128, 128]))
    let (encoder, parameters) = try ConvolutionalEncoderTests.make("efficientnet-lite0", slots: 0)
    fillByFormula(parameters)
    for slice in parameters.slices where slice.name.hasSuffix("bias") {
      let zeros = [Float](repeating: 0, count: slice.range.count)
      parameters.load(zeros, named: slice.name, into: parameters.values)
    }
    for slice in parameters.bufferSlices where slice.name.hasSuffix("running_mean") {
      parameters.loadBuffer([Float](repeating: 0, count: slice.range.count), named: slice.name)
    }
    func largest(_ pixel: UInt8) throws -> [Float] {
      let image = normalised([UInt8](repeating: pixel, count: 3 * 64 * 64), samples: 1, height: 64, width: 64)
      return try encoder(Variable(constant: image), soloContext(1, .running)).map {
        $0.value.values.map(abs).max() ?? 0
      }
    }
    let nothing = try largest(127)
    let something = try largest(143)
    #expect(zip(nothing, something).allSatisfy { $0 < 1e-4 * $1 }, "\(nothing) of \(something)")
  }
}

/// Numbers in -1 ..< 1 that are a function of `key` and place: 32-bit mixing, the same in every language.
func hashed(_ key: Int, _ count: Int) -> [Double] {
  (0..<count).map { index in
    var x = UInt32(truncatingIfNeeded: index) &* 747_796_405 &+ UInt32(truncatingIfNeeded: key) &* 2_891_336_453 &+ 1
    x ^= x >> 16
    x &*= 0x7feb_352d
    x ^= x >> 15
    x &*= 0x846c_a68b
    x ^= x >> 16
    return Double(x) / 0x1p31 - 1
  }
}

/// An image that is a formula: RGB bytes.
func patternPixels(height: Int, width: Int) -> [UInt8] {
  (0..<height * width * 3).map { index in
    let (y, x, colour) = (index / 3 / width, index / 3 % width, index % 3)
    return UInt8((x * 7 + y * 13 + colour * 31 + x * y / 16) % 256)
  }
}

/// Parameters and running statistics by formula, u = hashed(place among the sorted names): weights u · √(6 / fan-in),
/// factors of batch norm 1 + u/4 (those that end a branch 0.3 of it), offsets and means u/10, variances 1 + u/2.
func fillByFormula(_ parameters: NetworkParameters) {
  let slices = parameters.slices.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  for (place, slice) in slices.enumerated() {
    let shape = slice.officialShape
    let endsBranch = slice.name.hasSuffix("bn3.weight") || slice.name.hasSuffix("_bn2.weight")
    let spread = (6 / Double(shape.dropFirst().reduce(1, *))).squareRoot()
    let values = hashed(place, slice.range.count).map { u in
      if shape.count > 1 { return Float(u * spread) }
      return slice.name.hasSuffix("weight") ? Float((endsBranch ? 0.3 : 1) * (1 + 0.25 * u)) : Float(0.1 * u)
    }
    parameters.load(values, named: slice.name, into: parameters.values)
  }
  let buffers = parameters.bufferSlices.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  for (place, slice) in buffers.enumerated() {
    let isVariance = slice.name.hasSuffix("running_var")
    let values = hashed(5000 + place, slice.range.count).map { Float(isVariance ? 1 + 0.5 * $0 : 0.1 * $0) }
    parameters.loadBuffer(values, named: slice.name)
  }
}

/// Gradients summed over samples, in the official order.
func summedGradients(_ parameters: NetworkParameters) throws -> [(String, [Float])] {
  let slots = try #require(parameters.gradients)
  let sum = slots.sample(0).copy().reshaped([parameters.values.count])
  for sample in 1..<slots.samples { addInPlace(sum, slots.sample(sample)) }
  return parameters.official(of: sum).map { ($0.name, $0.values) }
}
