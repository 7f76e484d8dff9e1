// One step of gradient descent over parameters of a case.

import Kernels
import Networks
import Optimization

/// Compares gradients that a walk has left in slots, where the case has them, and, where it has parameters after it, one
/// step from no velocity with the case's rate, momentum and decay.
/// - Parameter name: the file's name of a parameter.
func compareDescent(
  _ parameters: NetworkParameters, _ replay: TermReplay, into verifier: inout Verifier, _ name: (String) -> String
) throws {
  guard let slots = parameters.gradients else { preconditionFailure("a network of constants") }
  treeSum(slots)
  let gradient = slots.sample(0)
  for slice in parameters.slices where replay.contains("grad/\(name(slice.name))") {
    try verifier.element(
      replay.path("grad/\(name(slice.name))"), actual: NetworkParameters.official(slice, of: gradient))
  }
  guard replay.fixture.names(under: replay.group).contains("state_after") else { return }
  let optimizer = SGD(
    slices: parameters.slices.map {
      ParameterSlice(name: $0.name, range: $0.range, decay: replay.number("weightDecay", 5e-4))
    }, momentum: replay.number("momentum", 0.9))
  optimizer.advance(parameters: parameters.values, gradient: gradient, rate: replay.number("lr", 2.5e-3), step: 1)
  for slice in parameters.slices {
    try verifier.element(
      replay.path("state_after/\(name(slice.name))"),
      actual: NetworkParameters.official(slice, of: parameters.values))
  }
}
