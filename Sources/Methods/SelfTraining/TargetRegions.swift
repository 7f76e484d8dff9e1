// Which regions of source and target images EHTDI (Li et al., ACM MM 2022) pastes, and what they are labelled as.
// N samples, H×W pixels, K classes; masks are N·H·W bytes.

import Adaptation
import Kernels
import Support
import Tensors

/// The classes of an image that may be pasted onto a target image: those above an id.
/// - Parameters:
///   - labels: of the image, 255 ignored.
///   - above: the greatest id that is not pasted.
///   - shifted: as the released code picks them, one place too low among all values in ascending order, of which ignored
///     pixels are the lowest; before the first it takes the last.
/// - Returns: ascending.
package func pasteCandidates(_ labels: some Sequence<UInt8>, above: Int, shifted: Bool = false) -> [UInt8] {
  let present = Set(labels).map { $0 == LabelMap.ignored ? -1 : Int($0) }.sorted()
  let count = present.count { $0 > above }
  let pool = (present.count - count..<present.count).map { place in
    shifted ? present[(place + present.count - 1) % present.count] : present[place]
  }
  return pool.map { $0 < 0 ? LabelMap.ignored : UInt8($0) }.sorted()
}

/// How many of so many classes are pasted: half, rounded down, but one where there is one.
package func pasteCount(_ candidates: Int) -> Int { candidates < 2 ? candidates : candidates / 2 }

/// What the network says of the weak view.
package struct WeakLabels {
  /// The class of the network.
  package let main: LabelMap
  /// The class of the mean of both heads' probabilities; of the network alone without an auxiliary head.
  package let both: LabelMap
  /// 1 where the network's probability exceeds the limit.
  package let region: [UInt8]

  /// From logits [N, h, w, K], resized with corners on corners.
  package init(_ logits: Tensor, auxiliary: Tensor?, height: Int, width: Int, limit: Float) {
    func resized(_ logits: Tensor) -> Tensor { bilinear(logits, height: height, width: width, alignCorners: true) }
    let own = resized(logits)
    let (labels, confidence) = pseudoLabels(own)
    main = labels
    region = confidence.values.map { $0 > limit ? 1 : 0 }
    both = auxiliary.map { argMax(add(softmax(own), softmax(resized($0)))) } ?? labels
  }

  /// Labels of the contrast on a grid: ground truth on pasted pixels, the network's class in the region, else ignored.
  package func prototypes(pasted: [UInt8], truth: LabelMap, height: Int, width: Int) -> LabelMap {
    let own = main.only(where: region)
    return nearest(mix(truth, own, mask: pasted), height: height, width: width)
  }
}

/// A region of the target pasted onto source images, with its labels.
package struct Recut {
  /// The images.
  package let image: Tensor
  /// Labels for the network.
  package let labels: LabelMap
  /// 1 where the target was pasted.
  package let region: [UInt8]

  /// Pastes a region.
  /// - Parameters:
  ///   - region: what is pasted.
  ///   - strong: the target's strong view, with pasted source.
  ///   - source: the source's strong view with its labels.
  ///   - found: labels of the region.
  ///   - pasted: where the target's view shows pasted source; its labels are the truth there, unless `predicted`.
  ///   - predicted: whether pasted source has the found labels too, as in the released code.
  package init(
    _ region: [UInt8], of strong: Tensor, onto source: LabelledImages, found: LabelMap, pasted: [UInt8],
    predicted: Bool = false
  ) {
    self.region = region
    image = mix(strong, source.image, mask: region)
    labels = mix(predicted ? found : mix(source.labels, found, mask: pasted), source.labels, mask: region)
  }
}

/// Labels that one of the network's outputs learns, over labelled pixels of all ranks.
package struct RegionTarget {
  /// Which logits.
  package enum Output {
    /// Those of the network.
    case main
    /// Those of its auxiliary head.
    case auxiliary
  }

  /// End of the term's name.
  package let name: String
  /// Which logits learn.
  package let output: Output
  /// What is right, 255 ignored.
  package let labels: LabelMap
  /// Weight of the term.
  package let factor: Double
  /// 1 on the border that the term is of; nil for terms of all pixels.
  package let border: [UInt8]?

  /// Labels of an output.
  /// - Parameters:
  ///   - name: end of the term's name.
  ///   - output: which logits.
  ///   - labels: what is right.
  ///   - border: where; nil everywhere.
  ///   - factor: weight of the term.
  package init(_ name: String, _ output: Output, _ labels: LabelMap, along border: [UInt8]? = nil, factor: Double) {
    self.name = name
    self.output = output
    self.labels = border.map { labels.only(where: $0) } ?? labels
    self.factor = factor
    self.border = border
  }

  /// For each sample whether it has no border at all. One such sample leaves the term out in the whole micro-batch.
  package var lacksBorder: [Bool] {
    let pixels = labels.height * labels.width
    return (0..<labels.samples).map { sample in
      border.map { !$0[sample * pixels..<(sample + 1) * pixels].contains(1) } ?? false
    }
  }
}

extension LabelMap {
  /// The labels where a mask is set, 255 elsewhere.
  func only(where mask: [UInt8]) -> LabelMap {
    precondition(mask.count == values.count, "\(mask.count) marks for \(values.count) pixels")
    return LabelMap(
      samples: samples, height: height, width: width,
      values: zip(values, mask).map { $1 == 1 ? $0 : LabelMap.ignored })
  }
}
