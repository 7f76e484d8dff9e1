// How far a survey is, as a checkpoint keeps it.

import Adaptation
import Support
import Tensors

/// The sums of a survey so far, or its rows. The same on every rank.
///
/// A checkpoint holds Float32: whole numbers and Doubles are kept as words of 16 bits, which it holds exactly; rows are
/// Float32.
final class SurveyProgress {
  /// Name of the objective that asks.
  let objective: String
  let survey: Survey
  /// Words of the step and of the images done; then words of the sums, or the rows of all images.
  let state: Tensor
  private static let headerWords = 8

  /// - Parameters:
  ///   - survey: what is asked.
  ///   - objective: who asks.
  ///   - total: number of images of the data set.
  init(_ survey: Survey, of objective: String, images total: Int) {
    self.objective = objective
    self.survey = survey
    numbers = survey.keepsRows ? [] : [Double](repeating: 0, count: survey.width)
    state = Tensor(
      zeros: [SurveyProgress.headerWords + (survey.keepsRows ? total * survey.width : 4 * survey.width)])
  }

  /// Where a checkpoint keeps it, below the objective.
  var name: String { "survey-\(survey.name)" }

  /// The step before which the survey was begun, plus one; 0 before the first.
  private(set) var step = 0
  /// Images whose rows are in the numbers.
  private(set) var images = 0
  /// The sums, or the rows one after the other.
  private var numbers: [Double]

  /// Begins anew, before a step.
  func begin(before step: Int) {
    self.step = step + 1
    images = 0
    numbers = survey.keepsRows ? [] : [Double](repeating: 0, count: survey.width)
    keep()
  }

  /// Adds the sums, or the rows, of the images that follow.
  func add(_ more: [Double], images count: Int) {
    precondition(
      more.count == survey.width * (survey.keepsRows ? count : 1), "\(more.count) numbers of \(count) images")
    if survey.keepsRows {
      numbers += more
    } else {
      for place in numbers.indices { numbers[place] += more[place] }
    }
    images += count
    keep()
  }

  /// Tells the objective the outcome.
  func tell() {
    switch survey.outcome {
    case .sums(let take): take(numbers, images)
    case .rows(let take): take(Tensor(numbers.map { Float($0) }, [images, survey.width]), step - 1)
    }
  }

  /// Takes over what a checkpoint has put into `state`.
  func takeOver() {
    let words = state.values
    let first = SurveyProgress.headerWords
    func number(at place: Int) -> UInt64 { (0..<4).reduce(0) { $0 | UInt64(words[place + $1]) << UInt64(16 * $1) } }
    (step, images) = (Int(clamping: number(at: 0)), Int(clamping: number(at: 4)))
    if survey.keepsRows {
      images = min(images, (state.count - first) / survey.width)
      numbers = words[first..<first + images * survey.width].map { Double($0) }
    } else {
      numbers = (0..<survey.width).map { Double(bitPattern: number(at: first + 4 * $0)) }
    }
  }

  private func keep() {
    let words = [UInt64(step), UInt64(images)] + (survey.keepsRows ? [] : numbers.map(\.bitPattern))
    let rows = survey.keepsRows ? numbers.map { Float($0) } : []
    let header = words.flatMap { number in (0..<4).map { Float(number >> UInt64(16 * $0) & 0xffff) } }
    let rest = [Float](repeating: 0, count: state.count - header.count - rows.count)
    state.assign(Tensor(header + rows + rest, state.shape))
  }
}
