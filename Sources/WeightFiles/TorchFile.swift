// PyTorch checkpoints: the zip form, and which of a checkpoint's tensors are the network's weights.

import Support

/// The tensors of a checkpoint in zip form.
/// - Throws: `Failure` 65 naming the entry, the byte of the pickle or the tensor.
func readTorchArchive(_ bytes: WeightBytes) throws -> [WeightTensor] {
  let archive = try ZipArchive(bytes)
  let pickles = archive.entries.values.filter { $0.name.split(separator: "/").dropFirst() == ["data.pkl"] }
  guard pickles.count == 1 else {
    throw refused("is a zip archive but no PyTorch checkpoint: it has \(pickles.count) entries data.pkl")
  }
  let folder = pickles[0].name.dropLast("data.pkl".count)
  if let order = archive.entries["\(folder)byteorder"] {
    let text = try bytes.bytes(order.start, min(order.size, 16), of: "the byte order")
    guard text == Array("little".utf8) else {
      throw refused(
        "its byte order is \(printable(String(decoding: text, as: UTF8.self))), only little is read", remedy: saveAgain)
    }
  }
  try archive.verify(pickles[0])
  let pickle = try PickleMachine.read(bytes, pickles[0].range)
  let views = try namedTensors(pickle)
  var starts: [Int: Int] = [:]
  for view in views where starts[view.tensor.storage] == nil {
    let storage = pickle.storages[view.tensor.storage]
    guard let entry = archive.entries["\(folder)data/\(storage.key)"] else {
      throw refused("storage \(printable(storage.key)) is not in the archive", remedy: fetchAgain)
    }
    let (size, overflow) = storage.count.multipliedReportingOverflow(by: storage.element.byteCount)
    guard !overflow, size <= entry.size else {
      throw refused(
        "storage \(printable(storage.key)) claims \(storage.count) numbers, its entry has \(entry.size) bytes",
        remedy: fetchAgain)
    }
    try archive.verify(entry)
    starts[view.tensor.storage] = entry.start
  }
  return try weightTensors(views, pickle, bytes) { starts[$0] ?? 0 }
}

/// Views as tensors of the file.
/// - Parameter start: first byte of a storage.
func weightTensors(
  _ views: [(name: String, tensor: TorchTensor)], _ pickle: PickleResult, _ bytes: WeightBytes, start: (Int) -> Int
) throws -> [WeightTensor] {
  try views.map { name, view in
    let storage = pickle.storages[view.storage]
    guard view.offset >= 0, view.offset <= storage.count else {
      throw Failure(
        .badData, "starts at number \(view.offset) of a storage of \(storage.count)",
        at: "tensor \(printable(name))", remedy: fetchAgain)
    }
    let size = storage.element.byteCount
    return try WeightTensor(
      name: name, shape: view.shape, element: storage.element, bytes: bytes,
      start: start(view.storage) + view.offset * size, room: (storage.count - view.offset) * size,
      strides: view.strides)
  }
}

/// The tensors of the state dictionary with their names, in the order of the pickle.
/// - Throws: `Failure` 65 if there is none, two share a name, or dictionaries are nested too deeply.
func namedTensors(_ pickle: PickleResult) throws -> [(name: String, tensor: TorchTensor)] {
  var root = try dictionary(pickle.root, pickle) ?? { throw refused("holds no dictionary", remedy: saveAgain) }()
  for key in ["state_dict", "model_state_dict", "model_state", "model"] {
    if let inner = root.last(where: { $0.key == key }), let members = try dictionary(inner.value, pickle) {
      root = members
      break
    }
  }
  var found: [(name: String, tensor: TorchTensor)] = []
  var names: Set<String> = []
  var visited = 0
  var open: [(prefix: String, members: ArraySlice<(key: String, value: PickleValue)>)] = [("", root[...])]
  while let (prefix, members) = open.popLast() {
    guard let (key, value) = members.first else { continue }
    open.append((prefix, members.dropFirst()))
    visited += 1
    guard visited <= PickleMachine.valueLimit, found.count < 65536 else {
      throw refused("its dictionaries hold too many members")
    }
    guard prefix.utf8.count + key.utf8.count < 1024 else {
      throw refused("the name \(printable(prefix + key)) is too long")
    }
    if case .tensor(let place) = value {
      let name = prefix + key
      guard names.insert(name).inserted else { throw refused("two tensors are called \(printable(name))") }
      found.append((name, pickle.tensors[place]))
    } else if let inner = try dictionary(value, pickle) {
      guard open.count < 16 else { throw refused("its dictionaries are nested too deeply", remedy: saveAgain) }
      // Paid for here as well, since one dictionary may be a member of many.
      visited += inner.count
      open.append(("\(prefix)\(key).", inner[...]))
    }
  }
  guard !found.isEmpty else { throw refused("holds no tensors in a state dictionary", remedy: saveAgain) }
  return found
}

/// The members of a dictionary whose keys are texts; nil if the value is no dictionary.
private func dictionary(_ value: PickleValue, _ pickle: PickleResult) throws -> [(key: String, value: PickleValue)]? {
  guard case .collection(let place) = value, pickle.collections[place].kind == .dictionary else { return nil }
  let items = pickle.collections[place].items
  return stride(from: 0, to: items.count, by: 2).compactMap { index in
    guard case .text(let key) = items[index] else { return nil }
    return (key, items[index + 1])
  }
}
