// How many messages a training step takes as ranks grow: every kind as O(1) or O(log P), the ranks threads of one process.
// Numbers of ranks that are no power of two are the named exception: there sums of gradients go in two rounds of P - 1
// messages.

import Benchmarks
import Collectives
import CollectivesTesting
import DataParallel
import Tensors
import Testing

@Suite(.serialized) struct StepMessagesTests {
  typealias Counts = [CountingCommunicator.Operation: Int]
  typealias Body = @Sendable (CountingCommunicator) throws -> () throws -> Void

  /// Operations of the rank that has most of each kind: in `body`, and in what it returns.
  private static func counted(ranks: Int, _ body: Body) throws -> (start: Counts, step: Counts) {
    let all = try LoopbackCommunicator.run(ranks: ranks) { world -> (Counts, Counts) in
      let counting = CountingCommunicator(world)
      let step = try body(counting)
      let start = counting.counts
      counting.reset()
      try step()
      return (start, counting.counts)
    }
    return all.reduce(into: ([:], [:])) { most, own in
      most.0.merge(own.0, uniquingKeysWith: max)
      most.1.merge(own.1, uniquingKeysWith: max)
    }
  }

  /// Everything that a step says, without what it computes: sums of batch norms and losses, the sum of gradients or of its
  /// shards, the norm, parameters to all, votes, digests. Before it: names of hosts, texts, who owns what.
  private static func talk(shardMoments: Bool) -> Body {
    { world in
      let count = 40 * PieceLayout.grain + 17
      let reduction = try GradientReduction(on: world, pieceBytes: 16 * PieceLayout.grain * 4, scatters: shardMoments)
      let shards = shardMoments ? try ArenaShards(reduction.owned(of: count), of: count, on: world) : nil
      let norm = GradientNorm([("a", 0..<count / 3), ("b", count / 3..<count)], shards: shards)
      let agreement = ReplicaAgreement(on: world, interval: 1)
      try agreement.compare([("the recipe", "one"), ("the network", "two")])
      _ = try world.gatherStrings("rank \(world.rank)")
      return {
        for index in 0..<75 {
          var values = [Double](repeating: 1, count: 2 << (index % 9))
          try sumTree(&values, on: world)
        }
        let gradient = try reduction.sum(Tensor(zeros: [1, count]))
        _ = try shards.map { try norm(gradient, dealtOut: $0) } ?? norm(gradient)
        if shardMoments { try reduction.gather(gradient) }
        _ = try globalSum(rows: [1, 2], samples: 1, count: 2, on: world)
        _ = try world.allMaximum(Int64(0))
        try world.together {}
        try agreement.check(step: 1, [("weights", Tensor(zeros: [8]))])
      }
    }
  }

  private static func expectGrowth(
    upTo exponent: Int, except: Set<CountingCommunicator.Operation> = [], _ body: Body
  ) throws {
    let (two, four) = (try counted(ranks: 2, body), try counted(ranks: 4, body))
    for exponent in stride(from: 3, through: exponent, by: 2) {
      let ranks = 1 << exponent
      let found = try counted(ranks: ranks, body)
      for (own, first, second) in [(found.start, two.start, four.start), (found.step, two.step, four.step)] {
        for (operation, count) in own where !except.contains(operation) {
          // On the line through two and four ranks over log2 P, or below.
          let (base, next) = (first[operation] ?? 0, second[operation] ?? 0)
          #expect(count <= base + (next - base) * (exponent - 1), "\(operation) on \(ranks) ranks: \(own)")
        }
      }
    }
  }

  @Test("up to 512 ranks, every kind of message grows with the logarithm of the ranks", arguments: [false, true])
  func growth(shardMoments: Bool) throws { try Self.expectGrowth(upTo: 9, Self.talk(shardMoments: shardMoments)) }

  /// How many buckets gradients travel in is chosen by time, so that messages of their channel are left out.
  @Test("real steps do, too", .timeLimit(.minutes(3))) func realSteps() throws {
    try Self.expectGrowth(upTo: 3, except: [.channel]) { world in
      let setting = StepBenchmarkCase(name: "tiny-64", encoder: "tiny", crop: 64, detail: 32, repeats: 1)
      var layout = StepBenchmarkLayout()
      layout.shardMoments = true
      let work = try StepBenchmark(setting, layout, on: world)
      return { _ = try work.once() }
    }
  }
}
