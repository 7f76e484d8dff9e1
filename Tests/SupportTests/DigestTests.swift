// SHA-256 against the vectors of the standard (FIPS 180-4 and its examples).

import Support
import Testing

@Suite struct DigestTests {
  private static func digest(_ text: String) -> String {
    let hash = SHA256()
    hash.update(text)
    return hash.hexadecimal()
  }

  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ])
  func publishedVectors(message: String, expected: String) {
    #expect(DigestTests.digest(message) == expected)
  }

  @Test func aMillionLettersInUnevenPieces() {
    let hash = SHA256()
    var left = 1_000_000
    var piece = 1
    while left > 0 {
      hash.update([UInt8](repeating: UInt8(ascii: "a"), count: min(piece, left)))
      left -= piece
      piece = piece * 2 + 1
    }
    #expect(hash.hexadecimal() == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test func elementsCountByTheirBytes() {
    let numbers = SHA256()
    numbers.update([UInt32(0x6463_6261).littleEndian, UInt32(0x6867_6665).littleEndian])
    #expect(numbers.hexadecimal() == DigestTests.digest("abcdefgh"))
    let empty = SHA256()
    empty.update([Float]())
    #expect(empty.hexadecimal() == DigestTests.digest(""))
  }

  @Test func hexadecimalKeepsLeadingZeros() {
    #expect(SHA256.hexadecimal([0, 1, 15, 16, 254, 255] as [UInt8]) == "00010f10feff")
    #expect(SHA256().finish().count == 32)
  }
}
