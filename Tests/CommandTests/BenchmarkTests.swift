// `apus benchmark` and the trace of a run, from outside.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct BenchmarkTests {
  @Test("a step reports everything that is promised") func step() throws {
    let outcome = try apus(
      "benchmark", "step", "--case", "b0-256", "--threads", "2", "--repeats", "1", "--warm-up", "0", "--json")
    try #require(outcome.status == 0, "\(outcome)")
    let object = try outcome.object()
    let promised = [
      "secondsPerStep", "spread", "threads", "gflopReference", "gflopExecuted", "ceilingGflops", "peakMemoryBytes",
      "poolMisses", "pageFaults", "phases", "kernels",
    ]
    let missing = promised.filter { object[$0] == nil }
    #expect(missing == [])
    #expect(object["threads"] as? Int == 2)
    let reference = try #require(object["gflopReference"] as? Double)
    #expect(abs(reference - 166) < 2)
  }

  /// What a step costs may fall, and then this number with it; it may not grow unnoticed.
  @Test("requests for heap memory are counted and do not grow", arguments: [1, 2]) func heapRequests(
    threads: Int
  ) throws {
    let outcome = try apus(
      "benchmark", "step", "--case", "b0-256", "--threads", "\(threads)", "--repeats", "1", "--warm-up", "2", "--json")
    try #require(outcome.status == 0, "\(outcome)")
    let object = try outcome.object()
    let operations = try #require(object["operations"] as? Int)
    let requests = try #require(object["heapAllocations"] as? Int)
    #expect(requests > operations && requests <= 8 * operations)
  }

  @Test("storage is measured against memory and disk") func storage() throws {
    let folder = try TemporaryFolder()
    let outcome = try apus(
      "benchmark", "storage", "--encoder", "tiny", "--directory", folder.path, "--repeats", "2", "--json")
    try #require(outcome.status == 0, "\(outcome)")
    let object = try outcome.object()
    let times = [
      "copySeconds", "parallelCopySeconds", "stallSeconds", "writeSeconds", "plainWriteSeconds", "loadSeconds",
      "plainReadSeconds", "stallByCopy", "writeByPlain", "loadByPlain",
    ]
    for name in times { #expect(try #require(object[name] as? Double, "\(name)") > 0) }
    #expect(object["bytes"] as? Int ?? 0 > 1_000_000)
    #expect(folder.names == [])
  }

  @Test("ranks that share a sample share its teacher pass") func sharedTeacher() async throws {
    let options = [
      "benchmark", "step", "--case", "b0-256", "--part", "teacher", "--threads", "1", "--repeats", "1", "--warm-up",
      "0", "--json",
    ]
    let alone = try await runCommand(options, timeout: 120)
    try #require(alone.status == 0, "\(alone)")
    let whole = try #require(try alone.object()["gflopExecuted"] as? Double)
    let folder = try TemporaryFolder()
    for (ranks, limit) in [(2, 0.51), (4, 0.30)] {
      let sharing = ["--crop-shards", "\(ranks)", "--trace", folder.file("trace")]
      let outcome = try await runRanks(ranks, options + sharing, timeout: 240)
      try #require(outcome.status == 0, "\(outcome)")
      let shares = try #require(try outcome.object()["gflopOfRanks"] as? [Double])
      let sum: Double = shares.reduce(0, +)
      let largest: Double = shares.max() ?? whole
      #expect(shares.count == ranks)
      #expect(abs(sum / whole - 1) < 1e-9)
      #expect(largest <= limit * whole, "\(shares) of \(whole)")
      try checkRanks(ranks, try outcome.object(), trace: try folder.bytes("trace"))
    }
  }

  /// Every rank tells how long its teacher pass waits for messages, and its messages are in the trace.
  private func checkRanks(_ ranks: Int, _ report: [String: Any], trace: [UInt8]) throws {
    let phases = try #require(report["phasesOfRanks"] as? [[String: Any]]).map { $0["phases"] as? [[String: Any]] }
    #expect(phases.count == ranks)
    for phase in phases.compactMap({ $0?.first }) {
      let (whole, waiting) = (phase["seconds"] as? Double ?? 0, phase["messageSeconds"] as? Double ?? 1)
      #expect(phase["name"] as? String == "teacher" && phase["messages"] as? Int ?? 0 > 0)
      #expect(waiting > 0 && waiting < whole)
    }
    let object = try #require(try JSONSerialization.jsonObject(with: Data(trace)) as? [String: Any])
    let events = try #require(object["traceEvents"] as? [[String: Any]])
    let messages = events.filter { $0["cat"] as? String == "communication" }
    #expect(Set(messages.compactMap { $0["pid"] as? Int }) == Set(0..<ranks))
  }

  @Test("kernels are chosen by name") func kernels() throws {
    let outcome = try apus("benchmark", "kernels", "--filter", "b0 stage 4: GELU", "--seconds", "0", "--json")
    try #require(outcome.status == 0, "\(outcome)")
    let kernels = try #require(try outcome.object()["kernels"] as? [[String: Any]])
    let names = kernels.compactMap { $0["name"] as? String }
    #expect(names == ["b0 stage 4: GELU", "b0 stage 4: GELU, gradient"])
    #expect(try apus("benchmark", "kernels", "--filter", "no such kernel").status == 64)
  }

  @Test("an unknown case is wrong usage") func unknownCase() throws {
    let outcome = try apus("benchmark", "step", "--case", "b9")
    #expect(outcome.status == 64)
    #expect(outcome.errors.contains("b0-256"))
  }

  @Test("training with --trace writes its first steps, and the same weights") func trace() async throws {
    let folder = try TemporaryFolder()
    let run = folder.file("run")
    let outcome = try await startTraining(in: run, ["--trace"])
    try #require(outcome.status == 0, "\(outcome)")
    let text = try folder.bytes("run/trace.json")
    let object = try #require(try JSONSerialization.jsonObject(with: Data(text)) as? [String: Any])
    let events = try #require(object["traceEvents"] as? [[String: Any]])
    let names = events.compactMap { $0["name"] as? String }
    let sources = names.count { $0 == "source" }
    let loads = names.count { $0 == "data" }
    #expect(sources == 10 && loads == 10)
    #expect(try TrainedState(run).digests == (try await referenceRun.value.digests))
  }
}
