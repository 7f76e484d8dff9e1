// Choosing images of a folder by patterns and by a list.

import Domains
import Foundation
import Imagery
import Support
import Tensors
import Testing

@Suite struct FileSelectionTests {
  /// Images a/1, a/2, b/1 and b/c/3 with labels.
  private func made() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    for stem in ["a/1", "a/2", "b/1", "b/c/3"] {
      _ = try folder.folder("images/" + (stem as NSString).deletingLastPathComponent)
      _ = try folder.folder("labels/" + (stem as NSString).deletingLastPathComponent)
      try writePNG(RGBImage(height: 1, width: 1), to: folder.file("images/\(stem)_x.png"))
      try writePNG(LabelMap(height: 1, width: 1, values: [1]), to: folder.file("labels/\(stem).png"))
    }
    return folder
  }

  private func names(_ folder: TemporaryFolder, _ selection: FileSelection) throws -> [String] {
    let set = try FolderDataset(
      images: folder.file("images"), labels: folder.file("labels"), imageSuffix: "_x", selection: selection)
    return (0..<set.count).map(set.name)
  }

  @Test(arguments: [
    (["a/*"], ["a/1", "a/2"]), (["*/1"], ["a/1", "b/1"]), (["b/**"], ["b/1", "b/c/3"]), (["**/3"], ["b/c/3"]),
    (["**/1"], ["a/1", "b/1"]), (["?/2", "b/c/*"], ["a/2", "b/c/3"]), (["**"], ["a/1", "a/2", "b/1", "b/c/3"]),
    (["b/*"], ["b/1"]),
  ]) func patternsChoose(_ patterns: [String], _ wanted: [String]) throws {
    #expect(try names(made(), FileSelection(patterns: patterns)) == wanted)
  }

  @Test func listsNameImagesInMoreThanOneWay() throws {
    let folder = try made()
    let list = folder.file("train.txt")
    try writeFile([UInt8]("# chosen\n\nb/c/3\na/2_x.png labels/a/2.png\n/data/images/b/1_x.png\n".utf8), to: list)
    #expect(try names(folder, FileSelection(list: list)) == ["a/2", "b/1", "b/c/3"])
    #expect(try names(folder, FileSelection(patterns: ["b/*"], list: list)) == ["b/1"])
    let set = try FolderDataset(
      images: folder.file("images"), labels: folder.file("labels"), imageSuffix: "_x",
      selection: FileSelection(patterns: ["b/**"]))
    #expect(set.inventory.map { "\($0)" }?.contains("2 images not chosen") == true)
  }

  @Test func whatIsNotThereIsNamed() throws {
    let folder = try made()
    let list = folder.file("train.txt")
    try writeFile([UInt8]("a/1\na/7\n".utf8), to: list)
    let missing = failure { _ = try names(folder, FileSelection(list: list)) }
    #expect(missing?.status == .missingInput && missing?.place == "\(list):2" && missing?.what.contains("a/7") == true)
    #expect(failure { _ = try names(folder, FileSelection(patterns: ["z/*"])) }?.what.contains("z/*") == true)
    try writeFile([], to: list)
    #expect(failure { _ = try names(folder, FileSelection(list: list)) }?.status == .badData)
    #expect(failure { _ = try names(folder, FileSelection(list: folder.file("none.txt"))) }?.status == .missingInput)
  }
}
