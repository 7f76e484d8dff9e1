// Self-information of class probabilities. K classes (the last axis).

import Foundation
import Support
import Tensors

/// Added to probabilities before logarithms, as published.
private let smallest: Float = 1e-30

/// ADVENT's weighted self-information, `-p · log₂(p + 10⁻³⁰) / log₂ K` of every probability. Result as `x`.
///
/// A probability of 0 has none. Source: Vu et al., ADVENT, CVPR 2019, section 3.2.
/// - Precondition: there are at least two classes.
public func selfInformation(_ probabilities: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  let scale = informationScale(probabilities)
  let result = Tensor(uninitialized: probabilities.shape)
  forEachStretch(of: result) { first, count in
    for index in first..<first + count {
      let probability = probabilities.pointer[index]
      result.pointer[index] = scale * (probability * log(probability + smallest))
    }
  }
  return result
}

/// Gradient of `selfInformation`: `-gradient · (ln(p + 10⁻³⁰) + p / (p + 10⁻³⁰)) / ln K`.
/// - Precondition: the shapes agree; there are at least two classes.
public func selfInformationGradient(_ probabilities: Tensor, gradient: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  precondition(probabilities.shape == gradient.shape, "gradient \(gradient.shape) of \(probabilities.shape)")
  let scale = informationScale(probabilities)
  let result = Tensor(uninitialized: probabilities.shape)
  forEachStretch(of: result) { first, count in
    for index in first..<first + count {
      let probability = probabilities.pointer[index]
      let sum = probability + smallest
      result.pointer[index] = (scale * gradient.pointer[index]) * (log(sum) + probability / sum)
    }
  }
  return result
}

/// -1 / ln K: what makes the information of K equal classes add up to 1.
private func informationScale(_ probabilities: Tensor) -> Float {
  precondition(probabilities.channels > 1, "self-information of \(probabilities.channels) class")
  return Float(-1 / log(Double(probabilities.channels)))
}
