// What a step showed while it ran.

import Adaptation
import Tensors

/// Keeps what the last step showed.
final class ObservedStep: StepObserver {
  /// Its passes, in their order.
  private(set) var passes: [ObservedPass] = []
  /// The summed gradient.
  private(set) var gradient: Tensor?

  /// Forgets all; called before a step.
  func stepBegins() { (passes, gradient) = ([], nil) }

  /// The pass of a name.
  func pass(_ name: String) -> ObservedPass? { passes.first { $0.name == name } }

  func passed(_ pass: ObservedPass) { passes.append(pass) }
  func summed(_ gradient: Tensor) { self.gradient = gradient.copy() }
}
