// Folders are made, and what the system says against it decides whether another try is worth while.

import Foundation
import Support
import TestSupport
import Testing

@Suite struct FolderTests {
  @Test func foldersAreMadeOrTheReasonIsTold() throws {
    let folder = try TemporaryFolder()
    for _ in 0..<2 { try makeFolder(folder.file("a//b/c/")) }
    #expect(FileManager.default.fileExists(atPath: folder.file("a/b/c")))
    try folder.write([], to: "file")
    for path in ["file", "file/below"] {
      let failure = #expect(throws: Failure.self) { try makeFolder(folder.file(path)) }
      #expect(failure?.status == .cannotCreate && failure?.what.contains("Not a directory") == true)
    }
    #expect(throws: Failure.self) { try makeFolder("") }
  }

  @Test func reasonsThatPassAreWorthAnotherTry() {
    for number in [ENOSPC, EDQUOT, EIO, ESTALE, EMFILE] { #expect(ExitStatus.creating(number) == .inputOutput) }
    for number in [EACCES, EROFS, ENOTDIR, ENOENT, ENAMETOOLONG] {
      #expect(ExitStatus.creating(number) == .cannotCreate)
    }
  }

  @Test(arguments: [
    ("a", ""), ("a.h5", ""), ("a/b", "a"), ("a/b/", "a"), ("/a", "/"), ("/", "/"), ("/a/b", "/a"), ("./a", "."),
    ("", ""),
  ]) func theFolderOfAPath(path: String, folder: String) { #expect(parentFolder(of: path) == folder) }

  @Test func aFolderIsFlushed() throws {
    let folder = try TemporaryFolder()
    #expect(flushFolder(folder.path) == .done)
    #expect(flushFolder(folder.file("none")) == .failed(ENOENT))
  }

  @Test func aFileIsWrittenWholeOrNotAtAll() throws {
    let folder = try TemporaryFolder()
    for text in ["one\n", "another\n"] {
      try writeWhole(text, to: folder.file("text"))
      #expect(try folder.bytes("text") == Array(text.utf8) && folder.names == ["text"])
    }
    let place = folder.file("nowhere/text")
    let failure = #expect(throws: Failure.self) { try writeWhole("", to: place) }
    #expect(failure?.status == .inputOutput && failure?.place == place)
  }
}
