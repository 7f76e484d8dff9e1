// A residual network with DeepLabV2 at two levels, as methods before DAFormer train it, on real MPI ranks.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct AuxiliaryRunTests {
  @Test(arguments: ["batch", "fixed-scale", "frozen"])
  func ranksGiveTheSameBits(batchNorm: String) async throws {
    func run(_ ranks: Int?) async throws -> TrainedState {
      try await train(
        ranks: ranks, steps: 4,
        set: "encoder={name: resnet-tiny, batchNorm: \(batchNorm)}", "head={name: deeplabv2, dilations: [6, 12]}",
        "attention={}", "network={resolution: context-only, contextScale: 1, auxiliary: {stage: 3, weight: 0.1}}")
    }
    let one = try await run(nil)
    #expect(
      one.steps.allSatisfy { ($0.losses["source.auxiliary"] ?? 0) > 0 && ($0.losses["mixed.auxiliary"] ?? 0) > 0 })
    let two = try await run(2)
    #expect(two.layout.worldSize == 2 && two.matches(one))
  }
}
