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

    /// Whether both are different parts of one tensor.
    func completes(_ others: [Source]) -> Bool {
      guard case .part(let own, _) = change else { return false }
      return others.allSatisfy { if case .part(let other, _) = $0.change { other != own } else { false } }
    }

    /// How many sources the tensor needs.
    var count: Int { if case .part(_, let count) = change { count } else { 1 } }

    /// The place among them.
    var place: Int { if case .part(let place, _) = change { place } else { 0 } }
  }

  /// What became of every tensor: those of the network in its order, then those that only the file has.
  public let lines: [WeightLine]
  private let sources: [String: [Source]]

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
    let origin = WeightOrigin(stored.map(\.name))
    var given: [String: [Source]] = [:]
    var rest: [WeightLine] = []
    for (name, weight) in stored {
      let targets = WeightNames.targets(of: name, among: known, origin: origin)
      for target in targets { given[target.name, default: []].append(Source(weight: weight, change: target.change)) }
      guard targets.isEmpty else { continue }
      let isOther = WeightMatch.headPrefixes.contains(where: name.hasPrefix)
      let reason = WeightNames.reasonToIgnore(name, among: known) ?? (isOther ? others : nil)
      rest.append(
        WeightLine(
          network: owner, name: nil, stored: weight.name, status: reason == nil ? .unexpected : .ignored, shape: nil,
          storedShape: weight.shape, note: reason))
    }
    var sources: [String: [Source]] = [:]
    var lines: [WeightLine] = []
    for slice in wanted {
      var taken: [Source] = []
      for source in given[slice.name] ?? [] {
        if taken.isEmpty || source.completes(taken) {
          taken.append(source)
        } else {
          rest.append(WeightMatch.judge([source], slice, owner).with(.refused, note: "the file gives it twice"))
        }
      }
      taken.sort { $0.place < $1.place }
      let line = WeightMatch.judge(taken, slice, owner)
      lines.append(line)
      if line.status == .matched || line.status == .reshaped { sources[slice.name] = taken }
    }
    self.sources = sources
    self.lines = lines + rest
  }

  /// How names of heads begin, here and in other projects.
  private static let headPrefixes = ["decode_head.", "auxiliary_head.", "decoder.", "segmentation_head."]

  /// The line about a network's tensor whose values these sources give, in the order of their places.
  private static func judge(_ sources: [Source], _ slice: NetworkParameters.Slice, _ owner: WeightOwner) -> WeightLine {
    let shape = slice.officialShape
    func line(_ status: WeightStatus, _ note: String?) -> WeightLine {
      WeightLine(
        network: owner, name: slice.name, stored: sources.first?.weight.name, status: status, shape: shape,
        storedShape: sources.first?.weight.shape, note: note)
    }
    guard let first = sources.first else { return line(.missing, nil) }
    if let other = sources.first(where: { !$0.weight.isFloating }) {
      return line(.refused, "holds numbers of type \(other.weight.element)")
    }
    let shapes = sources.map { $0.change.shape(of: $0.weight.shape) }
    guard shapes.allSatisfy({ $0.map { $0.filter { $0 != 1 } } == shape.filter { $0 != 1 } }) else {
      return line(.refused, "wrong shape")
    }
    guard sources.count == first.count else { return line(.missing, "the file has a part of it only") }
    let status: WeightStatus = first.change == .none && shapes[0] == shape ? .matched : .reshaped
    return line(status, note(sources))
  }

  /// What happens to the values on their way.
  private static func note(_ sources: [Source]) -> String? {
    switch sources[0].change {
    case .none: sources[0].weight.element == "float32" ? nil : "converted from \(sources[0].weight.element)"
    case .rows(let part, let count): "rows \(part.lowerBound) to \(part.upperBound - 1) of \(count)"
    case .part: "joined with \(sources.dropFirst().map(\.weight.name).joined(separator: ", "))"
    case .reversedInputs: "inputs in reversed order"
    }
  }

  /// Throws unless the file gives this network exactly what it has.
  /// - Parameters:
  ///   - partial: whether tensors may be missing or left over.
  ///   - remedy: what to do about missing or unexpected tensors.
  ///   - path: the file, for messages.
  /// - Throws: `Failure` 65 that counts what does not fit and names the first; where nothing in the file fits, it counts
  ///   and names the file's tensors.
  public func require(partial: Bool, remedy: String, at path: String) throws {
    func lines(_ statuses: WeightStatus...) -> [WeightLine] { self.lines.filter { statuses.contains($0.status) } }
    let unknown = lines(.unexpected).compactMap(\.stored)
    let foreign = lines(.unexpected, .ignored).compactMap(\.stored)
    guard foreign.isEmpty || !lines(.matched, .reshaped, .refused).isEmpty else {
      throw Failure(
        .badData, "none of its \(counted(foreign)) belongs to this network by its name: \(listed(foreign))", at: path,
        remedy: "name a file of this network; docs/recipes.md lists the projects whose names are known")
    }
    let tolerated: [WeightStatus] = partial ? [.refused] : [.refused, .missing, .unexpected]
    for status in tolerated {
      let bad = lines(status)
      guard let first = bad.first else { continue }
      var what = bad.count == 1 ? first.text : "\(first.text), and \(bad.count - 1) more \(status.rawValue)"
      if status == .missing, !unknown.isEmpty {
        what += "; the file has \(counted(unknown)) of unknown names: \(listed(unknown))"
      }
      throw Failure(
        .badData, what, at: path,
        remedy: status == .refused ? "this file is of another network; change the recipe or the file" : remedy)
    }
  }

  /// Gives the network the values that the file has.
  /// - Throws: `Failure` 65 if a value is not finite; the network must not be used then.
  public func load(into parameters: NetworkParameters) throws {
    for slice in parameters.allSlices {
      guard let sources = sources[slice.name] else { continue }
      let values = try sources.flatMap { try $0.change.applied(to: $0.weight.values(), $0.weight.shape) }
      parameters.load(official: values, slice)
    }
  }
}

/// A number of tensors in words.
private func counted(_ names: [String]) -> String { names.count == 1 ? "1 tensor" : "\(names.count) tensors" }

/// The first names of a list.
private func listed(_ names: [String]) -> String {
  names.prefix(3).joined(separator: ", ") + (names.count > 3 ? ", …" : "")
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
