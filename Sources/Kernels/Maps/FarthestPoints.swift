// A small set of rows that covers a large one: the base styles of style hallucination.

import Tensors

/// Indices of `count` rows, each the one farthest from all rows chosen before it, beginning with `start`.
///
/// The distance is Euclidean, its square summed in Double. Of equally far rows the first is taken, and no row twice, also
/// where fewer than `count` differ (the published code then repeats one). The result depends on the order of rows, so
/// ranks that share them put them into the order of the data set first.
/// Shape: `points` [M, D], such as mean and deviation of 64 channels for each of M images.
/// - Parameters:
///   - points: the rows.
///   - count: number of rows to choose.
///   - start: the first choice, a random row in the published code.
/// - Precondition: `count` is in 1...M and `start` is a row.
/// - Complexity: O(count · M · D).
/// Source: farthest point sampling (Eldar et al., 1997) as SHADE (Zhao et al., ECCV 2022) chooses base styles by it.
public func farthestPoints(_ points: Tensor, count: Int, start: Int) -> [Int] {
  precondition(points.shape.rank == 2, "points are [M, D], not \(points.shape)")
  precondition((1...points.samples).contains(count), "\(count) of \(points.samples) points")
  precondition((0..<points.samples).contains(start), "point \(start) of \(points.samples)")
  let size = points.shape[1]
  // Square of the distance to the nearest chosen row; -1 at chosen rows.
  var distances = [Double](repeating: .infinity, count: points.samples)
  var chosen = [start]
  while chosen.count < count {
    let last = chosen[chosen.count - 1]
    distances[last] = -1
    var farthest = last
    for row in 0..<points.samples where distances[row] >= 0 {
      var square = 0.0
      for index in 0..<size {
        let difference = Double(points.pointer[row * size + index]) - Double(points.pointer[last * size + index])
        square += difference * difference
      }
      distances[row] = min(distances[row], square)
      if distances[row] > distances[farthest] { farthest = row }
    }
    chosen.append(farthest)
  }
  return chosen
}
