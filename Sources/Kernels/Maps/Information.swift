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

/// Entropy `-Σ_c p_c ln p_c` of the probabilities of each row, in nats and formed in Double; 0 ln 0 is 0.
///
/// Shapes: `probabilities` [N, ..., K]; result [N, ..., 1].
public func entropies(_ probabilities: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  let classes = probabilities.channels
  let result = Tensor(uninitialized: probabilities.shape.withChannels(1))
  SampleTiles(rowsOf: probabilities).run { _, _, first, rows in
    for row in first..<first + rows {
      var sum = 0.0
      for label in 0..<classes {
        let p = Double(probabilities.pointer[row * classes + label])
        if p > 0 { sum -= p * p.logarithm }
      }
      result.pointer[row] = Float(sum)
    }
  }
  return result
}

/// -1 / ln K: what makes the information of K equal classes add up to 1.
private func informationScale(_ probabilities: Tensor) -> Float {
  precondition(probabilities.channels > 1, "self-information of \(probabilities.channels) class")
  return Float(-1 / log(Double(probabilities.channels)))
}
