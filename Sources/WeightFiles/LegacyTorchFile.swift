// PyTorch checkpoints from before version 1.6: five pickles in a row, then for each storage its count and numbers.

import Support

/// How the first pickle of such a file ends: the number 0x1950a86a20f9469cfc6c. Before it stand a protocol and, from
/// protocol 4 on, a frame.
private let magicNumber: [UInt8] = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e]

/// Where the second pickle of a legacy checkpoint starts; nil if the bytes are none.
func legacyStart(_ bytes: WeightBytes) -> Int? {
  guard bytes.starts(with: [0x80]) else { return nil }
  return [2, 11].first { bytes.data.dropFirst($0).starts(with: magicNumber) }.map { $0 + magicNumber.count }
}

/// The tensors of a legacy checkpoint.
/// - Parameter start: first byte of the second pickle.
/// - Throws: `Failure` 65 naming the byte of the pickle, the storage or the tensor.
func readLegacyTorchFile(_ bytes: WeightBytes, from start: Int) throws -> [WeightTensor] {
  var position = start
  func next() throws -> PickleResult {
    let pickle = try PickleMachine.read(bytes, position..<bytes.count)
    position = pickle.end
    return pickle
  }
  guard case .integer(1001) = try next().root else { throw refused("has an unknown protocol", remedy: saveAgain) }
  try checkSystem(next())
  let main = try next()
  let keys = try storageKeys(next())
  guard Set(keys) == Set(main.storages.map(\.key)), keys.count == main.storages.count else {
    throw refused("its list of storages does not fit its tensors", remedy: fetchAgain)
  }
  let places = Dictionary(uniqueKeysWithValues: main.storages.enumerated().map { ($0.element.key, $0.offset) })
  var starts = Array(repeating: 0, count: main.storages.count)
  for key in keys {
    guard let place = places[key] else { continue }
    let storage = main.storages[place]
    let count = try bytes.number(position, size: 8, of: "the count of storage \(printable(key))")
    let (size, overflow) = storage.count.multipliedReportingOverflow(by: storage.element.byteCount)
    guard count == UInt64(storage.count), !overflow, size <= bytes.count - position - 8 else {
      throw refused(
        "storage \(printable(key)) claims \(storage.count) and \(count) numbers, "
          + "the file has \(bytes.count - position - 8) more bytes", remedy: fetchAgain)
    }
    starts[place] = position + 8
    position += 8 + size
  }
  guard position == bytes.count else { throw refused("has more bytes than its storages", remedy: fetchAgain) }
  return try weightTensors(namedTensors(main), main, bytes) { starts[$0] }
}

/// The third pickle describes the machine that wrote the file.
private func checkSystem(_ pickle: PickleResult) throws {
  guard case .collection(let place) = pickle.root, pickle.collections[place].kind == .dictionary else {
    throw refused("does not describe the machine that wrote it", remedy: fetchAgain)
  }
  let items = pickle.collections[place].items
  for index in stride(from: 0, to: items.count, by: 2) {
    if case .text("little_endian") = items[index], case .bool(false) = items[index + 1] {
      throw refused("its byte order is big, only little is read", remedy: saveAgain)
    }
  }
}

/// The fifth pickle: keys of the storages in the order of their numbers.
private func storageKeys(_ pickle: PickleResult) throws -> [String] {
  guard case .collection(let place) = pickle.root, pickle.collections[place].kind == .list else {
    throw refused("has no list of storages", remedy: fetchAgain)
  }
  return try pickle.collections[place].items.map { item in
    guard case .text(let key) = item else { throw refused("a storage has no key", remedy: fetchAgain) }
    return key
  }
}
