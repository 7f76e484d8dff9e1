// The tape: order of the walk, sums over fan-out, constants, and buffers that go back to the pool as it passes.

import Autograd
import Tensors
import TestSupport
import Testing

@Suite(.serialized) struct TapeTests {
  @Test func theWalkGoesFromNewestToOldest() {
    let tape = Tape()
    var order: [Int] = []
    var x = Variable(tracked: Tensor([1], [1]))
    for index in 0..<5 {
      let cell = x.cell
      x = tape.record(x.value) { gradient in
        order.append(index)
        cell?.accumulate(gradient)
      }
    }
    x.cell?.accumulate(Tensor([3], [1]))
    tape.walkBack()
    #expect(order == [4, 3, 2, 1, 0] && tape.recorded == 5)
  }

  @Test func viewsAreWalkedBackOneAfterTheOther() {
    let tape = Tape()
    var order: [String] = []
    var outputs: [Variable] = []
    for view in 0..<3 {
      if view > 0 { tape.divide() }
      for node in 0..<2 {
        outputs.append(tape.record(Tensor([1], [1])) { _ in order.append("\(view).\(node)") })
      }
    }
    for output in outputs { output.cell?.accumulate(Tensor([1], [1])) }
    tape.walkBack(divided: { order.append("cut") })
    #expect(order == ["2.1", "2.0", "cut", "1.1", "1.0", "cut", "0.1", "0.0"])
  }

  @Test func keptGradientsOutliveTheWalk() {
    let tape = Tape()
    let x = Variable(tracked: Tensor([1], [1]))
    let kept = tape.record(x.value) { gradient in x.cell?.accumulate(gradient) }
    let forgotten = tape.record(x.value) { gradient in kept.cell?.accumulate(gradient) }
    kept.cell?.keep()
    forgotten.cell?.accumulate(Tensor([2], [1]))
    kept.cell?.accumulate(Tensor([3], [1]))
    tape.walkBack()
    #expect(kept.gradient?.values == [5] && x.gradient?.values == [5])
    #expect(forgotten.gradient == nil)
  }

  @Test func nodesWithoutGradientAreLeftOut() {
    let tape = Tape()
    var visited: [String] = []
    let x = Variable(tracked: Tensor([1], [1]))
    let used = tape.record(x.value) { _ in visited.append("used") }
    _ = tape.record(x.value) { _ in visited.append("unused") }
    used.cell?.accumulate(Tensor([1], [1]))
    tape.walkBack()
    #expect(visited == ["used"])
    tape.walkBack()
    #expect(visited == ["used"], "a tape is walked once")
  }

  @Test func contributionsOfAllUsesAddUp() throws {
    let tape = Tape()
    let context = soloContext(2, tape: tape)
    let x = Variable(tracked: randomTensor([2, 3, 4], seed: 1))
    let sum = add(add(gelu(x, context), sigmoid(x, context), context), x, context)
    let cotangent = randomTensor([2, 3, 4], seed: 2)
    sum.cell?.accumulate(cotangent)
    tape.walkBack()
    func alone(_ operation: (Variable, ForwardContext) -> Variable) -> [Double] {
      let tape = Tape()
      let leaf = Variable(tracked: x.value)
      operation(leaf, soloContext(2, tape: tape)).cell?.accumulate(cotangent)
      tape.walkBack()
      return leaf.gradient.map(doubles) ?? []
    }
    let parts = [alone(gelu), alone(sigmoid), doubles(cotangent)]
    let expected = parts[0].indices.map { parts[0][$0] + parts[1][$0] + parts[2][$0] }
    #expect(relativeError(try #require(x.gradient), expected) < 1e-6)
  }

  @Test func aVariableUsedTwiceByOneOperationGetsBothParts() throws {
    let tape = Tape()
    let x = Variable(tracked: Tensor([1, 2], [2]))
    add(x, x, soloContext(2, tape: tape)).cell?.accumulate(Tensor([5, 7], [2]))
    tape.walkBack()
    #expect(try #require(x.gradient).values == [10, 14])
  }

  @Test func gradientsDoNotShareTheirValuesWithTheirSource() throws {
    let tape = Tape()
    let context = soloContext(1, tape: tape)
    let (x, y) = (Variable(tracked: Tensor([1, 1], [2])), Variable(tracked: Tensor([1, 1], [2])))
    let sum = add(x, y, context)
    let again = add(sum, x, context)
    let cotangent = Tensor([1, 2], [2])
    again.cell?.accumulate(cotangent)
    tape.walkBack()
    #expect(try #require(x.gradient).values == [2, 4])
    #expect(try #require(y.gradient).values == [1, 2])
    #expect(cotangent.values == [1, 2])
  }

  @Test func constantsGetNoGradientAndRecordNothing() {
    let tape = Tape()
    let context = soloContext(2, tape: tape)
    let constant = Variable(constant: randomTensor([2, 3, 3, 4], seed: 3))
    let results = [
      gelu(constant, context), sigmoid(constant, context), add(constant, constant, context),
      bilinear(constant, height: 5, width: 5, context), concatenated([constant, constant], context),
      gatedContext(gate: constant, logits: constant, context),
    ]
    #expect(results.allSatisfy { $0.cell == nil } && tape.recorded == 0)
    let tracked = Variable(tracked: constant.value)
    add(tracked, constant, context).cell?.accumulate(Tensor(repeating: 1, [2, 3, 3, 4]))
    tape.walkBack()
    #expect(constant.gradient == nil && tracked.gradient != nil)
  }

  @Test func withoutATapeNothingIsRecorded() {
    let x = Variable(tracked: randomTensor([2, 3, 4], seed: 4))
    #expect(gelu(x, soloContext(2)).cell == nil)
  }

  @Test func parametersOfConstantsAreTrained() {
    let weight = randomParameter([3, 4], samples: 2, seed: 5)
    let tape = Tape()
    let context = soloContext(2, tape: tape)
    let y = linear(Variable(constant: randomTensor([2, 5, 4], seed: 6)), weight, nil, context)
    y.cell?.accumulate(randomTensor([2, 5, 3], seed: 7))
    tape.walkBack()
    #expect(tape.recorded == 1)
    #expect((0..<2).allSatisfy { weight.slots?.values($0).allSatisfy { $0 != 0 } == true })
  }

  @Test func slotsSumOverPassesAndStayApartBySample() throws {
    let weight = randomParameter([3, 4], samples: 2, seed: 8)
    let slots = try #require(weight.slots)
    func pass(_ seed: UInt64) {
      let tape = Tape()
      let y = linear(
        Variable(constant: randomTensor([2, 5, 4], seed: seed)), weight, nil, soloContext(2, tape: tape))
      // Sample 0 alone has a gradient.
      let cotangent = randomTensor([2, 5, 3], seed: seed + 1)
      cotangent.sample(1).fill(0)
      y.cell?.accumulate(cotangent)
      tape.walkBack()
    }
    pass(20)
    let first = slots.values(0)
    slots.arenas.fill(0)
    pass(30)
    let second = slots.values(0)
    pass(20)
    #expect(slots.values(0) == zip(first, second).map { $1 + $0 })
    #expect(slots.values(1) == [Float](repeating: 0, count: 12))
  }

  @Test func buffersReturnToThePoolAsTheWalkPasses() throws {
    let shape: Shape = [1, 256, 1024]
    let bytes = shape.count * 4
    let before = BufferPool.shared.statistics.bytesInUse
    let tape = Tape()
    var inUse: [Int] = []
    func build() -> (first: GradientCell?, last: GradientCell?) {
      var x = Variable(tracked: Tensor(repeating: 0.5, shape))
      let first = x.cell
      for _ in 0..<6 {
        let y = gelu(x, soloContext(1, tape: tape))
        x = tape.record(y.value) { gradient in
          inUse.append(BufferPool.shared.statistics.bytesInUse - before)
          y.cell?.accumulate(gradient)
        }
      }
      return (first, x.cell)
    }
    let ends = build()
    // Six inputs are kept for the gradient of GELU; the last output is the closure's `y`.
    #expect(BufferPool.shared.statistics.bytesInUse - before == 7 * bytes)
    ends.last?.accumulate(Tensor(repeating: 1, shape))
    tape.walkBack()
    try #require(inUse.count == 6)
    #expect(zip(inUse, inUse.dropFirst()).allSatisfy { $0 - $1 == bytes }, "\(inUse.map { $0 / bytes })")
    // What is left is the gradient of the leaf.
    #expect(BufferPool.shared.statistics.bytesInUse - before == bytes)
    withExtendedLifetime(ends.first) {}
  }

  @Test func aSecondPassFindsAllItsBuffers() {
    func pass() {
      let tape = Tape()
      let context = soloContext(2, tape: tape)
      var x = Variable(tracked: randomTensor([2, 16, 16, 24], seed: 9))
      for _ in 0..<4 { x = add(gelu(x, context), bilinear(x, height: 16, width: 16, context), context) }
      x.cell?.accumulate(Tensor(repeating: 1, [2, 16, 16, 24]))
      tape.walkBack()
    }
    pass()
    let misses = BufferPool.shared.statistics.misses
    for _ in 0..<3 { pass() }
    #expect(BufferPool.shared.statistics.misses == misses)
  }
}

extension TapeTests {
  @Test func marksAreToldOnceWhatFollowsThemIsWalked() {
    let tape = Tape()
    var events: [String] = []
    var x = Variable(tracked: Tensor([1], [1]))
    func node(_ name: String) {
      let cell = x.cell
      x = tape.record(x.value) { gradient in
        events.append(name)
        cell?.accumulate(gradient)
      }
    }
    for (mark, name) in [(10, "a"), (20, "b"), (20, "c"), (5, "d"), (30, "e")] {
      tape.mark(mark)
      node(name)
    }
    x.cell?.accumulate(Tensor([1], [1]))
    tape.walkBack(landed: { events.append("\($0.lowerBound)") }, passed: { events.append("|") })
    #expect(events == ["e", "30", "|", "d", "|", "c", "|", "b", "20", "|", "a", "0", "|"])
  }

  @Test func weightsLandBeforeTheInputsGradientIsComputed() {
    let tape = Tape()
    var events: [String] = []
    tape.mark(10)
    let x = Variable(tracked: Tensor([1], [1]))
    let below = tape.record(x.value) { _ in events.append("below") }
    tape.mark(20)
    let y = tape.record(
      below.value, weights: { _ in events.append("weights") },
      { gradient in
        events.append("inputs")
        below.cell?.accumulate(gradient)
      })
    y.cell?.accumulate(Tensor([1], [1]))
    tape.walkBack(landed: { events.append("\($0.lowerBound)") }, passed: { events.append("|") })
    #expect(events == ["weights", "20", "inputs", "|", "below", "0", "|"])
  }

  @Test func computationsSideBySideAreWalkedBlockByBlockTheLastOneFirst() throws {
    let tape = Tape()
    var events: [String] = []
    func chain(_ steps: [(mark: Int, name: String)]) -> Variable {
      var x = Variable(tracked: Tensor([1], [1]))
      for step in steps {
        tape.mark(step.mark)
        let cell = x.cell
        x = tape.record(x.value) { gradient in
          events.append(step.name)
          cell?.accumulate(gradient)
        }
      }
      return x
    }
    var ends: [Variable] = []
    try tape.sideBySide([
      { ends.append(chain([(10, "a10"), (20, "a20"), (20, "a20+"), (30, "a30")])) },
      { ends.append(chain([(10, "b10"), (20, "b20"), (30, "b30"), (40, "b40")])) },
    ])
    let joint = tape.record(ends[0].value) { gradient in
      events.append("joint")
      for end in ends { end.cell?.accumulate(gradient) }
    }
    joint.cell?.accumulate(Tensor([1], [1]))
    tape.walkBack(landed: { events.append("\($0.lowerBound)") }, passed: {})
    #expect(
      events == [
        "joint", "b40", "40", "b30", "a30", "30", "b20", "a20+", "a20", "20", "b10", "a10", "0",
      ])
  }
}
