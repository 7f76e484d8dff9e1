// Data put in place by links, and what is told of files that are not used.

import Domains
import Foundation
import Imagery
import Support
import Tensors
import Testing

@Suite struct LinkedFolderTests {
  private let folder: TemporaryFolder
  private let files = FileManager.default

  init() throws { folder = try TemporaryFolder() }

  private func add(_ stems: [String], to name: String, labels: Bool = false) throws {
    let place = try folder.folder(name)
    for stem in stems {
      let path = "\(place)/\(stem).png"
      try labels
        ? writePNG(LabelMap(height: 4, width: 6), to: path) : writePNG(RGBImage(height: 4, width: 6), to: path)
    }
  }

  private func link(_ name: String, to other: String) throws {
    try files.createSymbolicLink(atPath: "\(folder.path)/\(name)", withDestinationPath: other)
  }

  private func names(_ set: some Dataset) -> [String] { (0..<set.count).map(set.name) }

  @Test func linksToFoldersAndFilesAreFollowed() throws {
    try add(["a", "b"], to: "store/images")
    try add(["a", "b"], to: "store/labels", labels: true)
    try add(["c"], to: "target")
    try link("images", to: "store/images")
    try link("labels", to: "\(folder.path)/store/labels")
    try link("target/town", to: "../store/images")
    try link("target/d.png", to: "c.png")
    let source = try FolderDataset(images: folder.path + "/images", labels: folder.path + "/labels")
    #expect(names(source) == ["a", "b"])
    #expect(try source.labels(1)?.width == 6)
    #expect(source.inventory?.description == "2 images, 2 labels, 2 pairs")
    let target = try FolderDataset(images: folder.path + "/target/")
    #expect(names(target) == ["c", "d", "town/a", "town/b"])
    #expect(try target.image(3).width == 6 && target.place(0) == folder.path + "/target/c.png")
  }

  @Test func foldersThatHoldThemselvesEnd() throws {
    try add(["a"], to: "images/x")
    try add(["b"], to: "images/y")
    try link("images/x/up", to: "..")
    try link("images/x/self", to: ".")
    try link("images/y/x", to: "../x")
    // A folder that is reached twice without holding itself is data twice.
    #expect(names(try FolderDataset(images: folder.path + "/images")) == ["x/a", "y/b", "y/x/a"])
  }

  @Test func aLinkThatLeadsNowhereIsTold() throws {
    try add(["a"], to: "images")
    try link("images/town", to: "../unmounted")
    let failed = failure { _ = try FolderDataset(images: folder.path + "/images") }
    #expect(failed?.status == .missingInput && failed?.place == folder.path + "/images/town", "\(failed as Any)")
    #expect(failed?.what == "a link that leads nowhere")
  }

  @Test func whatIsLeftOutIsTold() throws {
    try add(["a_left", "b_left", "c"], to: "images")
    try add(["a", "b", "z"], to: "labels", labels: true)
    for name in ["images/1.webp", "images/2.webp", "images/.hidden", "images/LICENSE", "labels/a.json"] {
      try Data("x".utf8).write(to: URL(fileURLWithPath: "\(folder.path)/\(name)"))
    }
    try #require(mkfifo(folder.path + "/images/d_left.png", 0o600) == 0)
    let set = try FolderDataset(
      images: folder.path + "/images", labels: folder.path + "/labels", imageSuffix: "_left")
    #expect(names(set) == ["a", "b"])
    #expect(
      set.inventory?.description
        == "2 images, 3 labels, 2 pairs; left out: 1 .json file, 1 .png file not named *_left, 2 .webp files, "
        + "1 file without a suffix, 1 label without an image, 1 special file")
  }

  @Test func oneFolderOfImagesAndLabelsLeavesNoneOfThemOut() throws {
    try add(["a_image"], to: "all")
    try add(["a_label"], to: "all", labels: true)
    let set = try FolderDataset(
      images: folder.path + "/all", labels: folder.path + "/all", imageSuffix: "_image", labelSuffix: "_label")
    #expect(set.inventory?.description == "1 image, 1 label, 1 pair")
  }

  @Test func aFolderOfOtherFilesSaysWhatItHolds() throws {
    let images = try folder.folder("images")
    for stem in 0..<3 { try Data("x".utf8).write(to: URL(fileURLWithPath: "\(images)/\(stem).webp")) }
    let failed = failure { _ = try FolderDataset(images: images) }
    #expect(failed?.what == "no images in this folder (0 images; left out: 3 .webp files)", "\(failed as Any)")
  }
}
