// The checksum of zip archives: CRC-32 with the reflected polynomial 0xEDB88320, eight bytes at a time.

/// Eight tables of 256: table t holds the checksum of a byte followed by t zero bytes.
private let tables: [[UInt32]] = {
  var first = [UInt32](0..<256)
  for byte in first.indices {
    for _ in 0..<8 {
      let carry: UInt32 = first[byte] & 1 == 1 ? 0xEDB8_8320 : 0
      first[byte] = first[byte] >> 1 ^ carry
    }
  }
  var tables = [first]
  for t in 1..<8 {
    tables.append(tables[t - 1].map { rest in rest >> 8 ^ first[Int(rest & 0xFF)] })
  }
  return tables
}()

/// The CRC-32 of a range of bytes.
func checksum(_ bytes: WeightBytes, _ range: Range<Int>) -> UInt32 {
  let span = bytes.data.bytes
  let (t0, t1, t2, t3) = (tables[0], tables[1], tables[2], tables[3])
  let (t4, t5, t6, t7) = (tables[4], tables[5], tables[6], tables[7])
  var rest: UInt32 = .max
  var position = range.lowerBound
  while range.upperBound - position >= 8 {
    let word = UInt64(littleEndian: span.unsafeLoadUnaligned(fromByteOffset: position, as: UInt64.self)) ^ UInt64(rest)
    let low = t7[part(word, 0)] ^ t6[part(word, 1)] ^ t5[part(word, 2)] ^ t4[part(word, 3)]
    let high = t3[part(word, 4)] ^ t2[part(word, 5)] ^ t1[part(word, 6)] ^ t0[part(word, 7)]
    rest = low ^ high
    position += 8
  }
  while position < range.upperBound {
    let byte = span.unsafeLoad(fromByteOffset: position, as: UInt8.self)
    rest = rest >> 8 ^ t0[Int(UInt8(truncatingIfNeeded: rest) ^ byte)]
    position += 1
  }
  return ~rest
}

private func part(_ word: UInt64, _ index: UInt64) -> Int { Int(word >> (8 * index) & 0xFF) }
