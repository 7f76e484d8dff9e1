// A run's state as a snapshot, and back.

import Adaptation
import Kernels
import Networks
import Storage
import Support
import Tensors

extension Experiment {
  /// The state after `step` completed steps. Moments that are dealt out over ranks are awaited in it.
  /// - Parameter objectives: what objectives keep, under `Snapshot.objective`.
  package func snapshot(step: Int, objectives: [Snapshot.Record] = []) -> Snapshot {
    let student = self.student.parameters
    var records = networkRecords(Snapshot.student, student)
    if let teacher = teacher?.network.parameters { records += networkRecords(Snapshot.teacher, teacher) }
    records += momentRecords
    let stepGuard = self.step.parts.stepGuard
    if stepGuard.remembers { records.append(Snapshot.Record(Experiment.guardRecord, stepGuard.state)) }
    records += objectiveState.map { Snapshot.Record($0.path, $0.tensor) } + companionRecords
    return Snapshot(run: description(step: step), records: records + objectives)
  }

  /// Everything that must be equal on all ranks. Moments that are dealt out over ranks exist once.
  var replicatedState: [(name: String, tensor: Tensor)] {
    let optimizer = step.parts.optimizer
    let student = self.student.parameters
    var tensors = [
      ("student parameters", student.values), ("student statistics", student.buffers),
      ("the guard's memory", step.parts.stepGuard.state),
    ]
    if step.parts.shards == nil {
      tensors += zip(optimizer.momentNames, optimizer.moments)
    }
    if let teacher = teacher?.network.parameters {
      tensors += [("teacher parameters", teacher.values), ("teacher statistics", teacher.buffers)]
    }
    if let frozen = reference?.parameters {
      tensors += [("frozen encoder", frozen.values), ("frozen encoder's statistics", frozen.buffers)]
    }
    tensors += objectiveState.map { ($0.path, $0.tensor) }
    tensors += companionArenas.map { ($0.name, $0.arena) }
    return tensors
  }

  /// What lies where in the arenas of `replicatedState`; all but those of companions have the student's layout.
  func replicatedParts(of name: String) -> [(name: String, range: Range<Int>)] {
    if let companion = companionArenas.first(where: { $0.name == name }) {
      return companion.slices.map { ($0.name, $0.range) }
    }
    let parameters = self.student.parameters
    if name.hasSuffix(" parameters") || name.hasSuffix(" moment") {
      return parameters.slices.map { ($0.name, $0.range) }
    }
    return ["student statistics", "teacher statistics"].contains(name)
      ? parameters.bufferSlices.map { ($0.name, $0.range) } : []
  }

  /// What objectives remember and how far their surveys are, by path in a checkpoint.
  var objectiveState: [(path: String, tensor: Tensor)] {
    step.parts.objectives.flatMap { objective in
      objective.state.map { ("\(Snapshot.objective)/\(objective.name)/\($0.name)", $0.tensor) }
    } + surveys.progress.map { ("\(Snapshot.objective)/\($0.objective)/\($0.name)", $0.state) }
  }

  /// Where the guard's memory is.
  private static let guardRecord = "\(Snapshot.objective)/guard/state"

  /// What is told about the run after `step` completed steps.
  func description(step: Int) -> RunDescription {
    RunDescription(
      step: step, recipe: recipe.resolvedYAML, classNames: classes.names, worldSize: share.world.worldSize,
      programVersion: programVersion, libraryVersions: arithmeticLibraryVersions, cpuLevel: "\(CPULevel.current)",
      schedule: ["steps": Double(recipe.schedule.steps), "learningRate": recipe.optimizer.learningRate],
      digests: origin.digests)
  }

  /// Takes over a snapshot's tensors: student, teacher, both moments and what the guard remembers. Moments that are
  /// dealt out over ranks are left to `dealOutMoments`.
  /// - Throws: `Failure` 65 if a tensor is missing, is not known here, or has another shape.
  package func restore(_ snapshot: Snapshot, from file: String) throws {
    let stored = RunOrigin(snapshot.run.digests)
    // Runs that name no origin began with drawn weights, as this experiment did.
    if let teacher = stored.firstTeacher { origin.firstTeacher = teacher }
    origin.frozenEncoder = stored.frozenEncoder
    let student = self.student.parameters
    try load(snapshot, Snapshot.student, into: student, arena: student.values, buffers: true, file)
    if let teacher = teacher?.network.parameters {
      try load(snapshot, Snapshot.teacher, into: teacher, arena: teacher.values, buffers: true, file)
    }
    try restoreMoments(snapshot, from: file)
    try restoreObjectives(snapshot, from: file)
    try restoreCompanions(snapshot, from: file)
    // A guard with another window, which the user has asked for by name, begins anew.
    let stepGuard = step.parts.stepGuard
    if let kept = snapshot.tensor(Experiment.guardRecord), kept.shape == stepGuard.state.shape {
      stepGuard.state.assign(kept)
    }
  }
}

extension Experiment {
  /// Takes over what objectives remember.
  /// - Throws: `Failure` 65 that names the first tensor that is missing or has another shape.
  private func restoreObjectives(_ snapshot: Snapshot, from file: String) throws {
    for (path, tensor) in objectiveState {
      tensor.assign(try snapshot.objectiveTensor(path, tensor.shape, file))
    }
  }
}

extension Snapshot {
  /// What an objective, its attached head or a companion kept.
  /// - Throws: `Failure` 65 where it is missing or has another shape.
  func objectiveTensor(_ path: String, _ shape: Shape, _ file: String) throws -> Tensor {
    let stored = tensor(path)
    guard let stored, stored.shape == shape else {
      let found = stored.map { "has shape \($0.shape) instead of \(shape)" } ?? "is missing"
      throw Failure(
        .badData, "\(path) \(found)", at: file,
        remedy: "this checkpoint is of another method or other options; use the recipe it was made with")
    }
    return stored
  }
}

/// Records of parameters where they lie; they are put into the official order when they are written. Attached heads are
/// with their objectives.
package func parameterRecords(_ group: String, _ parameters: NetworkParameters, _ arena: Tensor) -> [Snapshot.Record] {
  parameters.slices.map { slice in
    Snapshot.Record(
      slice.path(in: group), Shape(slice.officialShape),
      memory: Tensor(shape: [slice.range.count], buffer: arena.buffer, offset: arena.offset + slice.range.lowerBound),
      .outputsLast)
  }
}

/// Records of a network: its parameters and running statistics.
package func networkRecords(_ group: String, _ parameters: NetworkParameters) -> [Snapshot.Record] {
  parameterRecords(group, parameters, parameters.values)
    + parameters.bufferSlices.map { slice in
      let shape = Shape(slice.officialShape)
      let buffers = parameters.buffers
      return Snapshot.Record(
        slice.path(in: group), shape,
        memory: Tensor(shape: shape, buffer: buffers.buffer, offset: buffers.offset + slice.range.lowerBound), .official
      )
    }
}

/// Takes over the tensors of one group of a snapshot, and those of attached heads from their objectives.
/// - Parameters:
///   - arena: where parameters go; nil only proves that they fit.
///   - buffers: whether the group holds running statistics besides parameters.
/// - Throws: `Failure` 65 that names the first tensor that is missing, not known here, or of another shape.
func load(
  _ snapshot: Snapshot, _ group: String, into parameters: NetworkParameters, arena: Tensor?, buffers: Bool,
  _ file: String
) throws {
  var stored: [String: Snapshot.Record] = [:]
  for (name, record) in snapshot.records(under: group) { stored[name] = record }
  func mismatch(_ what: String) -> Failure {
    Failure(
      .badData, what, at: "\(file): \(group)",
      remedy: "this checkpoint is of another network; use the recipe it was made with")
  }
  let slices = buffers ? parameters.allSlices : parameters.slices
  for slice in slices where slice.owner != nil {
    _ = try snapshot.objectiveTensor(slice.path(in: group), Shape(slice.officialShape), file)
  }
  for slice in slices where slice.owner == nil {
    guard let record = stored.removeValue(forKey: slice.name) else { throw mismatch("\(slice.name) is missing") }
    guard record.shape.array == slice.officialShape else {
      throw mismatch("\(slice.name) has shape \(record.shape) instead of \(slice.officialShape)")
    }
  }
  if let name = stored.keys.min() { throw mismatch("\(name) has no place in this network") }
  guard let arena else { return }
  for slice in parameters.slices {
    parameters.load(snapshot.tensor(slice.path(in: group))?.values ?? [], named: slice.name, into: arena)
  }
  guard buffers else { return }
  for slice in parameters.bufferSlices {
    parameters.loadBuffer(snapshot.tensor(slice.path(in: group))?.values ?? [], named: slice.name)
  }
}

/// Digests of a run's state, as `summary.json` names them.
public struct StateDigests: Sendable, Equatable {
  /// Parameters and buffers of the student.
  public let student: String
  /// Parameters and buffers of the teacher; the student's where there is none.
  public let teacher: String
  /// The optimizer's moments.
  public let optimizer: String
  /// What objectives remember; nil where none remembers anything.
  public let objective: String?
}

extension Experiment {
  /// Digests of the state now. Called by all ranks: moments may be dealt out over them.
  public var digests: StateDigests {
    get throws {
      StateDigests(
        student: student.parameters.digest(), teacher: (teacher?.network ?? student).parameters.digest(),
        optimizer: try momentsDigest(), objective: objectiveDigest)
    }
  }

  private var objectiveDigest: String? {
    let tensors = objectiveState.map { ($0.path, $0.tensor.shape.array, $0.tensor.values) } + companionTensors
    return tensors.isEmpty ? nil : NetworkParameters.digest(of: tensors)
  }
}

extension RunDescription {
  /// Lines about what changes bits here: the CPU level and versions of libraries. Going on with others is allowed, but
  /// not silently.
  var warningsOfOtherBits: [String] {
    let level = "\(CPULevel.current)", versions = arithmeticLibraryVersions
    let levels =
      cpuLevel == level
      ? [] : ["warning: the checkpoint was written at CPU level \(cpuLevel), this is \(level): bits will differ"]
    return levels
      // OpenBLAS was named by earlier versions, which computed nothing with it.
      + libraryVersions.sorted { $0.key < $1.key }.filter { $0.key != "OpenBLAS" && versions[$0.key] != $0.value }.map {
        "warning: the checkpoint was written with \($0.key) \($0.value), here it is \(versions[$0.key] ?? "none")"
      }
  }
}
