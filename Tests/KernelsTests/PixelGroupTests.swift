// Groups of pixels and adaptive means against explicit indexing; adjoints.

import Kernels
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct PixelGroupTests {
    @Test(
      "tokens of cells and of interlaced pixels", arguments: PixelGrouping.allCases, [(4, 6, 2), (16, 8, 8), (3, 9, 3)])
    func groups(grouping: PixelGrouping, sizes: (Int, Int, Int)) {
      let (height, width, side) = sizes
      let x = randomTensor([3, height, width, 5], seed: 1)
      let grouped = groupedPixels(x, side: side, grouping)
      let (rows, columns) = (height / side, width / side)
      let isCell = grouping == .cells
      let shape: Shape = isCell ? [3 * rows * columns, side * side, 5] : [3 * side * side, rows * columns, 5]
      #expect(grouped.shape == shape)
      let values = doubles(x)
      var expected = [Double]()
      for sample in 0..<3 {
        for group in 0..<shape[0] / 3 {
          for token in 0..<shape[1] {
            let (cell, place) = isCell ? (group, token) : (token, group)
            let y = cell / columns * side + place / side
            let column = cell % columns * side + place % side
            for channel in 0..<5 { expected.append(pixel(values, x.shape, sample, y, column, channel)) }
          }
        }
      }
      #expect(doubles(grouped) == expected)
      #expect(ungroupedPixels(grouped, height: height, width: width, side: side, grouping).values == x.values)
    }

    @Test(
      "adaptive mean of cells that may overlap", arguments: [(6, 5, 1), (6, 5, 2), (6, 5, 3), (6, 5, 6), (1, 2, 3)])
    func adaptiveMeans(height: Int, width: Int, cells: Int) {
      let x = randomTensor([2, height, width, 7], seed: 2)
      let values = doubles(x)
      func range(_ index: Int, _ extent: Int) -> Range<Int> {
        let end = Double((index + 1) * extent) / Double(cells)
        return index * extent / cells..<Int(end.rounded(.up))
      }
      let expected = naiveMap([2, cells, cells, 7]) { n, row, column, c in
        let (rows, columns) = (range(row, height), range(column, width))
        let sum = rows.reduce(0.0) { sum, y in columns.reduce(sum) { $0 + pixel(values, x.shape, n, y, $1, c) } }
        return sum / Double(rows.count * columns.count)
      }
      let means = adaptiveAverage(x, cells: cells)
      #expect(relativeError(means, expected) < 1e-6)
      let y = randomTensor(means.shape, seed: 3)
      let first = innerProduct(doubles(means), doubles(y))
      let second = innerProduct(doubles(x), doubles(adaptiveAverageGradient(y, height: height, width: width)))
      #expect(abs(first - second) < 1e-5)
    }
  }
}
