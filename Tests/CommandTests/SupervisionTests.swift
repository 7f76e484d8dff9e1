// What watches over a run, on real MPI ranks and with the program as it ships: wrong bits, wrong partners, wrong numbers.

import Foundation
import Networks
import Recipes
import TestSupport
import Testing
import Training

@Suite(.serialized) struct SupervisionTests {
  let folder: TemporaryFolder
  let run: String

  init() throws {
    folder = try TemporaryFolder()
    run = folder.file("run")
  }

  /// A learning rate of 0 keeps the drawn weights, so that they can be found in the memory of a rank from outside.
  @Test func aFlippedBitIsFoundAndNamed() async throws {
    let settings = ["optimizer.learningRate=0", "batch.global=3", "digest.every=5", "schedule.steps=100000"]
    async let training = startTraining(in: run, ranks: 3, settings.flatMap { ["--set", $0] })
    let process = try await RankProcess(1, in: run, loggedSteps: 3)
    let network = try drawnNetwork()
    let parameters = network.parameters
    let slice = try #require(parameters.slices.first { $0.name.hasPrefix("decode_head") && $0.range.count >= 256 })
    let weights = Array(parameters.values.values[slice.range].prefix(64))
    let step = try process.loggedSteps
    let places = try process.flip(bit: 20, ofWord: 3, in: weights.map(\.bitPattern))
    #expect(places > 0)
    let result = try await training
    #expect(!result.timedOut && result.status == 70 && result.ownErrors.count == 1, "\(result)")
    let pattern =
      /apus: rank 1 on \S+: (\S+) of the student parameters differs from the other ranks' after step (\d+);.*/
    let match = try #require(result.ownErrors.first?.wholeMatch(of: pattern), "\(result.ownErrors)")
    #expect(match.1 == slice.name)
    let found = try #require(Int(match.2))
    #expect(found > step && found <= step + 2 + 5)
  }

  private func drawnNetwork() throws -> SegmentationNetwork {
    let recipe = try Recipe.read(testRecipe, catalogue: .standard)
    return try SegmentationNetwork(
      recipe.networkConfiguration(classCount: try recipe.classSet().count), gradientSlots: 0, seed: recipe.seed)
  }

  /// Two ranks, the second started in another way.
  private func startPair(_ first: [String], _ second: [String], environment: String? = nil) async throws
    -> CommandResult
  {
    let common = ["train", testRecipe, "--run-directory", run]
    let start = (environment.map { ["/usr/bin/env", $0] } ?? []) + [apusExecutable.path]
    return try await runRanks(
      1, common + first + [":", "-n", "1"] + start + common + second, environment: ["APUS_THREADS": "1"], timeout: 300)
  }

  @Test func aRankWithAnotherRecipeIsRefused() async throws {
    let result = try await startPair([], ["--set", "optimizer.epsilon=1e-7"])
    #expect(result.refuses(65, "rank 1 on ", "the recipe is ", "where other ranks have "), "\(result)")
    #expect(!FileManager.default.fileExists(atPath: run + "/log.jsonl"))
  }

  @Test(arguments: [
    (["--resume"], "--resume is true where other ranks have false"), (["--steps", "3"], "--steps is 3 "),
  ])
  func aRankWithOtherOptionsIsRefused(options: [String], words: String) async throws {
    let result = try await startPair([], options)
    #expect(result.refuses(65, "rank 1 on ", words, "give all ranks the same options"), "\(result)")
    #expect(!FileManager.default.fileExists(atPath: run + "/log.jsonl"))
  }

  /// Another version is a copy of the program with other digits in it.
  @Test(arguments: [2, 4]) func aRankWithAnotherVersionIsRefused(ranks: Int) async throws {
    let other = folder.file("apus-other")
    var bytes = try Data(contentsOf: apusExecutable)
    // A short text lies in the instructions that load it, eight bytes at a time.
    let text = Data(programVersion.utf8.prefix(8))
    var from = bytes.startIndex
    while let found = bytes.range(of: text, in: from..<bytes.endIndex) {
      bytes[found.lowerBound] = UInt8(ascii: "9")
      from = found.upperBound
    }
    try bytes.write(to: URL(filePath: other))
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: other)
    let version = "9\(programVersion.dropFirst())"
    let said = try await runCommand(["--version"], of: URL(filePath: other))
    try #require(said.output == version + "\n", "\(said)")

    let common = ["train", testRecipe, "--run-directory", run]
    let result = try await runRanks(
      ranks - 1, common + [":", "-n", "1", other] + common, environment: ["APUS_THREADS": "1"], timeout: 300)
    #expect(
      result.refuses(
        65, "rank \(ranks - 1) on ", "the program version is \(version) where other ranks have \(programVersion)"),
      "\(result)")
    #expect(!FileManager.default.fileExists(atPath: run))
  }

  /// A library that is loaded before the real one answers for it. The last half of the ranks has it.
  @Test(arguments: ["MPI", "oneDNN"], [2, 4])
  func ranksWithAnotherLibraryAreRefused(library: String, ranks: Int) async throws {
    let other = try await preload(library)
    let common = ["train", testRecipe, "--run-directory", run]
    let start = ["/usr/bin/env", "LD_PRELOAD=\(other)", apusExecutable.path]
    let result = try await runRanks(
      ranks / 2, common + [":", "-n", "\(ranks / 2)"] + start + common, environment: ["APUS_THREADS": "1"], timeout: 300
    )
    let version = library == "MPI" ? "Open MPI v9.8.7" : "9.8.7"
    #expect(
      result.refuses(65, "\(library) is \(version) where other ranks have ", "give all hosts the same libraries"),
      "\(result)")
    for rank in 0..<ranks { #expect(result.ownErrors.first?.contains("rank \(rank) on ") == (rank >= ranks / 2)) }
    #expect(!result.errors.contains("MPI_ABORT"), "all ranks leave by themselves")
    #expect(!FileManager.default.fileExists(atPath: run))

    // Where all have it, it is nobody's fault.
    if ranks == 2 {
      let same = try await runRanks(
        2, ["-c", "LD_PRELOAD=\(other) exec \(apusExecutable.path) data statistics --help"],
        of: URL(filePath: "/bin/sh"))
      #expect(same.status == 0, "\(same)")
    }
  }

  /// Builds what names another version of a library.
  private func preload(_ library: String) async throws -> String {
    let answers = [
      "MPI": """
      int MPI_Get_library_version(char *text, int *length) {
        const char version[] = "Open MPI v9.8.7, package: other, ident: 9.8.7";
        for (unsigned index = 0; index < sizeof version; index++) text[index] = version[index];
        *length = sizeof version - 1;
        return 0;
      }
      """,
      "oneDNN": """
      static const int version[8] = {9, 8, 7};
      const void *dnnl_version(void) { return version; }
      """,
    ]
    let (source, built) = (folder.file("other.c"), folder.file("other.so"))
    try Data(try #require(answers[library]).utf8).write(to: URL(filePath: source))
    let result = try await runCommand(
      ["clang", "-shared", "-fPIC", "-nostdlib", "-o", built, source], of: URL(filePath: "/usr/bin/env"))
    try #require(result.status == 0, "\(result)")
    return built
  }

  @Test func unlikeLevelsMeetAtTheLower() async throws {
    let steps = ["--steps", "6"]
    let mixed = try await startPair(steps, steps, environment: "APUS_CPU_LEVEL=avx2")
    try #require(mixed.status == 0, "\(mixed)")
    let state = try TrainedState(run)
    #expect(state.matches(try await train(ranks: 2, steps: 6, environment: ["APUS_CPU_LEVEL": "avx2"])))
    let usual = try await train(ranks: 2, steps: 6)
    let warning = "warning: CPU levels differ: all ranks use avx2, the highest that rank 1 on "
    #expect(mixed.output.contains(warning) != state.matches(usual), "bits differ where the warning is given")
  }

  @Test func theTraceHoldsAllRanksAndTheirMessages() async throws {
    let result = try await startTraining(in: run, ranks: 2, ["--trace", "--steps", "3"])
    try #require(result.status == 0, "\(result)")
    let bytes = try Data(contentsOf: URL(filePath: run + "/trace.json"))
    let object = try #require(try JSONSerialization.jsonObject(with: bytes) as? [String: Any])
    let events = try #require(object["traceEvents"] as? [[String: Any]])
    var begins: [Int: [Double]] = [:]
    for rank in 0..<2 {
      let mine = events.filter { $0["pid"] as? Int == rank }
      #expect(mine.contains { $0["ph"] as? String == "M" })
      let kinds = Set(mine.compactMap { $0["cat"] as? String })
      #expect(kinds.isSuperset(of: ["phase", "communication", "convolution"]))
      begins[rank] = mine.filter { $0["name"] as? String == "optimizer" }.compactMap { $0["ts"] as? Double }
    }
    // Both begin their update when the sum of gradients is there.
    let (first, second) = (try #require(begins[0]), try #require(begins[1]))
    #expect(first.count == 3 && second.count == 3)
    for (one, other) in zip(first, second) { #expect(abs(one - other) < 500_000, "microseconds") }
  }

  /// Outliers at half a deviation are common; which steps they are must not depend on ranks or on an interruption.
  @Test func theGuardDecidesAlikeOnEveryLayoutAndAfterResuming() async throws {
    let settings = ["guard.outlier=0.5", "guard.window=4", "guard.stopAfter=0", "watch.pseudoLabels=5"]
      .flatMap { ["--set", $0] }
    func lines(_ name: String, ranks: Int?, _ options: [String]) async throws -> [LogEntry] {
      let result = try await startTraining(in: folder.file(name), ranks: ranks, settings + options)
      try #require(result.status == 0, "\(result)")
      return try RunLog.read(folder.file(name) + "/log.jsonl")
    }
    let one = try await lines("one", ranks: nil, [])
    let four = try await lines("four", ranks: 4, [])
    let shared = try await lines("shared", ranks: 4, ["--set", "batch.cropShards=2"])
    _ = try await lines("parts", ranks: 2, ["--steps", "10"])
    let parts = try await lines("parts", ranks: nil, ["--resume"])

    let skipped = one.map(\.skipped)
    #expect(skipped.contains { $0 != nil } && skipped.contains { $0 == nil })
    #expect(skipped.allSatisfy { $0.map { $0.samples.map(\.sample) == [0, 1, 2, 3] } ?? true })
    #expect([four, shared, parts].allSatisfy { $0.map(\.skipped) == skipped })
    let whole = try TrainedState(folder.file("one"))
    #expect(try TrainedState(folder.file("four")).matches(whole))
    #expect(try TrainedState(folder.file("shared")).matches(whole))
    #expect(try TrainedState(folder.file("parts")).matches(whole))

    #expect(one.map { $0.pseudoLabels != nil } == (1...20).map { $0 % 5 == 0 })
    #expect(four.map(\.pseudoLabels) == one.map(\.pseudoLabels))
    #expect(one.contains { $0.pseudoLabels?.agreement != nil })
    #expect(four.allSatisfy { ($0.straggler?.ratio ?? 0) >= 1 } && one.allSatisfy { $0.straggler == nil })
    // A line tells the bytes of its step: every step sends equally many.
    #expect(four.allSatisfy { $0.bytesReduced > 0 && $0.bytesReduced == $0.reduction?.bytes })
    #expect(Set(four.map(\.bytesReduced)).count == 1 && one.allSatisfy { $0.bytesReduced == 0 })
    // A guard that leaves steps out must change the weights, or the digests above would prove nothing.
    #expect(whole.digests != (try await referenceRun.value.digests))
  }

  /// As above, in micro-batches: crops shared over ranks, moments dealt out.
  @Test func theGuardDecidesAlikeOnMicroBatchesAndSharedCrops() async throws {
    let settings = [
      "guard.outlier=0.5", "guard.window=4", "guard.stopAfter=0", "batch.global=8", "batch.accumulate=2",
    ].flatMap { ["--set", $0] }
    let layouts: [(ranks: Int?, set: [String])] = [
      (nil, []), (4, ["--set", "batch.cropShards=2"]),
      (4, ["--set", "batch.cropShards=2", "--set", "optimizer.shardMoments=true"]),
    ]
    var states: [TrainedState] = []
    var skipped: [[SkippedStep?]] = []
    for (index, layout) in layouts.enumerated() {
      let place = folder.file("\(index)")
      let result = try await startTraining(in: place, ranks: layout.ranks, settings + layout.set + ["--steps", "12"])
      try #require(result.status == 0, "\(result)")
      states.append(try TrainedState(place))
      skipped.append(try RunLog.read(place + "/log.jsonl").map(\.skipped))
    }
    #expect(skipped[0].contains { $0 != nil } && skipped[0].contains { $0 == nil })
    #expect(skipped[0].allSatisfy { $0.map { $0.samples.map(\.sample) == Array(0..<8) } ?? true })
    #expect(skipped.allSatisfy { $0 == skipped[0] } && states.allSatisfy { $0.matches(states[0]) })
  }

  /// Replicas are compared after every step.
  @Test func numbersOfTwoBytesAndSharedCropsGoTogether() async throws {
    let rounded = try await train(ranks: 4, steps: 8, set: "reduction=bf16", "batch.cropShards=2", "digest.every=1")
    #expect(rounded.layout.step == 8 && rounded.layout.worldSize == 4 && !rounded.layout.reproducibleAcrossRanks)
    let exact = try await train(ranks: 4, steps: 8, set: "batch.cropShards=2")
    #expect(rounded.digests != exact.digests)
    // The first losses come before any gradient; later ones follow what was rounded to eight significant bits.
    #expect(rounded.steps[0] == exact.steps[0])
    for (mine, other) in zip(rounded.steps, exact.steps) {
      let (loss, expected) = (mine.losses["source.fused"] ?? 0, other.losses["source.fused"] ?? 1)
      #expect(abs(loss - expected) < 0.02 * expected, "step \(mine.step): \(loss), \(expected)")
    }
  }

  @Test(arguments: [1, 2]) func aRunOfLostStepsEnds(microBatches: Int) async throws {
    let settings = [
      "optimizer.learningRate=1", "optimizer.headFactor=1e30", "guard.stopAfter=2", "schedule.warmUpSteps=0",
      "batch.accumulate=\(microBatches)",
    ]
    let result = try await startTraining(in: run, ranks: 2, settings.flatMap { ["--set", $0] })
    #expect(
      result.refuses(70, "2 steps in a row were left out, this one because ", "log.jsonl names their samples"),
      "\(result)")
    let skipped = try RunLog.read(run + "/log.jsonl").compactMap(\.skipped)
    #expect(
      skipped.count >= 2
        && skipped.allSatisfy {
          $0.samples.map(\.sample) == [0, 1, 2, 3] && $0.samples[0].source?.name.isEmpty == false
        })
  }
}
