// Where labels change. N samples, H×W pixels.

import Tensors

/// 1 where the labels around a pixel, ids as numbers and 255 too, are on average far from its own: N·H·W bytes.
///
///     |Σ over the 5×5 square around p of (y - y_p)| / 48 > 0.1,   borders mirrored without repeating the edge
///
/// - Precondition: both sides have at least 3 pixels.
/// Source: the edge-preserving loss of DiGA's image translator (Shen et al., CVPR 2023, code).
public func labelEdges(_ labels: LabelMap) -> [UInt8] {
  let (height, width) = (labels.height, labels.width)
  precondition(height > 2 && width > 2, "edges of \(height)x\(width) labels")
  func mirrored(_ place: Int, _ extent: Int) -> Int {
    place < 0 ? -place : place < extent ? place : 2 * (extent - 1) - place
  }
  let rows = (0..<height).map { row in (row - 2...row + 2).map { mirrored($0, height) * width } }
  let columns = (0..<width).map { column in (column - 2...column + 2).map { mirrored($0, width) } }
  return labels.values.indices.map { place in
    let (sample, inside) = place.quotientAndRemainder(dividingBy: height * width)
    let first = sample * height * width
    var sum = 0
    for row in rows[inside / width] {
      for column in columns[inside % width] { sum += Int(labels.values[first + row + column]) }
    }
    return Double(abs(sum - 25 * Int(labels.values[place]))) > 4.8 ? 1 : 0
  }
}
