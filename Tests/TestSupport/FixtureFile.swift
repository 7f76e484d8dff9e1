// Reference numbers of the peer implementation, read from ../shared/fixtures beside the package. Stored floats come
// from a float64 run; `f32_noise` is how far a float32 run of the same code lands from them.

import Foundation
import StorageHDF5
import Support
import Tensors

/// The folder `../shared` beside the package root, which holds the reference numbers.
public let sharedFolder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().appending(path: "shared").path

/// Whether `../shared` is there; tests that need it are skipped by name without it.
public let hasSharedFolder = FileManager.default.fileExists(atPath: sharedFolder + "/fixtures")

/// One fixture file, such as `ops`.
public struct FixtureFile {
  /// The open file.
  public let file: HDF5File

  /// Opens `../shared/fixtures/NAME.h5`; nil if there is none.
  public init?(_ name: String) throws {
    let path = "\(sharedFolder)/fixtures/\(name).h5"
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    file = try HDF5File(reading: path)
  }

  /// Floating-point values in file order (row-major), and their extents; a scalar has none.
  public func floats(_ path: String) throws -> (values: [Float], shape: [Int]) { try file.floats(path) }

  /// The only value of a floating-point scalar.
  public func scalar(_ path: String) throws -> Float {
    let read = try file.floats(path)
    precondition(read.values.count == 1, "\(path) has shape \(read.shape)")
    return read.values[0]
  }

  /// Whole numbers in file order, bytes included, and their extents.
  public func integers(_ path: String) throws -> (values: [Int], shape: [Int]) { try file.integers(path) }

  /// Unsigned bytes in file order, and their extents.
  public func bytes(_ path: String) throws -> (values: [UInt8], shape: [Int]) { try file.bytes(path) }

  /// Values in this package's layout, by the dataset's `layout`: NCHW becomes [N, H, W, C], OIHW [kh, kw, I, O],
  /// OI [I, O] (depthwise weights, with I = 1, become [kh, kw, 1, C]); everything else stays as it is.
  public func tensor(_ path: String) throws -> Tensor {
    let (values, shape) = try file.floats(path)
    switch try layout(path) {
    case "NCHW": return nchwToNHWC(values, shape)
    case "OIHW": return oihwToHWIO(values, shape)
    case "OI": return permuted(values, shape, [1, 0])
    default: return Tensor(values, Shape(shape))
    }
  }

  /// Labels [N, H, W] as a label map.
  public func labels(_ path: String) throws -> LabelMap {
    let (values, shape) = try file.integers(path)
    precondition(shape.count == 3, "\(path) has shape \(shape)")
    return LabelMap(samples: shape[0], height: shape[1], width: shape[2], values: values.map { UInt8($0) })
  }

  /// The dataset's layout, such as `NCHW`.
  public func layout(_ path: String) throws -> String { try file.attribute("layout", of: path)?.text ?? "" }

  /// How far a float32 run of the reference lands from the stored values.
  public func noise(_ path: String) throws -> Double { try number("f32_noise", path) }

  /// The largest magnitude.
  public func maximum(_ path: String) throws -> Double { try number("max_abs", path) }

  /// The error a float32 implementation may have: `10 * f32_noise + 3e-6 * max_abs`.
  public func allowedError(_ path: String) throws -> Double { try 10 * noise(path) + 3e-6 * maximum(path) }

  /// Largest |actual - stored| divided by the allowed error: at most 1 is a pass. Layouts are converted as in
  /// `tensor`; another element count or a value that is not finite gives infinity.
  public func timesAllowed(_ actual: Tensor, _ path: String) throws -> Double {
    try timesAllowed(actual.values, tensor(path).values, path)
  }

  /// As above, for values in the order of the file.
  public func timesAllowed(_ actual: [Float], _ path: String) throws -> Double {
    try timesAllowed(actual, file.floats(path).values, path)
  }

  /// Names directly below a group, in byte order.
  public func names(under group: String = "") throws -> [String] { try file.entries(of: group).map(\.name) }

  /// Paths of all datasets below a group, in byte order.
  public func datasets(under group: String = "") throws -> [String] { try file.datasets(under: group) }

  /// The hyperparameters that made the file, as parsed JSON.
  public func config() throws -> [String: Any] {
    let text = try file.attribute("config", of: "")?.text ?? "{}"
    return try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] ?? [:]
  }

  /// A hyperparameter by its path, such as `config("net.encoder.widths", [Int].self)`; nil if there is none.
  public func config<Value>(_ path: String, _ type: Value.Type = Value.self) throws -> Value? {
    var value: Any? = try config()
    for key in path.split(separator: ".") { value = (value as? [String: Any])?[String(key)] }
    return value as? Value
  }

  private func number(_ attribute: String, _ path: String) throws -> Double {
    guard let number = try file.attribute(attribute, of: path)?.number else {
      throw Failure(.badData, "no attribute \(attribute)", at: "\(file.path):/\(path)")
    }
    return number
  }

  private func timesAllowed(_ actual: [Float], _ expected: [Float], _ path: String) throws -> Double {
    guard actual.count == expected.count else { return .infinity }
    var difference = 0.0
    for (a, e) in zip(actual, expected) {
      guard a.isFinite else { return .infinity }
      difference = max(difference, abs(Double(a) - Double(e)))
    }
    return difference / max(try allowedError(path), 1e-30)
  }
}

/// `[N, C, H, W]` values as a `[N, H, W, C]` tensor.
public func nchwToNHWC(_ values: [Float], _ shape: [Int]) -> Tensor { permuted(values, shape, [0, 2, 3, 1]) }

/// A `[N, H, W, C]` tensor as `[N, C, H, W]` values.
public func nhwcToNCHW(_ tensor: Tensor) -> [Float] {
  permuted(tensor.values, tensor.shape.array, [0, 3, 1, 2]).values
}

/// Convolution weights `[O, I, kh, kw]` as `[kh, kw, I, O]`.
public func oihwToHWIO(_ values: [Float], _ shape: [Int]) -> Tensor { permuted(values, shape, [2, 3, 1, 0]) }

/// Row-major values with their axes in another order: result axis k is axis `order[k]` of the input.
public func permuted(_ values: [Float], _ shape: [Int], _ order: [Int]) -> Tensor {
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
