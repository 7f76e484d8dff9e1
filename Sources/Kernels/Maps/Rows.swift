// What losses on single pixels need of maps: rows of unit length, rows at chosen positions, and element dropout.
// N samples, C channels (the last axis).

import Support
import Tensors

/// Every row of the last axis divided by its length, which counts as `epsilon` where it is less. Result as `x`.
///
/// - Returns: the rows, and the inverse of each divisor, `[N, ...]`; 0 marks a row shorter than `epsilon`.
/// Source: `torch.nn.functional.normalize`; lengths are summed in Double.
public func unitLength(_ x: Tensor, epsilon: Float) -> (output: Tensor, inverseLengths: Tensor) {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  let columns = x.channels
  let output = Tensor(uninitialized: x.shape)
  let inverses = Tensor(uninitialized: x.shape.withChannels(1))
  SampleTiles(rowsOf: x).run { _, _, first, rows in
    for row in first..<first + rows {
      let (source, target) = (x.pointer + row * columns, output.pointer + row * columns)
      var squares = 0.0
      for column in 0..<columns { squares += Double(source[column]) * Double(source[column]) }
      let length = squares.squareRoot()
      let isShort = length < Double(epsilon)
      let factor = Float(1 / (isShort ? Double(epsilon) : length))
      for column in 0..<columns { target[column] = factor * source[column] }
      inverses.pointer[row] = isShort ? 0 : factor
    }
  }
  return (output, inverses)
}

/// Gradient of `unitLength`: per row `(gradient - output · ⟨output, gradient⟩) / length`.
///
/// Zero for a row shorter than epsilon, which has no direction; PyTorch gives `gradient / epsilon` there, 10¹² times too
/// much for a step to survive.
/// - Precondition: the shapes agree.
public func unitLengthGradient(output: Tensor, inverseLengths: Tensor, gradient: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  precondition(output.shape == gradient.shape, "gradient \(gradient.shape) of \(output.shape)")
  let columns = output.channels
  let result = Tensor(uninitialized: output.shape)
  SampleTiles(rowsOf: output).run { _, _, first, rows in
    for row in first..<first + rows {
      let (own, arriving) = (output.pointer + row * columns, gradient.pointer + row * columns)
      let target = result.pointer + row * columns
      var dot = 0.0
      for column in 0..<columns { dot += Double(own[column]) * Double(arriving[column]) }
      let (along, factor) = (Float(dot), inverseLengths.pointer[row])
      for column in 0..<columns { target[column] = factor * (arriving[column] - along * own[column]) }
    }
  }
  return result
}

/// The rows of chosen pixels; a pixel may be chosen more than once.
///
/// Shapes: `x` [N, H, W, C], `positions` N · perSample pixel numbers `y · W + x`, sample after sample; result
/// [N, perSample, C].
/// - Precondition: there are as many positions, each in 0..<H·W.
public func gathered(_ x: Tensor, at positions: [Int32], perSample: Int) -> Tensor {
  let mark = KernelMeter.begin(.copy)
  defer { KernelMeter.end(mark) }
  let channels = x.channels
  checkPositions(positions, perSample: perSample, samples: x.samples, pixels: x.perSample / max(channels, 1))
  let result = Tensor(uninitialized: [x.samples, perSample, channels])
  SampleTiles(rowsOf: result).run { sample, _, first, rows in
    for row in first..<first + rows {
      let source = x.pointer + sample * x.perSample + Int(positions[row]) * channels
      (result.pointer + row * channels).update(from: source, count: channels)
    }
  }
  return result
}

/// Gradient of `gathered`: every row added to its pixel in the order of the positions, zero elsewhere.
///
/// Shapes: `gradient` [N, perSample, C]; result [N, height, width, C].
/// - Precondition: as `gathered`.
public func gatheredGradient(_ gradient: Tensor, at positions: [Int32], height: Int, width: Int) -> Tensor {
  let mark = KernelMeter.begin(.copy)
  defer { KernelMeter.end(mark) }
  let (perSample, channels) = (gradient.shape[1], gradient.channels)
  checkPositions(positions, perSample: perSample, samples: gradient.samples, pixels: height * width)
  let result = Tensor(uninitialized: [gradient.samples, height, width, channels])
  // One tile a sample: rows of one pixel must be added in order.
  WorkerPool.shared.run(tiles: gradient.samples) { sample in
    let target = result.pointer + sample * result.perSample
    target.update(repeating: 0, count: result.perSample)
    for row in sample * perSample..<(sample + 1) * perSample {
      let place = target + Int(positions[row]) * channels
      let source = gradient.pointer + row * channels
      for channel in 0..<channels { place[channel] += source[channel] }
    }
  }
  return result
}

private func checkPositions(_ positions: [Int32], perSample: Int, samples: Int, pixels: Int) {
  precondition(
    positions.count == samples * perSample, "\(positions.count) positions for \(samples) samples of \(perSample)")
  precondition(positions.allSatisfy { $0 >= 0 && $0 < pixels }, "a position outside of \(pixels) pixels")
}

/// Factors of element dropout: 1/(1 - rate) with probability 1 - rate, else 0; each sample's from a stream of its own.
///
/// Shape of the result: `shape`, whose first extent is the number of streams.
public func dropoutFactors(_ shape: Shape, rate: Float, streams: [RandomStream]) -> Tensor {
  let mark = KernelMeter.begin(.elementwise)
  defer { KernelMeter.end(mark) }
  precondition(shape[0] == streams.count, "\(streams.count) streams for \(shape)")
  let result = Tensor(uninitialized: shape)
  let (keep, perSample) = (1 - rate, shape.perSample)
  SampleTiles(elementsOf: result).run { sample, _, first, count in
    for index in first..<first + count {
      let draw = streams[sample].uniform(at: UInt32(index - sample * perSample))
      result.pointer[index] = draw < keep ? 1 / keep : 0
    }
  }
  return result
}
