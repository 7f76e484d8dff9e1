// The companions of all objectives, as a step moves them: together with the student, or not at all.

import Adaptation
import Collectives
import DataParallel
import Support
import Tensors

/// Companions of a run, and how their gradients are summed.
public struct StepCompanions {
  private let all: [(owner: String, companion: any TrainedCompanion)]
  private let reduction: GradientReduction?

  /// Of these objectives. Called by all ranks, which open a channel for their gradients if there is a companion.
  ///
  /// Sums are whole and reproducible whatever the recipe's `reduction`: companions are small, and a skipped step is judged
  /// by them.
  /// - Parameters:
  ///   - objectives: of the run.
  ///   - communicator: ranks that share the batch, of every team the one with this rank's place.
  public init(of objectives: [any Objective], on communicator: any Communicator) throws {
    all = objectives.flatMap { objective in objective.companions.map { (objective.name, $0) } }
    let names = all.map { "\($0.owner)/\($0.companion.name)" }
    precondition(Set(names).count == names.count, "companions \(names)")
    reduction = all.isEmpty ? nil : try GradientReduction(on: communicator)
  }

  private init() { (all, reduction) = ([], nil) }

  /// No companions.
  public static var none: StepCompanions { StepCompanions() }

  /// Whether there are none.
  var isEmpty: Bool { all.isEmpty }

  /// Running statistics, which a step that is left out puts back.
  var statistics: [Tensor] { all.map(\.companion.parameters.buffers) }

  /// Forgets all gradients.
  func clearGradients() { for (_, companion) in all { companion.clearGradients() } }

  /// Sums all gradients, a phase of the step, and returns their norms by name, equal on all ranks. Called by all ranks.
  func sumGradients(_ phases: inout PhaseTimes) throws -> [(name: String, value: Double)] {
    guard let reduction else { return [] }
    return try phases.measure("companions") {
      try all.map { ("\($0.owner)/\($0.companion.name)", try $0.companion.sumGradients(reduction)) }
    }
  }

  /// Moves all of them.
  func advance(step: Int) { for (_, companion) in all { companion.advance(step: step) } }
}
