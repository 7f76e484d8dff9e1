// Edges of labels against a twin that pads the map by mirroring.

import Kernels
import Support
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct LabelEdgeTests {
    /// Convolution by a square of ones with -24 in its middle, over 48, on the padded map.
    private func twin(_ labels: LabelMap) -> [UInt8] {
      let (height, width) = (labels.height, labels.width)
      return (0..<labels.samples).flatMap { sample -> [UInt8] in
        let own = labels.sample(sample).values.map(Double.init)
        func padded(_ row: Int, _ column: Int) -> Double {
          func inside(_ place: Int, _ extent: Int) -> Int {
            place < 0 ? -place : place < extent ? place : 2 * extent - 2 - place
          }
          return own[inside(row, height) * width + inside(column, width)]
        }
        return (0..<height * width).map { pixel in
          let (row, column) = (pixel / width, pixel % width)
          var sum = -25 * own[pixel]
          for down in -2...2 { for right in -2...2 { sum += padded(row + down, column + right) } }
          return abs(sum / 48) > 0.1 ? 1 : 0
        }
      }
    }

    @Test("edges agree with the twin", arguments: [(1, 3, 9), (2, 5, 7), (3, 11, 4)])
    func agreement(samples: Int, height: Int, width: Int) {
      var stream = RandomStream(seed: 1, step: 0, sample: nil, purpose: Purpose("labels"))
      let values = (0..<samples * height * width).map { _ -> UInt8 in
        let drawn = stream.nextIndex(below: 8)
        return drawn < 6 ? 3 : drawn == 6 ? 4 : 255
      }
      let labels = LabelMap(samples: samples, height: height, width: width, values: values)
      let found = labelEdges(labels)
      #expect(found == twin(labels) && found.contains(1))
    }

    @Test("one class has no edge; one other id of 5 is one, of 4 is none around it")
    func few() {
      var labels = LabelMap(height: 7, width: 7, values: [UInt8](repeating: 10, count: 49))
      #expect(!labelEdges(labels).contains(1))
      labels.values[24] = 15
      #expect(labelEdges(labels).count { $0 == 1 } == 25)
      labels.values[24] = 14
      #expect(labelEdges(labels).indices.filter { labelEdges(labels)[$0] == 1 } == [24])
    }
  }
}
