// The step benchmark on a small network: counts, steady state and the trace. Never a time.

import Benchmarks
import Foundation
import Networks
import Support
import Tensors
import Testing
import Training

@Suite(.serialized) struct StepBenchmarkTests {
  private static let small = StepBenchmarkCase(name: "small", encoder: "tiny", crop: 128, detail: 64, repeats: 2)

  @Test(
    "operations of a step agree with those counted in the reference's run",
    arguments: [("b0", 256, 166.0), ("b0", 512, 667), ("b5", 512, 1353)])
  func referenceOperations(encoder: String, crop: Int, gflop: Double) {
    let configuration = NetworkConfiguration(
      encoder: .named(encoder), classCount: 19, detailHeight: crop / 2, detailWidth: crop / 2)
    let counted = ReferenceOperations(configuration).step(side: crop) / 1e9
    #expect(abs(counted / gflop - 1) < 0.01)
  }

  @Test("a steady step takes nothing from the system, and every family is seen") func steadyState() throws {
    let (report, trace) = try StepBenchmark(Self.small, part: .step).run(warmUp: 3, repeats: 2)
    #expect(report.poolMisses == 0)
    #expect(report.mappedBytes == 0)
    #expect(report.operations > 300)
    // The library that counts stands before no test.
    #expect(report.heapAllocations == nil)
    let families = Set(report.kernels.keys)
    let expected: [KernelFamily] = [
      .matrixProduct, .convolution, .depthwise, .attention, .batchNorm, .layerNorm, .activation, .resize,
      .elementwise, .copy, .optimizer, .augmentation, .loss,
    ]
    let missing = expected.filter { !families.contains($0.rawValue) }
    #expect(missing == [])
    let phases = Set(report.phases.keys)
    #expect(phases.isSuperset(of: ["teacher average", "source", "teacher", "mixed", "optimizer", "pseudo-labels"]))
    let inside = report.kernels.values.reduce(0) { $0 + $1.seconds }
    #expect(inside > 0 && inside <= report.meteredSeconds)
    let gflop = report.kernels.values.reduce(0) { $0 + $1.gflop }
    #expect(abs(gflop - report.gflopExecuted) < 1e-9)
    #expect(report.gflopExecuted > 0 && report.gflopExecuted < 1.05 * report.gflopReference)
    try checkTrace(trace)
  }

  /// What a step costs may fall, and then these numbers with it; it may not grow unnoticed. Counts only, no times.
  @Test("the costs of a B0 step do not grow", arguments: [1, 2]) func guardedCosts(threads: Int) throws {
    defer { WorkerPool.configure(threads: 1) }
    WorkerPool.configure(threads: threads)
    let setting = try #require(StepBenchmarkCase.all.first { $0.name == "b0-256" })
    let (report, _) = try StepBenchmark(setting, part: .step).run(warmUp: 2, repeats: 1)
    #expect(report.operations == 526)
    #expect(report.gflopExecuted == 79.231811584)
    #expect(report.poolMisses == 0 && report.mappedBytes == 0)
  }

  private func checkTrace(_ lanes: [[MeterSpan]]) throws {
    let text = try chromeTrace(lanes)
    let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    let events = try #require(object["traceEvents"] as? [[String: Any]])
    let complete = events.filter { $0["ph"] as? String == "X" }
    #expect(complete.count == lanes.reduce(0) { $0 + $1.count })
    let names = Set(complete.compactMap { $0["name"] as? String })
    #expect(names.isSuperset(of: ["source", "teacher", "linear", "adamW"]))
    let lengths = complete.compactMap { $0["dur"] as? Double }
    #expect(lengths.count == complete.count)
    let shortest = lengths.min() ?? -1
    #expect(shortest >= 0)
  }

  @Test("the teacher alone executes a part of the step") func teacherAlone() throws {
    let (report, _) = try StepBenchmark(Self.small, part: .teacher).run(warmUp: 1, repeats: 1)
    let configuration = NetworkConfiguration(encoder: "tiny", classCount: 19, detailHeight: 64, detailWidth: 64)
    let reference = ReferenceOperations(configuration)
    let share = report.gflopReference * 1e9 / reference.step(side: 128)
    #expect(share > 0.3 && share < 0.7)
    #expect(report.operations == 0)
    #expect(report.phases.keys.sorted() == ["teacher"])
  }
}
