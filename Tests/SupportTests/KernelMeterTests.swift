// What the kernel meter records, and what it leaves out.

import Foundation
import Support
import TestSupport
import Testing

@Suite(.serialized) struct KernelMeterTests {
  private func kernel(_ family: KernelFamily, _ body: () -> Void = {}) {
    let mark = KernelMeter.begin(family)
    defer { KernelMeter.end(mark) }
    body()
  }

  private func family(_ span: MeterSpan) -> KernelFamily? {
    guard case .kernel(let family, _) = span.label else { return nil }
    return family
  }

  @Test("kernels inside kernels are marked, operations are those of their time") func nesting() {
    KernelMeter.start(workers: 0)
    KernelMeter.phase("source") {
      kernel(.convolution) {
        KernelMeter.count(operations: 5)
        kernel(.matrixProduct) { KernelMeter.count(operations: 7) }
      }
      kernel(.resize)
    }
    let lanes = KernelMeter.stop()
    #expect(lanes.count == 1)
    let spans = lanes[0]
    let families = spans.map(family)
    #expect(families == [nil, .convolution, .matrixProduct, .resize])
    let nested = spans.map(\.isNested)
    #expect(nested == [false, false, true, false])
    let operations = spans.map(\.operations)
    #expect(operations == [12, 12, 7, 0])
    let inside = spans.allSatisfy { $0.begin >= spans[0].begin && $0.end <= spans[0].end && $0.end >= $0.begin }
    #expect(inside)
  }

  @Test("phase times are recorded as phases") func phases() throws {
    KernelMeter.start(workers: 0)
    var times = PhaseTimes()
    times.measure("teacher") {}
    let spans = KernelMeter.stop()[0]
    var names: [String] = []
    for span in spans { if case .phase(let name) = span.label { names.append(name) } }
    #expect(names == ["teacher"])
  }

  @Test("nothing is recorded when nobody listens, nor from another thread") func silence() async {
    kernel(.loss)
    KernelMeter.count(operations: 3)
    KernelMeter.start(workers: 0)
    let thread = Thread { kernel(.loss) }
    thread.start()
    while !thread.isFinished { usleep(1000) }
    kernel(.optimizer)
    let spans = KernelMeter.stop()[0]
    let families = spans.map(family)
    let operations = spans.map(\.operations)
    #expect(families == [.optimizer])
    #expect(operations == [0])
  }

  @Test("workers have rows of their own, named by the kernel under way") func workers() {
    KernelMeter.start(workers: 1)
    kernel(.attention) { KernelMeter.work(on: 1) {} }
    KernelMeter.work(on: 1) {}
    let lanes = KernelMeter.stop()
    #expect(lanes.count == 2)
    let families = lanes[1].map(family)
    #expect(families.first == .attention)
  }

  @Test("requests for heap memory are not counted unless asked for") func noHeap() { #expect(heapAllocations() == nil) }

  #if os(Linux)
    @Test("requests for heap memory are counted") func heap() async {
      await countingHeapRequests {
        await #expect(processExitsWith: .exitCode(100)) {
          final class Thing {}
          let before = heapAllocations() ?? 0
          let things = (0..<100).map { _ in Thing() }
          let counted = (heapAllocations() ?? 0) - before
          exit(counted >= 100 && counted < 200 ? Int32(things.count) : 1)
        }
      }
    }
  #endif
}
