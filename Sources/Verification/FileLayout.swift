// Reference files keep the axes of the published code; tensors here are channels-last. This is the door between them.

import Autograd
import Tensors

/// Conversion between a file's order of axes and this package's.
public enum FileLayout {
  /// Values of the file as a tensor: `NCHW` becomes [N, H, W, C]; `OIHW`, `OIL` and `OI`, which are parameters, the internal
  /// order of `Parameter`; anything else stays as it is.
  public static func tensor(_ values: [Float], _ shape: [Int], layout: String) -> Tensor {
    switch layout {
    case "NCHW": permuted(values, shape, [0, 2, 3, 1])
    case "OIHW", "OIL", "OI": parameter(values, shape)
    default: Tensor(values, Shape(shape))
    }
  }

  /// A tensor's values in the order of the file, whose extents are `shape`.
  /// - Returns: nil if the tensor has another number of elements or axes than such a file holds.
  public static func fileOrder(_ tensor: Tensor, _ shape: [Int], layout: String) -> [Float]? {
    guard tensor.count == shape.reduce(1, *) else { return nil }
    switch layout {
    case "NCHW":
      guard tensor.shape.rank == 4, shape.count == 4 else { return nil }
      return permuted(tensor.values, tensor.shape.array, [0, 3, 1, 2]).values
    case "OIHW", "OIL", "OI": return ParameterLayout.toOfficial(tensor.values, officialShape: shape)
    default: return tensor.values
    }
  }

  /// Official values of a parameter in the internal order: [kh, kw, I, O], [I, O], depthwise [kh, kw, 1, C].
  public static func parameter(_ values: [Float], _ shape: [Int]) -> Tensor {
    let inner = ParameterLayout.toInternal(values, officialShape: shape)
    return Tensor(inner, shape.count < 2 ? Shape(shape) : Shape(shape[2...] + [shape[1], shape[0]]))
  }

  /// Row-major values with their axes in another order: result axis k is axis `order[k]` of the input.
  public static func permuted(_ values: [Float], _ shape: [Int], _ order: [Int]) -> Tensor {
    precondition(order.sorted() == Array(shape.indices), "order \(order) for shape \(shape)")
    precondition(values.count == shape.reduce(1, *), "\(values.count) values for shape \(shape)")
    var strides = [Int](repeating: 1, count: shape.count)
    for axis in shape.indices.dropLast().reversed() { strides[axis] = strides[axis + 1] * shape[axis + 1] }
    let extents = order.map { shape[$0] }
    let steps = order.map { strides[$0] }
    var result = [Float]()
    result.reserveCapacity(values.count)
    var index = [Int](repeating: 0, count: extents.count)
    var source = 0
    for _ in 0..<values.count {
      result.append(values[source])
      for axis in extents.indices.reversed() {
        index[axis] += 1
        source += steps[axis]
        if index[axis] < extents[axis] { break }
        source -= steps[axis] * extents[axis]
        index[axis] = 0
      }
    }
    return Tensor(result, Shape(extents))
  }
}
