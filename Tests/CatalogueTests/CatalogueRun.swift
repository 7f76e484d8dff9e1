// Runs of shrunk recipes as users start them, and what they leave behind: one run directory, or one for each stage.

import Foundation
import TestSupport
import Testing

/// A run of a recipe, with its stages if it has any.
struct CatalogueRun: Sendable {
  /// A run directory: the run itself, or a stage of it.
  struct Stage: Sendable {
    /// Its folder.
    let folder: String
    /// Every digest of its summary.
    let digests: [String: String]

    /// The resolved recipe.
    var recipe: String { folder + "/recipe.yaml" }
  }

  /// What was run.
  let recipe: CatalogueCase
  private let place: TemporaryFolder
  /// The run's folder.
  var folder: String { place.file("run") }

  /// Where what it says may be kept.
  var said: String { place.file("said") }

  /// A run that is yet to be started.
  init(_ recipe: CatalogueCase) throws {
    self.recipe = recipe
    place = try TemporaryFolder()
    try place.write(Array(try recipe.text.utf8), to: "\(recipe.name).yaml")
  }

  /// The arguments that train until so many steps are complete; all of them without a number.
  func arguments(until steps: Int?, _ more: [String] = []) async throws -> [String] {
    let start = try recipe.needsStart ? ["init=\(try await start())"] : []
    return arguments(in: folder, until: steps, try recipe.overrides() + start + more)
  }

  private func arguments(in folder: String, until steps: Int?, _ overrides: [String]) -> [String] {
    ["train", place.file("\(recipe.name).yaml"), "--run-directory", folder, "--resume"]
      + (steps.map { ["--steps", "\($0)"] } ?? [])
      + overrides.flatMap { ["--set", $0] }
  }

  /// A checkpoint of the recipe's network after a step on labelled scenes.
  private func start() async throws -> String {
    let file = place.file("start/checkpoints/step-00000001.h5")
    guard !FileManager.default.fileExists(atPath: file) else { return file }
    let supervised = ["method=source-only", "methodOptions=", CatalogueCase.source, "init="]
    let result = try await runCommand(
      arguments(in: place.file("start"), until: 1, try recipe.overrides() + supervised), timeout: 300)
    try #require(result.status == 0, "\(recipe.name): \(result)")
    return file
  }

  /// Trains, from the newest checkpoint if there is one.
  func train(until steps: Int? = nil, ranks: Int = 1, threads: Int = 1, _ more: [String] = []) async throws {
    let (arguments, environment) = (try await arguments(until: steps, more), ["APUS_THREADS": "\(threads)"])
    let result =
      try await ranks == 1
      ? runCommand(arguments, environment: environment, timeout: 300)
      : runRanks(ranks, arguments, environment: environment, timeout: 300)
    try #require(result.status == 0, "\(recipe.name): \(result)")
  }

  /// The folders of all stages in their order, from that of the run: itself, or `/stages/1-warm-up` and others.
  var places: [String] {
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder + "/stages")) ?? []).sorted()
    return names.isEmpty ? [""] : names.map { "/stages/\($0)" }
  }

  /// Whether a stage, by its place, labels images.
  func labels(_ place: String) -> Bool { FileManager.default.fileExists(atPath: "\(folder)\(place)/all.h5") }

  /// The trained run directories in their order.
  var stages: [Stage] {
    get throws {
      return try places.compactMap { place in
        let folder = folder + place
        guard let summary = FileManager.default.contents(atPath: folder + "/summary.json") else { return nil }
        let object = try #require(try JSONSerialization.jsonObject(with: summary) as? [String: Any])
        let digests = object.filter { $0.key.hasSuffix("Digest") }.compactMapValues { $0 as? String }
        try #require(digests.count >= 3, "\(object.keys)")
        return Stage(folder: folder, digests: digests)
      }
    }
  }
}

/// The uninterrupted run of every recipe on one rank with one thread, started when it is first asked for.
actor WholeRuns {
  static let shared = WholeRuns()
  private var runs: [String: Task<CatalogueRun, any Error>] = [:]

  /// The run of a recipe.
  func run(_ recipe: CatalogueCase) async throws -> CatalogueRun {
    let task =
      runs[recipe.path]
      ?? Task {
        let run = try CatalogueRun(recipe)
        try await run.train()
        return run
      }
    runs[recipe.path] = task
    return try await task.value
  }
}
