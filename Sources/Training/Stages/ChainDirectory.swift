// The folder of a chain of runs: who holds it, and what its stages have come to.

import Foundation
import Recipes
import Storage
import Support

/// A chain's folder, held by this process until it is released or the process ends. Only rank 0 opens it.
public final class ChainDirectory {
  /// Where it lies.
  public let path: String
  /// What a user should know of the file system, as a line; nil if there is nothing.
  public var warning: String? { lock.warning }
  private let lock: RunLock

  /// Makes the folder if need be and takes hold of it.
  /// - Throws: `Failure` 73 if the folder cannot be made, another process holds it, or a chain was begun there and
  ///   `resume` is false; 74 if it cannot be made now.
  public init(_ path: String, resume: Bool) throws {
    self.path = path
    let stages = "\(path)/\(RecipeChain.stagesFolder)"
    try makeFolder(stages)
    lock = try RunLock(RunLayout(path).lock)
    let isRun = try RunLayout(path).holdsRun()
    guard !isRun, try resume || fileNames(in: stages).isEmpty else {
      lock.release()
      throw Failure(
        .cannotCreate, isRun ? "it holds a run without stages" : "it holds a chain of runs", at: path,
        remedy: isRun ? "choose another --run-directory" : "go on with --resume or choose another --run-directory")
    }
  }

  /// Lets go of the folder.
  public func release() { lock.release() }

  /// Writes the figures of the chain so far: those of the last training stage that has some, and each stage's.
  /// - Throws: `Failure` 74 that names the file.
  public func write(_ stages: [StageSummary]) throws {
    guard var summary = stages.compactMap(\.summary).last else { return }
    summary.stages = stages
    try writeWhole(try jsonText(summary), to: RunLayout(path).summary)
  }
}

/// What a stage of a chain has come to.
public struct StageSummary: Codable, Sendable, Equatable {
  /// Name of its folder, such as `2-labels`.
  public var stage: String
  /// Figures of a training stage; nil for others.
  public var summary: Summary?
  /// Images that a labels stage has labelled; nil for others.
  public var images: Int?

  /// A training stage.
  public init(_ stage: RecipeChain.Stage, _ summary: Summary) {
    self.stage = stage.title
    self.summary = summary
  }

  /// A labels stage.
  public init(_ stage: RecipeChain.Stage, images: Int) {
    self.stage = stage.title
    self.images = images
  }
}

extension RecipeChain.Stage {
  /// The figures of a training stage that has made all its steps; nil where it has not.
  /// - Throws: `Failure` 65 if it was made with a recipe that may give other weights, or its files cannot be understood.
  public func finished() throws -> StageSummary? {
    let layout = RunLayout(folder)
    guard work == .training, FileManager.default.fileExists(atPath: layout.summary) else { return nil }
    let summary = try Summary(contentsOf: layout.summary)
    guard summary.step >= recipe.schedule.steps else { return nil }
    let stored = try Recipe.read(layout.recipe, environment: [:], catalogue: .standard)
    if let change = Recipe.compare(stored, recipe).first(where: \.affectsWeights) {
      throw Failure(
        .badData, "stage \(title) is finished with another recipe: \(change)", at: layout.recipe,
        remedy: "go on with the chain's own recipe, or begin anew in another --run-directory")
    }
    return StageSummary(self, summary)
  }
}
