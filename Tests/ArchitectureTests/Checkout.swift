// The checkout as the architecture tests see it: its files and what git tracks. Paths are relative to its root.

import Foundation

/// The checkout these tests were built from.
enum Checkout {
  /// Folder of Package.swift.
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// The file's text, or nil if there is none or it is no UTF-8.
  static func text(_ path: String) -> String? {
    try? String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
  }

  /// Whether a file or folder is there.
  static func exists(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: root.appendingPathComponent(path).path)
  }

  /// Paths of all files under a folder, sorted; none if the folder is missing.
  static func files(under folder: String) -> [String] {
    let found = FileManager.default.enumerator(atPath: root.appendingPathComponent(folder).path)
    let paths = (found?.compactMap { $0 as? String } ?? []).map { "\(folder)/\($0)" }
    return paths.filter { !isFolder($0) }.sorted()
  }

  /// Source files under a folder with their texts.
  static func sources(under folder: String) -> [SourceFile] {
    files(under: folder).compactMap { path in text(path).map { SourceFile(path: path, text: $0) } }
  }

  /// Paths that git tracks, or nil outside a git repository.
  static let tracked: [String]? = {
    let result = try? run("/usr/bin/env", ["git", "-C", root.path, "ls-files", "-z"])
    guard let result, result.status == 0 else { return nil }
    return result.output.split(separator: "\0").map(String.init)
  }()

  private static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: root.appendingPathComponent(path).path, isDirectory: &isFolder)
      && isFolder.boolValue
  }
}

/// A text file of the checkout.
struct SourceFile {
  /// Relative to the root.
  let path: String
  let text: String

  /// The lines without `//` comments, numbered from 1.
  var code: [(number: Int, text: Substring)] {
    text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().map { index, line in
      (index + 1, line.firstRange(of: "//").map { line[..<$0.lowerBound] } ?? line)
    }
  }

  /// The folder right below Sources or Tests: the target's name.
  var target: String { path.split(separator: "/").dropFirst().first.map(String.init) ?? "" }
}

/// A finished process.
struct ProcessResult {
  let status: Int32
  let output: String
  let errors: String
}

/// Runs a program without standard input and waits for it.
func run(_ program: String, _ arguments: [String], environment: [String: String] = [:]) throws -> ProcessResult {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: program)
  process.arguments = arguments
  process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  let files = try ["output", "errors"].map { name in
    let url = folder.appendingPathComponent(name)
    try Data().write(to: url)
    return (url, try FileHandle(forWritingTo: url))
  }
  process.standardInput = FileHandle.nullDevice
  process.standardOutput = files[0].1
  process.standardError = files[1].1
  // A child inherits the mask of the thread that starts it, and threads of the test runner block signals.
  var none = sigset_t()
  var former = sigset_t()
  sigemptyset(&none)
  pthread_sigmask(SIG_SETMASK, &none, &former)
  defer { pthread_sigmask(SIG_SETMASK, &former, nil) }
  try process.run()
  process.waitUntilExit()
  let texts = try files.map { String(decoding: try Data(contentsOf: $0.0), as: UTF8.self) }
  return ProcessResult(status: process.terminationStatus, output: texts[0], errors: texts[1])
}
