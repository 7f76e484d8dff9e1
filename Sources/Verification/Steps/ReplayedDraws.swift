// The random choices of a step as a reference file holds them.

import Adaptation
import Kernels
import Support
import Tensors

/// Draws of steps that were read before the first one runs.
struct ReplayedDraws: DrawSource {
  private struct Key: Hashable {
    let pass: String
    let step: Int
  }

  private var stored: [Key: PassDraws] = [:]

  /// The stored draws of a pass.
  /// - Precondition: they were read.
  func draws(_ request: DrawRequest) -> PassDraws {
    guard let draws = stored[Key(pass: request.pass, step: request.step)] else {
      preconditionFailure("no draws of pass \(request.pass), step \(request.step)")
    }
    return draws
  }

  /// Reads the draws of one pass; `image` is what the pass looks at.
  /// - Throws: `Failure` 65 if something is missing or does not fit the image.
  mutating func read(
    pass: String, step: Int, of image: Tensor, _ network: NetworkDescription, _ fixture: Fixture
  ) throws {
    let group = "step\(step)/draws"
    var draws = PassDraws(box: try fixture.box("\(group)/\(pass)_box", of: image, network))
    if pass != "source" {
      // What is drawn for mixed images bears no prefix.
      let prefix = pass == "mixed" ? "\(group)/" : "\(group)/\(pass)_"
      draws.jitter = try fixture.jitter("\(prefix)jitter", samples: image.samples)
      draws.blur = try fixture.blur("\(prefix)blur_sigma", samples: image.samples)
    }
    if pass == "mixed" { draws.chosen = try fixture.chosenClasses("\(group)/chosen", samples: image.samples) }
    if pass == "masked" {
      draws.blockUniforms = try fixture.blockUniforms("\(group)/masked_uniform", samples: image.samples)
    }
    put(draws, pass: pass, step: step)
  }

  /// Takes draws of a pass that were read elsewhere.
  mutating func put(_ draws: PassDraws, pass: String, step: Int) { stored[Key(pass: pass, step: step)] = draws }
}

extension Fixture {
  /// Factors [N, 4] and orders [N, 4] of colour jitter; nil if there are none.
  func jitter(_ path: String, samples: Int) throws -> [ColourJitter]? {
    guard contains(path) else { return nil }
    let factors = try floats(path)
    let orders = try integers("\(path)_order")
    guard factors.shape == [samples, 4], orders.shape == [samples, 4] else {
      throw bad(path, "shapes \(factors.shape), \(orders.shape)")
    }
    return try (0..<samples).map { sample in
      let factor = Array(factors.values[4 * sample..<4 * sample + 4])
      let order = Array(orders.values[4 * sample..<4 * sample + 4])
      guard order.sorted() == [0, 1, 2, 3], abs(factor[3]) <= 1 else {
        throw bad(path, "factors \(factor) in order \(order)")
      }
      return ColourJitter(
        brightness: factor[0], contrast: factor[1], saturation: factor[2], hue: factor[3], order: order)
    }
  }

  /// One blur width for each sample, perhaps stored once for all; nil if there is none.
  func blur(_ path: String, samples: Int) throws -> [Float]? {
    guard contains(path) else { return nil }
    let sigmas = try floats(path).values
    guard sigmas.count == samples || sigmas.count == 1, sigmas.allSatisfy({ $0 > 0 && $0 < 100 }) else {
      throw bad(path, "widths \(sigmas)")
    }
    return sigmas.count == samples ? sigmas : [Float](repeating: sigmas[0], count: samples)
  }

  /// Pasted classes of each sample, rows filled up with -1.
  func chosenClasses(_ path: String, samples: Int) throws -> [[UInt8]] {
    let (values, shape) = try integers(path)
    guard shape.count == 2, shape[0] == samples, values.allSatisfy({ -1...255 ~= $0 }) else {
      throw bad(path, "classes of shape \(shape)")
    }
    return (0..<samples).map { sample in
      values[sample * shape[1]..<(sample + 1) * shape[1]].compactMap(UInt8.init(exactly:))
    }
  }

  /// A number for every block of each sample, [N, 1, h, w], as [N, h, w].
  fileprivate func blockUniforms(_ path: String, samples: Int) throws -> Tensor {
    let (values, shape) = try floats(path)
    guard shape.count == 4, shape[0] == samples, shape[1] == 1, !values.isEmpty else {
      throw bad(path, "blocks of shape \(shape)")
    }
    return Tensor(values, [samples, shape[2], shape[3]])
  }
}
