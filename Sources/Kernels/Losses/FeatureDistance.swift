// Distance of student features to those of the frozen reference encoder, in cells that one class dominates.
// N samples, h x w feature cells, C channels.

import CKernels
import Support
import Tensors

/// The most frequent label of every factor x factor cell, or 255 where its share is below the minimum.
///
/// Class labels and 255 are counted (255 as a class of its own, after all others); of equally frequent labels the first
/// wins. Rows and columns that fill no whole cell are left out. The comparison is made in Float32.
/// - Precondition: the map holds at least one cell.
/// Source: feature distance of DAFormer (Hoyer et al., CVPR 2022, equation 6), its code's label reduction.
public func dominantLabels(_ labels: LabelMap, factor: Int, minimumShare: Float, classCount: Int) -> LabelMap {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  precondition(
    factor > 0 && labels.height >= factor && labels.width >= factor,
    "cells of \(factor) in \(labels.height)x\(labels.width)")
  let (rows, columns) = (labels.height / factor, labels.width / factor)
  let enough = Float(Double(minimumShare) * Double(factor * factor))
  var result = LabelMap(samples: labels.samples, height: rows, width: columns)
  var counts = [Int](repeating: 0, count: 256)
  labels.values.withUnsafeBufferPointer { values in
    for cell in 0..<labels.samples * rows * columns {
      let (sample, row, column) = (cell / (rows * columns), cell / columns % rows, cell % columns)
      for label in 0..<counts.count { counts[label] = 0 }
      for y in row * factor..<(row + 1) * factor {
        let start = (sample * labels.height + y) * labels.width + column * factor
        for pixel in start..<start + factor { counts[Int(values[pixel])] += 1 }
      }
      result.values[cell] = mostFrequent(counts, classCount: classCount, enough: enough)
    }
  }
  return result
}

private func mostFrequent(_ counts: [Int], classCount: Int, enough: Float) -> UInt8 {
  var (label, most) = (0, counts[0])
  for candidate in 1..<classCount where counts[candidate] > most { (label, most) = (candidate, counts[candidate]) }
  let ignored = counts[Int(LabelMap.ignored)] > most || Float(most) < enough
  return ignored ? LabelMap.ignored : UInt8(label)
}

/// Sum over the chosen cells of the Euclidean distance between feature and reference, for every sample.
///
/// Cells are added in Double, in row order.
/// Shapes: `feature`, `reference` [N, h, w, C]; `cells` N·h·w bytes, not 0 where a cell counts.
/// - Precondition: shapes as above.
/// Source: DAFormer (Hoyer et al., CVPR 2022), equation 7 before the division by the number of cells.
public func featureDistanceSums(_ feature: Tensor, reference: Tensor, cells: [UInt8]) -> [Double] {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  let perSample = checkedCells(feature, reference, cells)
  let norms = Tensor(uninitialized: [feature.samples, perSample])
  cells.withUnsafeBufferPointer { cells in
    guard let base = cells.baseAddress else { return }
    WorkerPool.shared.run(tiles: feature.samples) { sample in
      let offset = sample * feature.perSample
      ck_distance_norms(
        feature.pointer + offset, reference.pointer + offset, base + sample * perSample,
        norms.pointer + sample * perSample, perSample, feature.channels)
    }
  }
  return (0..<feature.samples).map { sample in
    (0..<perSample).reduce(0.0) { $0 + Double(norms.pointer[sample * perSample + $1]) }
  }
}

/// Gradient of `factor` times the sum of `featureDistanceSums` with respect to the feature.
///
/// factor · (feature - reference) / distance in the chosen cells, 0 elsewhere and where the distance is 0.
/// Shapes: as for `featureDistanceSums`; result [N, h, w, C].
/// - Precondition: as for `featureDistanceSums`.
public func featureDistanceGradient(_ feature: Tensor, reference: Tensor, cells: [UInt8], factor: Float) -> Tensor {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  let perSample = checkedCells(feature, reference, cells)
  let result = Tensor(uninitialized: feature.shape)
  cells.withUnsafeBufferPointer { cells in
    guard let base = cells.baseAddress else { return }
    WorkerPool.shared.run(tiles: feature.samples) { sample in
      let offset = sample * feature.perSample
      ck_distance_gradient(
        feature.pointer + offset, reference.pointer + offset, base + sample * perSample, result.pointer + offset,
        factor, perSample, feature.channels)
    }
  }
  return result
}

private func checkedCells(_ feature: Tensor, _ reference: Tensor, _ cells: [UInt8]) -> Int {
  precondition(
    feature.shape == reference.shape && cells.count * feature.channels == feature.count,
    "features \(feature.shape) and \(reference.shape) with \(cells.count) cells")
  return cells.count / max(feature.samples, 1)
}
