// Resizing, mirroring, palettes and sheets.

import Imagery
import Tensors
import Testing

@Suite struct PictureTests {
  /// Expected values are PyTorch's `interpolate(mode="bilinear", align_corners=False)`, worked out by hand.
  @Test func bilinearResizeHasHalfPixelCentres() {
    let image = RGBImage(height: 1, width: 2, pixels: [0, 100, 200, 200, 100, 0])
    let wide = image.resized(height: 1, width: 4)
    #expect(wide.pixels == [0, 100, 200, 50, 100, 150, 150, 100, 50, 200, 100, 0])
    let tall = RGBImage(height: 4, width: 1, pixels: (0..<12).map { UInt8($0 / 3 * 80) })
    #expect(tall.resized(height: 2, width: 1).pixels == [40, 40, 40, 200, 200, 200])
    #expect(tall.resized(height: 4, width: 1) == tall)
  }

  @Test func constantImagesStayConstantAtAnySize() {
    let image = RGBImage(height: 7, width: 5, pixels: [UInt8](repeating: 93, count: 105))
    #expect(image.resized(height: 13, width: 3).pixels.allSatisfy { $0 == 93 })
  }

  @Test func nearestResizeTakesTheFloorOfTheScaledIndex() {
    let labels = LabelMap(samples: 2, height: 1, width: 5, values: [0, 1, 2, 3, 4, 10, 11, 12, 13, 14])
    #expect(labels.resized(height: 1, width: 3).values == [0, 1, 3, 10, 11, 13])
    #expect(
      labels.resized(height: 2, width: 5).values == [
        0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 10, 11, 12, 13, 14,
      ])
  }

  @Test func mirroringTwiceIsNothingAndCroppingTakesTheBox() {
    let image = RGBImage(height: 2, width: 3, pixels: (0..<18).map { UInt8($0) })
    #expect(image.flippedHorizontally().pixels == [6, 7, 8, 3, 4, 5, 0, 1, 2, 15, 16, 17, 12, 13, 14, 9, 10, 11])
    #expect(image.flippedHorizontally().flippedHorizontally() == image)
    #expect(image.cropped(to: Box(top: 1, bottom: 2, left: 1, right: 3)).pixels == [12, 13, 14, 15, 16, 17])
    let labels = LabelMap(samples: 2, height: 1, width: 3, values: [1, 2, 3, 4, 5, 6])
    #expect(labels.flippedHorizontally().values == [3, 2, 1, 6, 5, 4])
  }

  @Test func palettesColourLabelsAndLeaveIgnoredPixelsBlack() {
    #expect(ClassPalette.cityscapes.classCount == 19 && ClassPalette.camVid.classCount == 11)
    #expect(Set(ClassPalette.cityscapes.colours).count == 19)
    let labels = LabelMap(height: 1, width: 3, values: [0, 13, 255])
    #expect(colourised(labels, .cityscapes).pixels == [128, 64, 128, 0, 0, 142, 0, 0, 0])
    let image = RGBImage(height: 1, width: 3, pixels: [UInt8](repeating: 100, count: 9))
    #expect(overlay(image, labels, .cityscapes, opacity: 0.5).pixels == [114, 82, 114, 50, 50, 121, 100, 100, 100])
    #expect(overlay(image, labels, .cityscapes, opacity: 0) == image)
  }

  @Test func sheetsHoldEveryTileAndItsCaption() {
    let black = RGBImage(height: 10, width: 40)
    let plain = contactSheet([SheetTile(black), SheetTile(black), SheetTile(black)], columns: 2)
    #expect(plain.height == 2 * 14 + 4 && plain.width == 2 * 44 + 4)
    #expect(plain.pixels.count { $0 == 0 } == 3 * 10 * 40 * 3)
    let named = contactSheet([SheetTile(black, caption: "a1")], columns: 2, dot: 1)
    #expect(named.width == 48 && named.height == 10 + 9 + 8)
    #expect(named.pixels.count { $0 == 0 } == (10 * 40 + 10 + 8) * 3, "a capital A has ten dots, a one eight")
  }
}
