// Parameters: official and internal layout, arenas, loading, initial values and digests.

import Autograd
import Networks
import Support
import Tensors
import TestSupport
import Testing

@Suite struct ParameterLayoutTests {
  @Test(arguments: [
    [7], [1], [3, 5], [1, 4], [6, 1], [2, 3, 1, 1], [4, 3, 2, 5], [5, 1, 3, 3], [1, 2, 7, 7], [3, 4, 2],
  ])
  func goingThereAndBackChangesNothing(shape: [Int]) {
    let values = (0..<shape.reduce(1, *)).map { Float($0) }
    let inner = ParameterLayout.toInternal(values, officialShape: shape)
    #expect(inner.sorted() == values)
    #expect(ParameterLayout.toOfficial(inner, officialShape: shape) == values)
    let outer = ParameterLayout.toOfficial(values, officialShape: shape)
    #expect(ParameterLayout.toInternal(outer, officialShape: shape) == values)
  }

  @Test func outputsRunFastestInside() {
    let matrix: [Float] = [1, 2, 3, 4, 5, 6]
    #expect(ParameterLayout.toInternal(matrix, officialShape: [2, 3]) == [1, 4, 2, 5, 3, 6])
    #expect(ParameterLayout.toInternal(matrix, officialShape: [6]) == matrix)
    let weights = randomTensor([4, 3, 2, 5], seed: 1).values
    let inner = ParameterLayout.toInternal(weights, officialShape: [4, 3, 2, 5])
    #expect(inner == oihwToHWIO(weights, [4, 3, 2, 5]).values)
    for (output, input, row, column) in [(0, 0, 0, 0), (3, 2, 1, 4), (1, 2, 0, 3), (2, 0, 1, 1)] {
      #expect(
        inner[((row * 5 + column) * 3 + input) * 4 + output] == weights[((output * 3 + input) * 2 + row) * 5 + column])
    }
  }

  @Test func internalShapesFollow() {
    func shape(_ official: [Int]) -> Shape {
      Parameter(name: "p", officialShape: official) { _, count in [Float](repeating: 0, count: count) }.internalShape
    }
    #expect(shape([7]) == [7])
    #expect(shape([3, 5]) == [5, 3])
    #expect(shape([4, 3, 2, 5]) == [2, 5, 3, 4])
    #expect(shape([8, 1, 3, 3]) == [3, 3, 1, 8])
  }
}

@Suite struct NetworkParameterTests {
  private static func network(seed: UInt64 = 1, slots: Int = 0) throws -> SegmentationNetwork {
    try SegmentationNetwork(
      NetworkConfiguration(
        encoder: "tiny", classCount: 5, detailHeight: 32, detailWidth: 32, headWidth: 16, attentionWidth: 16),
      gradientSlots: slots, seed: seed)
  }

  @Test func slicesFillTheArenasWithoutGaps() throws {
    let parameters = try NetworkParameterTests.network(slots: 3).parameters
    for (slices, arena) in [(parameters.slices, parameters.values), (parameters.bufferSlices, parameters.buffers)] {
      var end = 0
      for slice in slices {
        #expect(slice.range.lowerBound == end && slice.range.count == slice.officialShape.reduce(1, *), "\(slice.name)")
        end = slice.range.upperBound
      }
      #expect(end == arena.count)
    }
    #expect(parameters.gradients?.shape == [3, parameters.values.count])
    #expect(try NetworkParameterTests.network().parameters.gradients == nil)
    #expect(Set(parameters.slices.map(\.name)).count == parameters.slices.count)
  }

  @Test func parametersAndSlotsAreViewsOfTheArenas() throws {
    let parameters = try NetworkParameterTests.network(slots: 2).parameters
    let gradients = try #require(parameters.gradients)
    for (index, parameter) in parameters.parameters.enumerated() {
      parameter.value.fill(Float(index))
      parameter.slots?.pointer(1).update(repeating: Float(-index), count: parameter.count)
    }
    for (index, slice) in parameters.slices.enumerated() {
      #expect(slice.range.allSatisfy { parameters.values.pointer[$0] == Float(index) })
      #expect(slice.range.allSatisfy { gradients.sample(1).pointer[$0] == Float(-index) })
    }
    #expect(gradients.sample(0).values.allSatisfy { $0 == 0 })
    parameters.clearGradients()
    #expect(gradients.values.allSatisfy { $0 == 0 })
  }

  @Test func loadingIsTheInverseOfReading() throws {
    let parameters = try NetworkParameterTests.network().parameters
    let moment = Tensor(zeros: [parameters.values.count])
    let other = try NetworkParameterTests.network(seed: 2).parameters
    for (name, _, values) in other.official(of: other.values) {
      #expect(parameters.load(values, named: name, into: moment))
    }
    #expect(moment.values == other.values.values)
    for (name, _, values) in other.officialBuffers() {
      #expect(parameters.loadBuffer(values.map { $0 + 3 }, named: name))
    }
    #expect(parameters.buffers.values == other.buffers.values.map { $0 + 3 })
    #expect(!parameters.load([0], named: "no.such.weight", into: moment))
    #expect(!parameters.loadBuffer([0], named: "no.such.running_mean"))
  }

  @Test func initialValuesDependOnSeedAndNameOnly() throws {
    let first = try NetworkParameterTests.network().parameters
    #expect(try NetworkParameterTests.network(slots: 2).parameters.digest() == first.digest())
    let second = try NetworkParameterTests.network(seed: 2).parameters
    #expect(second.digest() != first.digest())
    second.initialise(seed: 1)
    #expect(second.digest() == first.digest())
    // The encoder's values are the same without the heads.
    let reference = try ReferenceEncoder(
      NetworkConfiguration(encoder: "tiny", classCount: 2, detailHeight: 8, detailWidth: 8), seed: 1
    ).parameters
    let own = Dictionary(uniqueKeysWithValues: first.official(of: first.values).map { ($0.name, $0.values) })
    #expect(reference.official(of: reference.values).allSatisfy { own[$0.name] == $0.values })
  }

  @Test func initialValuesDoNotDependOnThreads() throws {
    defer { WorkerPool.configure(threads: 1) }
    let digests = try (1...3).map { threads in
      WorkerPool.configure(threads: threads)
      return try NetworkParameterTests.network().parameters.digest()
    }
    #expect(Set(digests).count == 1)
  }

  @Test func initialValuesHaveThePublishedDeviations() throws {
    let parameters = try NetworkParameterTests.network().parameters
    let values = Dictionary(
      uniqueKeysWithValues: (parameters.official(of: parameters.values) + parameters.officialBuffers())
        .map { ($0.name, $0.values) })
    func deviation(_ name: String) throws -> Double {
      let list = try #require(values[name], "\(name)").map(Double.init)
      return (list.reduce(0) { $0 + $1 * $1 } / Double(list.count)).squareRoot()
    }
    // Fan-out of a 3×3 convolution to 64 channels, one filter per channel, linear maps, the classifier.
    #expect(abs(try deviation("backbone.patch_embed4.proj.weight") / (2.0 / (64 * 9)).squareRoot() - 1) < 0.03)
    #expect(abs(try deviation("backbone.block4.0.mlp.dwconv.dwconv.weight") / (2.0 / 9).squareRoot() - 1) < 0.08)
    #expect(abs(try deviation("backbone.block4.0.mlp.fc1.weight") / 0.02 - 1) < 0.03)
    #expect(abs(try deviation("decode_head.head.conv_seg.weight") / 0.01 - 1) < 0.4)
    for (name, list) in values where name.hasSuffix(".bias") || name.hasSuffix("running_mean") {
      #expect(list.allSatisfy { $0 == 0 }, "\(name)")
    }
    for (name, list) in values where name.hasSuffix("norm1.weight") || name.hasSuffix("running_var") {
      #expect(list.allSatisfy { $0 == 1 }, "\(name)")
    }
  }
}

@Suite struct NetworkDigestTests {
  private typealias Named = (name: String, shape: [Int], values: [Float])
  private static let tensors: [Named] = [("b.weight", [2, 3], [1, 2, 3, 4, 5, 6]), ("a.bias", [2], [0, -1])]

  @Test func anyBitNameOrShapeChangesIt() {
    let tensors = NetworkDigestTests.tensors
    var variants = [tensors]
    for index in 0..<6 {
      for bit in [0, 15, 31] {
        var changed = tensors
        changed[0].values[index] = Float(bitPattern: tensors[0].values[index].bitPattern ^ 1 << UInt32(bit))
        variants.append(changed)
      }
    }
    var changed = tensors
    changed[1].values[0] = -0.0
    variants.append(changed)
    changed = tensors
    changed[0].name = "b.weighs"
    variants.append(changed)
    for shape in [[3, 2], [6], [2, 3, 1]] {
      changed = tensors
      changed[0].shape = shape
      variants.append(changed)
    }
    variants.append([tensors[0]])
    #expect(Set(variants.map { NetworkParameters.digest(of: $0) }).count == variants.count)
  }

  @Test func orderDoesNotMatter() {
    let tensors = NetworkDigestTests.tensors
    #expect(NetworkParameters.digest(of: tensors) == NetworkParameters.digest(of: tensors.reversed()))
  }

  /// The definition, spelt out: name, extents as 64-bit numbers, values, in byte order of the names.
  @Test func itIsTheHashOfTheDefinition() {
    let hash = SHA256()
    hash.update("a.bias")
    hash.update([Int64(2).littleEndian])
    hash.update([Float(0).bitPattern.littleEndian, Float(-1).bitPattern.littleEndian])
    hash.update("b.weight")
    hash.update([Int64(2).littleEndian, Int64(3).littleEndian])
    hash.update((1...6).map { Float($0).bitPattern.littleEndian })
    #expect(NetworkParameters.digest(of: NetworkDigestTests.tensors) == hash.hexadecimal())
  }

  @Test func parametersAndRunningStatisticsCount() throws {
    let network = try SegmentationNetwork(
      NetworkConfiguration(
        encoder: "tiny", classCount: 5, detailHeight: 32, detailWidth: 32, headWidth: 16, attentionWidth: 16),
      gradientSlots: 0, seed: 1)
    let parameters = network.parameters
    var digests = [parameters.digest()]
    for arena in [parameters.values, parameters.buffers] {
      for index in [0, arena.count / 2, arena.count - 1] {
        let place = arena.pointer + index
        let old = place.pointee
        place.pointee = Float(bitPattern: old.bitPattern ^ 1)
        digests.append(parameters.digest())
        place.pointee = old
      }
    }
    #expect(Set(digests).count == 7)
    #expect(parameters.digest() == digests[0])
  }
}
