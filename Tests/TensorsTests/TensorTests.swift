// Tensors: construction, views that share their values, copies that do not, and what they refuse.

import Tensors
import Testing

@Suite struct TensorTests {
  /// 0, 1, 2, … in a shape.
  private static func counting(_ shape: Shape) -> Tensor { Tensor((0..<shape.count).map { Float($0) }, shape) }

  @Test func constructionFillsEveryElement() {
    #expect(Tensor(zeros: [3, 5]).values == [Float](repeating: 0, count: 15))
    #expect(Tensor(repeating: 2.5, [7]).values == [Float](repeating: 2.5, count: 7))
    #expect(TensorTests.counting([2, 3]).values == [0, 1, 2, 3, 4, 5])
    #expect(Tensor([4], []).scalar == 4)
    #expect(Tensor([], [0, 3]).values.isEmpty)
  }

  @Test func zerosAreZeroInUsedMemory() {
    for _ in 0..<4 { #expect(Tensor(zeros: [1000]).values.allSatisfy { $0 == 0 }) }
    for _ in 0..<4 { Tensor(uninitialized: [1000]).fill(.nan) }
    #expect(Tensor(zeros: [1000]).values.allSatisfy { $0 == 0 })
  }

  @Test func extentsByName() {
    let tensor = Tensor(zeros: [2, 3, 4, 5])
    #expect(tensor.count == 120 && tensor.perSample == 60 && tensor.samples == 2 && tensor.channels == 5)
  }

  @Test func reshapingSharesTheValues() {
    let tensor = TensorTests.counting([2, 6])
    let view = tensor.reshaped([2, 3, 2])
    #expect(view.values == tensor.values && view.shape == [2, 3, 2])
    view.fill(9)
    #expect(tensor.values == [Float](repeating: 9, count: 12))
  }

  @Test func samplesAreViewsOfTheFirstAxis() {
    let tensor = TensorTests.counting([4, 2, 3])
    let middle = tensor.samples(1..<3)
    #expect(middle.shape == [2, 2, 3] && middle.values == (6..<18).map { Float($0) })
    #expect(middle.sample(1).shape == [1, 2, 3] && middle.sample(1).values == (12..<18).map { Float($0) })
    #expect(tensor.samples(4..<4).count == 0)
    middle.sample(0).fill(-1)
    #expect(tensor.values == (0..<6).map { Float($0) } + [Float](repeating: -1, count: 6) + (12..<24).map { Float($0) })
  }

  @Test func aViewKeepsTheBufferAlive() {
    func view() -> Tensor { TensorTests.counting([3, 500]).sample(2) }
    let kept = view()
    for _ in 0..<8 { Tensor(uninitialized: [3, 500]).fill(.nan) }
    #expect(kept.values == (1000..<1500).map { Float($0) })
  }

  @Test func copiesHaveValuesOfTheirOwn() {
    let tensor = TensorTests.counting([2, 3])
    let copy = tensor.sample(1).copy()
    #expect(copy.values == [3, 4, 5] && copy.shape == [1, 3] && copy.offset == 0)
    copy.fill(0)
    #expect(tensor.values == [0, 1, 2, 3, 4, 5])
  }

  @Test func assigningOverwritesOnlyTheView() {
    let tensor = TensorTests.counting([3, 2])
    tensor.sample(1).assign(Tensor([8, 9], [2]))
    #expect(tensor.values == [0, 1, 8, 9, 4, 5])
  }

  @Test func viewsOfPartOfABuffer() {
    let arena = TensorTests.counting([10])
    let part = Tensor(shape: [2, 2], buffer: arena.buffer, offset: 3)
    #expect(part.values == [3, 4, 5, 6])
    #expect(part.sample(1).offset == 5)
  }

  @Test func textShowsShapeAndFirstValues() {
    #expect("\(TensorTests.counting([3, 4]))" == "Tensor[3, 4] [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]")
  }

  @Test func valuesThatDoNotFitAreRefused() async {
    await #expect(processExitsWith: .failure) { _ = Tensor([1, 2, 3], [2, 2]) }
  }

  @Test func reshapingToAnotherCountIsRefused() async {
    await #expect(processExitsWith: .failure) { _ = Tensor(zeros: [2, 3]).reshaped([2, 2]) }
  }

  @Test func samplesBeyondTheEndAreRefused() async {
    await #expect(processExitsWith: .failure) { _ = Tensor(zeros: [2, 3]).samples(1..<3) }
  }

  @Test func assigningAnotherCountIsRefused() async {
    await #expect(processExitsWith: .failure) { Tensor(zeros: [2, 3]).assign(Tensor(zeros: [5])) }
  }

  @Test func viewsBeyondTheBufferAreRefused() async {
    await #expect(processExitsWith: .failure) {
      let arena = Tensor(zeros: [10])
      _ = Tensor(shape: [4], buffer: arena.buffer, offset: 7)
    }
  }

  @Test func scalarsOfSeveralElementsAreRefused() async {
    await #expect(processExitsWith: .failure) { _ = Tensor(zeros: [2]).scalar }
  }
}

@Suite struct GradientSlotTests {
  @Test func aParameterIsASliceOfEverySamplesArena() {
    let arenas = Tensor((0..<24).map { Float($0) }, [3, 8])
    let slots = GradientSlots(arenas: arenas, offset: 5, count: 2)
    #expect(slots.samples == 3)
    #expect((0..<3).map { slots.values($0) } == [[5, 6], [13, 14], [21, 22]])
    slots.pointer(1).update(repeating: -1, count: 2)
    #expect(arenas.values == (0..<24).map { [13, 14].contains($0) ? -1 : Float($0) })
  }

  @Test func slotsOfTheirOwnStartAtZero() {
    let slots = GradientSlots(zeros: 3, samples: 2)
    #expect(slots.samples == 2 && slots.count == 3 && slots.offset == 0)
    #expect((0..<2).allSatisfy { slots.values($0) == [0, 0, 0] })
  }

  @Test func slicesBeyondTheArenaAreRefused() async {
    await #expect(processExitsWith: .failure) {
      _ = GradientSlots(arenas: Tensor(zeros: [2, 8]), offset: 6, count: 3)
    }
  }

  @Test func samplesBeyondTheLastAreRefused() async {
    await #expect(processExitsWith: .failure) { _ = GradientSlots(zeros: 3, samples: 2).pointer(2) }
  }
}
