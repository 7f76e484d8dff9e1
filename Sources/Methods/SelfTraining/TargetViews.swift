// Weak and strong views of source and target images, as EHTDI (Li et al., ACM MM 2022) makes them of whole images.
// N local samples, V×V views.

import Adaptation
import Kernels
import Support
import Tensors

/// The views of a micro-batch.
struct TargetViews {
  /// The source's strong view with its labels.
  let source: LabelledImages
  /// 1 where source is pasted onto the target.
  let pasted: [UInt8]
  /// The target's weak view without pasted source.
  let weakTarget: Tensor
  /// The target's weak view; what is pasted is the source's weak view.
  let weak: Tensor
  /// The target's strong view; what is pasted is the source's weak view.
  let strong: Tensor
  /// Labels of both: the truth where source is pasted, elsewhere what is believed of the target.
  let labels: LabelMap

  /// Cuts and changes the images of a step by draws of each sample.
  /// - Parameter side: rows and columns of views.
  init(_ step: StepView, _ options: TargetInformationOptions, side: Int, of objective: String) {
    let (image, truth) = step.sourceSamples
    let target = step.targetSamples.image
    let samples = step.share.samples
    func cut(_ image: Tensor, _ labels: LabelMap, _ draw: String) -> (image: Tensor, labels: LabelMap) {
      let boxes = samples.map { sample in
        var stream = step.stream("\(draw) view", of: objective, sample: sample)
        return resizedCrop(height: image.shape[1], width: image.shape[2], area: options.area, &stream)
      }
      return views(image, labels, boxes, side: side)
    }
    func strongly(_ image: Tensor, _ draw: String) -> Tensor {
      let result = Tensor(uninitialized: image.shape)
      for (local, sample) in samples.enumerated() {
        var stream = step.stream("\(draw) colours", of: objective, sample: sample)
        result.sample(local).assign(StrongChange(&stream)(image.sample(local)))
      }
      return result
    }
    let weakSource = cut(image, truth, "source")
    let believed = cut(target, step.pseudoLabels.labels, "target")
    let chosen = samples.enumerated().map { local, sample in
      let pool = pasteCandidates(
        weakSource.labels.sample(local).values, above: options.pasteAbove, shifted: options.shiftedPick)
      var stream = step.stream("classes", of: objective, sample: sample)
      return Array(pool.shuffled(using: &stream).prefix(pasteCount(pool.count)))
    }
    pasted = classMask(weakSource.labels, chosen: chosen)
    source = LabelledImages(image: strongly(weakSource.image, "source"), labels: weakSource.labels)
    weakTarget = believed.image
    weak = mix(weakSource.image, believed.image, mask: pasted)
    strong = mix(weakSource.image, strongly(believed.image, "target"), mask: pasted)
    labels = mix(weakSource.labels, believed.labels, mask: pasted)
  }
}

/// One image's strong change of colours.
private struct StrongChange {
  private let jitter: ColourJitter
  private let greys: Bool
  private let blurs: Bool

  /// Brightness and contrast in 80 of 100 images, saturation and hue likewise; grey in 20, blur in 50.
  init(_ stream: inout RandomStream) {
    let orders: [[Int]] = [[0, 1], [2, 3]].map { stream.nextUniform() < 0.8 ? $0 : [] }
    jitter = ColourJitter(
      brightness: stream.nextUniform(in: 0.8...1.2), contrast: stream.nextUniform(in: 0.8...1.2),
      saturation: stream.nextUniform(in: 0.8...1.2), hue: stream.nextUniform(in: -0.1...0.1),
      order: orders.flatMap { $0 })
    greys = stream.nextUniform() < 0.2
    blurs = stream.nextUniform() < 0.5
  }

  /// A window of 5 pixels has this deviation.
  private static let blurSigma: Float = 1.1

  func callAsFunction(_ image: Tensor) -> Tensor {
    var image = colourJitter(image, [jitter])
    if greys { image = greyed(image) }
    return blurs ? gaussianBlur(image, sigmas: [Self.blurSigma]) : image
  }
}

/// A part of an image: its share of all pixels is uniform, its sides' ratio between 3:4 and 4:3, drawn ten times until it
/// fits; else the largest part in the middle of such a ratio.
func resizedCrop(height: Int, width: Int, area: [Double], _ stream: inout RandomStream) -> Box {
  let ratios = [3.0 / 4, 4.0 / 3]
  func box(_ rows: Int, _ columns: Int, _ top: Int, _ left: Int) -> Box {
    Box(top: top, bottom: top + rows, left: left, right: left + columns)
  }
  for _ in 0..<10 {
    let share = area[0] + (area[1] - area[0]) * Double(stream.nextUniform())
    let ratio = (ratios[0].logarithm + (ratios[1] / ratios[0]).logarithm * Double(stream.nextUniform())).exponential
    let pixels = share * Double(height * width)
    let (columns, rows) = ((pixels * ratio).squareRoot().rounded(), (pixels / ratio).squareRoot().rounded())
    guard (1...Double(height)).contains(rows), (1...Double(width)).contains(columns) else { continue }
    let (top, left) = (
      stream.nextIndex(below: height - Int(rows) + 1), stream.nextIndex(below: width - Int(columns) + 1)
    )
    return box(Int(rows), Int(columns), top, left)
  }
  let ratio = min(max(Double(width) / Double(height), ratios[0]), ratios[1])
  let rows = min(height, Int((Double(width) / ratio).rounded()))
  let columns = min(width, Int((Double(height) * ratio).rounded()))
  return box(rows, columns, (height - rows) / 2, (width - columns) / 2)
}

/// Parts of images, one for each sample, resized to squares: images bilinearly, labels to the nearest.
private func views(
  _ image: Tensor, _ labels: LabelMap, _ boxes: [Box], side: Int
) -> (image: Tensor, labels: LabelMap) {
  let result = Tensor(uninitialized: [boxes.count, side, side, image.channels])
  for (sample, box) in boxes.enumerated() {
    result.sample(sample).assign(bilinear(cropped(image.sample(sample), to: box), height: side, width: side))
  }
  return (
    result,
    LabelMap(
      stacking: boxes.enumerated().map { sample, box in
        nearest(labels.sample(sample).cropped(to: box), height: side, width: side)
      })
  )
}
