// Networks that learn beside the student with optimizers of their own, such as discriminators.
//
//     Companion            network, gradient slots, optimizer, learning rate; built by an objective
//       .frozen            what the student's tape runs: gradients pass through it into the maps it reads, none stay
//       .learn             a tape of its own over detached maps, walked back at once: adds to the companion's slots
//     TrainedCompanion     what a step and a checkpoint know of one, whatever its network
//
// A step clears the slots, lets objectives learn in every pass of every micro-batch, sums the slots of all ranks up the
// tree, and moves student and companions together at its end, or none of them. So every network sees the others as they
// were before the step, as in the published loops. In a team all places read the same gathered maps and form the same
// gradients; the sum runs over the ranks of one place.

import Autograd
import DataParallel
import Networks
import Optimization
import Tensors

/// A companion as a step and a checkpoint see it.
public protocol TrainedCompanion: AnyObject {
  /// Name within its objective.
  var name: String { get }
  /// Its parameters, statistics and gradient slots. Names begin with `owner.name.`.
  var parameters: NetworkParameters { get }
  /// What moves them; its moments are whole on every rank.
  var optimizer: any ArenaOptimizer { get }
  /// Forgets all gradients, before a step.
  func clearGradients()
  /// Sums the gradients of all samples. Called by all ranks, once a step, before `advance`.
  /// - Parameter reduction: over the ranks that share the batch, along the fixed tree.
  /// - Returns: the norm of the sum, equal on all ranks; not finite exactly where a value is not.
  func sumGradients(_ reduction: GradientReduction) throws -> Double
  /// Moves the parameters by the summed gradients, at the end of a step that is used.
  /// - Parameter step: its number, from 0.
  func advance(step: Int)
}

/// A network with an optimizer, built twice over one arena of values.
///
/// A method makes as many as it needs in `MethodOptions.make`, on all ranks alike.
public final class Companion<Network>: TrainedCompanion {
  /// Declares the network's parameters under a prefix and returns what runs it.
  public typealias Maker = (_ registry: ParameterRegistry, _ prefix: String) throws -> Network

  /// Name within its objective.
  public let name: String
  /// The network whose gradients go to slots. It belongs on the tape of `learn`: marks on the student's are places in the
  /// student's arena.
  private let trained: Network
  /// The network without slots: gradients pass through it into what it reads, and none stay.
  public let frozen: Network
  /// Its parameters, statistics and gradient slots.
  public let parameters: NetworkParameters
  /// Adam without decay.
  public let optimizer: any ArenaOptimizer
  private let schedule: LearningRateSchedule
  private let norm: GradientNorm
  private var sum: Tensor?

  /// A companion with drawn parameters, which rank 0 tells the others before the first step.
  /// - Parameters:
  ///   - owner: name of the objective: companions of several objectives draw different parameters.
  ///   - name: its name within the objective; a path in checkpoints.
  ///   - setup: gives the seed, and a gradient slot for each local sample.
  ///   - betas: decay of Adam's moments.
  ///   - schedule: learning rate by step, of all parameters alike whatever their names.
  ///   - make: declares the network; called twice. Parameters that are declared as not trained keep their values.
  /// - Throws: what `make` throws.
  public init(
    owner: String, name: String, _ setup: ObjectiveSetup, betas: (Double, Double), schedule: LearningRateSchedule,
    make: Maker
  ) throws {
    self.name = name
    self.schedule = schedule
    let prefix = "\(owner).\(name)"
    let (registry, again) = (ParameterRegistry(), ParameterRegistry())
    trained = try make(registry, prefix)
    frozen = try make(again, prefix)
    parameters = NetworkParameters(registry, gradientSlots: setup.share.samples.count, seed: setup.seed)
    _ = NetworkParameters(again, sharing: parameters)
    for slice in parameters.slices { precondition(slice.name.hasPrefix("\(prefix)."), "\(slice.name) of \(prefix)") }
    optimizer = Adam(
      slices: parameters.slices.map {
        ParameterSlice(name: $0.name, range: $0.range, rateFactor: $0.isTrained ? 1 : 0, decay: 0)
      }, beta1: betas.0, beta2: betas.1)
    norm = GradientNorm(parameters.slices.filter(\.isTrained).map { ($0.name, $0.range) })
  }

  /// Lets the network learn from maps, in a pass of a micro-batch: runs it on a tape of its own, walks that back at once
  /// and adds to its gradients.
  ///
  /// Rank behaviour: none of its own; a network with batch norm meets the ranks that share the batch. Nothing is dropped.
  /// - Parameters:
  ///   - step: the micro-batch.
  ///   - losses: runs the network on constants, as many samples as the rank has, puts gradients into its output and
  ///     returns the terms. Maps of the student are detached by `Variable(constant:)`.
  public func learn(
    _ step: StepView, _ losses: (_ network: Network, _ context: ForwardContext) throws -> [LossTerm]
  ) throws -> [LossTerm] {
    let tape = Tape()
    var context = step.share.context(tape: tape, normalization: .batch)
    // All places of a team do the same: there is nothing to share out.
    context.team = nil
    let terms = try losses(trained, context)
    context.statistics.apply()
    tape.walkBack()
    return terms
  }

  /// See `TrainedCompanion`.
  public func clearGradients() {
    sum = nil
    parameters.clearGradients()
  }

  /// See `TrainedCompanion`.
  public func sumGradients(_ reduction: GradientReduction) throws -> Double {
    guard let slots = parameters.gradients else { preconditionFailure("\(name) has no gradient slots") }
    precondition(reduction.method == .reproducible && !reduction.scatters, "sums of companions are whole and equal")
    let sum = try reduction.sum(slots)
    self.sum = sum
    return norm(sum)
  }

  /// See `TrainedCompanion`.
  public func advance(step: Int) {
    guard let sum else { preconditionFailure("\(name) advances before its gradients were summed") }
    optimizer.advance(
      parameters: parameters.values, gradient: sum, rate: schedule.rate(at: step), step: step + 1)
  }
}
