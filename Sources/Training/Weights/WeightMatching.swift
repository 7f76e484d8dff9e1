// Which tensor of a file becomes which tensor of a network, and what is told about it.

import Networks
import Support

/// What became of a tensor.
public enum WeightStatus: String, Sendable, Codable, CaseIterable {
  /// Same shape; the values are taken.
  case matched
  /// The same values under another shape or order, such as `[O, I]` for `[O, I, 1, 1]`; they are taken.
  case reshaped
  /// The network has it, the file does not.
  case missing
  /// The file has it, the network does not.
  case unexpected
  /// Known to be of no use, such as the classifier of an encoder.
  case ignored
  /// The shapes or types contradict each other; the file is refused.
  case refused
}

/// One line of the report about a weight file.
public struct WeightLine: Sendable, Codable, Equatable {
  /// The network it is about.
  public let network: WeightOwner
  /// The network's name for it; nil if it has none.
  public let name: String?
  /// The file's name for it; nil if the file has none.
  public let stored: String?
  /// What became of it.
  public let status: WeightStatus
  /// Shape in the network.
  public let shape: [Int]?
  /// Shape in the file.
  public let storedShape: [Int]?
  /// More about it.
  public let note: String?

  /// The line for people.
  public var text: String {
    var parts = ["\(status.rawValue) \(network.rawValue): \(name ?? stored ?? "")"]
    if let shape, let storedShape, shape != storedShape { parts.append("\(storedShape) in the file, \(shape) here") }
    if let stored, let name, !stored.hasSuffix(name) { parts.append("from \(stored)") }
    if let note { parts.append(note) }
    return parts.joined(separator: "; ")
  }
}

/// The tensors of a file matched with those of one network.
public struct WeightMatch: Sendable {
  /// One tensor's source.
  private struct Source {
    let weight: StoredWeight
    let change: WeightChange
  }

  /// What became of every tensor: those of the network in its order, then those that only the file has.
  public let lines: [WeightLine]
  private let sources: [String: Source]

  /// Matches tensors with a network's.
  /// - Parameters:
  ///   - stored: the tensors of one owner, with their names free of the prefixes of wrappers.
  ///   - wanted: names and shapes of the network.
  ///   - owner: the network that they belong to.
  ///   - others: what to say of tensors outside the encoder where only an encoder is wanted; nil judges all tensors.
  public init(
    _ stored: [(name: String, weight: StoredWeight)], _ wanted: [NetworkParameters.Slice], owner: WeightOwner,
    others: String? = nil
  ) {
    let known = Set(wanted.map(\.name))
    let shapes = Dictionary(uniqueKeysWithValues: wanted.map { ($0.name, $0.officialShape) })
    var sources: [String: Source] = [:]
    var found: [String: WeightLine] = [:]
    var rest: [WeightLine] = []
    let coarsestFirst = WeightNames.concatenatesCoarsestFirst(stored.map(\.name))
    for (name, weight) in stored {
      let targets = WeightNames.targets(of: name, among: known, coarsestFirst: coarsestFirst)
      for target in targets {
        let judged = WeightMatch.judge(weight, target, shapes[target.name] ?? [], owner)
        guard sources[target.name] == nil, found[target.name] == nil else {
          rest.append(judged.with(.refused, note: "the file gives it twice"))
          continue
        }
        found[target.name] = judged
        if judged.status != .refused { sources[target.name] = Source(weight: weight, change: target.change) }
      }
      guard targets.isEmpty else { continue }
      let isOther = ["decode_head.", "auxiliary_head."].contains(where: name.hasPrefix)
      let reason = WeightNames.reasonToIgnore(name, among: known) ?? (isOther ? others : nil)
      rest.append(
        WeightLine(
          network: owner, name: nil, stored: weight.name, status: reason == nil ? .unexpected : .ignored, shape: nil,
          storedShape: weight.shape, note: reason))
    }
    self.sources = sources
    lines =
      wanted.map { slice in
        found[slice.name]
          ?? WeightLine(
            network: owner, name: slice.name, stored: nil, status: .missing, shape: slice.officialShape,
            storedShape: nil, note: nil)
      } + rest
  }

  private static func judge(
    _ weight: StoredWeight, _ target: WeightTarget, _ shape: [Int], _ owner: WeightOwner
  ) -> WeightLine {
    let given = target.change.shape(of: weight.shape)
    let fits = given.map { $0.filter { $0 != 1 } == shape.filter { $0 != 1 } } ?? false
    let isSame = given == shape && target.change == .none
    let status: WeightStatus = !fits || !weight.isFloating ? .refused : isSame ? .matched : .reshaped
    let note: String? =
      switch target.change {
      case _ where !weight.isFloating: "holds numbers of type \(weight.element)"
      case _ where !fits: "wrong shape"
      case .none: weight.element == "float32" ? nil : "converted from \(weight.element)"
      case .rows(let part, let count): "rows \(part.lowerBound) to \(part.upperBound - 1) of \(count)"
      case .reversedInputs: "inputs in reversed order"
      }
    return WeightLine(
      network: owner, name: target.name, stored: weight.name, status: status, shape: shape, storedShape: weight.shape,
      note: note)
  }

  /// Throws unless the file gives this network exactly what it has.
  /// - Parameters:
  ///   - partial: whether tensors may be missing or left over.
  ///   - remedy: what to do about missing or unexpected tensors.
  ///   - path: the file, for messages.
  /// - Throws: `Failure` 65 that counts what does not fit and names the first.
  public func require(partial: Bool, remedy: String, at path: String) throws {
    let tolerated: [WeightStatus] = partial ? [.refused] : [.refused, .missing, .unexpected]
    for status in tolerated {
      let bad = lines.filter { $0.status == status }
      guard let first = bad.first else { continue }
      throw Failure(
        .badData, bad.count == 1 ? first.text : "\(first.text), and \(bad.count - 1) more \(status.rawValue)", at: path,
        remedy: status == .refused ? "this file is of another network; change the recipe or the file" : remedy)
    }
  }

  /// Gives the network the values that the file has.
  /// - Throws: `Failure` 65 if a value is not finite; the network must not be used then.
  public func load(into parameters: NetworkParameters) throws {
    for slice in parameters.slices + parameters.bufferSlices {
      guard let source = sources[slice.name] else { continue }
      let values = source.change.applied(to: try source.weight.values(), source.weight.shape)
      if !parameters.load(values, named: slice.name, into: parameters.values) {
        parameters.loadBuffer(values, named: slice.name)
      }
    }
  }
}

extension WeightLine {
  fileprivate func with(_ status: WeightStatus, note: String) -> WeightLine {
    WeightLine(
      network: network, name: name, stored: stored, status: status, shape: shape, storedShape: storedShape, note: note)
  }
}

extension NetworkParameters {
  /// Every tensor of the network: parameters, then running statistics.
  var allSlices: [Slice] { slices + bufferSlices }
}
