// CorDA's multi-task head: what it makes, the two published forms, and exchange that can be silent or left out.

import Autograd
import Kernels
import Networks
import Tensors
import TestSupport
import Testing

@Suite struct DepthGuidedHeadTests {
  private static let image = randomTensor([2, 64, 64, 3], seed: 1)
  private static let box = Box(top: 0, bottom: 64, left: 0, right: 64)
  private static let names = [
    DepthGuidedHead.initial, DepthGuidedHead.depth, DepthGuidedHead.initialDepth, DepthGuidedHead.sourceDepth,
    DepthGuidedHead.initialSourceDepth,
  ]

  private func network(
    _ name: String = "depth-guided", slots: Int = 0, _ change: (inout DepthGuidance) -> Void = { _ in }
  ) throws -> SegmentationNetwork {
    var configuration = NetworkConfiguration(
      encoder: "resnet-tiny", classCount: 5, detailHeight: 64, detailWidth: 64, headWidth: 12)
    configuration.head = name
    configuration.resolution = .contextOnly
    configuration.contextReduction = 1
    configuration.dilations = [6, 12]
    configuration.headDropout = 0
    change(&configuration.guidance)
    return try SegmentationNetwork(configuration, gradientSlots: slots, seed: 3)
  }

  private func outputs(_ network: SegmentationNetwork, _ context: ForwardContext? = nil) throws -> TrainingOutput {
    try network.train(
      DepthGuidedHeadTests.image, box: DepthGuidedHeadTests.box,
      keeping: Set(DepthGuidedHeadTests.names.map { Site(.named($0)) }), context ?? soloContext(2, .running))
  }

  @Test(arguments: [("depth-guided", 8), ("daformer-depth-guided", 16)])
  func bothTasksArePredictedTwice(_ name: String, side: Int) throws {
    let network = try network(name, slots: 2)
    let tape = Tape()
    let output = try outputs(network, soloContext(2, tape: tape))
    #expect(output.fused?.value.shape == [2, side, side, 5])
    for name in DepthGuidedHeadTests.names {
      let map = try #require(output.maps[Site(.named(name))])
      #expect(map.value.shape == [2, side, side, name == DepthGuidedHead.initial ? 5 : 1])
      map.cell?.accumulate(randomTensor(map.value.shape, seed: 4))
    }
    let fused = try #require(output.fused)
    fused.cell?.accumulate(randomTensor(fused.value.shape, seed: 5))
    tape.walkBack()
    let slots = try #require(network.parameters.gradients).values
    let idle = network.parameters.slices.filter { slice in
      slice.name.hasPrefix("decode_head") && slots[slice.range].allSatisfy { $0 == 0 }
    }
    #expect(idle.map(\.name) == [], "everything learns")
  }

  @Test("check 5: exchange with weights of 0 changes nothing") func silentExchange() throws {
    let (silent, without) = (try network(), try network { $0.correlates = false })
    let before = try outputs(silent)
    for slice in silent.parameters.slices where slice.name.contains("self_attention") {
      silent.parameters.load(
        [Float](repeating: 0, count: slice.range.count), named: slice.name, into: silent.parameters.values)
    }
    let (quiet, simple) = (try outputs(silent), try outputs(without))
    #expect(quiet.fused?.value.values == simple.fused?.value.values)
    #expect(quiet.fused?.value.values != before.fused?.value.values)
    let depth = Site(.named(DepthGuidedHead.depth))
    #expect(quiet.maps[depth]?.value.values == simple.maps[depth]?.value.values)
  }

  @Test func theFirstClassifierMayStandOnTheTrunk() throws {
    let names = try network { $0.initialOnTrunk = true }.parameters.slices.map(\.name)
    let part = "decode_head.initial_task_prediction_heads.conv_out.S"
    #expect(names.contains("\(part).conv2d_list.1.bias") && !names.contains("\(part).bias"))
    #expect(try network().parameters.slices.map(\.name).contains("\(part).bias"))
  }

  /// A dense pass keeps what a training pass makes.
  @Test func aDensePassKeepsMaps() throws {
    let network = try network()
    let site = Site(.named(DepthGuidedHead.initial))
    let dense = try network.dense(DepthGuidedHeadTests.image, keeping: [site, .fused], soloContext(2, .running))
    #expect(Set(dense.maps.keys) == [site, .fused])
    #expect(dense.maps[site]?.values == (try outputs(network)).maps[site]?.value.values)
  }
}
