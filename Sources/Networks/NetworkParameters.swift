// All parameters of one network in one arena, all its running statistics in another: optimizer, average, reduction,
// digest and checkpoint are single loops over slices.

import Autograd
import Support
import Tensors

/// Collects the parameters and buffers that layers declare while a network is built.
public final class ParameterRegistry {
  fileprivate var parameters: [Parameter] = []
  fileprivate(set) var batchNorms: [(name: String, state: BatchNormState)] = []
  /// How batch norms that are declared next are trained.
  var batchNorm = BatchNormTraining.batch
  /// The objectives that parameters belong to, by name; none for those of the segmentation network.
  fileprivate private(set) var owners: [String: String] = [:]
  private var owner: String?

  /// Nothing declared.
  public init() {}

  /// Elements declared so far: where the next parameter will begin in the arena.
  var elements: Int { parameters.reduce(0) { $0 + $1.count } }

  /// Declares a parameter under its published name.
  /// - Precondition: the name is new.
  /// - Parameter isTrained: whether it gets gradients in networks that are trained.
  package func declare(
    _ name: String, _ officialShape: [Int], _ initializer: Initializer, isTrained: Bool = true
  ) -> Parameter {
    precondition(!parameters.contains { $0.name == name }, "two parameters are called \(name)")
    let parameter = Parameter(
      name: name, officialShape: officialShape, isTrained: isTrained, initialise: initializer.draw)
    parameters.append(parameter)
    owners[name] = owner
    return parameter
  }

  /// Declares what belongs to an objective, given the prefix of all its names.
  /// - Precondition: every name begins with the prefix.
  func declaring<Result>(for owner: String, _ declarations: (_ prefix: String) -> Result) -> Result {
    let (first, prefix) = (parameters.count, AttachedHead.prefix(owner))
    self.owner = owner
    defer { self.owner = nil }
    let result = declarations(prefix)
    for parameter in parameters[first...] {
      precondition(parameter.name.hasPrefix(prefix), "\(parameter.name) of \(owner)")
    }
    return result
  }

  /// Declares a batch norm; its buffers are `name.running_mean` and `name.running_var`.
  /// - Parameters:
  ///   - scale: what every factor starts as.
  ///   - isTrained: whether factors and shifts may learn, where batch norms do.
  package func declareBatchNorm(
    _ name: String, channels: Int, epsilon: Float = 1e-5, momentum: Float = 0.1, scale: Float = 1,
    isTrained: Bool = true
  ) -> BatchNormState {
    let isTrained = isTrained && batchNorm == .batch
    let state = BatchNormState(
      scale: declare("\(name).weight", [channels], .constant(scale), isTrained: isTrained),
      shift: declare("\(name).bias", [channels], .constant(0), isTrained: isTrained), epsilon: epsilon,
      momentum: momentum, isFrozen: batchNorm == .frozen)
    batchNorms.append((name, state))
    return state
  }
}

/// How a parameter starts.
public struct Initializer: Sendable {
  /// Values in the official order from a stream of the parameter's own.
  let draw: @Sendable (inout RandomStream, Int) -> [Float]

  /// One value everywhere.
  package static func constant(_ value: Float) -> Initializer {
    Initializer { _, count in [Float](repeating: value, count: count) }
  }

  /// Normal with mean 0.
  package static func normal(deviation: Double) -> Initializer {
    Initializer { stream, count in (0..<count).map { _ in Float(deviation * stream.nextNormal()) } }
  }

  /// Normal with mean 0, redrawn outside two units of length, as PyTorch's `trunc_normal_` with its default bounds.
  package static func truncatedNormal(deviation: Double) -> Initializer {
    Initializer { stream, count in
      (0..<count).map { _ in
        var value = deviation * stream.nextNormal()
        while abs(value) > 2 { value = deviation * stream.nextNormal() }
        return Float(value)
      }
    }
  }

  /// Uniform within ±1/√fan-in: how PyTorch starts weights and biases of convolutions (`kaiming_uniform_` with a = √5).
  package static func uniform(inputs: Int, taps: Int) -> Initializer {
    let bound = Float(1 / Double(inputs * taps).squareRoot())
    return Initializer { stream, count in (0..<count).map { _ in stream.nextUniform(in: -bound...bound) } }
  }

  /// He et al. (ICCV 2015): normal with variance 2 / fan-out.
  package static func heNormal(outputs: Int, taps: Int, groups: Int = 1) -> Initializer {
    normal(deviation: (2 / Double(outputs * taps / groups)).squareRoot())
  }
}

/// The arenas of one network: parameters, batch-norm statistics and, if it is trained, one gradient slot per sample.
public final class NetworkParameters {
  /// A named part of an arena.
  public struct Slice: Sendable {
    /// Published name.
    public let name: String
    /// Published shape.
    public let officialShape: [Int]
    /// Elements in the arena.
    public let range: Range<Int>
    /// Whether an optimizer may change it; never for running statistics.
    public let isTrained: Bool
    /// The objective whose attached head it is of; nil for the segmentation network's own.
    public let owner: String?

    /// Its name among those of its owner.
    public var nameInOwner: String { owner.map { String(name.dropFirst(AttachedHead.prefix($0).count)) } ?? name }
  }

  /// Parameters in the order of declaration.
  public let parameters: [Parameter]
  /// Where each parameter lies in `values`.
  public let slices: [Slice]
  /// All parameters' values.
  public let values: Tensor
  /// Where each running statistic lies in `buffers`.
  public let bufferSlices: [Slice]
  /// All running statistics.
  public let buffers: Tensor
  /// Batch norms in the order of declaration.
  let batchNorms: [BatchNormState]
  /// Gradient slots `[samples, count]`, or nil if the network is not trained.
  public let gradients: Tensor?
  /// Which part of the slots is closed while it is summed over ranks.
  public let gradientSeal = GradientSeal()

  /// Lays out the arenas and binds every parameter and batch norm to its place. Parameters are drawn from `seed`.
  /// - Parameters:
  ///   - registry: the declared parameters.
  ///   - gradientSlots: local samples whose gradients are kept apart; 0 for a network that is not trained.
  ///   - seed: the run's seed.
  public convenience init(_ registry: ParameterRegistry, gradientSlots: Int, seed: UInt64) {
    self.init(registry, over: nil, gradientSlots: gradientSlots)
    initialise(seed: seed)
  }

  /// Binds the same parameters, declared once more, to the values and statistics of another network: a frozen copy that
  /// moves with it. It has no gradient slots.
  /// - Precondition: names and shapes are those of the other network.
  public convenience init(_ registry: ParameterRegistry, sharing other: NetworkParameters) {
    self.init(registry, over: other, gradientSlots: 0)
    precondition(
      zip(slices + bufferSlices, other.slices + other.bufferSlices).allSatisfy {
        $0.name == $1.name && $0.officialShape == $1.officialShape
      } && slices.count == other.slices.count && bufferSlices.count == other.bufferSlices.count,
      "parameters \(slices.map(\.name)) share those of \(other.slices.map(\.name))")
  }

  private init(_ registry: ParameterRegistry, over other: NetworkParameters?, gradientSlots: Int) {
    parameters = registry.parameters
    batchNorms = registry.batchNorms.map(\.state)
    slices = NetworkParameters.layOut(
      parameters.map { ($0.name, $0.officialShape, $0.isTrained, registry.owners[$0.name]) })
    let statistics = registry.batchNorms.flatMap { name, state in
      ["running_mean", "running_var"].map {
        ("\(name).\($0)", [state.scale.count], false, registry.owners[state.scale.name])
      }
    }
    bufferSlices = NetworkParameters.layOut(statistics)
    values = other?.values ?? Tensor(zeros: [slices.last?.range.upperBound ?? 0])
    buffers = other?.buffers ?? Tensor(zeros: [bufferSlices.last?.range.upperBound ?? 0])
    gradients = gradientSlots > 0 ? Tensor(zeros: [gradientSlots, values.count]) : nil
    let seal = gradientSeal
    for (parameter, slice) in zip(parameters, slices) {
      let view = Tensor(shape: parameter.internalShape, buffer: values.buffer, offset: slice.range.lowerBound)
      let slots = gradients.map {
        GradientSlots(arenas: $0, offset: slice.range.lowerBound, count: slice.range.count, seal: seal)
      }
      parameter.bind(view, slots: parameter.isTrained ? slots : nil)
    }
    for (index, entry) in registry.batchNorms.enumerated() {
      entry.state.bind(
        runningMean: NetworkParameters.view(buffers, bufferSlices[2 * index]),
        runningVariance: NetworkParameters.view(buffers, bufferSlices[2 * index + 1]))
    }
  }

  private static func layOut(_ entries: [(String, [Int], isTrained: Bool, owner: String?)]) -> [Slice] {
    var offset = 0
    return entries.map { name, shape, isTrained, owner in
      let count = shape.reduce(1, *)
      defer { offset += count }
      return Slice(
        name: name, officialShape: shape, range: offset..<offset + count, isTrained: isTrained, owner: owner)
    }
  }

  private static func view(_ arena: Tensor, _ slice: Slice) -> Tensor {
    Tensor(shape: [slice.range.count], buffer: arena.buffer, offset: slice.range.lowerBound)
  }

  /// Draws every parameter anew and resets running statistics to mean 0 and variance 1.
  public func initialise(seed: UInt64) {
    WorkerPool.shared.run(tiles: parameters.count) { index in
      let parameter = parameters[index]
      var stream = RandomStream(seed: seed, step: 0, sample: nil, purpose: Purpose("initialise", parameter.name))
      setOfficial(parameter.initialise(&stream, parameter.count), parameter)
    }
    for slice in bufferSlices {
      NetworkParameters.view(buffers, slice).fill(slice.name.hasSuffix("running_var") ? 1 : 0)
    }
  }

  private func setOfficial(_ values: [Float], _ parameter: Parameter) {
    let inner = ParameterLayout.toInternal(values, officialShape: parameter.officialShape)
    parameter.value.assign(Tensor(inner, parameter.internalShape))
  }

  /// All parameters in official order and shape, from an arena laid out as `values` (this network's own, a moment, a
  /// summed gradient).
  public func official(of arena: Tensor) -> [(name: String, shape: [Int], values: [Float])] {
    precondition(arena.count == values.count, "arena of \(arena.count) for \(values.count) parameters")
    return slices.map { ($0.name, $0.officialShape, NetworkParameters.official($0, of: arena)) }
  }

  /// One parameter's values in official order, from an arena of the network the slice belongs to.
  public static func official(_ slice: Slice, of arena: Tensor) -> [Float] {
    let inner = Tensor(shape: [slice.range.count], buffer: arena.buffer, offset: arena.offset + slice.range.lowerBound)
    return ParameterLayout.toOfficial(inner.values, officialShape: slice.officialShape)
  }

  /// Running statistics by published name.
  public func officialBuffers() -> [(name: String, shape: [Int], values: [Float])] {
    bufferSlices.map { ($0.name, $0.officialShape, NetworkParameters.view(buffers, $0).values) }
  }

  /// Overwrites part of an arena laid out as `values`, given official values.
  /// - Returns: false if no parameter has that name.
  /// - Precondition: the element count is the parameter's.
  @discardableResult
  public func load(_ official: [Float], named name: String, into arena: Tensor) -> Bool {
    guard let index = slices.firstIndex(where: { $0.name == name }) else { return false }
    let slice = slices[index]
    let inner = ParameterLayout.toInternal(official, officialShape: slice.officialShape)
    Tensor(shape: [slice.range.count], buffer: arena.buffer, offset: arena.offset + slice.range.lowerBound)
      .assign(Tensor(inner, [inner.count]))
    return true
  }

  /// Overwrites a running statistic.
  /// - Returns: false if none has that name.
  @discardableResult
  public func loadBuffer(_ values: [Float], named name: String) -> Bool {
    guard let slice = bufferSlices.first(where: { $0.name == name }) else { return false }
    NetworkParameters.view(buffers, slice).assign(Tensor(values, [slice.range.count]))
    return true
  }

  /// SHA-256 over name, official shape and little-endian bytes of every parameter and buffer, names in byte order.
  public func digest() -> String { NetworkParameters.digest(of: official(of: values) + officialBuffers()) }

  /// SHA-256 over name, official shape and little-endian bytes of tensors, names in byte order.
  public static func digest(of tensors: [(name: String, shape: [Int], values: [Float])]) -> String {
    digest(of: tensors.map { ($0.name, $0.shape) }) { tensors[$0].values }
  }

  /// The same, where values are asked for one tensor after the other, names in byte order.
  /// - Parameters:
  ///   - tensors: names and official shapes.
  ///   - values: values of the tensor with this index, in official order.
  public static func digest(
    of tensors: [(name: String, shape: [Int])], values: (Int) throws -> [Float]
  ) rethrows -> String {
    let hash = SHA256()
    let order = tensors.indices.sorted { tensors[$0].name.utf8.lexicographicallyPrecedes(tensors[$1].name.utf8) }
    for index in order {
      hash.update(tensors[index].name)
      hash.update(tensors[index].shape.map { Int64($0).littleEndian })
      hash.update(try values(index).map { $0.bitPattern.littleEndian })
    }
    return hash.hexadecimal()
  }

  /// Forgets all gradients.
  public func clearGradients() { gradients?.fill(0) }
}
