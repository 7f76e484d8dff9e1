// The names a pickle may load, and what each stands for. Whatever is not listed here is refused by name.

import Support

/// Storages by the name of their class.
private let storageKinds: [String: ElementKind] = [
  "torch.DoubleStorage": .float64, "torch.FloatStorage": .float32, "torch.HalfStorage": .float16,
  "torch.BFloat16Storage": .bfloat16, "torch.LongStorage": .int64, "torch.IntStorage": .int32,
  "torch.ShortStorage": .int16, "torch.CharStorage": .int8, "torch.ByteStorage": .uint8, "torch.BoolStorage": .bool,
]

/// Functions and classes that may be called in a pickle, with the other spellings of older versions.
private enum KnownCall {
  case tensor, parameter, orderedDictionary, set, sizes, inert

  init?(_ name: String) {
    switch name {
    case "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor": self = .tensor
    case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state": self = .parameter
    case "collections.OrderedDict": self = .orderedDictionary
    case "builtins.set", "builtins.frozenset", "__builtin__.set", "__builtin__.frozenset": self = .set
    case "torch.Size": self = .sizes
    case "torch.device", "_codecs.encode", "numpy.dtype", "numpy.ndarray", "numpy.core.multiarray.scalar",
      "numpy._core.multiarray.scalar", "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct":
      self = .inert
    default: return nil
    }
  }
}

/// Types of numbers, which stand for themselves.
private let typeNames: Set<String> = [
  "torch.float64", "torch.float32", "torch.float16", "torch.bfloat16", "torch.int64", "torch.int32", "torch.int16",
  "torch.int8", "torch.uint8", "torch.bool", "torch.strided",
]

extension PickleMachine {
  /// The value a name stands for.
  /// - Throws: `Failure` 65 with the name if it is not one of the few that are known.
  func global(_ module: String, _ name: String) throws -> PickleValue {
    let full = "\(module).\(name)"
    guard KnownCall(full) != nil || storageKinds[full] != nil || typeNames.contains(full) else {
      throw refused(
        "the pickle wants to load \(printable(full)), which is refused; nothing was executed", remedy: saveAgain)
    }
    return .global(full)
  }

  /// What a call would have made, worked out without calling anything.
  mutating func result(of function: PickleValue, _ arguments: PickleValue) throws -> PickleValue {
    guard case .global(let name) = function, let call = KnownCall(name) else {
      throw refused("the pickle calls something that is no function; nothing was executed")
    }
    guard let arguments = items(arguments, .tuple) else { throw refused("\(name) is called without arguments") }
    switch call {
    case .tensor: return try tensor(arguments, name)
    case .parameter:
      guard let first = arguments.first, case .tensor = first else { throw refused("\(name) has no tensor") }
      return first
    case .orderedDictionary: return try collection(.dictionary, pairs(arguments))
    case .set:
      guard let first = arguments.first else { return try collection(.set, []) }
      guard arguments.count == 1, let members = items(first, .list) else { throw refused("\(name) of no list") }
      return try collection(.set, members)
    case .sizes:
      guard arguments.count == 1, items(arguments[0], .tuple) != nil else { throw refused("\(name) of no tuple") }
      return arguments[0]
    case .inert: return .inert
    }
  }

  /// The members of an ordered dictionary, from a list of pairs.
  private mutating func pairs(_ arguments: [PickleValue]) throws -> [PickleValue] {
    guard let first = arguments.first else { return [] }
    guard arguments.count == 1, let pairs = items(first, .list) else {
      throw refused("collections.OrderedDict of no list")
    }
    try charge(pairs.count)
    return try pairs.flatMap { pair in
      guard let members = items(pair, .list) ?? items(pair, .tuple), members.count == 2 else {
        throw refused("collections.OrderedDict has a member that is no pair")
      }
      return members
    }
  }

  /// A storage from its persistent id: ("storage", class, key, location, count), with one more in legacy files.
  mutating func storage(_ id: PickleValue) throws -> PickleValue {
    guard let parts = items(id, .tuple), parts.count == 5 || parts.count == 6, case .text("storage") = parts[0],
      case .text(let key) = parts[2], case .text = parts[3], case .integer(let count) = parts[4], count >= 0
    else { throw refused("the pickle refers to something that is no storage") }
    guard case .global(let name) = parts[1], let element = storageKinds[name] else {
      throw refused("a storage has no known type")
    }
    if parts.count == 6 {
      guard case .none = parts[5] else { throw refused("a storage is a view of another", remedy: saveAgain) }
    }
    if let place = storagePlaces[key] {
      guard storages[place].element == element, storages[place].count == count else {
        throw refused("storage \(printable(key)) has two types or sizes")
      }
      return .storage(place)
    }
    storages.append(TorchStorage(key: key, element: element, count: count))
    storagePlaces[key] = storages.count - 1
    return .storage(storages.count - 1)
  }

  /// A view of a storage from (storage, offset, shape, strides, …).
  private mutating func tensor(_ arguments: [PickleValue], _ name: String) throws -> PickleValue {
    guard arguments.count >= 4, case .storage(let storage) = arguments[0], case .integer(let offset) = arguments[1],
      let shape = try numbers(arguments[2]), let strides = try numbers(arguments[3])
    else { throw refused("\(name) has other arguments than a tensor needs") }
    tensors.append(TorchTensor(storage: storage, offset: offset, shape: shape, strides: strides))
    return .tensor(tensors.count - 1)
  }

  /// A tuple of at most 64 whole numbers; nil if it is something else.
  private mutating func numbers(_ value: PickleValue) throws -> [Int]? {
    guard let items = items(value, .tuple), items.count <= 64 else { return nil }
    try charge(items.count)
    var numbers: [Int] = []
    for item in items {
      guard case .integer(let number) = item else { return nil }
      numbers.append(number)
    }
    return numbers
  }
}
