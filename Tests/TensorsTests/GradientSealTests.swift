// Parts of an arena that are closed to gradients while they are summed.

import Tensors
import Testing

@Suite struct GradientSealTests {
  @Test("agrees with a set of elements, whatever the order in which parts close")
  func agreesWithASet() {
    for step in [1, 3, 7, 9] {
      let seal = GradientSeal()
      var closed: Set<Int> = []
      for index in 0..<10 {
        let start = index * step % 10 * 6
        let part = start..<start + index * 5 % 7
        seal.close(part)
        closed.formUnion(part)
        for lower in 0..<60 {
          for upper in [lower, lower + 1, lower + 7] {
            #expect(seal.isOpen(lower..<upper) == closed.isDisjoint(with: lower..<upper), "\(lower)..<\(upper)")
          }
        }
      }
      seal.open()
      #expect(seal.isOpen(0..<100))
    }
  }
}
