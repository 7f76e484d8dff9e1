// How far a survey is, as a checkpoint keeps it.

import Adaptation
import Support
import Tensors

/// The sums of a survey so far. The same on every rank.
///
/// A checkpoint holds Float32: whole numbers and Doubles are kept as words of 16 bits, which it holds exactly.
final class SurveyProgress {
  /// Name of the objective that asks.
  let objective: String
  let survey: Survey
  /// Words of the step and of the images done, then of the sums.
  let state: Tensor
  private static let headerWords = 8

  init(_ survey: Survey, of objective: String) {
    self.objective = objective
    self.survey = survey
    sums = [Double](repeating: 0, count: survey.width)
    state = Tensor(zeros: [SurveyProgress.headerWords + 4 * survey.width])
  }

  /// Where a checkpoint keeps it, below the objective.
  var name: String { "survey-\(survey.name)" }

  /// The step before which the survey was begun, plus one; 0 before the first.
  private(set) var step = 0
  /// Images whose rows are in the sums.
  private(set) var images = 0
  /// The sums.
  private(set) var sums: [Double]

  /// Begins anew, before a step.
  func begin(before step: Int) {
    self.step = step + 1
    images = 0
    sums = [Double](repeating: 0, count: survey.width)
    keep()
  }

  /// Adds the sums of the images that follow.
  func add(_ more: [Double], images count: Int) {
    precondition(more.count == survey.width, "\(more.count) sums of \(survey.width)")
    for place in sums.indices { sums[place] += more[place] }
    images += count
    keep()
  }

  /// Takes over what a checkpoint has put into `state`.
  func takeOver() {
    let words = state.values
    func number(at place: Int) -> UInt64 { (0..<4).reduce(0) { $0 | UInt64(words[place + $1]) << UInt64(16 * $1) } }
    (step, images) = (Int(number(at: 0)), Int(number(at: 4)))
    sums = (0..<survey.width).map { Double(bitPattern: number(at: SurveyProgress.headerWords + 4 * $0)) }
  }

  private func keep() {
    let numbers = [UInt64(step), UInt64(images)] + sums.map(\.bitPattern)
    state.assign(
      Tensor(
        numbers.flatMap { number in (0..<4).map { Float(number >> UInt64(16 * $0) & 0xffff) } }, state.shape))
  }
}
