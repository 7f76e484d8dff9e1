// Where the source has its classes: for every class a map of how often its labels lie there (Zhou et al., CAMix, TCSVT
// 2022). h×w cells, K classes.

import Domains
import Foundation
import Kernels
import Support
import Tensors

/// One image's share of a spatial prior: 1 where the label, resized to the cells, is the class; `[h · w · K]`.
public func classCells(_ labels: LabelMap, height: Int, width: Int, classes: Int) -> [Double] {
  precondition(labels.samples == 1, "\(labels.samples) images at once")
  var cells = [Double](repeating: 0, count: height * width * classes)
  for (cell, label) in nearest(labels, height: height, width: width).values.enumerated() where label < classes {
    cells[cell * classes + Int(label)] = 1
  }
  return cells
}

/// A spatial prior of sums of `classCells`: their mean over images, blurred by a fiftieth of the width, each class divided
/// by its largest value so that rare ones are not erased; a class that is nowhere is 0 everywhere.
///
/// The blur has taps up to six deviations; borders are mirrored without repeating the edge. Shape of the result: [h, w, K].
/// - Parameters:
///   - sums: h · w · K numbers of all images.
///   - images: number of images.
///   - shape: [h, w, K].
/// Source: CAMix publishes files of priors, and not how they were made; this is our reading of the paper.
public func spatialPrior(_ sums: [Double], images: Int, shape: Shape) -> Tensor {
  let (height, width, classes) = (shape[0], shape[1], shape[2])
  precondition(sums.count == shape.count && images > 0, "\(sums.count) sums of \(images) images for \(shape)")
  let taps = blurTaps(deviation: 0.02 * Double(width))
  let mean = sums.map { $0 / Double(images) }
  let down = blurred(mean, along: height, others: width * classes, step: width * classes, taps) { $0 }
  let across = blurred(down, along: width, others: height * classes, step: classes, taps) {
    $0 / classes * width * classes + $0 % classes
  }
  var largest = [Double](repeating: 0, count: classes)
  for (place, value) in across.enumerated() { largest[place % classes] = max(largest[place % classes], value) }
  return Tensor(
    across.enumerated().map { place, value in
      let top = largest[place % classes]
      return top > 0 ? Float(value / top) : 0
    }, shape)
}

private func blurTaps(deviation: Double) -> [Double] {
  let reach = Int((6 * deviation).rounded(.up))
  let taps = (-reach...reach).map { exp(-Double($0 * $0) / (2 * deviation * deviation)) }
  let sum = taps.reduce(0, +)
  return taps.map { $0 / sum }
}

/// Blur along one axis.
/// - Parameters:
///   - extent: of the axis; `step` is the distance of its neighbours.
///   - others: number of lines along it; `start` tells where each begins.
private func blurred(
  _ values: [Double], along extent: Int, others: Int, step: Int, _ taps: [Double], start: (Int) -> Int
) -> [Double] {
  let reach = taps.count / 2
  let places = (-reach..<extent + reach).map { mirrored($0, extent) * step }
  var result = values
  for line in 0..<others {
    let first = start(line)
    for place in 0..<extent {
      var sum = 0.0
      for (tap, weight) in taps.enumerated() { sum += weight * values[first + places[place + tap]] }
      result[first + place * step] = sum
    }
  }
  return result
}

/// A place mirrored into 0..<extent, edges not repeated.
private func mirrored(_ place: Int, _ extent: Int) -> Int {
  guard extent > 1 else { return 0 }
  let period = 2 * (extent - 1)
  let inside = ((place % period) + period) % period
  return min(inside, period - inside)
}

/// A spatial prior at the pixels of crops, `[N, H, W, K]`.
/// - Parameters:
///   - prior: [h, w, K], of whole images whatever their size.
///   - crops: where the crops were cut out.
public func croppedPrior(_ prior: Tensor, to crops: [SampleProvenance]) -> Tensor {
  precondition(!crops.isEmpty, "a prior for crops of unknown places")
  let box = crops[0].box
  let result = Tensor(uninitialized: [crops.count, box.height, box.width, prior.shape[2]])
  let map = prior.reshaped([1, prior.shape[0], prior.shape[1], prior.shape[2]])
  for (sample, crop) in crops.enumerated() {
    let part = bilinear(
      map, height: crop.imageSize.height, width: crop.imageSize.width, inside: crop.box, mirrored: crop.flipped)
    result.samples(sample..<sample + 1).assign(part)
  }
  return result
}
