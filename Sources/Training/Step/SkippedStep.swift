// What is written down about a step that was left out: why, and which crops it was made of.

import Collectives
import Domains
import Foundation
import Support

/// A step that the optimizer did not use, as the log tells it.
public struct SkippedStep: Codable, Sendable, Equatable {
  /// Where a crop came from.
  public struct Crop: Codable, Sendable, Equatable {
    /// Index of the image in its data set.
    public var image: Int
    /// Name of the image.
    public var name: String
    /// Top, bottom, left and right of the crop in pixels of the resized image.
    public var box: [Int]
    /// Whether it was mirrored.
    public var flipped: Bool

    init(_ place: SampleProvenance) {
      image = place.image
      name = place.name
      box = [place.box.top, place.box.bottom, place.box.left, place.box.right]
      flipped = place.flipped
    }
  }

  /// A sample of the global batch.
  public struct Sample: Codable, Sendable, Equatable {
    /// Its index.
    public var sample: Int
    /// The labelled crop; nil for methods without a source.
    public var source: Crop?
    /// The unlabelled crop; nil for methods that do not adapt.
    public var target: Crop?
    /// The crop of a few labelled target images; nil for methods that do not learn from them.
    public var fewShot: Crop?
  }

  /// Why it was left out.
  public var reason: String
  /// All samples of the global batch.
  public var samples: [Sample]

  /// Gathers the samples of all ranks. Called by all ranks.
  init(_ reason: String, _ batches: [DomainBatch], on communicator: any Communicator) throws {
    let own = batches.flatMap { batch in
      batch.samples.enumerated().map { place, index in
        Sample(
          sample: index, source: batch.source.map { Crop($0.provenance[place]) },
          target: batch.target.map { Crop($0.provenance[place]) },
          fewShot: batch.fewShot.map { Crop($0.provenance[place]) })
      }
    }
    let texts = try communicator.gatherStrings(try communicator.together { try jsonLine(own) })
    let all = try communicator.together {
      try texts.flatMap { try JSONDecoder().decode([Sample].self, from: Foundation.Data($0.utf8)) }
    }
    self.reason = reason
    // Ranks that share out crops hold the same samples.
    samples = all.reduce(into: []) { samples, one in
      if !samples.contains(where: { $0.sample == one.sample }) { samples.append(one) }
    }
    .sorted { $0.sample < $1.sample }
  }
}
