// `apus cache`: looking into pseudo-label caches and proving them.

import ArgumentParser
import Foundation
import Storage
import StorageHDF5
import Support
import Training

/// Parent of the commands about pseudo-label caches.
struct CacheCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cache", abstract: "Build, inspect and verify pseudo-label caches.",
    subcommands: [CacheBuildCommand.self, CacheInspectCommand.self, CacheVerifyCommand.self])
}

/// `apus cache inspect`: what a cache holds.
struct CacheInspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "inspect", abstract: "Tell what a cache holds.")

  @Argument(help: "The folder of a cache, such as Checkpoints/NAME/pseudo-labels, or files of it.")
  var paths: [String]
  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  /// The JSON object.
  private struct Report: Encodable {
    struct File: Encodable {
      let file: String
      let rank: Int
      let worldSize: Int
      let generation: Int
      let completedSteps: Int
      let entries: Int
      let images: Int
      let height: Int
      let width: Int
      let threshold: Float
      let teacherDigest: String
      let recipeDigest: String
      let dataDigest: String?
    }
    let files: [File]
    let entries: Int
  }

  func run() throws {
    try runAlone {
      let files = try cacheFiles(paths).map { path in
        let reader = try HDF5PseudoLabelReader(path)
        let origin = reader.origin
        return Report.File(
          file: path, rank: origin.rank, worldSize: origin.worldSize, generation: reader.generation,
          completedSteps: reader.completedSteps, entries: reader.images.count, images: Set(reader.images).count,
          height: origin.height, width: origin.width, threshold: origin.threshold,
          teacherDigest: origin.teacherDigest, recipeDigest: origin.recipeDigest, dataDigest: origin.dataDigest)
      }
      for file in files {
        say(
          "\(file.file): rank \(file.rank) of \(file.worldSize), \(file.entries) entries of \(file.images) images "
            + "\(file.width)x\(file.height), after \(file.completedSteps) steps, generation \(file.generation)",
          json: json)
        let images = file.dataDigest.map { ", images \($0)" } ?? ""
        say(
          "  teacher \(file.teacherDigest), recipe \(file.recipeDigest)\(images), threshold \(file.threshold)",
          json: json)
      }
      if json { print(try jsonLine(Report(files: files, entries: files.reduce(0) { $0 + $1.entries }))) }
      return .done
    }
  }
}

/// `apus cache verify`: proves caches complete and undamaged.
struct CacheVerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Prove that caches are complete and undamaged; exit status 1 if one is not.")

  @Argument(help: "The folder of a cache, such as Checkpoints/NAME/pseudo-labels, or files of it.")
  var paths: [String]
  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  func run() throws {
    try runAlone {
      try verify(cacheFiles(paths), json: json) { path in
        if path.split(separator: "/").last.map(String.init) == HDF5PseudoLabelView.name {
          _ = try HDF5PseudoLabelView(verifying: path)
        } else {
          try HDF5PseudoLabelReader(path).verify()
        }
      }
    }
  }
}

/// The files of caches: folders give all files in them.
/// - Throws: `Failure` 66 if a folder holds none.
private func cacheFiles(_ paths: [String]) throws -> [String] {
  try paths.flatMap { path -> [String] in
    guard isFolder(path) else { return [path] }
    let files = try HDF5PseudoLabelStore(folder: path).files()
    guard !files.isEmpty else { throw Failure(.missingInput, "the folder holds no cache", at: path) }
    return files
  }
}
