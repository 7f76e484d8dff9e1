// The network that a reference file was made with, as its `config` describes it, and its weights.

import Autograd
import Collectives
import Foundation
import Networks
import Support
import Tensors

/// `config.net` of a reference file.
struct NetworkDescription: Decodable {
  struct EncoderSizes: Decodable {
    let widths: [Int]
    let heads: [Int]
    let depths: [Int]
    let reductions: [Int]
    let mlpRatio: Int
    let dropPath: Float
  }

  let encoder: EncoderSizes
  let classes: Int
  let headWidth: Int
  let attentionWidth: Int
  let dilations: [Int]
  let headDropout: Float
  let contextScale: Double
  let detailCrop: [Int]
  let detailOverlap: Bool

  /// Reads the description of a file.
  /// - Throws: `Failure` 65 if there is none or no such network can be built.
  static func read(_ fixture: Fixture) throws -> NetworkDescription {
    struct Root: Decodable { let net: NetworkDescription }
    let net = try fixture.configuration(Root.self).net
    func require(_ holds: Bool, _ what: String) throws {
      guard holds else { throw fixture.bad("", "config.net: \(what)") }
    }
    let sizes = net.encoder
    let stages = [sizes.widths, sizes.heads, sizes.depths, sizes.reductions]
    try require(stages.allSatisfy { $0.count == 4 && $0.allSatisfy { 1...4096 ~= $0 } }, "an encoder has four stages")
    try require(zip(sizes.widths, sizes.heads).allSatisfy { $0 % $1 == 0 }, "heads do not divide widths")
    try require(1...64 ~= sizes.mlpRatio && 1...255 ~= net.classes, "sizes out of range")
    try require([net.headWidth, net.attentionWidth].allSatisfy { 1...4096 ~= $0 }, "head widths out of range")
    try require(!net.dilations.isEmpty && net.dilations.allSatisfy { 1...1024 ~= $0 }, "dilations out of range")
    try require(sizes.dropPath == 0 && net.headDropout == 0, "dropout cannot be repeated")
    try require(net.reduction >= 1 && 1 / Double(net.reduction) == net.contextScale, "context_scale is no 1/n")
    try require(net.detailCrop.count == 2 && net.detailCrop.allSatisfy { $0 > 0 && $0 % 4 == 0 }, "no such detail_crop")
    return net
  }

  /// Image pixels per context pixel.
  var reduction: Int { contextScale > 0 && contextScale <= 1 ? Int(clamping: (1 / contextScale).rounded()) : 0 }

  /// The network's configuration.
  var configuration: NetworkConfiguration {
    let variant = MixTransformerVariant(
      "described", widths: encoder.widths, heads: encoder.heads, depths: encoder.depths,
      reductions: encoder.reductions, expansion: encoder.mlpRatio)
    var configuration = NetworkConfiguration(
      encoder: .mixTransformer(variant), classCount: classes, detailHeight: detailCrop[0], detailWidth: detailCrop[1],
      headWidth: headWidth, attentionWidth: attentionWidth)
    configuration.encoderOptions = EncoderOptions(dropPath: 0)
    configuration.headDropout = 0
    configuration.dilations = dilations
    configuration.contextReduction = reduction
    configuration.detailOverlap = detailOverlap
    return configuration
  }
}

extension Fixture {
  /// The hyperparameters that made the file.
  /// - Throws: `Failure` 65 if something is missing or of another kind.
  func configuration<Content: Decodable>(_ type: Content.Type) throws -> Content {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    do {
      return try decoder.decode(type, from: Data((try file.text("config", of: "") ?? "{}").utf8))
    } catch let error as DecodingError {
      throw bad("", "config does not describe it: \(error)")
    }
  }

  /// The network that the file describes, with the weights of `weights.h5` beside it.
  /// - Throws: `Failure` 65 or 66 if there are none or they are not those of the network.
  func network(_ description: NetworkDescription, gradientSlots: Int) throws -> SegmentationNetwork {
    let network = try SegmentationNetwork(description.configuration, gradientSlots: gradientSlots, seed: 0)
    try load("student", into: network.parameters)
    return network
  }

  /// The frozen encoder of the feature distance.
  /// - Throws: as `network`.
  func referenceEncoder(_ description: NetworkDescription) throws -> ReferenceEncoder {
    let encoder = try ReferenceEncoder(description.configuration, seed: 0)
    try load("frozen_encoder", into: encoder.parameters)
    return encoder
  }

  private func load(_ group: String, into parameters: NetworkParameters) throws {
    let weights = try weights()
    var missing = Set((parameters.slices + parameters.bufferSlices).map(\.name))
    let shapes = Dictionary(
      uniqueKeysWithValues: (parameters.slices + parameters.bufferSlices).map { ($0.name, $0.officialShape) })
    for path in weights.datasets(under: group) {
      let name = String(path.dropFirst(group.count + 1))
      let (values, shape) = try weights.floats(path)
      guard missing.remove(name) != nil, shapes[name] == shape else {
        throw weights.bad(path, "shape \(shape) instead of \(shapes[name]?.description ?? "none") of the network")
      }
      _ = parameters.load(values, named: name, into: parameters.values) || parameters.loadBuffer(values, named: name)
    }
    if let name = missing.min() { throw weights.bad("\(group)/\(name)", "is missing") }
  }
}

/// A context for a batch held by one rank.
func oneRankContext(_ samples: Int, tape: Tape? = nil, _ mode: NormalizationMode) -> ForwardContext {
  ForwardContext(
    tape: tape, normalization: mode, communicator: SoloCommunicator(), globalBatch: samples, firstSample: 0)
}
