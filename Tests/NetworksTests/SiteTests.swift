// Maps that losses read, and heads that are trained on them.

import Autograd
import Kernels
import Networks
import Tensors
import TestSupport
import Testing

@Suite struct SiteTests {
  private static let box = Box(top: 0, bottom: 32, left: 8, right: 40)

  /// A network with a linear head of four outputs, all weights 2, on the fused map, and one on the detail's coarsest map.
  private static func network() throws -> SegmentationNetwork {
    var configuration = NetworkConfiguration(
      encoder: "tiny", classCount: 3, detailHeight: 32, detailWidth: 32, headWidth: 16, attentionWidth: 16)
    configuration.headDropout = 0
    func head(_ name: String, _ input: Site) -> AttachedHead {
      AttachedHead(owner: "probe", name: name, input: input) { registry, prefix, channels in
        let weight = registry.declare("\(prefix).weight", [4, channels], .constant(2))
        return { map, context in linear(map, weight, nil, context) }
      }
    }
    return try SegmentationNetwork(
      configuration, attaching: [head("one", .fused), head("two", Site(.encoder(fromCoarsest: 0), .detail))],
      gradientSlots: 1, seed: 1)
  }

  @Test func attachedHeadsLieLastAndLearnFromTheirMaps() throws {
    let network = try SiteTests.network()
    let names = network.parameters.slices.map(\.name)
    #expect(Array(names.suffix(2)) == ["probe_head.one.weight", "probe_head.two.weight"])
    let sites: Set = [Site(.attached("one")), Site(.attached("two"), .detail), .fused]
    let tape = Tape()
    let output = try network.train(
      randomTensor([1, 64, 64, 3], seed: 2), box: SiteTests.box, keeping: sites, soloContext(1, tape: tape))
    #expect(Set(output.maps.keys) == sites)
    let fused = try #require(output.maps[.fused])
    let one = try #require(output.maps[Site(.attached("one"))])
    let pixels = stride(from: 0, to: fused.value.count, by: 16).map { fused.value.values[$0..<$0 + 16] }
    #expect(
      relativeError(one.value, pixels.flatMap { [Double](repeating: 2 * $0.reduce(0) { $0 + Double($1) }, count: 4) })
        < 1e-5)
    one.cell?.accumulate(Tensor(repeating: 1, one.value.shape))
    tape.walkBack()
    let gradients = try #require(network.parameters.gradients).values
    let (first, second) = (
      network.parameters.slices[names.count - 2].range, network.parameters.slices[names.count - 1].range
    )
    let sums = (0..<16).flatMap { channel in
      [Double](repeating: pixels.reduce(0) { $0 + Double($1[$1.startIndex + channel]) }, count: 4)
    }
    #expect(relativeError(Array(gradients[first]), sums) < 1e-5)
    #expect(gradients[second].allSatisfy { $0 == 0 }, "no gradient was put into its map")
    #expect(gradients[..<100].contains { $0 != 0 }, "gradients flow on to the encoder")
  }

  @Test func aContextAloneHasNoDetail() throws {
    let network = try SiteTests.network()
    let output = try network.train(
      Variable(constant: randomTensor([1, 64, 64, 3], seed: 2)), box: SiteTests.box, crops: .context,
      keeping: [.coarsest], soloContext(1))
    #expect(output.detail == nil && output.fused?.value.values == output.context?.value.values)
  }

  @Test func sitesHaveOneOrder() {
    let named = Site(.named("b"))
    let sites = [
      Site(.attached("a")), Site(.attached("a"), .detail), named, .fused, Site(.encoder(fromCoarsest: 1)), .coarsest,
    ]
    #expect(
      sites.sorted() == [
        .coarsest, Site(.encoder(fromCoarsest: 1)), .fused, named, Site(.attached("a")), Site(.attached("a"), .detail),
      ])
  }
}
