// A reference file: inputs, weights and results of another implementation, each with what single precision costs there.
// Layouts are converted on reading. Every path that was asked for is noted, so that what nobody asked for can be named.

import Foundation
import Storage
import Support
import Tensors

/// One reference file and, beside it, the weights it starts from. One thread at a time may use it.
///
/// Stored floats come from a float64 run; the attribute `f32_noise` says how far a float32 run of the same code lands from
/// them, `max_abs` the largest magnitude, `layout` the order of axes.
public struct Fixture {
  /// The open file.
  public let file: any NumberFile
  /// Paths of all datasets, in byte order.
  public let paths: [String]
  private let open: (String) throws -> any NumberFile
  private let ledger = Ledger()

  private final class Ledger {
    var asked: Set<String> = []
    var weights: Fixture?
  }

  /// Opens a reference file.
  /// - Parameters:
  ///   - path: the file.
  ///   - open: reads a file; called for the neighbour with the weights too, once something asks for it.
  /// - Throws: what `open` throws; `Failure` 65 if the file is damaged.
  public init(_ path: String, _ open: @escaping (String) throws -> any NumberFile) throws {
    file = try open(path)
    paths = try file.datasets()
    self.open = open
  }

  /// `weights.h5` in the same folder.
  /// - Throws: `Failure` 66 if there is none.
  public func weights() throws -> Fixture {
    if let known = ledger.weights { return known }
    let folder = URL(filePath: file.path).deletingLastPathComponent()
    let neighbour = try Fixture(folder.appending(path: "weights.h5").path, open)
    ledger.weights = neighbour
    return neighbour
  }

  // MARK: What there is

  /// Whether there is a dataset of this path.
  public func contains(_ path: String) -> Bool { paths.contains(path) }

  /// Paths of all datasets below a group ("" is the root), in byte order.
  public func datasets(under group: String = "") -> [String] {
    group.isEmpty ? paths : paths.filter { $0.hasPrefix(group + "/") }
  }

  /// Names directly below a group, in byte order.
  public func names(under group: String = "") -> [String] {
    var names: [String] = []
    for path in datasets(under: group) {
      let name = String(path.dropFirst(group.isEmpty ? 0 : group.count + 1).prefix { $0 != "/" })
      if names.last != name { names.append(name) }
    }
    return names
  }

  /// Datasets that nothing has asked for: the one of this name, or all below the group.
  public func unread(at name: String) -> [String] {
    paths.filter { ($0 == name || $0.hasPrefix(name + "/")) && !ledger.asked.contains($0) }
  }

  /// Counts a dataset as asked for though its values are not needed.
  public func skip(_ path: String) { ledger.asked.insert(path) }

  // MARK: Numbers

  /// Floating-point values in file order (row-major), and their extents; a scalar has none.
  public func floats(_ path: String) throws -> (values: [Float], shape: [Int]) {
    ledger.asked.insert(path)
    return try file.floats(path)
  }

  /// Whole numbers in file order, bytes included, and their extents.
  public func integers(_ path: String) throws -> (values: [Int], shape: [Int]) {
    ledger.asked.insert(path)
    return try file.integers(path)
  }

  /// Bytes in file order, and their extents.
  /// - Throws: `Failure` 65 if a number is outside 0...255.
  public func bytes(_ path: String) throws -> (values: [UInt8], shape: [Int]) {
    let (values, shape) = try integers(path)
    let bytes = values.compactMap(UInt8.init(exactly:))
    guard bytes.count == values.count else { throw bad(path, "numbers outside 0...255") }
    return (bytes, shape)
  }

  /// The only value of a floating-point dataset.
  public func scalar(_ path: String) throws -> Float {
    let (values, shape) = try floats(path)
    guard values.count == 1 else { throw bad(path, "expected one number, found shape \(shape)") }
    return values[0]
  }

  /// Values in this package's layout, by the dataset's `layout` (see `FileLayout`); at most four axes.
  public func tensor(_ path: String) throws -> Tensor {
    let (values, shape) = try floats(path)
    return FileLayout.tensor(values, shape, layout: try checkedLayout(path, shape))
  }

  /// A parameter, or its gradient, in the internal order, whatever the layout says: single-operator files call
  /// four-dimensional weights `NCHW`.
  public func parameter(_ path: String) throws -> Tensor {
    let (values, shape) = try floats(path)
    guard shape.count <= 4 else { throw bad(path, "a parameter of \(shape.count) axes") }
    return FileLayout.parameter(values, shape)
  }

  /// Labels [N, H, W].
  /// - Throws: `Failure` 65 if there are not three axes or a label is no byte.
  public func labels(_ path: String) throws -> LabelMap {
    let (values, shape) = try bytes(path)
    guard shape.count == 3 else { throw bad(path, "labels of shape \(shape)") }
    return LabelMap(samples: shape[0], height: shape[1], width: shape[2], values: values)
  }

  // MARK: Attributes

  /// The dataset's order of axes, such as `NCHW`.
  public func layout(_ path: String) throws -> String { try file.text("layout", of: path) ?? "" }

  /// The dataset's remark, or the file's ("").
  public func remark(_ path: String) throws -> String { try file.text("what", of: path) ?? "" }

  /// How far a float32 run of the reference lands from the stored values.
  public func noise(_ path: String) throws -> Double { try number("f32_noise", path) }

  /// The largest magnitude.
  public func maximum(_ path: String) throws -> Double { try number("max_abs", path) }

  /// The error a float32 implementation may have at any element: `10 * f32_noise + 3e-6 * max_abs`.
  public func allowedError(_ path: String) throws -> Double { try 10 * noise(path) + 3e-6 * maximum(path) }

  /// The hyperparameters that made the file, as parsed JSON.
  public func config() throws -> [String: Any] {
    let text = try file.text("config", of: "") ?? "{}"
    return try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] ?? [:]
  }

  /// A hyperparameter by its path, such as `config("net.encoder.widths", [Int].self)`; nil if there is none.
  public func config<Value>(_ path: String, _ type: Value.Type = Value.self) throws -> Value? {
    var value: Any? = try config()
    for key in path.split(separator: ".") { value = (value as? [String: Any])?[String(key)] }
    return value as? Value
  }

  /// A failure 65 that names a dataset of this file.
  public func bad(_ path: String, _ what: String) -> Failure { Failure(.badData, what, at: "\(file.path):/\(path)") }

  private func number(_ attribute: String, _ path: String) throws -> Double {
    guard let number = try file.number(attribute, of: path) else { throw bad(path, "no attribute \(attribute)") }
    return number
  }

  private func checkedLayout(_ path: String, _ shape: [Int]) throws -> String {
    let layout = try self.layout(path)
    guard shape.count <= 4, layout != "NCHW" || shape.count == 4 else {
      throw bad(path, "layout \(layout) for shape \(shape)")
    }
    return layout
  }
}
