// Class centroids of DiGA (Shen et al., CVPR 2023): 05-diga.h5. N samples, h×w cells, K classes, C channels.

import Adaptation
import Kernels
import Support
import Tensors

/// Labels that the nearest centroid agrees with.
enum ConsensusKind: Kind {
  static let stems = ["consensus"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let features = try replay.map("features")
    let centroids = try replay.centroids(channels: features.channels)
    let offline = try replay.labels("offline", classes: centroids.values.samples)
    guard offline.samples == features.samples else { throw fixture.bad(group, "\(offline.samples) label maps") }
    let nearest = centroids.nearestLabels(features, height: offline.height, width: offline.width)
    try verifier.element(replay.path("out/scores"), centroids.scores(features))
    try verifier.integers(replay.path("out/nearest"), bytes: nearest.values)
    try verifier.integers(replay.path("out/labels"), bytes: offline.agreeing(with: nearest).values)
  }
}

/// Centroids that move by vectors of target images, then of source images.
enum CentroidMoveKind: Kind {
  static let stems = ["centroids"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    var centroids: ClassCentroids?
    for domain in ["target", "source"] {
      let (features, logits) = (try replay.map("\(domain)_features"), try replay.map("\(domain)_logits"))
      let own = try centroids ?? replay.centroids(channels: features.channels)
      centroids = own
      let labels = try fixture.labels(replay.path("in/\(domain)_labels"))
      guard features.shape == [labels.samples, labels.height, labels.width, own.values.channels],
        logits.channels == own.values.samples, logits.samples == labels.samples
      else { throw fixture.bad(group, "features \(features.shape), logits \(logits.shape)") }
      let found = classVectors(
        features, logits: logits, labels: labels, least: Int(replay.number("least", 5)))
      let ids = found.enumerated().flatMap { image, vectors in vectors.flatMap { [image, $0.label] } }
      try verifier.integers(replay.path("out/\(domain)_ids"), actual: ids)
      own.move(by: found.flatMap { $0 }, momentum: replay.number("momentum", 1e-4))
    }
    try verifier.element(replay.path("state_after/centroids"), actual: centroids?.values.values ?? [])
  }
}

/// First centroids: plain means, counts capped or not.
enum CentroidStartKind: Kind {
  static let stems = ["centroidInit"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let replay = try TermReplay(group, fixture)
    let (features, logits) = (try replay.map("features"), try replay.map("logits"))
    let centroids = try replay.centroids(channels: features.channels)
    var counts = try fixture.integers(replay.path("state_before/counts")).values
    guard counts.count == centroids.values.samples, logits.channels == counts.count,
      counts.allSatisfy({ (0..<1 << 30).contains($0) })
    else { throw fixture.bad(group, "\(counts.count) counts") }
    let cap = replay.number("cap", .nan)
    centroids.average(
      classVectors(features, logits: logits, least: 5).flatMap { $0 }, counts: &counts,
      cap: cap.isNaN ? nil : Int(cap))
    try verifier.element(replay.path("state_after/centroids"), actual: centroids.values.values)
    try verifier.integers(replay.path("state_after/counts"), actual: counts)
  }
}

extension TermReplay {
  /// The centroids of the file.
  fileprivate func centroids(channels: Int) throws -> ClassCentroids {
    let values = try fixture.tensor(path("state_before/centroids"))
    guard values.shape.rank == 2, (1...255).contains(values.samples), values.channels == channels else {
      throw fixture.bad(path("state_before/centroids"), "centroids \(values.shape) for \(channels) channels")
    }
    let centroids = ClassCentroids(classes: values.samples, channels: channels)
    centroids.values.assign(values)
    return centroids
  }
}
