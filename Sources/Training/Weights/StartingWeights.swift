// Weights to start from: of a run (`init`, `encoder.weights`), and as a checkpoint of their own (import).

import Adaptation
import Collectives
import DataParallel
import Kernels
import Networks
import Recipes
import Storage
import Support
import Tensors

/// The tensors of a weight file by the network they belong to.
public struct WeightSet: Sendable {
  /// The file.
  public let path: String
  private let stored: [WeightOwner: [(name: String, weight: StoredWeight)]]

  /// Reads names and shapes of a file.
  /// - Throws: as `readWeights`.
  public init(_ path: String, checkpoints: any CheckpointStore) throws {
    self.path = path
    stored = Dictionary(
      grouping: try readWeights(path, checkpoints: checkpoints).map { weight in
        let (owner, name) = WeightNames.owner(of: weight.name)
        return (owner: owner, name: name, weight: weight)
      }, by: \.owner
    ).mapValues { $0.map { ($0.name, $0.weight) } }
  }

  /// Whether the file has tensors of a network.
  public func has(_ owner: WeightOwner) -> Bool { stored[owner] != nil }

  /// Matches the tensors of one owner with a whole network, attached heads left aside.
  func match(_ owner: WeightOwner, _ parameters: NetworkParameters) -> WeightMatch {
    WeightMatch(stored[owner] ?? [], parameters.allSlices.filter { $0.owner == nil }, owner: owner)
  }

  /// Matches the encoder of one owner with the encoder of a network; heads are left aside.
  func matchEncoder(_ owner: WeightOwner, _ parameters: NetworkParameters) -> WeightMatch {
    WeightMatch(
      stored[owner] ?? [], parameters.allSlices.filter { $0.name.hasPrefix("backbone.") }, owner: owner,
      others: "part of a head")
  }

  /// The network whose encoder the file is about: the student's, else the frozen one, else the teacher's.
  var encoderOwner: WeightOwner { [.student, .frozen, .teacher].first(where: has) ?? .student }
}

extension NetworkParameters {
  /// Takes over the values of a network of the same layout.
  func copy(_ other: NetworkParameters) {
    values.assign(other.values)
    buffers.assign(other.buffers)
  }
}

extension Recipe {
  /// Whether the run starts from files.
  var namesWeights: Bool { initialCheckpoint != nil || encoder.weights != nil }
}

/// The networks of a run before they have their weights.
struct NetworkStart {
  private let recipe: Recipe
  private let networks: RunNetworks

  /// The networks of a recipe.
  init(_ recipe: Recipe, _ networks: RunNetworks) {
    self.recipe = recipe
    self.networks = networks
  }

  private var student: SegmentationNetwork { networks.student }
  private var teacher: Teacher? { networks.teacher }
  private var reference: ReferenceEncoder? { networks.reference }

  /// Everything of the networks that ranks must hold alike.
  private var tensors: [Tensor] {
    [student.parameters, teacher?.network.parameters, reference?.parameters].compactMap { $0 }
      .flatMap { [$0.values, $0.buffers] }
  }

  /// Starts the networks from the files that the recipe names. A collective: rank 0 reads, the others receive.
  ///
  /// `init` gives whole networks: the student, the teacher (the student's values where the file has none) and, if the
  /// file has one, the frozen encoder; of a checkpoint also the attached heads of the objectives that it is of.
  /// `encoder.weights` gives one encoder to all three, or only to the frozen one where `init` is given too.
  func take(_ checkpoints: any CheckpointStore, on communicator: any Communicator) throws {
    Activity.prepare("starting weights")
    guard recipe.namesWeights else { return }
    try communicator.together {
      guard communicator.rank == 0 else { return }
      if let path = recipe.initialCheckpoint {
        let heads = hasHeads && isCheckpoint(path) ? try StoredHeads(path, checkpoints) : nil
        try startAll(WeightSet(path, checkpoints: checkpoints), heads)
      }
      if let path = recipe.encoder.weights { try startEncoder(WeightSet(path, checkpoints: checkpoints)) }
    }
    try ReplicaAgreement(on: communicator, interval: 0).share(tensors)
  }

  private var hasHeads: Bool { student.parameters.slices.contains { $0.owner != nil } }

  private func startAll(_ set: WeightSet, _ heads: StoredHeads?) throws {
    let remedy = "init needs a whole network of this recipe; encoder.weights takes an encoder alone"
    func start(_ owner: WeightOwner, _ parameters: NetworkParameters) throws {
      let match = set.match(owner, parameters)
      try match.require(partial: false, remedy: remedy, at: set.path)
      try match.load(into: parameters)
    }
    try start(.student, student.parameters)
    try heads?.load(Snapshot.student, into: student.parameters)
    if let teacher = teacher?.network.parameters {
      teacher.copy(student.parameters)
      if set.has(.teacher) {
        try start(.teacher, teacher)
        try heads?.load(Snapshot.teacher, into: teacher)
      }
    }
    if let reference = reference?.parameters, set.has(.frozen) {
      let match = set.matchEncoder(.frozen, reference)
      try match.require(partial: false, remedy: remedy, at: set.path)
      try match.load(into: reference)
    }
  }

  private func startEncoder(_ set: WeightSet) throws {
    let match = set.matchEncoder(set.encoderOwner, student.parameters)
    try match.require(
      partial: false, remedy: "encoder.name is \(recipe.encoder.name); name a file of that encoder", at: set.path)
    if recipe.initialCheckpoint == nil {
      try match.load(into: student.parameters)
      if let teacher { try match.load(into: teacher.network.parameters) }
    }
    if let reference { try match.load(into: reference.parameters) }
  }
}

/// The networks of a recipe filled from a weight file, to be kept as a checkpoint at step 0.
public struct ImportedWeights {
  /// What became of every tensor, network after network.
  public let lines: [WeightLine]
  private let recipe: Recipe
  private let classNames: [String]
  private let path: String
  private let parts: [(group: String, parameters: NetworkParameters, match: WeightMatch?)]

  /// Builds the networks of a recipe and matches a file's tensors with them. Nothing is loaded yet.
  /// - Throws: as `readWeights`; `Failure` 65 for a recipe that cannot be built.
  public init(_ path: String, _ recipe: Recipe, checkpoints: any CheckpointStore) throws {
    self.path = path
    self.recipe = recipe
    let set = try WeightSet(path, checkpoints: checkpoints)
    let classes = try recipe.classSet()
    classNames = classes.names
    let configuration = recipe.networkConfiguration(classCount: classes.count)
    func network() throws -> NetworkParameters {
      try SegmentationNetwork(configuration, gradientSlots: 0, seed: recipe.seed).parameters
    }
    let student = try network()
    var parts = [(group: Snapshot.student, parameters: student, match: Optional(set.match(.student, student)))]
    if recipe.requirements(configuration).hasTeacher {
      let teacher = try network()
      parts.append((Snapshot.teacher, teacher, set.has(.teacher) ? set.match(.teacher, teacher) : nil))
    }
    if set.has(.frozen) {
      let frozen = try ReferenceEncoder(configuration, seed: recipe.seed).parameters
      parts.append((Snapshot.frozen, frozen, set.matchEncoder(.frozen, frozen)))
    }
    self.parts = parts
    lines = parts.flatMap { $0.match?.lines ?? [] }
  }

  /// Loads the values. A teacher that the file does not have gets the student's.
  /// - Parameter partial: whether tensors may be missing, which keep their drawn values, or left over.
  /// - Returns: the networks at step 0, without moments.
  /// - Throws: `Failure` 65 unless the file gives what the networks have.
  public func snapshot(partial: Bool) throws -> Snapshot {
    for part in parts {
      try part.match?.require(
        partial: partial,
        remedy: "use the recipe of that network, or --partial to take what fits and draw the rest", at: path)
    }
    guard lines.contains(where: { [.matched, .reshaped].contains($0.status) }) else {
      throw Failure(.badData, "holds nothing that this network has", at: path, remedy: "use the recipe of its network")
    }
    for part in parts {
      if let match = part.match {
        try match.load(into: part.parameters)
      } else {
        part.parameters.copy(parts[0].parameters)
      }
    }
    return Snapshot(
      run: RunDescription(
        step: 0, recipe: recipe.resolvedYAML, classNames: classNames, worldSize: 1, programVersion: programVersion,
        libraryVersions: arithmeticLibraryVersions, cpuLevel: "\(CPULevel.current)"),
      records: parts.flatMap { networkRecords($0.group, $0.parameters) })
  }
}
