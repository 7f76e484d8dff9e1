// log.jsonl: what happened at each logged step, one JSON object a line.

import Collectives
import DataParallel
import Foundation
import Recipes
import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// One line of the log.
public struct LogEntry: Codable, Sendable, Equatable {
  /// Completed steps.
  public var step: Int
  /// Losses and other values of the step, by name.
  public var losses: [String: Double]
  /// The encoder's learning rate in this step.
  public var learningRate: Double
  /// Euclidean norm of the gradient; nil in logs of versions that did not tell it.
  public var gradientNorm: Double?
  /// Source images a second, all ranks together.
  public var imagesPerSecond: Double
  /// Seconds by phase.
  public var seconds: [String: Double]
  /// Bytes that rank 0 sent in this step to reduce gradients; 0 with one rank.
  public var bytesReduced: Int
  /// Messages of rank 0 in this step besides those of gradients; nil with one rank.
  public var messages: MessageFigures?
  /// What summing gradients over ranks took on rank 0; nil with one rank. The hidden share of its seconds is
  /// 1 - exposedSeconds / seconds.
  public var reduction: ReductionFigures?
  /// Most memory the process has held, in bytes.
  public var peakMemoryBytes: Int
  /// Wall-clock seconds of training up to this step in all sessions, evaluation left out.
  public var trainingSeconds: Double?
  /// The slowest rank; nil with one rank.
  public var straggler: Straggler?
  /// About the pseudo-labels since such figures were last told; nil in most lines.
  public var pseudoLabels: PseudoLabelFigures?
  /// Why the optimizer left this step out, and what it was made of; nil where it used it.
  public var skipped: SkippedStep?
  /// mIoU in percent by network, where the step was evaluated.
  public var mIoU: [String: Double]?

  /// A line of the log.
  public init(
    step: Int, losses: [String: Double], learningRate: Double, gradientNorm: Double? = nil, imagesPerSecond: Double,
    seconds: [String: Double],
    bytesReduced: Int, messages: MessageFigures? = nil,
    reduction: ReductionFigures? = nil, peakMemoryBytes: Int, mIoU: [String: Double]? = nil
  ) {
    self.step = step
    self.losses = losses
    self.learningRate = learningRate
    self.gradientNorm = gradientNorm
    self.imagesPerSecond = imagesPerSecond
    self.seconds = seconds
    self.bytesReduced = bytesReduced
    self.messages = messages
    self.reduction = reduction
    self.peakMemoryBytes = peakMemoryBytes
    self.mIoU = mIoU
  }
}

/// Appends to log.jsonl; a line is with the system when `append` returns. Rank 0 only.
public final class RunLog {
  /// The last line.
  public private(set) var last: LogEntry?
  private let path: String
  private let file: FileHandle
  private var length: UInt64

  /// Opens the log, keeping the lines up to `step`. Those of steps that are going to be run again are moved to the end of
  /// `log-dropped.jsonl` beside it: they may be of another recipe, or of checkpoints that are gone.
  /// - Throws: `Failure` 74 that names the file, and as `read`; the log stays as it was then.
  public init(_ path: String, keepingUpTo step: Int) throws {
    self.path = path
    let lines = try RunLog.lines(path)
    let kept = lines.filter { $0.entry.step <= step }
    try RunLog.add(lines.filter { $0.entry.step > step }.map(\.text), to: RunLog.dropped(path))
    try writeWhole(kept.map { $0.text + "\n" }.joined(), to: path)
    do {
      file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
      length = try file.seekToEnd()
      last = kept.last?.entry
    } catch {
      throw Failure(.inputOutput, "it cannot be written: \(error.localizedDescription)", at: path)
    }
  }

  private static func dropped(_ path: String) -> String {
    URL(fileURLWithPath: path).deletingPathExtension().path + "-dropped.jsonl"
  }

  private static func add(_ lines: [Substring], to path: String) throws {
    guard !lines.isEmpty else { return }
    let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw Failure(.creating(errno), "it cannot be made (\(String(cString: strerror(errno))))", at: path)
    }
    do {
      let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
      try file.write(contentsOf: Foundation.Data(lines.map { $0 + "\n" }.joined().utf8))
    } catch {
      throw Failure(.inputOutput, "it cannot be written: \(error.localizedDescription)", at: path)
    }
  }

  /// Adds a line, whole or not at all.
  /// - Throws: `Failure` 74 that names the file and the step.
  public func append(_ entry: LogEntry) throws {
    do {
      let line = Foundation.Data((try jsonLine(entry) + "\n").utf8)
      try file.write(contentsOf: line)
      length += UInt64(line.count)
      last = entry
    } catch {
      try? file.truncate(atOffset: length)
      throw Failure(.inputOutput, "step \(entry.step) cannot be written: \(error.localizedDescription)", at: path)
    }
  }

  /// The lines of a log, none if there is no such file. A last line that a stopped process left unfinished is dropped.
  /// - Throws: `Failure` 74 if the file cannot be read, 65 if it is not text or another line is not a log entry.
  public static func read(_ path: String) throws -> [LogEntry] { try lines(path).map(\.entry) }

  private static func lines(_ path: String) throws -> [(entry: LogEntry, text: Substring)] {
    guard FileManager.default.fileExists(atPath: path) else { return [] }
    // By bytes: a line that ends as on Windows has no character that is a line feed.
    let lines = try text(path).utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      .map { Substring($0) }
    return try lines.enumerated().compactMap { index, line in
      if line.isEmpty { return nil }
      do {
        return (try decoder.decode(LogEntry.self, from: Foundation.Data(line.utf8)), line)
      } catch {
        if index == lines.count - 1 { return nil }
        throw Failure(.badData, "it is not a line of a log", at: "\(path):\(index + 1)", remedy: "remove the line")
      }
    }
  }

  private static func text(_ path: String) throws -> String {
    do {
      return try settingsText(at: path, called: "log")
    } catch let failure as Failure {
      throw Failure(failure.status, failure.what, at: path, remedy: "mend it, or move it away to begin a new log")
    }
  }

  private static var decoder: JSONDecoder {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return decoder
  }
}
