// Pseudo-labels that are kept and used again: when they serve, what they say, and on which rank.

import Adaptation
import Collectives
import CollectivesTesting
import Domains
import Storage
import StorageHDF5
import Support
import Tensors
import TestSupport
import Testing
import Training

@Suite struct PseudoLabelRecorderTests {
  /// Rows and columns of the images and of a crop.
  private static let image = PixelSize(height: 4, width: 12)
  private static let crop = PixelSize(height: 4, width: 6)

  private func recorder(
    _ store: HDF5PseudoLabelStore, _ communicator: any Communicator, period: Int, samples: Int
  ) throws -> PseudoLabelRecorder {
    let (rank, ranks) = (communicator.rank, communicator.worldSize)
    let origin = PseudoLabelOrigin(
      teacherDigest: "aa", recipeDigest: "bb", threshold: 0.5, height: PseudoLabelRecorderTests.image.height,
      width: PseudoLabelRecorderTests.image.width, rank: rank, worldSize: ranks)
    let each = samples / ranks
    return try PseudoLabelRecorder(
      store, origin, completedSteps: 0, holders: (0..<samples).map { [$0 / each] },
      ownSamples: rank * each..<(rank + 1) * each, ages: PseudoLabelAges(period: period, images: 5), classCount: 3,
      on: communicator)
  }

  private func place(_ image: Int, left: Int, flipped: Bool = false) -> SampleProvenance {
    SampleProvenance(
      image: image, name: "\(image)", imageSize: PseudoLabelRecorderTests.image,
      box: Box(top: 0, bottom: 4, left: left, right: left + 6), flipped: flipped, rareClass: nil)
  }

  /// The class a pixel of an image is given: a function of the image and its column.
  private func label(_ image: Int, column: Int) -> UInt8 { UInt8((column + image) % 3) }

  /// What a teacher that follows `label` says of crops, with a confidence of 0.576 for class 0 and 0.974 for others.
  private func pseudoLabels(_ places: [SampleProvenance], _ share: BatchShare) throws -> PseudoLabels {
    let size = PseudoLabelRecorderTests.crop
    let values = places.flatMap { place in
      (0..<size.height * size.width).flatMap { index -> [Float] in
        let column = index % size.width
        let label = self.label(
          place.image, column: place.box.left + (place.flipped ? size.width - 1 - column : column))
        return (0..<3).map { $0 == label ? (label == 0 ? 1 : 4.3) : 0 }
      }
    }
    return try PseudoLabels(
      Tensor(values, [places.count, size.height, size.width, 3]), valid: nil, threshold: 0.5, share)
  }

  @Test(arguments: [1, 2]) func keptLabelsAreThoseOfTheTeacher(ranks: Int) throws {
    let folder = try TemporaryFolder()
    let store = HDF5PseudoLabelStore(folder: folder.path)
    let rounds = [
      [place(3, left: 0), place(0, left: 6)], [place(3, left: 6, flipped: true), place(0, left: 0)],
      [place(0, left: 3, flipped: true), place(3, left: 2)],
    ]
    _ = try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let recorder = try self.recorder(store, communicator, period: 2, samples: 2)
      let own = communicator.rank * 2 / ranks..<(communicator.rank + 1) * 2 / ranks
      let share = BatchShare(communicator: communicator, globalBatch: 2, samples: own)
      for (step, round) in rounds.enumerated() {
        let mine = Array(round[own])
        let said = try self.pseudoLabels(mine, share)
        let kept = try recorder.kept(mine)
        #expect((kept != nil) == (step == 2), "the first two visits cover the images in halves")
        if step == 1 { try recorder.publish(completedSteps: 2, restartingFrom: 0) }
        guard let kept else {
          try recorder.record(said, mine, step: step)
          continue
        }
        #expect(kept.labels == said.labels)
        let stored = said.confidence.values.map { Float(UInt8(255 * $0)) / 255 }
        #expect(kept.confidence.values == stored)
        #expect(kept.confidentPixels == Array(repeating: 24, count: mine.count))
      }
      let last = try recorder.kept(Array(rounds[0][own]))
      #expect(last == nil, "after two visits the labels are begun anew")
    }
  }

  @Test func agesCountVisitsAndComeBackFromACheckpoint() {
    var ages = PseudoLabelAges(period: 2, images: 3)
    #expect(!ages.canServe(1))
    #expect(ages.renew(1) == false)
    #expect(ages.canServe(1) && !ages.canServe(0))
    ages.use(1)
    #expect(ages.renew(1) == true)
    #expect(ages.stored.values == [0, 3, 0])
    var again = PseudoLabelAges(period: 2, images: 3, stored: ages.stored)
    #expect(!again.canServe(1))
    #expect(again.renew(1) == false)
    #expect(again.stored.values == [0, 1, 0])
  }

  @Test func withoutARefreshNothingIsKept() throws {
    let folder = try TemporaryFolder()
    let communicator = SoloCommunicator()
    let recorder = try recorder(
      HDF5PseudoLabelStore(folder: folder.path), communicator, period: 0, samples: 1)
    let share = BatchShare(communicator: communicator, globalBatch: 1, samples: 0..<1)
    try recorder.record(try pseudoLabels([place(2, left: 1)], share), [place(2, left: 1)], step: 0)
    #expect(try recorder.kept([place(2, left: 1)]) == nil)
    #expect(recorder.visits == nil)
  }

  @Test(arguments: [false, true]) func anEntryIsTheCropInTheWholeImage(flipped: Bool) throws {
    let folder = try TemporaryFolder()
    let store = HDF5PseudoLabelStore(folder: folder.path)
    let communicator = SoloCommunicator()
    let recorder = try recorder(store, communicator, period: 0, samples: 1)
    let place = place(2, left: 1, flipped: flipped)
    let said = try pseudoLabels([place], BatchShare(communicator: communicator, globalBatch: 1, samples: 0..<1))
    try recorder.record(said, [place], step: 7)
    try recorder.publish(completedSteps: 8, restartingFrom: 0)
    var labels = LabelMap(height: 4, width: 12)
    var probabilities = [Float](repeating: 0, count: 48)
    for row in 0..<4 {
      for column in 0..<6 {
        let source = 6 * row + (flipped ? 5 - column : column)
        labels.values[12 * row + 1 + column] = said.labels.values[source]
        probabilities[12 * row + 1 + column] = said.confidence.values[source]
      }
    }
    let wanted = PseudoLabelEntry(image: 2, step: 7, labels: labels, probabilities: probabilities, threshold: 0.5)
    #expect(try store.reader(rank: 0, expecting: nil).entry(at: 0) == wanted)
  }

  @Test(arguments: [1, 2]) func labelsThatACheckpointCountsOnMustBeThere(ranks: Int) throws {
    let folder = try TemporaryFolder()
    let store = HDF5PseudoLabelStore(folder: folder.path)
    @Sendable func recorder(_ communicator: any Communicator, period: Int) throws -> PseudoLabelRecorder {
      let origin = PseudoLabelOrigin(
        teacherDigest: "aa", recipeDigest: "bb", threshold: 0.5, height: 4, width: 12, rank: communicator.rank,
        worldSize: communicator.worldSize)
      let ages = PseudoLabelAges(period: period, images: 5, stored: Tensor([0, 1, 0, 2, 0], [5]))
      return try PseudoLabelRecorder(
        store, origin, completedSteps: 3, holders: [[0]], ownSamples: 0..<(communicator.rank == 0 ? 1 : 0), ages: ages,
        classCount: 3, on: communicator)
    }
    _ = try LoopbackCommunicator.run(ranks: ranks) { communicator in
      _ = try recorder(communicator, period: 0)
      let failure = #expect(throws: Failure.self) { try recorder(communicator, period: 2) }
      #expect(failure?.status == .missingInput && failure?.place?.contains(folder.path) == true)
      #expect(failure?.what.hasPrefix("the run's pseudo-labels are missing") == true)
    }
  }

  @Test func labelsOfNoClassAreNotLearnedFrom() throws {
    let folder = try TemporaryFolder()
    let store = HDF5PseudoLabelStore(folder: folder.path)
    let origin = PseudoLabelOrigin(
      teacherDigest: "aa", recipeDigest: "bb", threshold: 0.5, height: 4, width: 12, rank: 0, worldSize: 1)
    let writer = try store.start(origin)
    let labels = LabelMap(height: 4, width: 12, values: [UInt8](repeating: 3, count: 48))
    try writer.append(
      PseudoLabelEntry(
        image: 1, step: 0, labels: labels, probabilities: [Float](repeating: 1, count: 48), threshold: 0.5))
    try writer.publish(completedSteps: 1)
    let recorder = try PseudoLabelRecorder(
      store, origin, completedSteps: 1, holders: [[0]], ownSamples: 0..<1,
      ages: PseudoLabelAges(period: 2, images: 2, stored: Tensor([0, 1], [2])), classCount: 3, on: SoloCommunicator())
    let failure = #expect(throws: Failure.self) { try recorder.kept([place(1, left: 0)]) }
    #expect(failure?.status == .badData && failure?.what == "image 1 has a pixel of class 3, there are 3 classes")
  }
}
