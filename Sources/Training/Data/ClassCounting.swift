// Class pixels of the source labels: counted once, by all ranks together, and kept for every later start.
// K classes.

import Collectives
import Domains
import Foundation
import Recipes
import Support
import Tensors

/// Class pixels of a run's labels, as far as they were needed.
struct RunCounts {
  /// Of the source; nil where it is known and nobody needs it.
  var source: ClassStatistics?
  /// Of the validation set; nil where it is known, or there is none.
  var validation: ClassStatistics?
  /// Of the images that a few are chosen from; nil where there are none.
  var fewShot: ClassStatistics?
  /// Whether the source has not been found good before.
  let sourceIsNew: Bool

  /// Lines about labels that are allowed but hardly meant, of the sets that have not been found good before. Classes
  /// that count as another need no pixel to be scored, those of few-shot images none in the source.
  /// - Throws: `Failure` 65 if the recipe's classes to score do not fit.
  func warnings(_ recipe: Recipe, _ classes: ClassSet) throws -> [String] {
    let scoredAs = try recipe.scoredAs(classes)
    let few = recipe.data.fewShot
    let ofSource =
      sourceIsNew
      ? source?.warnings(of: "data.source", classes: classes.names) { few?.classes.contains($0) != true } : nil
    let ofValidation = validation?.warnings(of: "data.validation", classes: classes.names) {
      Int(scoredAs[$0]) == $0
    }
    let scarce = (few?.classes ?? []).compactMap { label -> String? in
      guard let wanted = few?.perClass, let fewShot else { return nil }
      let found = fewShot.images(of: label, moreThan: 0).count
      return found < wanted ? "data.fewShot: \(found) of \(wanted) images show \(classes.names[label])" : nil
    }
    return (ofSource ?? []) + (ofValidation ?? []) + scarce
  }
}

/// How a run comes by the class pixels of its source labels.
public struct ClassCounting {
  /// The run's folder, held by rank 0, where counts are kept; nil on other ranks, or keeps none.
  private let directory: RunDirectory?
  /// What the labels of the run were; nil on other ranks, or for a run that begins.
  private let former: DataComparison?
  /// Folders of runs that came before in a chain.
  private let earlier: [String]
  /// An index that the user names besides; nil for none.
  private let index: String?
  private let say: (String) -> Void
  /// Seconds between two lines of progress.
  private static let interval = 3.0

  /// - Parameters:
  ///   - directory: the run's folder, held by rank 0, where counts are kept; nil on other ranks, or keeps none.
  ///   - former: what the data of the run were, on rank 0; nil for a run that begins.
  ///   - earlier: folders of runs that came before in a chain, whose counts serve where they are of the same labels.
  ///   - index: an index file that may serve instead of counting, as `apus data index` or another run wrote it.
  ///   - say: prints a line of progress; called on rank 0.
  public init(
    keptIn directory: RunDirectory? = nil, former: DataComparison? = nil, earlier: [String] = [],
    orReadFrom index: String? = nil, say: @escaping (String) -> Void = { _ in }
  ) {
    self.directory = directory
    self.former = former
    self.earlier = earlier
    self.index = index
    self.say = say
  }

  /// The counts of a run's labels: of the source where it is new or somebody needs them, of the validation set where it
  /// is new, and of the images that a few are chosen from. Every label of these is read, or was, and its ids are
  /// checked. A collective.
  /// - Parameters:
  ///   - data: the data sets.
  ///   - recipe: the recipe; rare class sampling needs the source's.
  ///   - countsClasses: whether an objective needs the source's.
  ///   - isNew: whether a set has not been found good before, in the order of `RunData.lookedAt`; nil looks at none.
  ///   - communicator: the ranks.
  /// - Throws: on all ranks, as the function below; `Failure` 65 if the labels are not those of the run's checkpoint.
  func counts(
    of data: RunData, _ recipe: Recipe, countsClasses: Bool, isNew: [Bool]?, on communicator: any Communicator
  ) throws -> RunCounts {
    let classCount = data.classes.count
    let news = zip(data.lookedAt(recipe), isNew ?? []).filter(\.1).map(\.0.name)
    var counts = RunCounts(sourceIsNew: news.contains("data.source"))
    if let source = data.source, counts.sourceIsNew || countsClasses || recipe.rareClassSampling.enabled {
      counts.source = try statistics(of: source, classCount: classCount, on: communicator) {
        try former?.check(counts: $0.digest, data.identities, recipe)
      }
    }
    // Scenes that are drawn have the right labels, however many there are.
    if news.contains("data.validation"), let validation = data.validation, validation.identity.drawing == nil {
      counts.validation = try statistics(of: validation, classCount: classCount, on: communicator)
    }
    counts.fewShot = try data.fewShot.map { try statistics(of: $0, classCount: classCount, on: communicator) }
    return counts
  }

  /// Reads the counts of a data set where they are kept, else counts and keeps them. A collective.
  ///
  /// Counts are kept by the digest of the data, so that those of other data are never taken for them.
  /// - Parameters:
  ///   - dataset: the labelled set.
  ///   - classCount: number of classes K.
  ///   - communicator: the ranks.
  ///   - check: throws for counts that may not be used or kept.
  /// - Throws: on all ranks, what reading a label throws, and `check`; `Failure` 66 if the index that the user named is
  ///   missing; 75 if a signal asked to stop.
  public func statistics(
    of dataset: any Dataset, classCount: Int, on communicator: any Communicator,
    check: (ClassStatistics) throws -> Void = { _ in }
  ) throws -> ClassStatistics {
    Activity.prepare("class index")
    let isRoot = communicator.rank == 0
    let digest = dataset.identity.countsDigest(classCount: classCount)
    let place = directory?.layout.classIndex(digest)
    let places = [place].compactMap(\.self) + earlier.map { RunLayout($0).classIndex(digest) }
    let kept = try communicator.together { isRoot ? try read(places, dataset, classCount) : nil }
    let bytes = try communicator.broadcastBytes(kept?.encoded ?? [])
    let statistics =
      try bytes.isEmpty
      ? count(dataset, classCount, on: communicator)
      : communicator.together { try ClassStatistics(encoded: bytes, place: "the class index of rank 0") }
    try communicator.together { try check(statistics) }
    if let directory, let place, isRoot, !FileManager.default.fileExists(atPath: place) || bytes.isEmpty {
      do {
        try directory.write(String(decoding: statistics.encoded, as: UTF8.self), to: place)
      } catch let failure as Failure {
        say("warning: class counts are not kept: \(failure)")
      }
    }
    return statistics
  }

  /// What is kept for a data set, in the first of some places that has it, or where the user says; nil if nothing fits.
  private func read(_ places: [String], _ dataset: any Dataset, _ classCount: Int) throws -> ClassStatistics? {
    for place in places where FileManager.default.fileExists(atPath: place) {
      do {
        let found = try ClassStatistics(contentsOf: place)
        if found.fits(dataset, classCount: classCount) { return found }
        say("\(place): counts of other data; counting anew")
      } catch let failure as Failure {
        say("\(place): \(failure.what); counting anew")
      }
    }
    guard let index else { return nil }
    let found = try ClassStatistics(contentsOf: index)
    let fits = found.fits(dataset, classCount: classCount)
    say(fits ? "class pixels read from \(index)" : "\(index): counts of other data; counting anew")
    return fits ? found : nil
  }

  /// Counts the labels, dealt out over ranks and their threads, and tells how far it is. A collective.
  /// - Throws: on all ranks, what reading a label throws; `Failure` 75 if a signal asked to stop.
  public func count(
    _ dataset: any Dataset, _ classCount: Int, on communicator: any Communicator
  ) throws -> ClassStatistics {
    let ranks = communicator.worldSize
    // Few enough labels between two agreements that a signal is obeyed at once, enough that no thread waits for long.
    let piece = 4 * Int(try communicator.allMaximum(Int64(WorkerPool.shared.threads)))
    let columns = classCount + 1
    var table = [Int64](repeating: 0, count: dataset.count * columns)
    let whole = Stopwatch()
    var (progress, isTold) = (Stopwatch(), false)
    for start in stride(from: 0, to: dataset.count, by: piece * ranks) {
      let end = min(start + piece * ranks, dataset.count)
      let own = Array(stride(from: start + communicator.rank, to: end, by: ranks))
      let rows = try communicator.together { try ClassStatistics.rows(of: dataset, own, classCount: classCount) }
      for (image, row) in zip(own, rows) {
        for (column, pixels) in row.enumerated() { table[image * columns + column] = Int64(pixels) }
      }
      try communicator.requireNoSignal("while class pixels were counted")
      if communicator.rank == 0, progress.seconds >= ClassCounting.interval, end < dataset.count {
        say("class pixels counted in \(end) of \(dataset.count) labels")
        (progress, isTold) = (Stopwatch(), true)
      }
    }
    if isTold { say("class pixels counted in \(dataset.count) labels, \(rounded(whole.seconds, 1)) s") }
    let sums = try communicator.sumIntegers(table).map { Int($0) }
    return ClassStatistics(
      of: dataset, rows: (0..<dataset.count).map { Array(sums[$0 * columns..<($0 + 1) * columns]) },
      classCount: classCount)
  }
}
