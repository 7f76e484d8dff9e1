// Which learning rate factor and weight decay a parameter has, by its name.

/// A rule for all parameters whose name contains a word.
public struct ParameterRule: Sendable, Codable, Equatable {
  /// The word.
  public var word: String
  /// Factor on the learning rate.
  public var rateFactor: Double
  /// Factor on the weight decay.
  public var decayFactor: Double

  /// From its parts.
  public init(word: String, rateFactor: Double = 1, decayFactor: Double = 1) {
    self.word = word
    self.rateFactor = rateFactor
    self.decayFactor = decayFactor
  }
}

/// One parameter's part of an arena, with its optimizer settings.
public struct ParameterSlice: Sendable, Equatable {
  /// The parameter's published name.
  public let name: String
  /// Elements of the arena.
  public let range: Range<Int>
  /// Factor on the learning rate.
  public let rateFactor: Double
  /// Decoupled weight decay.
  public let decay: Double

  /// From its parts.
  public init(name: String, range: Range<Int>, rateFactor: Double = 1, decay: Double) {
    self.name = name
    self.range = range
    self.rateFactor = rateFactor
    self.decay = decay
  }
}

/// The rule table: the first rule whose word is in the name holds, longest words first, ties alphabetically.
///
/// Published settings: everything with "head" in its name learns ten times as fast and keeps its decay, biases and
/// batch norms included; other names with "norm" have none. A published rule for positional embeddings, which these
/// encoders do not have, is left out.
public struct ParameterGroups: Sendable, Equatable {
  /// Rules in the order in which they are tried.
  public let rules: [ParameterRule]
  /// Weight decay before a rule's factor.
  public let weightDecay: Double

  /// From rules in any order.
  public init(rules: [ParameterRule], weightDecay: Double) {
    self.rules = rules.sorted { ($1.word.utf8.count, $0.word) < ($0.word.utf8.count, $1.word) }
    self.weightDecay = weightDecay
  }

  /// The published rules.
  public init(headFactor: Double = 10, weightDecay: Double = 0.01) {
    self.init(
      rules: [ParameterRule(word: "head", rateFactor: headFactor), ParameterRule(word: "norm", decayFactor: 0)],
      weightDecay: weightDecay)
  }

  /// A parameter's slice with the settings of its group.
  /// - Parameters:
  ///   - name: of the parameter.
  ///   - range: its place in the arena.
  ///   - isTrained: whether the parameter may change; else it has neither rate nor decay.
  public func slice(name: String, range: Range<Int>, isTrained: Bool = true) -> ParameterSlice {
    guard isTrained else { return ParameterSlice(name: name, range: range, rateFactor: 0, decay: 0) }
    let rule = rules.first { name.contains($0.word) }
    return ParameterSlice(
      name: name, range: range, rateFactor: rule?.rateFactor ?? 1, decay: weightDecay * (rule?.decayFactor ?? 1))
  }
}
