// Maps of 16-bit numbers: every number survives, other kinds of files are refused.

import Foundation
import Imagery
import Support
import Tensors
import TestSupport
import Testing

@Suite struct GreyMapTests {
  private static let map = GreyMap(height: 3, width: 5, values: (0..<15).map { UInt16($0 * 4681) })

  @Test func everyNumberSurvives() throws {
    let all = GreyMap(height: 256, width: 256, values: (0...UInt16.max).map { $0 })
    #expect(try decodeGrey(encodePNG(all), name: "all") == all)
    let folder = try TemporaryFolder()
    try writePNG(GreyMapTests.map, to: folder.file("depth.png"))
    #expect(GreyMapTests.map.values.first == 0 && GreyMapTests.map.values.last == 65534)
    #expect(try readGrey(folder.file("depth.png")) == GreyMapTests.map)
    let header = try ImageHeader(path: folder.file("depth.png"))
    #expect(header.size == PixelSize(height: 3, width: 5))
    try header.checkGrey(pixelLimit: 15)
    #expect(throws: Failure.self) { try header.checkGrey(pixelLimit: 14) }
    #expect(throws: Failure.self) { try readGrey(folder.file("depth.png"), pixelLimit: 14) }
  }

  @Test func otherFilesAreRefused() throws {
    let grey = encodePNG(grey: [1, 2], height: 1, width: 2)
    let colours = encodePNG(RGBImage(height: 1, width: 1, pixels: [1, 2, 3]))
    for (file, what) in [(grey, "8-bit grey, not"), (colours, "8-bit RGB, not"), ([1, 2, 3], "is not a PNG")] {
      let failure = #expect(throws: Failure.self) { _ = try decodeGrey(file, name: "depth.png") }
      #expect(failure?.status == .badData && failure?.place == "depth.png", "\(what)")
      #expect(failure?.what.contains(what) == true && failure?.remedy == "give 16-bit grey PNG", "\(what)")
    }
    var damaged = encodePNG(GreyMapTests.map)
    damaged[damaged.count / 2] ^= 1
    #expect(throws: Failure.self) { _ = try decodeGrey(damaged, name: "depth.png") }
  }
}
