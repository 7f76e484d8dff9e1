// `apus data`: procedural data sets as files, and sheets of samples to look at.

import ArgumentParser
import Domains
import Foundation
import Imagery
import Support
import Tensors

/// Parent of the commands about data.
struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data", abstract: "Make, index, count and look at data sets.",
    subcommands: [GenerateCommand.self, DataIndexCommand.self, DataStatisticsCommand.self, PreviewCommand.self])
}

/// The options that choose a set of procedural scenes.
struct SceneOptions: ParsableArguments {
  @Option(help: "Which rendering: source or target.")
  var domain: String = "source"
  @Option(help: "Number of scenes.")
  var count: Int
  @Option(help: "Width and height in pixels, such as 256x128.")
  var size: String = "256x128"
  @Option(help: "Seed of all scenes.")
  var seed: UInt64 = 0

  /// The scenes asked for.
  /// - Throws: a `Failure` of status 64 that names the option.
  func scenes() throws -> StreetScenes {
    let names = StreetScenes.Domain.allCases.map(\.rawValue)
    guard let domain = StreetScenes.Domain(rawValue: domain) else {
      let near = nearestSpelling(to: domain, among: names).map { ", did you mean \($0)?" } ?? ""
      throw Failure(
        .usage, "no domain \"\(domain)\"\(near)", at: "--domain", remedy: "give \(names.joined(separator: " or "))")
    }
    guard let size = PixelSize(size), (8...8192).contains(size.width), (8...8192).contains(size.height) else {
      throw Failure(
        .usage, "no size \"\(size)\"", at: "--size", remedy: "give width x height from 8 to 8192, as 256x128")
    }
    guard (1...1_000_000).contains(count) else {
      throw Failure(.usage, "no count \(count)", at: "--count", remedy: "give 1 to 1000000")
    }
    return StreetScenes(domain: domain, count: count, height: size.height, width: size.width, seed: seed)
  }
}

/// `apus data generate`: procedural scenes as `images/` and `labels/` PNG.
struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate", abstract: "Draw procedural street scenes with labels (Cityscapes train ids, 255 ignored).")

  @Option(help: "Folder to fill; it must be new or empty.")
  var output: String
  @OptionGroup var options: SceneOptions

  func run() throws { try runAlone { try generate() } }

  private func generate() throws -> ExitStatus {
    let scenes = try options.scenes()
    try makeEmptyFolder(output)
    for folder in ["images", "labels"] { try makeEmptyFolder("\(output)/\(folder)") }
    let watch = Stopwatch()
    for index in 0..<scenes.count {
      let (image, labels) = scenes.scene(index)
      try writePNG(image, to: "\(output)/images/\(scenes.name(index)).png")
      try writePNG(labels, to: "\(output)/labels/\(scenes.name(index)).png")
    }
    print("\(scenes.count) scenes of \(scenes.width)x\(scenes.height) in \(output)", terminator: "")
    print(String(format: ", %.1f s", watch.seconds))
    return .done
  }
}

/// `apus data preview`: a sheet of scenes with their labels beside them.
struct PreviewCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "preview", abstract: "Write a contact sheet of procedural scenes and their labels.")

  @Option(help: "PNG file to write.")
  var output: String
  @Option(help: "Scenes side by side.")
  var columns: Int = 2
  @OptionGroup var options: SceneOptions

  func run() throws { try runAlone { try preview() } }

  private func preview() throws -> ExitStatus {
    let scenes = try options.scenes()
    guard scenes.count <= 200 else {
      throw Failure(.usage, "\(scenes.count) scenes do not fit on a sheet", at: "--count", remedy: "give at most 200")
    }
    guard (1...16).contains(columns) else {
      throw Failure(.usage, "no sheet of \(columns) columns", at: "--columns", remedy: "give 1 to 16")
    }
    let tiles = (0..<scenes.count).flatMap { index in
      let (image, labels) = scenes.scene(index)
      return [
        SheetTile(image, caption: scenes.name(index)), SheetTile(colourised(labels, .cityscapes), caption: "labels"),
      ]
    }
    try writePNG(contactSheet(tiles, columns: columns * 2), to: output)
    print(output)
    return .done
  }
}

/// Makes a folder, or takes one that is empty.
/// - Throws: a `Failure` that names the folder: 73 if it holds something, is a file, or cannot be made, 74 if that may pass.
func makeEmptyFolder(_ path: String) throws {
  let files = FileManager.default
  var isFolder: ObjCBool = false
  if files.fileExists(atPath: path, isDirectory: &isFolder) {
    guard isFolder.boolValue, let entries = try? files.contentsOfDirectory(atPath: path) else {
      throw Failure(.cannotCreate, "is not a folder that can be read", at: path, remedy: "name a new folder")
    }
    guard entries.isEmpty else {
      throw Failure(.cannotCreate, "is not empty", at: path, remedy: "name a new folder or empty this one")
    }
    guard files.isWritableFile(atPath: path) else {
      throw Failure(.cannotCreate, "cannot be written", at: path, remedy: "mend its permissions or name another")
    }
    return
  }
  try makeFolder(path)
}
