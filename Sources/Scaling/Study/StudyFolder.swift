// The folder of a study: its file, its launches, its locks.
//
//   study.yaml    the study, complete            runs/CELL-BLOCK.h5    one file a launch
//   study.csv     launch and step, a line each   logs/CELL-BLOCK.log   what the launch said
//   dropped.csv   what does not count, and why   recipes/NAME.yaml     its recipes, complete
//   lock, launch.lock                            who works here

import Foundation
import Recipes
import Storage
import Support
import Training

/// Paths in the folder of a study.
public struct StudyFolder: Sendable {
  /// The folder.
  public let path: String

  /// A folder, which need not exist.
  public init(_ path: String) { self.path = path }

  /// The resolved study.
  public var study: String { "\(path)/study.yaml" }
  /// Files of launches.
  public var runs: String { "\(path)/runs" }
  /// What launches said.
  public var logs: String { "\(path)/logs" }
  /// Recipes that the study runs.
  var recipes: String { "\(path)/recipes" }
  /// Held by the command that runs the study.
  var lock: String { "\(path)/lock" }
  /// Held by the first rank of a launch.
  public var launchLock: String { "\(path)/launch.lock" }
  /// The file of a launch.
  public func run(_ name: String) -> String { "\(runs)/\(name).h5" }
  /// What a launch said.
  func log(_ name: String) -> String { "\(logs)/\(name).log" }

  /// The study that the folder is of; nil where there is none.
  /// - Throws: `Failure` 65 if its file is not as it was written.
  public func storedStudy() throws -> SettingsFile<Study>? {
    guard FileManager.default.fileExists(atPath: study) else { return nil }
    return try SettingsFile(study, called: "study")
  }

  /// Names of all launches that have a file, in byte order.
  public func launches() throws -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: runs)) ?? []
    return names.filter { $0.hasSuffix(".h5") }.map { String($0.dropLast(3)) }.sorted()
  }

  /// All launches of a study, in the order of their names.
  /// - Throws: `Failure` 65 by name for a file that is damaged, foreign, or of another study.
  public func records(of study: Study, _ store: any TableStore) throws -> [LaunchRecord] {
    let digest = study.digest
    return try launches().map { name in
      let path = run(name)
      let record = try LaunchRecord(try store.read(path), path: path)
      guard record.identity.study == digest else {
        throw Failure(.badData, "is a launch of another study, or of this one before it changed", at: path)
      }
      guard record.name == name else {
        throw Failure(.badData, "is the launch \(record.name) under another name", at: path, remedy: "rename it")
      }
      return record
    }
  }

  /// Makes the folder a study's, or goes on with what is there.
  /// - Parameters:
  ///   - file: the study.
  ///   - used: recipes that it runs, by name.
  ///   - acceptsChanges: whether settings that decide launches may have changed; launches that do not fit them are then
  ///     refused by whoever reads them.
  /// - Throws: `Failure` 73 if the folder is another study's or cannot be made, 65 if the study or a recipe has changed.
  func take(_ file: SettingsFile<Study>, _ used: [String: Recipe], acceptsChanges: Bool) throws {
    let new = file.group
    // A user's own study.yaml, without launches beside it, is not ours to write over.
    if FileManager.default.fileExists(atPath: runs), let old = try storedStudy()?.group {
      guard old.name == new.name else {
        throw Failure(
          .cannotCreate, "the folder is that of the study \(old.name), not \(new.name)", at: path,
          remedy: "name another by --directory")
      }
      if !acceptsChanges, let change = old.firstChange(in: new) {
        throw Failure(
          .badData, "\(change.key) was \(change.old) when the study began and is \(change.new)", at: file.path,
          remedy: "start in another folder, or give --accept-changes, which leaves former launches out")
      }
      if !acceptsChanges { try refuseChanges(of: used) }
    } else if let foreign = (try? FileManager.default.contentsOfDirectory(atPath: path))?.first(where: {
      !["lock", "runs", "logs", "recipes"].contains($0)
    }) {
      throw Failure(
        .cannotCreate, "the folder holds \(foreign) and is no study's", at: path,
        remedy: "name a new one by --directory")
    }
    // First of all: by them the folder is a study's, whatever ends the command next.
    try makeFolder(runs)
    try makeFolder(logs)
    try keep(used)
    try write(withOwnRecipes(new, used).resolvedYAML, to: study)
  }

  /// The study with recipes of this folder, by paths from it: it can be moved, and user's files may change.
  private func withOwnRecipes(_ study: Study, _ used: [String: Recipe]) -> Study {
    func own(_ path: String?) -> String? {
      guard let path, let recipe = try? Recipe.read(path, catalogue: .standard) else { return path }
      return used[recipe.name] == nil ? path : "recipes/\(recipe.name).yaml"
    }
    var study = study
    study.work.recipe = own(study.work.recipe)
    for index in study.points.indices { study.points[index].recipe = own(study.points[index].recipe) }
    return study
  }

  private func refuseChanges(of used: [String: Recipe]) throws {
    for (name, recipe) in used.sorted(by: { $0.key < $1.key }) {
      let kept = "\(recipes)/\(name).yaml"
      guard FileManager.default.fileExists(atPath: kept) else { continue }
      guard try Recipe.read(kept, catalogue: .standard).studyDigest == recipe.studyDigest else {
        throw Failure(
          .badData, "the recipe \(name) says something else than when the study began", at: kept,
          remedy: "start in another folder, or give --accept-changes, which leaves former launches out")
      }
    }
  }

  private func keep(_ used: [String: Recipe]) throws {
    guard !used.isEmpty else { return }
    try makeFolder(recipes)
    for (name, recipe) in used { try write(recipe.resolvedYAML, to: "\(recipes)/\(name).yaml") }
  }

  private func write(_ text: String, to path: String) throws {
    do {
      try text.write(toFile: path, atomically: true, encoding: .utf8)
    } catch {
      throw Failure(.inputOutput, "it cannot be written: \(error.localizedDescription)", at: path)
    }
  }

  /// Puts the launches of another form of the study, or of another program, where nobody looks for launches.
  func setAside() throws {
    var number = 1
    while FileManager.default.fileExists(atPath: "\(runs).before-\(number)") { number += 1 }
    do {
      try FileManager.default.moveItem(atPath: runs, toPath: "\(runs).before-\(number)")
    } catch {
      throw Failure(.inputOutput, "it cannot be renamed: \(error.localizedDescription)", at: runs)
    }
    try makeFolder(runs)
  }
}
