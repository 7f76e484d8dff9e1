// Keeps what the teacher said of every target image: entries go to the rank that owns the image and are published with
// the checkpoint. With a refresh they come back from there instead of from the teacher.
// N samples of a rank, H x W the crop.

import Adaptation
import Collectives
import Domains
import Storage
import Support
import Tensors

/// Writes this rank's part of the pseudo-label cache during training, and reads from all parts.
///
/// An image belongs to the rank (index modulo world size). An entry is the un-flipped crop pasted into the full image,
/// 255 elsewhere; with a refresh, into what the image's entry already holds, until that is begun anew. All functions are
/// called by all ranks.
public final class PseudoLabelRecorder {
  private let communicator: any Communicator
  private let writer: any PseudoLabelCacheWriter
  private let holders: [[Int]]
  private let ownSamples: Range<Int>
  private var ages: PseudoLabelAges
  private let classCount: Int
  private let folder: String
  /// Newest entries that the writer does not have yet, by image: compressing every one of them would be wasted.
  private var waiting: [Int: PseudoLabelEntry] = [:]
  /// Told of every entry on the rank that owns its image.
  var observer: ((PseudoLabelEntry) -> Void)?
  private static let waitingPixels = 16 << 20
  /// Where a checkpoint keeps how often each image's labels have been used.
  static let visitsRecord = "\(Snapshot.objective)/pseudo-labels/visits"

  /// A recorder that goes on after `completedSteps`, or starts anew at 0.
  ///
  /// - Parameters:
  ///   - store: where caches are.
  ///   - origin: what makes the labels.
  ///   - completedSteps: steps that are complete.
  ///   - holders: ranks that hold each sample of the global batch; the first of them speaks for it.
  ///   - ownSamples: indices of this rank's samples in the global batch.
  ///   - ages: how often each image's labels have been used; the same on all ranks.
  ///   - classCount: classes that labels may name.
  ///   - communicator: the ranks.
  /// - Throws: what the store throws, on all ranks; `Failure` 66 if labels are gone that `ages` counts on.
  public init(
    _ store: any PseudoLabelStore, _ origin: PseudoLabelOrigin, completedSteps: Int, holders: [[Int]],
    ownSamples: Range<Int>, ages: PseudoLabelAges, classCount: Int, on communicator: any Communicator
  ) throws {
    self.communicator = communicator
    self.holders = holders
    self.ownSamples = ownSamples
    self.ages = ages
    self.classCount = classCount
    folder = store.folder
    writer = try communicator.together {
      completedSteps > 0
        ? try store.resume(origin, completedSteps: completedSteps) : try store.start(origin)
    }
    try communicator.together { try refuseLostLabels() }
  }

  /// With a refresh, labels serve instead of the teacher: without those that the checkpoint counts on, the run would go
  /// on with other bits.
  private func refuseLostLabels() throws {
    guard ages.period > 0 else { return }
    let lost = ages.labelled.filter { writer.origin.owns(image: $0) && !writer.holds(image: $0) }
    guard let first = lost.first else { return }
    throw Failure(
      .missingInput, "the run's pseudo-labels are missing: \(lost.count) images have none, the first is image \(first)",
      at: folder, remedy: "put the folder back; the checkpoint counts on it")
  }

  /// How often each image's labels have been used, as a checkpoint keeps it; nil without a refresh.
  public var visits: Tensor? { ages.period > 0 ? ages.stored : nil }

  /// What the cache says of this rank's crops of a step; nil where one crop of the global batch is not covered or its
  /// labels have served often enough, and the teacher must look at all.
  public func kept(_ provenance: [SampleProvenance]) throws -> KeptPseudoLabels? {
    guard ages.period > 0 else { return nil }
    let places = try shareProvenance(provenance)
    guard places.allSatisfy({ ages.canServe($0.image) }) else { return nil }
    let owned = try communicator.together { try places.map { try isOwn($0) ? usable($0.image) : nil } }
    let covered = zip(places, owned).filter { place, entry in entry.map { covers($0, place.box) } ?? false }.count
    guard try communicator.sumIntegers([Int64(covered)])[0] == Int64(places.count) else { return nil }
    var crops: [KeptCrop] = []
    for (sample, place) in places.enumerated() {
      let owner = place.image % communicator.worldSize
      let count = KeptCrop.byteCount(place.box)
      let bytes = owned[sample].map { KeptCrop($0, place.box, flipped: place.flipped).bytes } ?? []
      for holder in holders[sample] {
        if let received = try communicator.transfer(bytes, count: count, from: owner, to: holder) {
          crops.append(KeptCrop(received, place.box))
        }
      }
    }
    for place in places { ages.use(place.image) }
    return KeptPseudoLabels(crops)
  }

  /// Hands the teacher's pseudo-labels of a step to the ranks that own the images.
  public func record(_ pseudo: PseudoLabels, _ provenance: [SampleProvenance], step: Int) throws {
    let height = pseudo.labels.height
    let width = pseudo.labels.width
    let places = try shareProvenance(provenance)
    for (sample, place) in places.enumerated() {
      let speaker = holders[sample][0]
      let bytes = speaker == communicator.rank ? message(pseudo, sample - ownSamples.lowerBound) : []
      let received = try communicator.transfer(
        bytes, count: height * width * 5, from: speaker, to: place.image % communicator.worldSize)
      let goesOn = ages.renew(place.image)
      guard let received else { continue }
      let before = goesOn ? try newest(place.image) : nil
      let entry = entry(received, place, height: height, width: width, step: step, onto: before)
      if let observer {
        observer(
          before == nil ? entry : self.entry(received, place, height: height, width: width, step: step, onto: nil))
      }
      waiting[place.image] = entry
    }
    if waiting.count * writer.origin.height * writer.origin.width > PseudoLabelRecorder.waitingPixels { try flush() }
  }

  /// Puts the newest entry of every image on disk.
  /// - Parameters:
  ///   - completedSteps: steps that are complete.
  ///   - step: completed steps of the newest checkpoint on disk; what it needs is kept.
  public func publish(completedSteps: Int, restartingFrom step: Int) throws {
    try communicator.together {
      try flush()
      try writer.startGeneration(restartingFrom: step)
      try writer.publish(completedSteps: completedSteps)
    }
  }

  private func flush() throws {
    for image in waiting.keys.sorted() {
      if let entry = waiting[image] { try writer.append(entry) }
    }
    waiting.removeAll()
  }

  private func newest(_ image: Int) throws -> PseudoLabelEntry? { try waiting[image] ?? writer.newest(image: image) }

  /// The newest entry of an image, to be learned from.
  private func usable(_ image: Int) throws -> PseudoLabelEntry? {
    let entry = try newest(image)
    if let strange = entry?.labels.values.first(where: { $0 != LabelMap.ignored && Int($0) >= classCount }) {
      throw Failure(
        .badData, "image \(image) has a pixel of class \(strange), there are \(classCount) classes", at: folder,
        remedy: "resume from an older checkpoint or move the caches away")
    }
    return entry
  }

  private func isOwn(_ place: Place) -> Bool { place.image % communicator.worldSize == communicator.rank }

  private func covers(_ entry: PseudoLabelEntry, _ box: Box) -> Bool {
    let (width, values) = (entry.labels.width, entry.labels.values)
    return (box.top..<box.bottom).allSatisfy { row in
      !values[row * width + box.left..<row * width + box.right].contains(LabelMap.ignored)
    }
  }

  /// Where a sample's crop came from, as all ranks know it.
  private struct Place {
    let image: Int
    let box: Box
    let flipped: Bool
  }

  /// Six numbers a sample, filled in by the rank that speaks for it and summed.
  private func shareProvenance(_ provenance: [SampleProvenance]) throws -> [Place] {
    var numbers = [Int64](repeating: 0, count: holders.count * 6)
    for (sample, one) in zip(ownSamples, provenance) where holders[sample][0] == communicator.rank {
      let values = [one.image, one.box.top, one.box.bottom, one.box.left, one.box.right, one.flipped ? 1 : 0]
      for (position, value) in values.enumerated() { numbers[sample * 6 + position] = Int64(value) }
    }
    let all = try communicator.sumIntegers(numbers).map { Int($0) }
    return (0..<holders.count).map { sample in
      let row = all[sample * 6..<sample * 6 + 6].map { $0 }
      return Place(
        image: row[0], box: Box(top: row[1], bottom: row[2], left: row[3], right: row[4]), flipped: row[5] == 1)
    }
  }

  /// Labels, then the bit patterns of the probabilities.
  private func message(_ pseudo: PseudoLabels, _ local: Int) -> [UInt8] {
    var bytes = pseudo.labels.sample(local).values
    let pixels = bytes.count
    bytes.reserveCapacity(5 * pixels)
    // Not a tensor of its own: the pool's buffers are for what is computed.
    for value in pseudo.confidence.values[local * pixels..<(local + 1) * pixels] {
      let bits = value.bitPattern
      bytes.append(UInt8(truncatingIfNeeded: bits))
      bytes.append(UInt8(truncatingIfNeeded: bits >> 8))
      bytes.append(UInt8(truncatingIfNeeded: bits >> 16))
      bytes.append(UInt8(truncatingIfNeeded: bits >> 24))
    }
    return bytes
  }

  private func entry(
    _ bytes: [UInt8], _ place: Place, height: Int, width: Int, step: Int, onto before: PseudoLabelEntry?
  ) -> PseudoLabelEntry {
    let origin = writer.origin
    let pixels = origin.height * origin.width
    var labels = before?.labels.values ?? [UInt8](repeating: LabelMap.ignored, count: pixels)
    var confidence = before?.confidence ?? [UInt8](repeating: 0, count: pixels)
    var confident = before?.confident ?? [Bool](repeating: false, count: pixels)
    for row in 0..<height {
      let target = (place.box.top + row) * origin.width + place.box.left
      for column in 0..<width {
        let source = row * width + (place.flipped ? width - 1 - column : column)
        let first = height * width + 4 * source
        let low = UInt32(bytes[first]) | UInt32(bytes[first + 1]) << 8
        let high = UInt32(bytes[first + 2]) | UInt32(bytes[first + 3]) << 8
        let probability = Float(bitPattern: low | high << 16)
        let label = bytes[source]
        labels[target + column] = label
        confidence[target + column] = PseudoLabelEntry.storedConfidence(probability, label: label)
        confident[target + column] = label != LabelMap.ignored && probability >= origin.threshold
      }
    }
    return PseudoLabelEntry(
      image: place.image, step: step,
      labels: LabelMap(height: origin.height, width: origin.width, values: labels), confidence: confidence,
      confident: confident)
  }
}
