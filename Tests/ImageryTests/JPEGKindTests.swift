// JPEG files of kinds that other programs read: inks, stray bytes, another revision, no end marker; those that are cut or
// of a kind that is not read; and headers that claim giants.

import Foundation
import Imagery
import Support
import Tensors
import Testing

/// A picture of smooth colours, so that its JPEG is small.
private let picture: RGBImage = {
  var image = RGBImage(height: 24, width: 40)
  for pixel in 0..<24 * 40 {
    image.pixels[pixel * 3] = UInt8(pixel / 4)
    image.pixels[pixel * 3 + 1] = UInt8(pixel % 40 * 6)
  }
  return image
}()

/// The failure that decoding ends with.
private func refusal(_ file: [UInt8], pixelLimit: Int = standardPixelLimit) -> Failure? {
  do { _ = try decodeRGB(file, name: "a.jpg", pixelLimit: pixelLimit) } catch { return error as? Failure }
  return nil
}

@Suite struct JPEGKindTests {
  private let plain = encodeJPEG(picture, quality: 90)

  /// Four flat squares of 8x8 in cyan, magenta, yellow and black, written by Pillow.
  private let inks = Data(
    base64Encoded: "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwABAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
      + "AQEBAQEBAQEBAQEBAQEB/8AAFAgAEAAQBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC//E"
      + "ALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2"
      + "Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrC"
      + "w8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwD+/iv7+K/v4r+/iv8AAHooor/f"
      + "4r/P/r+f+ivg+v6IK+L6/g/r/9k=")

  /// 16x16 grey levels in several scans, written by Pillow.
  private let progressive = Data(
    base64Encoded: "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwcKDcp"
      + "LDAxNDQ0Hyc5PTgyPC4zNDL/wgALCAAQABABAREA/8QAFQABAQAAAAAAAAAAAAAAAAAAAwb/2gAIAQEAAAABnEvU/8QAFRAB"
      + "AQAAAAAAAAAAAAAAAAAAABT/2gAIAQEAAQUCjRo0b//EABUQAQEAAAAAAAAAAAAAAAAAAAAx/9oACAEBAAY/AoiI/8QAFRAB"
      + "AQAAAAAAAAAAAAAAAAAAAAH/2gAIAQEAAT8hgggg/9oACAEBAAAAEM//xAAWEAADAAAAAAAAAAAAAAAAAAAAAfD/2gAIAQEA"
      + "AT8QsiyLIsj/2Q==")

  /// Where the frame header's marker stands.
  private func frame(_ file: [UInt8]) throws -> Int {
    try #require(file.indices.dropLast().first { file[$0] == 0xff && file[$0 + 1] == 0xc0 })
  }

  @Test func inksBecomeTheColoursThatPillowHas() throws {
    let image = try decodeRGB([UInt8](try #require(inks)), name: "inks.jpg")
    #expect(image.height == 16 && image.width == 16)
    let squares = [(2, 2), (2, 12), (12, 2), (12, 12)].map { row, column in
      Array(image.pixels[(row * 16 + column) * 3..<(row * 16 + column + 1) * 3])
    }
    #expect(squares == [[255, 255, 255], [0, 255, 255], [255, 127, 191], [119, 103, 87]])
  }

  @Test func aWholePictureIsReadThoughTheFileHasHarmlessFaults() throws {
    let whole = try decodeRGB(plain, name: "plain.jpg")
    var second = plain
    #expect(Array(second[6..<10]) == Array("JFIF".utf8))
    second[11] = 2
    // The segment of JFIF ends after 20 bytes.
    let header = [UInt8](plain[0..<20]) + [0, 7, 0xff, 0, 9] + plain[20...]
    // libjpeg has two such bytes in its buffer before it knows and says nothing; of more it warns.
    func strays(_ count: Int) -> [UInt8] {
      [UInt8](plain.dropLast(2)) + [UInt8](repeating: 0x5a, count: count) + [0xff, 0xd9]
    }
    let endless = [UInt8](plain.dropLast(2))
    let all = [UInt8](second.dropLast(2)) + [UInt8](repeating: 0x5a, count: 40)
    for (name, file) in [
      ("JFIF 2", second), ("strays between segments", header), ("two strays", strays(2)),
      ("many strays", strays(40)), ("no end", endless),
      ("half an end", endless + [0xff]), ("all of them", all), ("bytes behind the end", plain + [1, 2, 3]),
    ] {
      #expect(try decodeRGB(file, name: name) == whole, "\(name)")
    }
  }

  @Test func aCutPictureIsRefused() throws {
    for length in stride(from: 20, to: plain.count - 6, by: 7) {
      for end in [[], [0xff, 0xd9]] as [[UInt8]] {
        let met = refusal(plain[0..<length] + end)
        #expect(met?.status == .badData && met?.place == "a.jpg", "\(length) of \(plain.count) bytes")
      }
    }
    let scans = [UInt8](try #require(progressive))
    let starts = scans.indices.dropLast().filter { scans[$0] == 0xff && scans[$0 + 1] == 0xda }
    #expect(starts.count > 3 && refusal([UInt8](scans.dropLast(2))) == nil)
    // Between two scans nothing of a scan is missing, but the finer ones are.
    let tables = starts.map { start in scans[..<start].lastIndex { $0 == 0xc4 }.map { $0 - 1 } ?? start }
    for cut in starts.dropFirst() + tables.dropFirst() {
      #expect(refusal([UInt8](scans[0..<cut]))?.what.contains("cut off") == true, "\(cut)")
    }
  }

  @Test func whatIsNotReadSaysWhy() throws {
    let start = try frame(plain)
    for (offset, byte, words) in [
      (4, 12, "12-bit samples"), (1, 0xc3, "a lossless JPEG"), (1, 0xf7, "JPEG-LS"), (1, 0xc5, "a hierarchical JPEG"),
      (9, 2, "a JPEG of 2 channels"),
    ] as [(Int, UInt8, String)] {
      var file = plain
      file[start + offset] = byte
      let met = refusal(file)
      #expect(met?.status == .badData && met?.what.contains(words) == true, "\(String(describing: met))")
      #expect(met?.remedy?.contains("PNG") == true)
    }
    var flat = plain
    flat.replaceSubrange(start + 5..<start + 7, with: [0, 0])
    #expect(refusal(flat)?.what.contains("DNL") == true)
  }

  @Test func giantsAreRefusedBeforeMemoryIsTaken() throws {
    var giant = plain
    // 60000x60000: 10.8 GB of pixels.
    giant.replaceSubrange(try frame(plain) + 5..<frame(plain) + 9, with: [0xea, 0x60, 0xea, 0x60])
    #expect(
      refusal(giant)?.description
        == "a.jpg: an image of 60000x60000 has more pixels than data.pixelLimit allows, 100000000; make it smaller, or "
        + "raise data.pixelLimit if you trust it and have the memory")
    #expect(refusal(giant, pixelLimit: .max)?.what == "damaged JPEG: \(giant.count) bytes for 60000x60000 pixels")
    let even = encodePNG(grey: [UInt8](repeating: 7, count: 4000 * 4000), height: 4000, width: 4000)
    #expect(refusal(even, pixelLimit: 15_999_999)?.what.contains("data.pixelLimit allows, 15999999") == true)
    #expect(refusal(even, pixelLimit: 16_000_000) == nil)
    #expect(throws: Failure.self) { try decodeLabels(even, name: "labels", pixelLimit: 15_999_999) }
  }

  @Test func changedBytesEndInAPictureOrAFailure() throws {
    let file = [UInt8](try #require(progressive))
    var random = RandomStream(seed: 3, step: 0, sample: 0, purpose: Purpose("bytes"))
    for _ in 0..<3000 {
      var changed = file
      for _ in 0..<3 { changed[random.nextIndex(below: file.count)] = UInt8(random.nextIndex(below: 256)) }
      let met = refusal(changed, pixelLimit: 1 << 20)
      #expect(met == nil || met?.status == .badData)
    }
  }
}
