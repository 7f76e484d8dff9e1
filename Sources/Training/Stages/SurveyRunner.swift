// Runs surveys: rounds of images, dealt out in chunks over the ranks and added up along a tree.

import Adaptation
import Collectives
import Domains
import Kernels
import Networks
import Support
import Tensors

/// The surveys of a run's objectives.
///
/// A round is 512 images in 64 chunks of 8. Chunk c is looked at by rank c modulo the world size, image after image; the
/// chunks of a round are added up in pairs, the rounds in order; or all rows are kept in the order of the images. So the
/// outcome has the same bits on any number of ranks.
final class SurveyRunner {
  /// Images of a chunk, and chunks of a round.
  private static let (chunk, chunks) = (8, 64)
  /// How far each is.
  let progress: [SurveyProgress]
  private let data: RunData
  private let student: SegmentationNetwork
  private let communicator: any Communicator

  /// - Parameters:
  ///   - objectives: those of the run.
  ///   - data: the data sets.
  ///   - student: the trained network.
  ///   - communicator: all ranks.
  init(
    _ objectives: [any Objective], _ data: RunData, _ student: SegmentationNetwork, on communicator: any Communicator
  ) {
    self.data = data
    self.student = student
    self.communicator = communicator
    progress = objectives.flatMap { objective in
      objective.surveys.map { survey in
        SurveyProgress(survey, of: objective.name, images: data.images(of: survey)?.count ?? 0)
      }
    }
    let names = progress.map { "\($0.objective)/\($0.name)" }
    precondition(Set(names).count == names.count, "surveys \(names)")
  }

  /// Runs what is due before a step, or the rest of it. A collective.
  /// - Parameters:
  ///   - step: number of the step, from 0.
  ///   - mayGoOn: asked between rounds, the same answer on all ranks.
  ///   - say: prints a line.
  /// - Returns: false if it could not go on: what was added up so far is kept.
  /// - Throws: on all ranks, what reading an image throws.
  func run(before step: Int, while mayGoOn: () throws -> Bool, say: (String) -> Void) throws -> Bool {
    for one in progress where one.survey.isDue(step) {
      let set = try images(one.survey)
      if one.step != step + 1 { one.begin(before: step) }
      guard one.images < set.count else { continue }
      Activity.beside("survey")
      let watch = Stopwatch()
      while one.images < set.count {
        guard try mayGoOn() else { return false }
        let round = one.images..<min(one.images + SurveyRunner.chunk * SurveyRunner.chunks, set.count)
        one.add(try numbers(of: round, set, one.survey), images: round.count)
      }
      one.tell()
      say("\(one.objective): survey of \(set.count) images, \(rounded(watch.seconds, 1)) s")
    }
    return true
  }

  /// Takes over what a checkpoint has put into the states.
  func takeOver() { for one in progress { one.takeOver() } }

  private func images(_ survey: Survey) throws -> any Dataset {
    guard let set = data.images(of: survey) else {
      preconditionFailure("a survey of images that the run does not have")
    }
    return set
  }

  /// The sums of a round, or its rows, on all ranks.
  private func numbers(of round: Range<Int>, _ set: any Dataset, _ survey: Survey) throws -> [Double] {
    let chunks = stride(from: round.lowerBound, to: round.upperBound, by: SurveyRunner.chunk).map {
      $0..<min($0 + SurveyRunner.chunk, round.upperBound)
    }
    let (rank, ranks) = (communicator.rank, communicator.worldSize)
    let own = try communicator.together {
      try stride(from: rank, to: chunks.count, by: ranks).flatMap { try numbers(ofChunk: chunks[$0], set, survey) }
    }
    func length(_ chunk: Int) -> Int { survey.keepsRows ? chunks[chunk].count * survey.width : survey.width }
    let lengths = (0..<ranks).map { stride(from: $0, to: chunks.count, by: ranks).reduce(0) { $0 + length($1) } }
    var told = try communicator.gathered(own, lengths: lengths).map { $0[...] }
    let parts = chunks.indices.map { chunk in
      defer { told[chunk % ranks] = told[chunk % ranks].dropFirst(length(chunk)) }
      return Array(told[chunk % ranks].prefix(length(chunk)))
    }
    return survey.keepsRows ? parts.flatMap { $0 } : SurveyRunner.treeSum(parts)
  }

  /// The sums of a chunk, or its rows.
  private func numbers(ofChunk images: Range<Int>, _ set: any Dataset, _ survey: Survey) throws -> [Double] {
    var sums = [Double](repeating: 0, count: survey.width)
    var rows: [Double] = []
    for index in images {
      // Labels of a target are pseudo-labels of a cache; others are not for training.
      let hasLabels = survey.images == .source || set is CachedLabels
      let (image, labels) = hasLabels ? try set.imageAndLabels(index) : (try set.image(index), nil)
      let row = try survey.row(SurveyedImage(normalisedTensor([image]), labels: labels, student: student))
      precondition(row.count == survey.width, "a row of \(row.count) numbers in a survey of \(survey.width)")
      if survey.keepsRows { rows += row } else { for (place, value) in row.enumerated() { sums[place] += value } }
      Activity.tick()
    }
    return survey.keepsRows ? rows : sums
  }

  /// Neighbours are added first, then neighbouring pairs, and so on.
  static func treeSum(_ rows: [[Double]]) -> [Double] {
    var rows = rows
    var step = 1
    while step < rows.count {
      for first in stride(from: 0, to: rows.count - step, by: 2 * step) {
        for place in rows[first].indices { rows[first][place] += rows[first + step][place] }
      }
      step *= 2
    }
    return rows[0]
  }
}

extension RunData {
  /// The images that a survey looks at; nil if the run has none.
  fileprivate func images(of survey: Survey) -> (any Dataset)? { survey.images == .source ? source : target }
}
