// Crops, padding, concatenation, windows and flips against explicit indexing; adjoints.

import Kernels
import Support
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct GeometryTests {
    static let boxes = [
      Box(top: 0, bottom: 37, left: 0, right: 11), Box(top: 3, bottom: 20, left: 2, right: 3),
      Box(top: 36, bottom: 37, left: 5, right: 11), Box(top: 4, bottom: 4, left: 0, right: 11),
    ]

    @Test("crop, padding and mask", arguments: boxes)
    func crops(_ box: Box) {
      let x = randomTensor([2, 37, 11, 5], seed: 1)
      let part = cropped(x, to: box)
      let values = doubles(x)
      let expected = naiveMap(part.shape) { pixel(values, x.shape, $0, $1 + box.top, $2 + box.left, $3) }
      #expect(doubles(part) == expected)
      let masked = naiveMap(x.shape) { n, row, column, c in
        box.top <= row && row < box.bottom && box.left <= column && column < box.right
          ? pixel(values, x.shape, n, row, column, c) : 0
      }
      #expect(doubles(maskOutside(x, box)) == masked)
      #expect(doubles(padded(part, into: box, height: 37, width: 11)) == masked)
    }

    @Test("padding is the adjoint of cropping")
    func adjoint() {
      let box = Box(top: 1, bottom: 6, left: 2, right: 9)
      let x = randomTensor([2, 8, 10, 3], seed: 2)
      let y = randomTensor([2, 5, 7, 3], seed: 3)
      let first = innerProduct(doubles(cropped(x, to: box)), doubles(y))
      let second = innerProduct(doubles(x), doubles(padded(y, into: box, height: 8, width: 10)))
      #expect(abs(first - second) < 1e-9)
    }

    @Test("concatenated channels lie side by side and come apart again", arguments: [[1], [3, 1, 16], [17, 5]])
    func concatenation(_ widths: [Int]) {
      let parts = widths.enumerated().map { randomTensor([2, 9, 7, $1], seed: UInt64($0) + 4) }
      let whole = concatenatedChannels(parts)
      #expect(whole.channels == widths.reduce(0, +))
      var pixels = [Float]()
      for pixel in 0..<2 * 9 * 7 {
        for part in parts { pixels += part.values[pixel * part.channels..<(pixel + 1) * part.channels] }
      }
      #expect(whole.values == pixels)
      #expect(channelSlices(whole, widths: widths).map(\.values) == parts.map(\.values))
    }

    @Test("sliding windows end at the border")
    func slidingRule() {
      func edges(_ boxes: [Box]) -> [[Int]] { boxes.map { [$0.top, $0.bottom, $0.left, $0.right] } }
      #expect(
        edges(slidingWindows(height: 4, width: 10, crop: (4, 4), stride: (4, 4)))
          == [[0, 4, 0, 4], [0, 4, 4, 8], [0, 4, 6, 10]])
      #expect(edges(slidingWindows(height: 3, width: 5, crop: (8, 5), stride: (2, 2))) == [[0, 3, 0, 5]])
      #expect(slidingWindows(height: 8, width: 8, crop: (4, 4), stride: (2, 2)).count == 9)
    }

    @Test("window fixtures", .enabled(if: hasSharedFolder, "needs ../shared"))
    func windowFixtures() throws {
      let file = try #require(try FixtureFile("schedule"))
      let paths = file.datasets(under: "windows")
      #expect(!paths.isEmpty)
      for path in paths {
        let name = try #require(path.split(separator: "/").last)
        let numbers = name.split { !$0.isNumber }.compactMap { Int($0) }
        let crop = (height: numbers[2], width: numbers[3])
        let expected = try file.integers(path).values
        let note = try #require(try file.file.text("what", of: path))
        let steps = note.split { !$0.isNumber }.compactMap { Int($0) }.suffix(2)
        let stride = (height: try #require(steps.first), width: try #require(steps.last))
        let boxes = slidingWindows(height: numbers[0], width: numbers[1], crop: crop, stride: stride)
        let edges = boxes.flatMap { [$0.top, $0.bottom, $0.left, $0.right] }
        #expect(edges == expected, "\(name)")
      }
    }

    @Test("windows are window-major, stitching is their mean")
    func stitching() {
      let x = randomTensor([2, 13, 17, 3], seed: 7)
      let boxes = slidingWindows(height: 13, width: 17, crop: (6, 7), stride: (3, 4))
      let tiles = windows(x, boxes)
      for (index, box) in boxes.enumerated() {
        #expect(tiles.samples(2 * index..<2 * index + 2).values == cropped(x, to: box).values)
      }
      let noise = randomTensor(tiles.shape, seed: 8)
      onEveryLevel {
        #expect(relativeError(stitched(tiles, boxes, samples: 2, height: 13, width: 17), doubles(x)) < 2e-7)
        let mean = stitched(noise, boxes, samples: 2, height: 13, width: 17)
        #expect(relativeError(mean, naiveStitch(noise, boxes, x.shape)) < 5e-7)
      }
    }

    @Test("flipping mirrors columns and undoes itself")
    func flip() {
      let x = randomTensor([2, 5, 7, 3], seed: 9)
      let values = doubles(x)
      let flipped = horizontallyFlipped(x)
      let mirrored = naiveMap(x.shape) { pixel(values, x.shape, $0, $1, 6 - $2, $3) }
      #expect(doubles(flipped) == mirrored)
      #expect(horizontallyFlipped(flipped).values == x.values)
    }

    @Test("bits depend on neither threads nor other samples")
    func invariance() {
      let box = Box(top: 3, bottom: 40, left: 1, right: 20)
      let boxes = slidingWindows(height: 41, width: 23, crop: (20, 10), stride: (10, 5))
      func run(_ samples: Int) -> [Float] {
        let x = randomTensor([samples, 41, 23, 3], seed: 10)
        let parts = [
          cropped(x, to: box), maskOutside(x, box), horizontallyFlipped(x), concatenatedChannels([x, x]),
          padded(cropped(x, to: box), into: box, height: 41, width: 23), channelSlices(x, widths: [1, 2])[1],
          stitched(windows(x, boxes), boxes, samples: samples, height: 41, width: 23),
        ]
        return (0..<samples).flatMap { sample in parts.flatMap { $0.sample(sample).values } }
      }
      expectSameBitsOnThreads { run(3) }
      expectIndependentSamples(run)
    }
  }
}
