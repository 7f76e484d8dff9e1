// The folder of one run: where everything lies, who holds it, and what is written into it. Only rank 0 opens it.

import Foundation
import Recipes
import Storage
import Support

/// Where the files of a run lie; the layout is a promise to users.
public struct RunLayout: Sendable, Equatable {
  /// The run's folder.
  public let path: String

  /// The layout of the run in a folder.
  public init(_ path: String) { self.path = URL(fileURLWithPath: path).standardizedFileURL.path }

  /// The resolved recipe.
  public var recipe: String { path + "/recipe.yaml" }
  /// One JSON object a logged step.
  public var log: String { path + "/log.jsonl" }
  /// Figures of the whole run.
  public var summary: String { path + "/summary.json" }
  /// What the data sets are, by name and size of every image.
  public var data: String { path + "/data.json" }
  /// Class pixels of the source labels.
  /// - Parameter digest: names data, label map and classes, as `DatasetIdentity.countsDigest` does.
  public func classIndex(_ digest: String) -> String { "\(path)/class-index-\(digest.prefix(16)).json" }
  /// Folder of checkpoints.
  public var checkpoints: String { path + "/checkpoints" }
  /// The frozen encoder of the feature distance.
  public var frozenEncoder: String { path + "/frozen-encoder.h5" }
  /// Folder of pseudo-label caches.
  public var pseudoLabels: String { path + "/pseudo-labels" }
  /// Phases in Chrome's trace format.
  public var trace: String { path + "/trace.json" }
  /// The report.
  public var report: String { path + "/report.html" }
  /// Says who holds the folder; empty when nobody does.
  public var lock: String { path + "/lock" }

  /// The checkpoint after `step` completed steps, such as `checkpoints/step-00000100.h5`.
  public func checkpoint(_ step: Int) -> String { "\(checkpoints)/step-\(padded(step, 8)).h5" }

  /// What of `recipe`, `data` and `pseudoLabels` was the run's until a step, where it went on with a recipe of other weights,
  /// such as `pseudo-labels-until-step-00000100`.
  public func former(_ path: String, until step: Int) -> String {
    let name = URL(fileURLWithPath: path)
    let kind = name.pathExtension.isEmpty ? "" : ".\(name.pathExtension)"
    return "\(name.deletingPathExtension().path)-until-step-\(padded(step, 8))\(kind)"
  }
  /// The pseudo-label cache of a rank, such as `pseudo-labels/rank-00000.h5`.
  public func pseudoLabels(rank: Int) -> String { "\(pseudoLabels)/rank-\(padded(rank, 5)).h5" }

  private func padded(_ number: Int, _ digits: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }

  /// Whether a run has written here.
  /// - Throws: `Failure` 74 if the folder of checkpoints cannot be listed.
  public func holdsRun() throws -> Bool {
    let files = FileManager.default
    let stored = try fileNames(in: checkpoints)
    return files.fileExists(atPath: recipe) || files.fileExists(atPath: log) || !stored.isEmpty
  }
}

/// A run's folder, held by this process until it is released or the process ends.
public final class RunDirectory {
  /// Where the files lie.
  public let layout: RunLayout
  /// Whether the folder held a run before it was opened.
  public let heldRun: Bool
  /// What a user should know of the file system, as a line; nil if there is nothing.
  public var warning: String? { lock.warning }
  private var lock: RunLock
  private var isHeld = true
  private let isMadeHere: Bool

  /// Makes the folder if need be and takes hold of it. Called by rank 0 only.
  /// - Throws: `Failure` 73 if the folder cannot be made, if another process holds it, or if it holds a run and
  ///   `resume` is false; 74 if it cannot be made now, as on a full disk.
  public init(_ path: String, resume: Bool) throws {
    layout = RunLayout(path)
    isMadeHere = !FileManager.default.fileExists(atPath: layout.path)
    try makeFolder(layout.checkpoints)
    heldRun = try layout.holdsRun()
    lock = try RunLock(layout.lock)
    guard resume || !heldRun else {
      release()
      throw Failure(
        .cannotCreate, "it holds a run", at: layout.path,
        remedy: "go on with --resume or choose another --run-directory")
    }
  }

  deinit { release() }

  /// Lets go of the folder, as the end of the object does; the object must not be used afterwards. A folder that was made
  /// for a run which then did not begin goes, unless something was written into it.
  public func release() {
    guard isHeld else { return }
    isHeld = false
    let isEmpty = isMadeHere && (try? layout.holdsRun()) == false
    if isEmpty { unlink(layout.lock) }
    lock.release()
    if isEmpty { for folder in [layout.checkpoints, layout.path] { rmdir(folder) } }
  }

  /// Takes hold of the folder again if somebody deleted it, or its lock, during the run.
  /// - Returns: whether it was gone; its files must be written anew then.
  /// - Throws: `Failure` 73 if another run has taken the folder, or it cannot be made; 74 if it cannot be made now.
  public func reclaim() throws -> Bool {
    guard try !lock.isInPlace() else { return false }
    try makeFolder(layout.checkpoints)
    lock = try RunLock(layout.lock)
    return true
  }

  /// Writes a whole file of the run, such as the summary, so that readers see the old text or the new.
  /// - Throws: `Failure` 74 that names the file.
  public func write(_ text: String, to path: String) throws { try writeWhole(text, to: path) }

  /// The recipe that the run was made with, or nil if none is stored.
  /// - Throws: `Failure` 65 if it cannot be understood.
  public func storedRecipe(_ catalogue: RecipeCatalogue) throws -> Recipe? {
    guard FileManager.default.fileExists(atPath: layout.recipe) else { return nil }
    return try Recipe.read(layout.recipe, environment: [:], catalogue: catalogue)
  }
}
