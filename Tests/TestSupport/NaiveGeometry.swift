// Moving pixels by explicit indices, in Double. Maps are [N, H, W, C].

import Tensors

/// Value at a position of a map.
public func pixel(_ values: [Double], _ shape: Shape, _ n: Int, _ y: Int, _ x: Int, _ c: Int) -> Double {
  values[((n * shape[1] + y) * shape[2] + x) * shape[3] + c]
}

/// A map from a function of its position.
public func naiveMap(_ shape: Shape, _ value: (_ n: Int, _ y: Int, _ x: Int, _ c: Int) -> Double) -> [Double] {
  var result = [Double]()
  for n in 0..<shape[0] {
    for y in 0..<shape[1] {
      for x in 0..<shape[2] {
        for c in 0..<shape[3] { result.append(value(n, y, x, c)) }
      }
    }
  }
  return result
}

/// Mean over the windows that hold each pixel; tiles are window-major.
public func naiveStitch(_ tiles: Tensor, _ boxes: [Box], _ shape: Shape) -> [Double] {
  let values = doubles(tiles)
  return naiveMap(shape) { n, y, x, c in
    var (sum, count) = (0.0, 0.0)
    for (index, box) in boxes.enumerated()
    where y >= box.top && y < box.bottom && x >= box.left && x < box.right {
      sum += pixel(values, tiles.shape, index * shape[0] + n, y - box.top, x - box.left, c)
      count += 1
    }
    return sum / count
  }
}
