// Numbers gone wrong: a step whose losses, gradient or teacher are not finite, or the former two far from those of the
// steps before, is left out.

import Collectives
import Kernels
import Recipes
import Support
import Tensors

/// Decides for each step whether the optimizer may use it. It sees reduced values only, so all ranks decide alike.
///
/// A value is an outlier if it exceeds the mean over a window of used steps by more than so many standard deviations.
/// The window is part of a run's state: a resumed run decides as the uninterrupted one.
public final class StepGuard {
  /// What is guarded against.
  public struct Options: Sendable, Equatable {
    /// Whether a step that is not finite is left out; else it ends the run.
    public var skipsNonFinite: Bool
    /// Standard deviations above the mean that make an outlier; 0 looks for none.
    public var outlier: Double
    /// Steps of the window; no outlier is found before it is full.
    public var window: Int

    /// Options.
    public init(skipsNonFinite: Bool, outlier: Double = 0, window: Int = 100) {
      precondition(outlier >= 0 && window > 1, "outliers beyond \(outlier) deviations of \(window) steps")
      self.skipsNonFinite = skipsNonFinite
      self.outlier = outlier
      self.window = window
    }
  }

  /// Whether and why a step is left out.
  public enum Verdict: Equatable, Sendable {
    /// The optimizer uses it.
    case use
    /// The optimizer leaves it out, for this reason.
    case skip(String)
    /// The run cannot go on, for this reason.
    case stop(String)
  }

  /// Everything the guard remembers, `[window + 2, 2]`: steps seen in the window and the place of the next one, steps
  /// left out in a row and 0, then a row of loss and gradient norm for each step of the window.
  public let state: Tensor
  private let options: Options
  private var rows: [Float]

  /// A guard that has seen nothing.
  public init(_ options: Options) {
    self.options = options
    state = Tensor(zeros: [options.window + 2, 2])
    rows = state.values
  }

  /// Steps left out in a row up to now.
  public var skippedInARow: Int { Int(rows[2]) }

  /// Whether there is anything to remember.
  public var remembers: Bool { rows.contains { $0 != 0 } }

  /// Goes on from what `state` holds now, which may come from a file: counts that cannot be are taken for none.
  public func takeOver() {
    rows = state.values
    let limits = [Float(options.window), Float(max(options.window - 1, 0)), 0x1p24]
    for (place, limit) in limits.enumerated() where !(0...limit).contains(rows[place]) { rows[place] = 0 }
  }

  /// Judges a step by its loss terms, the norms of its gradient and of its companions' gradients, and the pixels at which
  /// the teacher says not-a-number, all of the global batch.
  public func judge(
    losses: [(name: String, value: Double)], gradientNorm: Double,
    companionNorms: [(name: String, value: Double)] = [], brokenPixels: Int = 0
  ) -> Verdict {
    defer { state.assign(Tensor(rows, state.shape)) }
    if let reason = strangeness(losses, gradientNorm, companionNorms, brokenPixels) {
      guard options.skipsNonFinite else { return .stop(reason) }
      rows[2] += 1
      return .skip(reason)
    }
    let values = [Float(losses.reduce(0) { $0 + $1.value }), Float(gradientNorm)]
    for (column, name) in ["the loss", "the gradient's norm"].enumerated() {
      guard let reason = outlier(values[column], column, name) else { continue }
      rows[2] += 1
      return .skip(reason)
    }
    rows[2] = 0
    remember(values)
    return .use
  }

  /// Why a step is to be left out; nil if it is not. All ranks see the same numbers and decide alike.
  /// - Parameters:
  ///   - step: its number, from 0.
  ///   - communicator: the ranks, which end together where the run cannot go on.
  func reasonToSkip(
    step: Int, losses: [(name: String, value: Double)], gradientNorm: Double,
    companionNorms: [(name: String, value: Double)], brokenPixels: Int, on communicator: any Communicator
  ) throws -> String? {
    let verdict = judge(
      losses: losses, gradientNorm: gradientNorm, companionNorms: companionNorms, brokenPixels: brokenPixels)
    switch verdict {
    case .use: return nil
    case .skip(let reason): return reason
    case .stop(let reason):
      throw communicator.failTogether(
        Failure(
          .internal, reason, at: "step \(step + 1)",
          remedy: "lower optimizer.learningRate or look at the data of this step"))
    }
  }

  private func strangeness(
    _ losses: [(name: String, value: Double)], _ gradientNorm: Double,
    _ companionNorms: [(name: String, value: Double)], _ brokenPixels: Int
  ) -> String? {
    // The sign of what is no number depends on the order of ranks.
    func words(_ value: Double) -> String { value.isNaN ? "nan" : "\(value)" }
    if let loss = losses.first(where: { !$0.value.isFinite }) { return "loss \(loss.name) is \(words(loss.value))" }
    if !gradientNorm.isFinite { return "the gradient's norm is \(words(gradientNorm))" }
    if let companion = companionNorms.first(where: { !$0.value.isFinite }) {
      return "the norm of \(companion.name)'s gradient is \(words(companion.value))"
    }
    // Such pixels have no weight: the losses are finite and the student learns nothing from them.
    return brokenPixels == 0 ? nil : "the teacher's confidence is nan at \(brokenPixels) pixels"
  }

  private func outlier(_ value: Float, _ column: Int, _ name: String) -> String? {
    guard options.outlier > 0, Int(rows[0]) == options.window else { return nil }
    let seen = (0..<options.window).map { Double(rows[4 + 2 * $0 + column]) }
    let mean = seen.reduce(0, +) / Double(seen.count)
    let variance = seen.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(seen.count - 1)
    // Equal values have no spread: rounding alone must not make an outlier.
    let deviation = max(variance.squareRoot(), 1e-6 * abs(mean))
    guard Double(value) > mean + options.outlier * deviation else { return nil }
    let times = rounded((Double(value) - mean) / deviation, 1)
    return "\(name) is \(value), \(times) deviations above the mean \(rounded(mean, 4)) of \(seen.count) steps"
  }

  private func remember(_ values: [Float]) {
    guard options.outlier > 0 else { return }
    let place = Int(rows[1])
    rows[4 + 2 * place] = values[0]
    rows[5 + 2 * place] = values[1]
    rows[0] = Float(min(Int(rows[0]) + 1, options.window))
    rows[1] = Float((place + 1) % options.window)
  }
}

/// Statistics and state as they were before a step: a step that is left out must not leave its traces in them.
final class KeptTensors {
  private let kept: [(tensor: Tensor, copy: Tensor)]

  /// Of these tensors.
  init(_ tensors: [Tensor]) { kept = tensors.filter { $0.count > 0 }.map { ($0, $0.copy()) } }

  /// Remembers them as they are now.
  func keep() { for one in kept { one.copy.assign(one.tensor) } }

  /// Makes them what they were.
  func restore() { for one in kept { one.tensor.assign(one.copy) } }
}

extension Recipe.Guard {
  /// As the step knows them.
  var options: StepGuard.Options {
    StepGuard.Options(skipsNonFinite: nonFinite == .skip, outlier: outlier, window: window)
  }
}
