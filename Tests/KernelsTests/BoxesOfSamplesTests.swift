// Maps with a box for each sample against crops one by one.

import Kernels
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct BoxesOfSamplesTests {
    private static let boxes = [
      Box(top: 0, bottom: 4, left: 2, right: 7), Box(top: 3, bottom: 7, left: 0, right: 5),
      Box(top: 1, bottom: 5, left: 4, right: 9),
    ]

    @Test("each sample has its own crop, and pasting is the adjoint")
    func crops() {
      let x = randomTensor([3, 7, 9, 4], seed: 1)
      let parts = cropped(x, to: Self.boxes)
      #expect(parts.shape == [3, 4, 5, 4])
      for (sample, box) in Self.boxes.enumerated() {
        #expect(parts.sample(sample).values == cropped(x.sample(sample), to: box).values)
      }
      let upstream = randomTensor(parts.shape, seed: 2)
      let back = padded(upstream, into: Self.boxes, height: 7, width: 9)
      #expect(abs(innerProduct(doubles(parts), doubles(upstream)) - innerProduct(doubles(x), doubles(back))) < 1e-5)
      let masked = maskOutside(x, Self.boxes)
      #expect(masked.values == padded(parts, into: Self.boxes, height: 7, width: 9).values)
      let labels = LabelMap(samples: 3, height: 7, width: 9, values: (0..<189).map { UInt8($0) })
      #expect(labels.cropped(to: Self.boxes).sample(1) == labels.sample(1).cropped(to: Self.boxes[1]))
    }

    @Test("one box serves all samples")
    func oneBox() {
      let x = randomTensor([3, 7, 9, 4], seed: 3)
      #expect(cropped(x, to: [Self.boxes[0]]).values == cropped(x, to: Self.boxes[0]).values)
      #expect(maskOutside(x, [Self.boxes[0]]).values == maskOutside(x, Self.boxes[0]).values)
    }
  }
}
