// Unit checks of EHTDI's specification; those of matched rows and borders are with the kernels' tests.

import Adaptation
import Kernels
import Methods
import Tensors
import TestSupport
import Testing

@Suite("EHTDI checks") struct EHTDIChecks {
  @Test("3: a region is what exceeds the limit, and its labels are pasted with it")
  func region() {
    let (classes, shares, believed): (Int, [Double], [Int]) = (11, [0.99, 0.5, 0.96, 0.95], [7, 8, 9, 10])
    let logits = Tensor(
      zip(shares, believed).flatMap { share, label in
        (0..<classes).map { Float(($0 == label ? share : (1 - share) / Double(classes - 1)).logarithm) }
      }, [1, 1, 4, classes])
    // The fourth is just the limit, as rounding has it.
    let limit = pseudoLabels(logits).confidence.values[3]
    #expect(abs(limit - 0.95) < 1e-6)
    let found = WeakLabels(logits, auxiliary: nil, height: 1, width: 4, limit: limit)
    #expect(found.region == [1, 0, 1, 0] && found.main.values == [7, 8, 9, 10] && found.both == found.main)
    let image = Tensor([1, 2, 3, 4], [1, 1, 4, 1])
    let source = LabelledImages(
      image: Tensor([5, 6, 7, 8], [1, 1, 4, 1]), labels: LabelMap(height: 1, width: 4, values: [0, 1, 2, 3]))
    let recut = Recut(found.region, of: image, onto: source, found: found.main, pasted: [0, 0, 0, 0])
    #expect(recut.image.values == [1, 6, 3, 8] && recut.labels.values == [7, 1, 9, 3])
    // On pasted source pixels the truth counts, but for the defect of the released code.
    let pasted: [UInt8] = [1, 0, 0, 0]
    #expect(
      Recut(found.region, of: image, onto: source, found: found.main, pasted: pasted).labels.values == [0, 1, 9, 3])
    let defect = Recut(found.region, of: image, onto: source, found: found.main, pasted: pasted, predicted: true)
    #expect(defect.labels.values == [7, 1, 9, 3])
    #expect(found.prototypes(pasted: pasted, truth: source.labels, height: 1, width: 4).values == [0, 255, 9, 255])
    #expect(found.prototypes(pasted: pasted, truth: source.labels, height: 1, width: 2).values == [0, 9])
  }

  @Test("4: classes above 4 may be pasted, half of them; released code picks one place too low")
  func classPool() {
    #expect(pasteCandidates([255, 0, 3, 7, 11, 18, 7], above: 4) == [7, 11, 18])
    #expect(pasteCandidates([255, 0, 3, 7, 11, 18], above: 4, shifted: true) == [3, 7, 11])
    #expect(pasteCandidates([255, 9], above: 4) == [9] && pasteCandidates([255, 9], above: 4, shifted: true) == [255])
    #expect(pasteCandidates([7, 11], above: 4, shifted: true) == [7, 11], "before the first it takes the last")
    #expect(pasteCandidates([0, 1, 255], above: 4) == [] && pasteCandidates([UInt8](), above: 4, shifted: true) == [])
    #expect([0, 1, 2, 3, 7].map(pasteCount) == [0, 1, 1, 1, 3])
  }

  @Test("6: an average of 0 with memory 0.999 is 0.001 after one step towards 1, 0.001999 after two")
  func average() {
    let average = Tensor([0], [1])
    exponentialAverage(average, Tensor([1], [1]), momentum: 0.999)
    #expect(abs(average.values[0] - 0.001) < 1e-7)
    exponentialAverage(average, Tensor([1], [1]), momentum: 0.999)
    #expect(abs(average.values[0] - 0.001999) < 1e-7)
  }

  @Test("targets of the edge-enhanced variant: borders of their own, none in one image leaves the term out")
  func edges() {
    var options = TargetInformationOptions()
    let labels = LabelMap(samples: 2, height: 2, width: 3, values: (0..<12).map { UInt8($0) })
    let pasted: [UInt8] = [0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    #expect(options.viewTargets(labels, both: labels, pasted: pasted).map(\.name) == ["main", "auxiliary"])
    options.edges = true
    let targets = options.viewTargets(labels, both: labels, pasted: pasted)
    #expect(targets.map(\.name) == ["main", "auxiliary", "edge.main", "edge.auxiliary"])
    #expect(targets[2].labels.values == [255, 255, 2, 255, 255, 5] + [UInt8](repeating: 255, count: 6))
    #expect(targets[2].lacksBorder == [false, true] && targets[0].lacksBorder == [false, false])
    #expect(targets.map(\.factor) == [0.1, 0.1 * 0.1, 0.1, 0.1 * 0.1])
  }
}
