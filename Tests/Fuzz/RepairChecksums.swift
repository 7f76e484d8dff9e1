// PNG files whose chunks have the right checksums, so that a driver gets past them.

/// Gives every chunk the checksum of its bytes.
func repairChecksums(_ file: inout [UInt8]) {
  var position = 8
  while position + 12 <= file.count {
    let length = file[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
    guard length <= file.count - position - 12 else { return }
    let end = position + 8 + length
    let checksum = Zip.checksum(Array(file[position + 4..<end]))
    for index in 0..<4 { file[end + index] = UInt8(truncatingIfNeeded: checksum >> (24 - 8 * index)) }
    position = end + 4
  }
}
