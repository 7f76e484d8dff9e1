// summary.json: the figures of a whole run.

import Foundation
import Support

/// How well a network segments the validation set.
public struct Scores: Codable, Sendable, Equatable {
  /// Mean IoU in percent over the classes whose union is not empty; nil without a validation set.
  public var mIoU: Double?
  /// IoU in percent by class; nil where the union is empty.
  public var iou: [String: Double?]

  /// Scores of a network.
  public init(mIoU: Double?, iou: [String: Double?]) {
    self.mIoU = mIoU
    self.iou = iou
  }

  /// IoU of a class in percent; nil where there is none.
  public func iou(of name: String) -> Double? { iou[name].flatMap { $0 } }

  /// Over how many classes the mean goes, such as `14 of 19 classes`; nil without a mean.
  public var coverage: String? {
    mIoU == nil ? nil : "\(iou.values.count { $0 != nil }) of \(iou.count) classes"
  }

  /// Writes `mIoU` even if there is none, as null.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(mIoU, forKey: .mIoU)
    try container.encode(iou, forKey: .iou)
  }
}

/// The figures of a whole run; the names are a promise to users.
public struct Summary: Codable, Sendable, Equatable {
  /// Completed steps.
  public var step: Int
  /// Ranks.
  public var worldSize: Int
  /// Compute threads of a rank.
  public var threads: Int
  /// Source images of a step.
  public var globalBatch: Int
  /// Wall-clock seconds of training, evaluation left out.
  public var seconds: Double
  /// Source images a second, all ranks together.
  public var imagesPerSecond: Double
  /// Most memory a rank has held, in bytes.
  public var peakMemoryBytes: Int
  /// Scores of the student.
  public var student: Scores
  /// Scores of the teacher.
  public var teacher: Scores
  /// Scores of a network trained on the source domain only, where one was.
  public var sourceOnly: Scores?
  /// SHA-256 over the student's parameters and buffers.
  public var studentDigest: String
  /// SHA-256 over the teacher's parameters and buffers.
  public var teacherDigest: String
  /// SHA-256 over the optimizer's moments.
  public var optimizerDigest: String
  /// SHA-256 over what objectives remember; nil where none remembers anything.
  public var objectiveDigest: String?
  /// Whether every rank count of a power of two would give these digests.
  public var reproducibleAcrossRanks: Bool
  /// What each stage of a chain has come to, in the chain's own summary, whose other figures are those of the last
  /// training stage; nil in that of a run.
  public var stages: [StageSummary]?

  /// A run's figures.
  public init(
    step: Int, worldSize: Int, threads: Int, globalBatch: Int, seconds: Double, imagesPerSecond: Double,
    peakMemoryBytes: Int, student: Scores, teacher: Scores, sourceOnly: Scores? = nil, studentDigest: String,
    teacherDigest: String, optimizerDigest: String, objectiveDigest: String? = nil, reproducibleAcrossRanks: Bool
  ) {
    self.step = step
    self.worldSize = worldSize
    self.threads = threads
    self.globalBatch = globalBatch
    self.seconds = seconds
    self.imagesPerSecond = imagesPerSecond
    self.peakMemoryBytes = peakMemoryBytes
    self.student = student
    self.teacher = teacher
    self.sourceOnly = sourceOnly
    self.studentDigest = studentDigest
    self.teacherDigest = teacherDigest
    self.optimizerDigest = optimizerDigest
    self.objectiveDigest = objectiveDigest
    self.reproducibleAcrossRanks = reproducibleAcrossRanks
  }

  /// Reads a summary.
  /// - Throws: `Failure` 66 if there is none, 65 if it is not one.
  public init(contentsOf path: String) throws {
    guard let bytes = FileManager.default.contents(atPath: path) else {
      throw Failure(.missingInput, "there is no such summary", at: path)
    }
    do {
      self = try JSONDecoder().decode(Summary.self, from: bytes)
    } catch {
      throw Failure(.badData, "it is not the summary of a run", at: path)
    }
  }
}
