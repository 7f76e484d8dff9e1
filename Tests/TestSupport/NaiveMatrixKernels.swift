// Naive Double twins of the kernels that run on matrix products: plain loops over the definition.

import Kernels
import Support

/// `x` [rows, I] times `weight` [I, O] plus `bias` [O].
public func naiveLinear(_ x: [Double], _ weight: [Double], bias: [Double]?, inputs: Int, outputs: Int) -> [Double] {
  let rows = x.count / inputs
  var y = [Double](repeating: 0, count: rows * outputs)
  for row in 0..<rows {
    for output in 0..<outputs {
      var sum = bias?[output] ?? 0
      for input in 0..<inputs { sum += x[row * inputs + input] * weight[input * outputs + output] }
      y[row * outputs + output] = sum
    }
  }
  return y
}

/// Sizes of a naive convolution of one sample.
public struct NaiveConvolution {
  let geometry: ConvolutionGeometry
  let height: Int
  let width: Int
  let inputs: Int
  let outputs: Int

  /// One sample of `height` × `width` pixels.
  public init(_ geometry: ConvolutionGeometry, height: Int, width: Int, inputs: Int, outputs: Int) {
    self.geometry = geometry
    self.height = height
    self.width = width
    self.inputs = inputs
    self.outputs = outputs
  }

  private var outputHeight: Int { geometry.outputExtent(height) }
  private var outputWidth: Int { geometry.outputExtent(width) }

  /// Calls `body` with the indices of output, input and weight of every product.
  private func forEachProduct(_ body: (Int, Int, Int) -> Void) {
    for y in 0..<outputHeight {
      for x in 0..<outputWidth {
        for tap in 0..<geometry.kernel * geometry.kernel {
          let row = y * geometry.stride - geometry.padding + tap / geometry.kernel * geometry.dilation
          let column = x * geometry.stride - geometry.padding + tap % geometry.kernel * geometry.dilation
          guard row >= 0, row < height, column >= 0, column < width else { continue }
          for input in 0..<inputs {
            for output in 0..<outputs {
              body(
                (y * outputWidth + x) * outputs + output, (row * width + column) * inputs + input,
                (tap * inputs + input) * outputs + output)
            }
          }
        }
      }
    }
  }

  /// Output [h, w, O] of image [H, W, I] and weight [k, k, I, O].
  public func forward(_ x: [Double], _ weight: [Double], bias: [Double]?) -> [Double] {
    var y = (0..<outputHeight * outputWidth * outputs).map { bias?[$0 % outputs] ?? 0 }
    forEachProduct { y[$0] += x[$1] * weight[$2] }
    return y
  }

  /// Gradient of the image.
  public func inputGradient(_ gradient: [Double], _ weight: [Double]) -> [Double] {
    var result = [Double](repeating: 0, count: height * width * inputs)
    forEachProduct { result[$1] += gradient[$0] * weight[$2] }
    return result
  }

  /// Gradient of the weight.
  public func weightGradient(_ x: [Double], _ gradient: [Double]) -> [Double] {
    var result = [Double](repeating: 0, count: geometry.kernel * geometry.kernel * inputs * outputs)
    forEachProduct { result[$2] += gradient[$0] * x[$1] }
    return result
  }
}

/// Naive attention of one sample.
public struct NaiveAttention {
  let queries: Int
  let keys: Int
  let channels: Int
  let heads: Int

  /// T queries, S keys, C channels in `heads` groups.
  public init(queries: Int, keys: Int, channels: Int, heads: Int) {
    self.queries = queries
    self.keys = keys
    self.channels = channels
    self.heads = heads
  }

  private var depth: Int { channels / heads }

  private func probabilities(_ q: [Double], _ kv: [Double], head: Int, row: Int) -> [Double] {
    let scores = (0..<keys).map { key in
      (0..<depth).reduce(0.0) {
        $0 + q[row * channels + head * depth + $1] * kv[key * 2 * channels + head * depth + $1]
      } / Double(depth).squareRoot()
    }
    let highest = scores.max() ?? 0
    let weights = scores.map { ($0 - highest).exponential }
    let sum = weights.reduce(0, +)
    return weights.map { $0 / sum }
  }

  /// Output [T, C] of queries [T, C] and keys and values [S, 2C].
  public func forward(_ q: [Double], _ kv: [Double]) -> [Double] {
    var y = [Double](repeating: 0, count: queries * channels)
    for head in 0..<heads {
      for row in 0..<queries {
        let p = probabilities(q, kv, head: head, row: row)
        for key in 0..<keys {
          for channel in 0..<depth {
            y[row * channels + head * depth + channel] +=
              p[key] * kv[key * 2 * channels + channels + head * depth + channel]
          }
        }
      }
    }
    return y
  }

  /// Gradients of queries and of keys and values.
  public func gradient(_ q: [Double], _ kv: [Double], _ upstream: [Double]) -> (queries: [Double], keysValues: [Double])
  {
    var dq = [Double](repeating: 0, count: q.count)
    var dkv = [Double](repeating: 0, count: kv.count)
    let scale = 1 / Double(depth).squareRoot()
    for head in 0..<heads {
      for row in 0..<queries {
        let p = probabilities(q, kv, head: head, row: row)
        let base = row * channels + head * depth
        let dp = (0..<keys).map { key in
          (0..<depth).reduce(0.0) {
            $0 + upstream[base + $1] * kv[key * 2 * channels + channels + head * depth + $1]
          }
        }
        let dot = zip(p, dp).reduce(0) { $0 + $1.0 * $1.1 }
        for key in 0..<keys {
          let score = scale * p[key] * (dp[key] - dot)
          for channel in 0..<depth {
            let place = key * 2 * channels + head * depth + channel
            dq[base + channel] += score * kv[place]
            dkv[place] += score * q[base + channel]
            dkv[place + channels] += p[key] * upstream[base + channel]
          }
        }
      }
    }
    return (dq, dkv)
  }
}
