// The rules of comparison: by element for forward values, by norm for gradients and updated parameters, by count for
// whole numbers. Nothing here stops the program: what cannot be compared is an item that failed.

import Tensors

/// Collects the comparisons of one file.
public struct Verifier {
  /// The file.
  public let fixture: Fixture
  /// Factor of every allowed error, 1 for the files' own rule; whole numbers are not touched by it.
  public let tolerance: Double
  /// The outcomes so far.
  public private(set) var items: [VerifiedItem] = []

  /// Share of a gradient's norm that a float32 implementation may be off by, where the reference's own noise is less.
  static let normShare = 5e-4
  /// Share of a whole gradient's largest element that is rounding in a direction whose gradient is zero.
  static let elementShare = 3e-6

  /// No comparisons yet.
  public init(_ fixture: Fixture, tolerance: Double = 1) {
    self.fixture = fixture
    self.tolerance = tolerance
  }

  // MARK: By element

  /// Compares values in file order: `max|x - reference| <= 10 * f32_noise + 3e-6 * max_abs`.
  public mutating func element(_ path: String, actual: [Float]) throws {
    let reference = try fixture.floats(path)
    let difference = Difference(actual, reference.values)
    let allowed = try tolerance * fixture.allowedError(path)
    append(path, difference, reference.shape, times: ratio(difference.largest, allowed), "")
  }

  /// As above for a tensor, whose axes are put in file order by the dataset's layout.
  public mutating func element(_ path: String, _ tensor: Tensor) throws {
    try element(path, actual: fileOrder(path, tensor, layout: fixture.layout(path)))
  }

  /// As above for a parameter in the internal order.
  public mutating func element(_ path: String, parameter: Tensor) throws {
    try element(path, actual: fileOrder(path, parameter, layout: "OIHW"))
  }

  // MARK: By norm

  /// Compares a gradient, or parameters after updates, in file order:
  /// `‖x - reference‖ / ‖reference‖ <= max(10 * ‖noise‖ / ‖reference‖, 5e-4)`.
  ///
  /// Of the noise only the largest element is stored; `f32_noise * sqrt(count)` is the most its norm can be. Elements over the
  /// rule for forward values are counted in the item's note.
  /// - Parameters:
  ///   - path: the reference array.
  ///   - actual: what was computed.
  ///   - nullAllowance: the error each element of a null direction (see `nullDirections`) may have besides ten times
  ///     the noise; such elements then stay out of the norm. Nil: there are none.
  public mutating func norm(_ path: String, actual: [Float], nullAllowance: Double? = nil) throws {
    _ = try judgeNorm(path, actual, nullAllowance)
  }

  /// As above for a tensor, whose axes are put in file order by the dataset's layout.
  public mutating func norm(_ path: String, _ tensor: Tensor) throws {
    try norm(path, actual: fileOrder(path, tensor, layout: fixture.layout(path)))
  }

  /// As above for a parameter's gradient in the internal order.
  public mutating func norm(_ path: String, parameter: Tensor) throws {
    try norm(path, actual: fileOrder(path, parameter, layout: "OIHW"))
  }

  /// Compares many gradients, or many parameters after updates, each by norm, and all together as one more item.
  /// - Parameters:
  ///   - whole: the name of the item for all together.
  ///   - tensors: paths, with values in file order.
  ///   - nullAllowance: as above, by path; nil stands for 3e-6 of the largest element of all, which is right for gradients.
  public mutating func norms(
    _ whole: String, _ tensors: [(path: String, actual: [Float])], nullAllowance: ((String) -> Double)? = nil
  )
    throws
  {
    let largest = try tensors.map { try fixture.maximum($0.path) }.max() ?? 0
    var total = NormSums()
    for tensor in tensors {
      total.add(
        try judgeNorm(tensor.path, tensor.actual, nullAllowance?(tensor.path) ?? Verifier.elementShare * largest))
    }
    let times = total.times(tolerance)
    items.append(
      VerifiedItem(
        name: whole, maxAbs: total.largest, maxRel: ratio(total.largest, largest), timesAllowed: times, at: [],
        ok: times <= 1, note: total.note))
  }

  /// Elements of a parameter whose gradient is zero in exact arithmetic, so that what is computed is rounding noise: the key half of
  /// an attention's key-value bias, and biases of the scale attention's embedding, which batch norm removes.
  public static func nullDirections(of name: String, count: Int) -> Range<Int> {
    if name.hasSuffix(".attn.kv.bias") { return 0..<count / 2 }
    if name.contains("scale_attention.embed_layers."), name.hasSuffix(".bias") { return 0..<count }
    return 0..<0
  }

  private mutating func judgeNorm(_ path: String, _ actual: [Float], _ nullAllowance: Double?) throws -> NormSums {
    let reference = try fixture.floats(path)
    let difference = Difference(actual, reference.values)
    let noise = try fixture.noise(path)
    let skipped = nullAllowance == nil ? 0..<0 : Verifier.nullDirections(of: path, count: reference.values.count)
    var sums = NormSums()
    var times = Double.infinity
    if difference.isComparable {
      sums.add(actual, reference.values, skipping: skipped, noise: noise)
      times = max(sums.times(tolerance), 0)
      if !skipped.isEmpty {
        let null = Difference(Array(actual[skipped]), Array(reference.values[skipped])).largest
        times = max(times, ratio(null, tolerance * ((nullAllowance ?? 0) + 10 * noise)))
      }
    } else {
      sums.isComparable = false
    }
    let over = difference.count(over: try tolerance * fixture.allowedError(path))
    sums.overElementRule = over
    append(path, difference, reference.shape, times: times, sums.note)
    return sums
  }

  // MARK: By count

  /// Compares whole numbers in file order.
  /// - Parameters:
  ///   - path: the reference array.
  ///   - actual: what was computed.
  ///   - allowedDifferences: how many may differ, such as 5 for pseudo-labels.
  public mutating func integers(_ path: String, actual: [Int], allowedDifferences: Int = 0) throws {
    let reference = try fixture.integers(path)
    let difference = Difference(actual.map(Double.init), reference.values.map(Double.init))
    let count = difference.count(over: 0)
    let note = count > 0 && difference.isComparable ? "\(count) of \(reference.values.count) differ" : ""
    append(
      path, difference, reference.shape,
      times: difference.isComparable ? Double(count) / max(Double(allowedDifferences), 0.5) : .infinity, note)
  }

  /// As above for labels, masks and the like.
  public mutating func integers(_ path: String, bytes: [UInt8], allowedDifferences: Int = 0) throws {
    try integers(path, actual: bytes.map(Int.init), allowedDifferences: allowedDifferences)
  }

  // MARK: Without a comparison

  /// A failed item for something that no kind knows.
  public mutating func unknown(_ path: String) { failed(path, "nothing here knows what this is") }

  /// A failed item for something that could not be computed.
  public mutating func failed(_ path: String, _ why: String) {
    items.append(
      VerifiedItem(
        name: path, maxAbs: .infinity, maxRel: .infinity, timesAllowed: .infinity, at: [], ok: false, note: why))
  }

  // MARK: Helpers

  private func fileOrder(_ path: String, _ tensor: Tensor, layout: String) throws -> [Float] {
    let shape = try fixture.floats(path).shape
    // Values of another shape stay as they are; a wrong count is then told by the comparison.
    return FileLayout.fileOrder(tensor, shape, layout: layout)
      ?? (tensor.count == shape.reduce(1, *) ? [] : tensor.values)
  }

  mutating func append(_ path: String, _ difference: Difference, _ shape: [Int], times: Double, _ note: String) {
    items.append(
      VerifiedItem(
        name: path, maxAbs: difference.largest, maxRel: ratio(difference.largest, difference.scale),
        timesAllowed: times, at: difference.isComparable ? index(difference.place, shape) : [], ok: times <= 1,
        note: difference.problem ?? note))
  }

  private func index(_ place: Int, _ shape: [Int]) -> [Int] {
    var rest = place
    var index: [Int] = []
    for extent in shape.reversed() {
      index.append(rest % max(extent, 1))
      rest /= max(extent, 1)
    }
    return index.reversed()
  }
}

/// A part of a whole; none of nothing is nothing.
func ratio(_ part: Double, _ whole: Double) -> Double { part == 0 ? 0 : part / whole }
