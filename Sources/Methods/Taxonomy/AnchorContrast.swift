// The uncertainty-rectified contrast of TADA (Gong et al., ECCV 2022): cells of one class attract each other, those of
// others repel, and a pair counts as much as the network is sure of both. N local samples, h×w cells, C channels.

import Adaptation
import Autograd
import Kernels
import Networks
import Tensors

/// Cells that are contrasted, sample by sample.
public struct Anchors {
  /// A cell.
  public struct Cell: Sendable, Equatable {
    /// Its place, `y · w + x`.
    public let position: Int32
    /// Its class.
    public let label: UInt8
    /// How sure the network is of its own prediction there.
    public let certainty: Float

    /// From its parts.
    public init(position: Int32, label: UInt8, certainty: Float) {
      self.position = position
      self.label = label
      self.certainty = certainty
    }
  }

  /// Of each local sample, pair after pair.
  public let samples: [[Cell]]
  /// Room for the cells of a sample, the same for all samples of all ranks.
  public let room: Int

  /// From its parts.
  /// - Precondition: every sample's cells have room.
  public init(_ samples: [[Cell]], room: Int) {
    precondition(samples.allSatisfy { $0.count <= room }, "\(samples.map(\.count)) cells in room for \(room)")
    self.samples = samples
    self.room = room
  }

  /// The contrast of all ranks' cells, as `pairContrast` defines it. A collective: called by all ranks.
  /// - Parameters:
  ///   - embedding: [N, h, w, C], mostly of unit length; the gradient goes to it.
  ///   - cellsPerPair: nil attaches certainties to their cells; the number of cells of each pair attaches them in the
  ///     order of the released code, which lists features cell by cell over all pairs and certainties pair by pair.
  ///   - temperature: above 0.
  ///   - factor: weight of the term.
  ///   - name: name of the term.
  ///   - context: names the ranks.
  public func contrast(
    _ embedding: Variable, mixingCertainties cellsPerPair: Int? = nil, temperature: Float, factor: Float, name: String,
    _ context: ForwardContext
  ) throws -> LossTerm {
    guard room > 0 else { return LossTerm(name: name, perSample: samples.map { _ in 0 }) }
    func padded<Value>(_ value: (Cell) -> Value, _ filling: Value) -> [[Value]] {
      samples.map { $0.map(value) + [Value](repeating: filling, count: room - $0.count) }
    }
    let vectors = gathered(embedding, at: padded(\.position, 0).flatMap { $0 }, perSample: room, context)
    var asked = PassStatistics()
    asked.rows("vectors", samples.indices.map { Array(vectors.value.sample($0).values) })
    asked.rows("labels", padded({ Float($0.label) }, Float(LabelMap.ignored)))
    asked.rows("certainties", padded(\.certainty, 0))
    let all = try PassTotals.exchanged([asked], samples: samples.count, on: context.communicator)[0]
    let labels = all.rows("labels").joined().map { UInt8($0) }
    var certainties = Array(all.rows("certainties").joined())
    if let cellsPerPair { certainties = Anchors.mixed(certainties, labels, cellsPerPair) }
    return try pairContrast(
      vectors, among: Tensor(Array(all.rows("vectors").joined()), [labels.count, embedding.value.channels]),
      labels: labels, weights: certainties, temperature: temperature, factor: factor, name: name, context)
  }

  /// Certainties in the released code's order: cell v of pair p is given that of place v · P + p among all.
  private static func mixed(_ certainties: [Float], _ labels: [UInt8], _ cellsPerPair: Int) -> [Float] {
    let places = labels.indices.filter { labels[$0] != LabelMap.ignored }
    let pairs = places.count / max(1, cellsPerPair)
    precondition(pairs * cellsPerPair == places.count, "\(places.count) cells in pairs of \(cellsPerPair)")
    var mixed = certainties
    for (index, place) in places.enumerated() {
      mixed[place] = certainties[places[index % cellsPerPair * pairs + index / cellsPerPair]]
    }
    return mixed
  }
}

/// The projection on whose output TADA contrasts: 1×1 convolution, batch norm, ReLU, 1×1 convolution, unit length.
public struct ContrastProjection {
  private let convolutions: [(weight: Parameter, bias: Parameter)]
  private let norm: BatchNormState

  /// Declares the parameters under the released names: `0`, `1` and `3`.
  /// - Parameters:
  ///   - registry: collects them.
  ///   - name: their prefix.
  ///   - channels: of the map.
  ///   - outputs: of the projection.
  ///   - isTrained: whether they learn.
  public init(
    _ registry: ParameterRegistry, _ name: String, channels: Int, outputs: Int = 256, isTrained: Bool = true
  ) {
    func declare(_ index: Int, _ outputs: Int) -> (weight: Parameter, bias: Parameter) {
      (
        registry.declare(
          "\(name).\(index).weight", [outputs, channels, 1, 1], .heNormal(outputs: outputs, taps: 1),
          isTrained: isTrained),
        registry.declare("\(name).\(index).bias", [outputs], .constant(0), isTrained: isTrained)
      )
    }
    let first = declare(0, channels)
    norm = registry.declareBatchNorm("\(name).1", channels: channels, isTrained: isTrained)
    convolutions = [first, declare(3, outputs)]
  }

  /// Unit vectors [N, h, w, outputs] of a map [N, h, w, C]. A collective where batch norm uses batch statistics.
  public func callAsFunction(_ map: Variable, _ context: ForwardContext) throws -> Variable {
    let geometry = ConvolutionGeometry(kernel: 1)
    let hidden = try batchNorm(
      convolution(map, convolutions[0].weight, convolutions[0].bias, geometry, context), norm, rectifier: .relu, context
    )
    return unitLength(
      convolution(hidden, convolutions[1].weight, convolutions[1].bias, geometry, context), context)
  }
}
