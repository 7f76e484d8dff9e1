// Keeps what the teacher said of every target image: entries go to the rank that owns the image and are published with
// the checkpoint.

import Adaptation
import Collectives
import Domains
import Storage
import Support
import Tensors

/// Writes this rank's part of the pseudo-label cache during training.
///
/// An image belongs to the rank (index modulo world size). An entry is the un-flipped crop pasted into the full image,
/// 255 elsewhere. All functions are called by all ranks.
public final class PseudoLabelRecorder {
  private let communicator: any Communicator
  private let writer: any PseudoLabelCacheWriter
  private let plan: [Int]
  /// Newest entries that the writer does not have yet, by image: compressing every one of them would be wasted.
  private var waiting: [Int: PseudoLabelEntry] = [:]
  private static let waitingPixels = 16 << 20

  /// A recorder that goes on after `completedSteps`, or starts anew at 0.
  ///
  /// - Parameters:
  ///   - plan: rank that answers for each sample of the global batch, as one of those that hold it.
  /// - Throws: what the store throws, on all ranks.
  public init(
    _ store: any PseudoLabelStore, _ origin: PseudoLabelOrigin, completedSteps: Int, plan: [Int],
    on communicator: any Communicator
  ) throws {
    self.communicator = communicator
    self.plan = plan
    writer = try communicator.together {
      completedSteps > 0
        ? try store.resume(origin, completedSteps: completedSteps) : try store.start(origin)
    }
  }

  /// Hands the pseudo-labels of a step to the ranks that own the images.
  public func record(_ pseudo: PseudoLabels, _ provenance: [SampleProvenance], step: Int) throws {
    let height = pseudo.labels.height
    let width = pseudo.labels.width
    let places = try shareProvenance(provenance)
    let first = plan.firstIndex(of: communicator.rank) ?? 0
    for (sample, place) in places.enumerated() {
      let mine = plan[sample] == communicator.rank
      let bytes = mine ? message(pseudo, sample - first) : []
      let received = try communicator.transfer(
        bytes, count: height * width * 5, from: plan[sample], to: place.image % communicator.worldSize)
      guard let received else { continue }
      waiting[place.image] = entry(received, place, height: height, width: width, step: step)
    }
    if waiting.count * writer.origin.height * writer.origin.width > PseudoLabelRecorder.waitingPixels { try flush() }
  }

  private func flush() throws {
    for image in waiting.keys.sorted() {
      if let entry = waiting[image] { try writer.append(entry) }
    }
    waiting.removeAll()
  }

  /// Puts the newest entry of every image on disk.
  public func publish(completedSteps: Int) throws {
    try communicator.together {
      try flush()
      try writer.startGeneration()
      try writer.publish(completedSteps: completedSteps)
    }
  }

  /// Where a sample's crop came from, as all ranks know it.
  private struct Place {
    let image: Int
    let box: Box
    let flipped: Bool
  }

  /// Six numbers a sample, filled in by the rank that holds it and summed.
  private func shareProvenance(_ provenance: [SampleProvenance]) throws -> [Place] {
    var numbers = [Int64](repeating: 0, count: plan.count * 6)
    let first = plan.firstIndex(of: communicator.rank)
    // Ranks that hold a sample without answering for it stay silent.
    for (index, one) in provenance.enumerated() {
      guard let first else { break }
      let values = [one.image, one.box.top, one.box.bottom, one.box.left, one.box.right, one.flipped ? 1 : 0]
      for (position, value) in values.enumerated() { numbers[(first + index) * 6 + position] = Int64(value) }
    }
    let all = try communicator.sumIntegers(numbers).map { Int($0) }
    return (0..<plan.count).map { sample in
      let row = all[sample * 6..<sample * 6 + 6].map { $0 }
      return Place(
        image: row[0], box: Box(top: row[1], bottom: row[2], left: row[3], right: row[4]), flipped: row[5] == 1)
    }
  }

  /// Labels, then the bit patterns of the probabilities.
  private func message(_ pseudo: PseudoLabels, _ local: Int) -> [UInt8] {
    let labels = pseudo.labels.sample(local).values
    return labels
      + pseudo.confidence.sample(local).values.flatMap { value -> [UInt8] in
        let bits = value.bitPattern
        return [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: bits >> $0) }
      }
  }

  private func entry(_ bytes: [UInt8], _ place: Place, height: Int, width: Int, step: Int) -> PseudoLabelEntry {
    let origin = writer.origin
    var labels = LabelMap(height: origin.height, width: origin.width)
    var probabilities = [Float](repeating: 0, count: origin.height * origin.width)
    for row in 0..<height {
      for column in 0..<width {
        let source = row * width + (place.flipped ? width - 1 - column : column)
        let target = (place.box.top + row) * origin.width + place.box.left + column
        labels.values[target] = bytes[source]
        let start = height * width + 4 * source
        let bits = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
        probabilities[target] = Float(bitPattern: bits)
      }
    }
    return PseudoLabelEntry(
      image: place.image, step: step, labels: labels, probabilities: probabilities, threshold: origin.threshold)
  }
}
