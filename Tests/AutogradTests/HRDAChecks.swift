// Unit checks of HRDA (Hoyer et al., ECCV 2022) that concern single operations: numbers by hand.

import Autograd
import Foundation
import Kernels
import Tensors
import TestSupport
import Testing

@Suite("HRDA checks, operations") struct HRDAChecks {
  @Test("1: context 2, detail 4, attention 0.25 inside the box give 2.5 inside and 2 outside")
  func fusionOfConstants() {
    let context = soloContext(1)
    func constant(_ value: Float, _ side: Int) -> Variable {
      Variable(constant: Tensor(repeating: value, [1, side, side, 1]))
    }
    // Image of 256, box of 128 at (64, 32): stride-4 grid of 64, context grid of 32.
    let box = Box(top: 64, bottom: 192, left: 32, right: 160)
    let gate = maskOutside(constant(0.25, 32), [box.divided(by: 8)], context)
    let canvas = padded(constant(4, 32), into: box.divided(by: 4), height: 64, width: 64, context)
    let damped = gatedContext(gate: gate, logits: constant(2, 32), context)
    let fused = fuse(
      gate: bilinear(gate, height: 64, width: 64, context), detail: canvas,
      damped: bilinear(damped, height: 64, width: 64, context), context
    ).value
    let inner = Box(top: 17, bottom: 47, left: 9, right: 39)
    #expect(cropped(fused, to: inner).values.allSatisfy { $0 == 2.5 })
    let outer = [
      Box(top: 0, bottom: 15, left: 0, right: 64), Box(top: 49, bottom: 64, left: 0, right: 64),
      Box(top: 0, bottom: 64, left: 0, right: 7), Box(top: 0, bottom: 64, left: 41, right: 64),
    ]
    #expect(outer.allSatisfy { cropped(fused, to: $0).values.allSatisfy { $0 == 2 } })
  }

  @Test("6: style consistency of (1, 0) with (0, 1), and of (.75, .25) with (.25, .75)", arguments: [0, 1])
  func styleConsistencyOfTwoClasses(_ pair: Int) {
    let rows: [[Float]] = [[50, -50, -50, 50], [log(3), 0, 0, log(3)]]
    let row = rows[pair]
    let expected = [6.931472, 1.308120][pair]
    // Two images of two pixels: a mean over rows does not depend on their number.
    func logits(_ row: ArraySlice<Float>) -> Variable {
      Variable(constant: Tensor(Array(repeating: Array(row), count: 4).flatMap { $0 }, [2, 1, 2, 2]))
    }
    let term = styleConsistency(logits(row[0..<2]), logits(row[2..<4]), name: "style", soloContext(2))
    #expect(abs(term.perSample[0] - expected / 2) < 1e-6 && term.perSample[0] == term.perSample[1])
    let equal = styleConsistency(logits(row[0..<2]), logits(row[0..<2]), name: "style", soloContext(2))
    #expect(equal.perSample.allSatisfy { abs($0) < 1e-12 })
  }
}
