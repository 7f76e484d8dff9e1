// Label files as they are published: ids of 16 bits, ids in the first of several channels, and colours.

import Foundation
import Imagery
import Support
import Tensors
import TestSupport
import Testing

/// The failure a call ends with; nil if it does not fail or fails otherwise.
private func failure(_ body: () throws -> Void) -> Failure? {
  do {
    try body()
    return nil
  } catch {
    return error as? Failure
  }
}

@Suite struct LabelCodeTests {
  /// Ids [[3, 22, 255], [0, 7, 10]] as PNG of 16 bits, made with Python's zlib; other channels hold other numbers.
  private static let files: [String: String] = [
    "rgb":
      "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACEAIAAABChi0OAAAAJElEQVR42mNgYGZuYWBgEJM8AST/a11hgAN2DhMgycW9g4EBAGCpBI9cH4Ec"
      + "AAAAAElFTkSuQmCC",
    "grey with alpha":
      "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACEAQAAABn7XLSAAAAH0lEQVR42mNgYGZ4ziDGNo/hv89mBjBgZ5Jm4GJmAgBAmgPW8nal4gAAAABJRU5E"
      + "rkJggg==",
    "grey": "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACEAAAAADoj+WFAAAAFElEQVR42mNgYGYQY/jPAATsDFwACSUBKn5JMEQAAAAASUVORK5CYII=",
    "large":
      "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACEAAAAADoj+WFAAAAFklEQVR42mNgYGYQY/jPwMDAqMPABQAJmAFQa6haugAAAABJRU5ErkJggg==",
  ]
  private let ids = LabelMap(height: 2, width: 3, values: [3, 22, 255, 0, 7, 10])

  private func file(_ name: String) throws -> [UInt8] {
    [UInt8](try #require(LabelCodeTests.files[name].flatMap { Data(base64Encoded: $0) }))
  }

  @Test(arguments: ["rgb", "grey with alpha", "grey"]) func firstChannelOfSixteenBits(_ name: String) throws {
    #expect(try decodeLabels(file(name), name: name, code: .firstChannel) == ids)
  }

  @Test func firstChannelOfEightBits() throws {
    let image = RGBImage(height: 1, width: 2, pixels: [7, 200, 100, 33, 0, 255])
    #expect(
      try decodeLabels(encodePNG(image), name: "rgb", code: .firstChannel)
        == LabelMap(height: 1, width: 2, values: [7, 33]))
    #expect(try decodeLabels(encodePNG(ids), name: "grey", code: .firstChannel) == ids)
  }

  @Test func sixteenBitGreyHoldsIndices() throws {
    #expect(try decodeLabels(file("grey"), name: "grey") == ids)
    let met = failure { _ = try decodeLabels(file("large"), name: "large.png") }
    #expect(met?.status == .badData && met?.place == "large.png")
    #expect(met?.what == "label id 300 at row 1, column 1 is above 255")
  }

  @Test func otherKindsAreRefusedWithTheWayOut() throws {
    let rgb = failure { _ = try decodeLabels(file("rgb"), name: "rgb.png") }
    #expect(rgb?.status == .badData && rgb?.remedy?.contains("labelCode: first-channel") == true)
    let colours = failure { _ = try decodeLabels(encodePNG(RGBImage(height: 1, width: 1)), name: "colours.png") }
    #expect(colours?.remedy?.contains("labelCode: palette") == true)
    let sixteen = failure { _ = try decodeLabels(file("rgb"), name: "rgb.png", code: .colours([[0, 0, 0]])) }
    #expect(sixteen?.what.contains("16-bit RGB, not colours") == true)
  }

  @Test func coloursStandForIds() throws {
    let image = RGBImage(height: 1, width: 3, pixels: [128, 64, 128, 0, 0, 0, 128, 64, 128])
    let palette: [SIMD3<UInt8>] = [[0, 0, 0], [128, 64, 128]]
    #expect(
      try decodeLabels(encodePNG(image), name: "a", code: .colours(palette))
        == LabelMap(height: 1, width: 3, values: [1, 0, 1]))
    let met = failure { _ = try decodeLabels(encodePNG(image), name: "a.png", code: .colours([[0, 0, 0]])) }
    #expect(met?.what == "colour [128, 64, 128] at row 0, column 0 is not in the palette of 1 colours")
  }

  @Test func headersTellAsMuch() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("label.png")
    try writeFile(file("rgb"), to: path)
    let header = try ImageHeader(path: path)
    try header.checkLabels(code: .firstChannel, pixelLimit: 6)
    #expect(failure { try header.checkLabels(pixelLimit: 6) }?.status == .badData)
  }
}
