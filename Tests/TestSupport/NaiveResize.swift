// Bilinear resizing and its adjoint in Double.

/// One output position's two input positions and the weight of the second.
private func source(_ position: Int, input: Int, output: Int, alignCorners: Bool) -> (Int, Int, Double) {
  let exact =
    alignCorners
    ? (output > 1 ? Double(position) * Double(input - 1) / Double(output - 1) : 0)
    : max((Double(position) + 0.5) * Double(input) / Double(output) - 0.5, 0)
  let below = min(Int(exact), input - 1)
  return (below, min(below + 1, input - 1), exact - Double(below))
}

/// Calls `body(output, input, weight)` for every pair of pixel indices within one sample.
private func forEachWeight(
  from input: (Int, Int), to output: (Int, Int), alignCorners: Bool, _ body: (Int, Int, Double) -> Void
) {
  for row in 0..<output.0 {
    let (top, bottom, down) = source(row, input: input.0, output: output.0, alignCorners: alignCorners)
    for column in 0..<output.1 {
      let (left, right, across) = source(column, input: input.1, output: output.1, alignCorners: alignCorners)
      let target = row * output.1 + column
      body(target, top * input.1 + left, (1 - down) * (1 - across))
      body(target, top * input.1 + right, (1 - down) * across)
      body(target, bottom * input.1 + left, down * (1 - across))
      body(target, bottom * input.1 + right, down * across)
    }
  }
}

/// Bilinear resizing of [N, h, w, C] to [N, height, width, C].
public func naiveBilinear(_ x: [Double], _ extents: [Int], height: Int, width: Int, alignCorners: Bool) -> [Double] {
  let (samples, channels) = (extents[0], extents[3])
  let (perInput, perOutput) = (extents[1] * extents[2], height * width)
  var y = [Double](repeating: 0, count: samples * perOutput * channels)
  forEachWeight(from: (extents[1], extents[2]), to: (height, width), alignCorners: alignCorners) {
    output, input, weight in
    for sample in 0..<samples {
      for channel in 0..<channels {
        y[(sample * perOutput + output) * channels + channel] +=
          weight * x[(sample * perInput + input) * channels + channel]
      }
    }
  }
  return y
}

/// Adjoint of `naiveBilinear`: from [N, H, W, C] back to [N, height, width, C].
public func naiveBilinearGradient(
  _ gradient: [Double], _ extents: [Int], height: Int, width: Int, alignCorners: Bool
) -> [Double] {
  let (samples, channels) = (extents[0], extents[3])
  let (perInput, perOutput) = (height * width, extents[1] * extents[2])
  var x = [Double](repeating: 0, count: samples * perInput * channels)
  forEachWeight(from: (height, width), to: (extents[1], extents[2]), alignCorners: alignCorners) {
    output, input, weight in
    for sample in 0..<samples {
      for channel in 0..<channels {
        x[(sample * perInput + input) * channels + channel] +=
          weight * gradient[(sample * perOutput + output) * channels + channel]
      }
    }
  }
  return x
}
