// What a forward pass depends on besides its input: without a tape nothing is recorded, without draws nothing is dropped.
// Two things belong to the process instead: the worker pool, which changes no bit, and the way of 3×3 convolutions
// (`ConvolutionMethod.current`), which does and is set from the recipe before a network is used.

import Collectives
import Support
import Tensors

/// Which statistics batch norm normalises with.
public enum NormalizationMode: Sendable {
  /// The batch's own, over all samples of all ranks; running statistics are updated.
  case batch
  /// The running ones.
  case running
}

/// The draws of dropout and drop path in one pass.
public struct StochasticDraws: Sendable {
  /// Seed of the run.
  public let seed: UInt64
  /// Step, from 0.
  public let step: Int
  /// Pass, such as "source" or "mixed".
  public let pass: String

  /// Draws of one pass of one step.
  public init(seed: UInt64, step: Int, pass: String) {
    self.seed = seed
    self.step = step
    self.pass = pass
  }

  /// Factors that keep an element with probability 1 - rate and scale it by 1/(1 - rate), or drop it.
  ///
  /// - Parameters:
  ///   - sample: global index; the factors depend on it, not on the rank.
  ///   - unit: scale or window, such as "context".
  func factors(rate: Float, count: Int, sample: Int, unit: String, layer: String, draw: String) -> [Float] {
    let stream = stream(sample: sample, unit: unit, layer: layer, draw: draw)
    return (0..<count).map { StochasticDraws.factor(stream, at: $0, rate: rate) }
  }

  /// The first of `factors`.
  func factor(rate: Float, sample: Int, unit: String, layer: String, draw: String) -> Float {
    StochasticDraws.factor(stream(sample: sample, unit: unit, layer: layer, draw: draw), at: 0, rate: rate)
  }

  /// The numbers that decide about one sample's elements.
  func stream(sample: Int, unit: String, layer: String, draw: String) -> RandomStream {
    RandomStream(seed: seed, step: step, sample: sample, purpose: Purpose(pass, unit, layer, draw))
  }

  private static func factor(_ stream: RandomStream, at position: Int, rate: Float) -> Float {
    let keep = 1 - rate
    return stream.uniform(at: UInt32(position)) < keep ? 1 / keep : 0
  }
}

/// The windows of a sample that every rank of a team computes.
public struct SharedTiles {
  /// The ranks that have windows, in the order of their windows.
  public let ranks: any Communicator
  /// Windows of each of those ranks: ranges that follow each other.
  public let tiles: [Range<Int>]

  /// Windows by rank.
  public init(ranks: any Communicator, tiles: [Range<Int>]) {
    precondition(tiles.count == ranks.worldSize, "windows of \(tiles.count) ranks for \(ranks.worldSize)")
    self.ranks = ranks
    self.tiles = tiles
  }

  /// Rows of all windows, given this rank's, tile-major.
  func gathered(_ rows: [Double]) throws -> [Double] {
    let perTile = rows.count / tiles[ranks.rank].count
    return Array(try ranks.gathered(rows, lengths: tiles.map { $0.count * perTile }).joined())
  }
}

/// What a forward pass needs to know.
public struct ForwardContext {
  /// Records operations; nil: nothing is recorded.
  public var tape: Tape?
  /// Statistics of batch norm.
  public var normalization: NormalizationMode
  /// Draws of dropout and drop path; nil: both are off.
  public var draws: StochasticDraws?
  /// Ranks that share the batch; of every team the one with this rank's place.
  public var communicator: any Communicator
  /// Samples of all ranks together: of the batch, or of the micro-batch where gradients are accumulated.
  public var globalBatch: Int
  /// Micro-batches of the step. A loss is divided by their number, so that the step's is their mean.
  public var microBatches: Int
  /// Global index of the first local sample.
  public var firstSample: Int
  /// Scale or window the values belong to, such as "context" or "detail"; part of every draw's key.
  public var unit: String
  /// Order in which batch statistics of this unit enter running ones.
  public var unitRank: Int
  /// Tiles of one sample in the batch axis, tile-major; more than one for sliding windows.
  public var tilesPerSample: Int
  /// Who has which of these tiles; nil where this rank has all.
  public var sharedTiles: SharedTiles?
  /// Ranks that hold the same samples and share out their crops and windows; nil where this rank computes all.
  public var team: (any Communicator)?
  /// Another computation of this rank that goes on before this one meets other ranks; nil: there is none.
  public var alternation: Alternation?
  /// Changes the finest map of an encoder before coarser ones are made of it; nil: nothing does.
  public var restyle: Restyle?
  /// Updates of running statistics, applied by whoever owns the pass.
  public let statistics: RunningStatisticsQueue

  /// Makes another map of the same shape; the context tells samples and unit.
  public typealias Restyle = (_ map: Variable, _ context: ForwardContext) -> Variable

  /// A pass over a batch that this rank shares with others.
  public init(
    tape: Tape? = nil, normalization: NormalizationMode, draws: StochasticDraws? = nil,
    communicator: any Communicator, globalBatch: Int, microBatches: Int = 1, firstSample: Int,
    team: (any Communicator)? = nil
  ) {
    self.tape = tape
    self.normalization = normalization
    self.draws = draws
    self.communicator = communicator
    self.globalBatch = globalBatch
    self.microBatches = microBatches
    self.firstSample = firstSample
    self.team = team
    unit = "context"
    unitRank = 0
    tilesPerSample = 1
    statistics = RunningStatisticsQueue()
  }

  /// The same pass for another scale or set of windows.
  public func with(
    unit: String, rank: Int, tilesPerSample: Int = 1, sharedTiles: SharedTiles? = nil
  ) -> ForwardContext {
    var other = self
    other.unit = unit
    other.unitRank = rank
    other.tilesPerSample = tilesPerSample
    other.sharedTiles = sharedTiles
    return other
  }

  /// The same pass by turns with another computation of this rank.
  public func alternating(_ alternation: Alternation) -> ForwardContext {
    var other = self
    other.alternation = alternation
    return other
  }

  /// Records an operation if a gradient can flow through it, else returns a constant.
  ///
  /// - Parameters:
  ///   - tracked: whether any input or parameter of the operation takes a gradient.
  ///   - weights: adds to the gradients of the operation's weights; see `Tape.record`.
  func record(
    _ value: Tensor, tracked: Bool, weights: ((Tensor) -> Void)? = nil, _ propagate: @escaping (Tensor) -> Void
  ) -> Variable {
    guard let tape, tracked else { return Variable(constant: value) }
    return tape.record(value, weights: weights, propagate)
  }

  /// Says that no operation so far used this parameter or one that was declared after it; see `Tape.mark`.
  ///
  /// It lets the gradients of those parameters travel between ranks while the rest of the backward pass computes. Left
  /// out, they travel later; said wrongly, the step stops at a precondition.
  public func marks(_ parameter: Parameter) {
    if let slots = parameter.slots { tape?.mark(slots.offset) }
  }

  /// Runs computations that do not use each other's results; see `Tape.sideBySide`.
  public func sideBySide(_ computations: [() throws -> Void]) throws {
    if let tape { return try tape.sideBySide(computations) }
    for computation in computations { try computation() }
  }

  /// The finest map of an encoder as the pass wants it.
  public func restyled(_ map: Variable) -> Variable { restyle.map { $0(map, self) } ?? map }

  /// Global index of a local sample.
  public func globalSample(_ local: Int) -> Int { firstSample + local }
}

extension ForwardContext {
  /// Runs a collective where nothing can be thrown to; a failure ends the job on all ranks with its reason.
  func communicating<Result>(_ body: () throws -> Result) -> Result {
    do {
      return try body()
    } catch {
      let status = (error as? Failure)?.status ?? .internal
      communicator.abort("\(error)", status: status.rawValue)
    }
  }
}
