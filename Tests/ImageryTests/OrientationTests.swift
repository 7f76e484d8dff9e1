// Pictures that are stored turned or mirrored, by their Exif block: pixels, sizes from headers, and broken blocks.

import Foundation
import Imagery
import Support
import Tensors
import Testing

/// An Exif block with an orientation, little or big endian, behind another entry.
private func exif(_ tag: Int, isLittle: Bool) -> [UInt8] {
  func number(_ value: Int, _ count: Int) -> [UInt8] {
    let digits = (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    return isLittle ? digits : digits.reversed()
  }
  let entries =
    number(0x100, 2) + number(4, 2) + number(1, 4) + number(9, 4)
    + number(0x112, 2) + number(3, 2) + number(1, 4) + number(tag, 2) + [0, 0]
  return (isLittle ? [0x49, 0x49] : [0x4d, 0x4d]) + number(42, 2) + number(8, 4) + number(2, 2) + entries + number(0, 4)
}

/// A JPEG with an Exif block at its start.
private func jpeg(_ image: RGBImage, _ block: [UInt8]) -> [UInt8] {
  let plain = encodeJPEG(image, quality: 95)
  let length = block.count + 8
  return plain[0..<2] + [0xff, 0xe1, UInt8(length >> 8), UInt8(length & 255)] + Array("Exif\0\0".utf8) + block
    + plain[2...]
}

/// A PNG with an Exif block before its pixels.
private func png(_ image: RGBImage, _ block: [UInt8]) -> [UInt8] {
  let plain = encodePNG(image)
  let chunk = Array("eXIf".utf8) + block
  func bytes(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
  return plain[0..<33] + bytes(UInt32(block.count)) + chunk + bytes(checksum(chunk)) + plain[33...]
}

/// CRC-32 of a chunk, bit by bit.
private func checksum(_ bytes: [UInt8]) -> UInt32 {
  ~bytes.reduce(~UInt32(0)) { sum, byte in
    (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in sum >> 1 ^ (sum & 1 == 1 ? 0xedb8_8320 : 0) }
  }
}

/// Where a pixel of the stored picture is seen, by the words of the Exif standard: which side row 0 and column 0 are.
private func seen(_ row: Int, _ column: Int, _ tag: Int, height: Int, width: Int) -> (row: Int, column: Int) {
  switch tag {
  case 1: (row, column)  // row 0 is the top, column 0 the left
  case 2: (row, width - 1 - column)  // top, right
  case 3: (height - 1 - row, width - 1 - column)  // bottom, right
  case 4: (height - 1 - row, column)  // bottom, left
  case 5: (column, row)  // left, top
  case 6: (column, height - 1 - row)  // right, top
  case 7: (width - 1 - column, height - 1 - row)  // right, bottom
  default: (width - 1 - column, row)  // left, bottom
  }
}

@Suite struct OrientationTests {
  private let image = RGBImage(height: 16, width: 24, pixels: (0..<16 * 24 * 3).map { UInt8($0 / 8) })

  /// What a stored picture looks like.
  private func upright(_ stored: RGBImage, _ tag: Int) -> RGBImage {
    let isSideways = tag >= 5
    var result = RGBImage(
      height: isSideways ? stored.width : stored.height, width: isSideways ? stored.height : stored.width)
    for row in 0..<stored.height {
      for column in 0..<stored.width {
        let place = seen(row, column, tag, height: stored.height, width: stored.width)
        for channel in 0..<3 {
          result.pixels[(place.row * result.width + place.column) * 3 + channel] =
            stored.pixels[(row * stored.width + column) * 3 + channel]
        }
      }
    }
    return result
  }

  @Test(arguments: 1...8, [false, true]) func picturesAreReadUpright(tag: Int, isLittle: Bool) throws {
    let block = exif(tag, isLittle: isLittle)
    let folder = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let stored = try decodeRGB(encodeJPEG(image, quality: 95), name: "plain")
    for (name, file, expected) in [
      ("a.jpg", jpeg(image, block), upright(stored, tag)), ("a.png", png(image, block), upright(image, tag)),
    ] {
      try writeFile(file, to: "\(folder)/\(name)")
      let read = try readRGB("\(folder)/\(name)")
      #expect(read == expected, "\(name), orientation \(tag)")
      #expect(try imageSize(of: "\(folder)/\(name)") == PixelSize(height: read.height, width: read.width))
      #expect(try ImageHeader(path: "\(folder)/\(name)").stored == PixelSize(height: 16, width: 24))
    }
  }

  @Test func nonsenseIsUpright() throws {
    for tag in [0, 9, 65535] { #expect(try decodeRGB(png(image, exif(tag, isLittle: true)), name: "a") == image) }
    let block = exif(6, isLittle: false)
    for length in 0..<block.count - 8 {
      #expect(try decodeRGB(png(image, Array(block[0..<length])), name: "a") == image, "\(length) bytes")
    }
    for position in block.indices {
      for byte in [0, 0x7f, 0xff] as [UInt8] {
        var changed = block
        changed[position] = byte
        let read = try decodeRGB(png(image, changed), name: "a")
        #expect(read == image || read.height * read.width == 16 * 24)
      }
    }
  }

  @Test func aLabelStaysAsItIsStored() throws {
    let grey = encodePNG(LabelMap(height: 2, width: 3, values: [0, 1, 2, 3, 4, 5]))
    let block = exif(6, isLittle: true)
    let chunk = Array("eXIf".utf8) + block
    func bytes(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
    let file = grey[0..<33] + bytes(UInt32(block.count)) + chunk + bytes(checksum(chunk)) + grey[33...]
    #expect(try decodeLabels([UInt8](file), name: "label").height == 2)
  }
}
