// Products with panels against sums in Double, and the promise that an element's bits depend on its row and column only.

import CKernels
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct PanelProductTests {
    private static let panel = Int(CK_PANEL)

    /// `a` [rows, depth] times the first `columns` of a panel, onto `start` if there is one. Every product is stored
    /// between numbers that must stay.
    private func product(
      _ a: [Float], _ right: [Float], rows: Int, columns: Int, depth: Int, transposed: Bool = false,
      onto start: [Float]? = nil
    ) -> [Float] {
      let stride = columns + 3
      var out = [Float](repeating: -7, count: rows * stride)
      for index in 0..<rows * columns where start != nil {
        out[index / columns * stride + index % columns] = start?[index] ?? 0
      }
      ck_panel_product(
        a, transposed ? 1 : depth, transposed ? rows : 1, right, depth, &out, stride, rows, columns,
        start == nil ? 0 : 1)
      for row in 0..<rows {
        #expect(out[row * stride + columns..<(row + 1) * stride].allSatisfy { $0 == -7 })
      }
      return (0..<rows * columns).map { out[$0 / columns * stride + $0 % columns] }
    }

    private func transpose(_ values: [Float], rows: Int, columns: Int) -> [Float] {
      var result = [Float](repeating: 0, count: values.count)
      ck_transpose(values, columns, rows, columns, &result, rows)
      return result
    }

    @Test(arguments: [1, 5, 6, 7, 12, 13, 29, 64], [1, 15, 16, 17, 31, 32])
    func agreesWithTwin(rows: Int, columns: Int) {
      let depth = 67
      let a = randomTensor([rows, depth], seed: 1).values
      let right = randomTensor([depth, Self.panel], seed: 2).values
      let start = randomTensor([rows, columns], seed: 3).values
      let twin = (0..<rows * columns).map { index in
        (0..<depth).reduce(0.0) {
          $0 + Double(a[index / columns * depth + $1]) * Double(right[$1 * Self.panel + index % columns])
        }
      }
      onEveryLevel {
        let plain = product(a, right, rows: rows, columns: columns, depth: depth)
        #expect(relativeError(plain, twin) < 1e-6)
        let added = product(a, right, rows: rows, columns: columns, depth: depth, onto: start)
        #expect(relativeError(added, zip(twin, start).map { $0 + Double($1) }) < 1e-6)
        let turned = transpose(a, rows: rows, columns: depth)
        #expect(plain == product(turned, right, rows: rows, columns: columns, depth: depth, transposed: true))
      }
    }

    @Test func bitsDependOnRowAndColumnOnly() {
      let (rows, depth) = (31, 50)
      let a = randomTensor([rows, depth], seed: 1).values
      let right = randomTensor([depth, Self.panel], seed: 2).values
      onEveryLevel {
        let all = product(a, right, rows: rows, columns: Self.panel, depth: depth)
        for row in 0..<rows {
          let line = Array(a[row * depth..<(row + 1) * depth])
          for columns in [1, 9, 20, Self.panel] {
            let alone = product(line, right, rows: 1, columns: columns, depth: depth)
            #expect(alone == Array(all[row * Self.panel..<row * Self.panel + columns]))
          }
        }
        let left = transpose(
          transpose(a, rows: rows, columns: depth)[..<(20 * rows)].map { $0 }, rows: 20, columns: rows)
        let half = product(left, right, rows: rows, columns: Self.panel, depth: 20)
        let rest = transpose(
          transpose(a, rows: rows, columns: depth)[(20 * rows)...].map { $0 }, rows: 30, columns: rows)
        let below = Array(right[(20 * Self.panel)...])
        #expect(all == product(rest, below, rows: rows, columns: Self.panel, depth: 30, onto: half))
      }
    }

    @Test(arguments: [(1, 1), (3, 9), (8, 4), (13, 18)]) func transposes(rows: Int, columns: Int) {
      let values = randomTensor([rows, columns], seed: 4).values
      let turned = transpose(values, rows: rows, columns: columns)
      for index in values.indices { #expect(turned[index % columns * rows + index / columns] == values[index]) }
    }
  }
}
