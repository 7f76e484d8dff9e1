// What a pickle may hold. Values that contain others live in one list and are named by their place in it, so that
// neither deep nesting nor a list inside itself makes anything recurse.

import Support

/// A value on the stack of a pickle.
enum PickleValue {
  case none
  case bool(Bool)
  case integer(Int)
  case real(Double)
  case text(String)
  /// Bytes, of which only the number matters.
  case bytes(Int)
  /// A list, tuple, dictionary or set, by its place.
  case collection(Int)
  /// One of the few names that are known, such as `torch._utils._rebuild_tensor_v2`.
  case global(String)
  /// Something that no weights depend on, such as a NumPy number or a device.
  case inert
  /// A storage, by its place.
  case storage(Int)
  /// A tensor, by its place.
  case tensor(Int)
}

/// A list, tuple, dictionary or set.
struct PickleCollection {
  enum Kind { case list, tuple, dictionary, set }

  let kind: Kind
  /// Members; of a dictionary each key with its value after it.
  var items: [PickleValue] = []
}

/// Numbers in an entry of the archive, or behind the pickles of a legacy file.
struct TorchStorage {
  /// Its key, such as `0`.
  let key: String
  let element: ElementKind
  /// How many numbers it has.
  let count: Int
}

/// A view of a storage.
struct TorchTensor {
  /// Place of the storage.
  let storage: Int
  /// First number of the view.
  let offset: Int
  let shape: [Int]
  /// Distances in numbers.
  let strides: [Int]
}

/// A finished pickle.
struct PickleResult {
  let root: PickleValue
  let collections: [PickleCollection]
  let storages: [TorchStorage]
  let tensors: [TorchTensor]
  /// The byte after the pickle.
  let end: Int
}
