// Reading safetensors: length of the header (8 bytes, little-endian), header, tensors without gaps up to the end.

import Support

/// The largest header that the format allows.
private let largestHeader = 100_000_000

/// The tensors of a safetensors file in the order of their bytes, and its `__metadata__`.
/// - Throws: `Failure` 65 naming the tensor or the byte of the header.
func readSafetensors(_ bytes: WeightBytes) throws -> (tensors: [WeightTensor], metadata: [String: String]) {
  let length = try bytes.number(0, size: 8, of: "the header's length")
  guard length <= UInt64(min(largestHeader, bytes.count - 8)) else {
    throw Failure(
      .badData, "the header claims \(length) bytes, the file has \(bytes.count) and \(largestHeader) are allowed",
      remedy: fetchAgain)
  }
  let start = 8 + Int(length)
  var reader = SafetensorsHeaderReader(try bytes.bytes(8, Int(length), of: "the header"))
  var (entries, metadata) = try reader.read()
  entries.sort { ($0.begin, $0.end) < ($1.begin, $1.end) }
  let end = try checkedEnd(entries)
  guard end == bytes.count - start else {
    throw Failure(
      .badData, "the tensors end at byte \(saturatingSum(start, end)), the file at \(bytes.count)", remedy: fetchAgain)
  }
  let tensors = try entries.map { entry in
    try WeightTensor(
      name: entry.name, shape: entry.shape, element: entry.element, bytes: bytes, start: start + entry.begin,
      room: entry.end - entry.begin)
  }
  return (tensors, metadata)
}

/// Where tensors in the order of their bytes end, which follow each other without gaps.
/// - Throws: `Failure` 65 that names the first tensor whose bytes are not its own, whole numbers, or as many as its shape
///   says.
private func checkedEnd(_ entries: [SafetensorsEntry]) throws -> Int {
  var end = 0
  for entry in entries {
    let place = "tensor \(printable(entry.name))"
    guard entry.begin == end, entry.end >= entry.begin else {
      let relation = entry.begin < end ? "overlap those before" : "leave a gap before them or run backwards"
      throw Failure(.badData, "its bytes \(entry.begin)..<\(entry.end) \(relation)", at: place, remedy: fetchAgain)
    }
    guard entry.begin % entry.element.byteCount == 0 else {
      throw Failure(
        .badData, "byte \(entry.begin) is no multiple of the \(entry.element.byteCount) bytes of a number", at: place,
        remedy: "save it again with the official library")
    }
    let size = checkedProduct(entry.shape).map { $0.multipliedReportingOverflow(by: entry.element.byteCount) }
    guard let size, !size.overflow, size.partialValue == entry.end - entry.begin else {
      throw Failure(
        .badData, "its shape \(brief(entry.shape)) does not fill its \(entry.end - entry.begin) bytes", at: place,
        remedy: fetchAgain)
    }
    end = entry.end
  }
  return end
}
