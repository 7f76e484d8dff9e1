// Runs the built program and keeps what it says.

import Foundation
import Testing

/// What a run of `apus` ended with.
struct Outcome {
  let status: Int32
  let output: String
  let errors: String

  /// Standard output as a JSON object.
  func object() throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
  }
}

/// Runs `apus`, which the build puts beside the tests.
/// - Parameter environment: added to the environment of the tests.
func apus(_ arguments: String..., environment: [String: String] = [:]) throws -> Outcome {
  try apus(arguments, environment: environment)
}

/// The same with a list of arguments.
func apus(_ arguments: [String], environment: [String: String] = [:]) throws -> Outcome {
  let tests = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
  let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
  let program = [tests.appending(path: "apus"), root.appending(path: ".build/release/apus")]
    .first { FileManager.default.isExecutableFile(atPath: $0.path) }
  let process = Process()
  let built: URL = try #require(program, "apus is not built")
  process.executableURL = built
  process.arguments = arguments
  process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
  let (output, errors) = (Pipe(), Pipe())
  process.standardOutput = output
  process.standardError = errors
  try process.run()
  // A command may say more than a pipe holds on either side, so both are read at once.
  let reader = Reader(errors)
  let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  return Outcome(status: process.terminationStatus, output: text, errors: reader.text)
}

/// Reads a pipe to its end on a thread of its own.
private final class Reader: @unchecked Sendable {
  private let done = DispatchSemaphore(value: 0)
  private var read = Data()

  init(_ pipe: Pipe) {
    Thread.detachNewThread { [self] in
      read = pipe.fileHandleForReading.readDataToEndOfFile()
      done.signal()
    }
  }

  var text: String {
    done.wait()
    return String(decoding: read, as: UTF8.self)
  }
}
