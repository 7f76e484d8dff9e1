// What a checkpoint holds, as plain values: named tensors in their official shapes, and a description of the run.

import Support
import Tensors

/// What is known about a run besides its tensors.
public struct RunDescription: Sendable, Equatable {
  /// Steps completed.
  public var step: Int
  /// The resolved recipe, as YAML text.
  public var recipe: String
  /// Names of the classes, by train id.
  public var classNames: [String]
  /// Ranks of the run that wrote this.
  public var worldSize: Int
  /// Version of this program.
  public var programVersion: String
  /// Versions of the libraries whose arithmetic or format matters, by name.
  public var libraryVersions: [String: String]
  /// The CPU level the ranks agreed on, such as `avx512`.
  public var cpuLevel: String
  /// Numbers of the schedule for the reader's use, such as `steps` and `learningRate`; a resumed run derives its own.
  public var schedule: [String: Double]
  /// Digests of what the run began with, by name, such as `frozen-encoder`.
  public var digests: [String: String]

  /// A description from its parts.
  public init(
    step: Int, recipe: String, classNames: [String], worldSize: Int, programVersion: String,
    libraryVersions: [String: String], cpuLevel: String, schedule: [String: Double] = [:],
    digests: [String: String] = [:]
  ) {
    precondition(step >= 0 && worldSize > 0, "step \(step) of \(worldSize) ranks")
    self.step = step
    self.recipe = recipe
    self.classNames = classNames
    self.worldSize = worldSize
    self.programVersion = programVersion
    self.libraryVersions = libraryVersions
    self.cpuLevel = cpuLevel
    self.schedule = schedule
    self.digests = digests
  }
}

/// The state of a run after some step.
public struct Snapshot: Sendable {
  /// Where the student's parameters and buffers are: `student/NAME`.
  public static let student = "student"
  /// Where the teacher's parameters and buffers are: `teacher/NAME`.
  public static let teacher = "teacher"
  /// Where a frozen encoder's parameters and buffers are, in a file of its own or an imported one: `frozen/NAME`.
  public static let frozen = "frozen"
  /// Where the first moments are: `optimizer/first-moment/NAME`.
  public static let firstMoment = "optimizer/first-moment"
  /// Where the second moments are: `optimizer/second-moment/NAME`.
  public static let secondMoment = "optimizer/second-moment"
  /// Where objectives keep their state: `objective/OBJECTIVE/NAME`.
  public static let objective = "objective"

  /// How the values of a record lie in memory.
  public enum Order: Sendable {
    /// Row-major in the official shape `[O, I, ...]`.
    case official
    /// With the first two axes behind all others, `[..., I, O]`: how weights are computed with.
    case outputsLast
  }

  /// One named tensor.
  public struct Record: Sendable {
    /// Such as `student/backbone.patch_embed1.proj.weight`.
    public let path: String
    /// The official (PyTorch) shape.
    public let shape: Shape
    /// The values as they lie in memory. Training goes on writing into them, so that they are the record's only until
    /// the next step.
    public let memory: Tensor
    /// What their order is.
    public let order: Order
    /// Whether values are yet to come, from other ranks: there is no memory then.
    public let isAwaited: Bool

    /// A tensor in its official shape.
    public init(_ path: String, _ values: Tensor) { self.init(path, values.shape, memory: values, .official) }

    /// Values in memory, of any shape with as many elements.
    public init(_ path: String, _ shape: Shape, memory: Tensor, _ order: Order) {
      precondition(memory.count == shape.count, "\(memory.count) values for \(path) of shape \(shape)")
      self.path = path
      self.shape = shape
      self.memory = memory
      self.order = shape.array.count > 1 ? order : .official
      isAwaited = false
    }

    /// A tensor whose values will be put into a prepared checkpoint.
    public init(awaiting path: String, _ shape: Shape, _ order: Order) {
      self.path = path
      self.shape = shape
      memory = Tensor(uninitialized: [0])
      self.order = shape.array.count > 1 ? order : .official
      isAwaited = true
    }

    /// The values, row-major in the official shape.
    /// - Precondition: they are not awaited.
    public var values: Tensor {
      precondition(!isAwaited, "\(path) is yet to come")
      guard order == .outputsLast else { return memory.reshaped(shape) }
      let (outputs, inputs) = (shape[0], shape[1])
      let taps = shape.count / max(outputs * inputs, 1)
      let inner = memory.values
      var values = inner
      for output in 0..<outputs {
        for input in 0..<inputs {
          for tap in 0..<taps {
            values[(output * inputs + input) * taps + tap] = inner[(tap * inputs + input) * outputs + output]
          }
        }
      }
      return Tensor(values, shape)
    }
  }

  /// What is known about the run.
  public var run: RunDescription
  /// The tensors, in byte order of their paths.
  public let records: [Record]

  /// A snapshot; the records may come in any order.
  /// - Precondition: paths are different and each lies in one of the groups above.
  public init(run: RunDescription, records: [Record]) {
    self.run = run
    self.records = records.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
    for record in records { precondition(Snapshot.isPath(record.path), "\(record.path) is in no group of a snapshot") }
    for (one, next) in zip(self.records, self.records.dropFirst()) {
      precondition(one.path != next.path, "two records are called \(one.path)")
    }
  }

  /// Steps completed.
  public var step: Int { run.step }

  /// Bytes of all values.
  public var byteCount: Int { records.reduce(0) { $0 + $1.shape.count * 4 } }

  /// The tensor at a path, or nil.
  public func tensor(_ path: String) -> Tensor? {
    var low = 0
    var high = records.count
    while low < high {
      let middle = (low + high) / 2
      if records[middle].path.utf8.lexicographicallyPrecedes(path.utf8) { low = middle + 1 } else { high = middle }
    }
    return low < records.count && records[low].path == path ? records[low].values : nil
  }

  /// Records below a group, with their names in it: `records(under: Snapshot.student)`.
  public func records(under group: String) -> [(name: String, record: Record)] {
    records.filter { $0.path.hasPrefix(group + "/") }.map { (String($0.path.dropFirst(group.count + 1)), $0) }
  }

  /// One of `count` parts of about equal size, each a run of neighbouring records: the same on every rank.
  public func part(_ number: Int, of count: Int) -> Snapshot {
    let total = max(byteCount, 1)
    var before = 0
    let chosen = records.filter { record in
      let bytes = record.shape.count * 4
      defer { before += bytes }
      return min((before + bytes / 2) * count / total, count - 1) == number
    }
    return Snapshot(run: run, records: chosen)
  }

  private static let simpleGroups = [student, teacher, frozen, firstMoment, secondMoment].map { $0 + "/" }

  /// Whether a path lies in a group of a snapshot and has no empty part. A step waits for this once a tensor.
  public static func isPath(_ path: String) -> Bool {
    if let group = simpleGroups.first(where: path.hasPrefix) { return isName(path.utf8.dropFirst(group.utf8.count)) }
    guard path.hasPrefix("\(objective)/") else { return false }
    let parts = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    return parts.count == 3 && isName(parts[1]) && isName(parts[2])
  }

  private static func isName(_ name: Substring.UTF8View) -> Bool {
    let dot = UInt8(ascii: ".")
    return !name.isEmpty && !name.contains(UInt8(ascii: "/")) && !name.elementsEqual([dot])
      && !name.elementsEqual([dot, dot])
  }
}
