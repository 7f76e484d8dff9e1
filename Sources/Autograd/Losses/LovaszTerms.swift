// The Lovász-softmax loss, of each image or of the whole micro-batch. N samples, K classes.

import Collectives
import Kernels
import Tensors

/// The pixels whose errors are put in one order.
public enum LovaszScope: Sendable {
  /// Those of an image; the loss is the mean over the images, one without labels counting as 0. No rank needs another's.
  case image
  /// Those of the micro-batch of all ranks: one message of counts, then two for each class that occurs anywhere.
  case batch
}

/// Mean over the classes that occur of the Lovász extension of their Jaccard loss.
///
/// A collective with `.batch`: called by all ranks that share the batch.
/// - Parameters:
///   - logits: [N, H, W, K], at the labels' size.
///   - labels: what is right; 255 is left out. Without any label the term is 0.
///   - scope: which errors are put in one order. The sums of `.batch` hold all errors of one class at a time.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: names the ranks, and gives the denominators.
/// Source: Berman, Triki, Blaschko: The Lovász-Softmax loss, CVPR 2018, equations 8 and 9, over present classes.
public func lovaszSoftmax(
  _ logits: Variable, labels: LabelMap, scope: LovaszScope, factor: Float, name: String, _ context: ForwardContext
) throws -> LossTerm {
  let order =
    switch scope {
    case .image: errorsOfImages(logits.value, labels)
    case .batch: try errorsOfBatch(logits.value, labels, context)
    }
  let number = scope == .image ? denominator(nil, perSample: 1, context) : Double(context.microBatches)
  return lossTerm(name, of: logits, factor: factor, over: number) {
    lovaszLosses(
      logits.value, labels: labels, errors: order.errors, slopes: order.slopes, weights: order.weights, factor: $0)
  }
}

/// Errors of this rank's labelled pixels by class, what their order says of them, and weights by class and sample.
private struct ErrorOrder {
  var errors: [ClassErrors]
  var slopes: [[Double]]
  var weights: [[Double]]
}

private func errorsOfImages(_ logits: Tensor, _ labels: LabelMap) -> ErrorOrder {
  let probabilities = softmax(logits)
  let classes = logits.channels
  var order = ErrorOrder(
    errors: [], slopes: [], weights: [[Double]](repeating: [], count: classes))
  for label in 0..<classes {
    let images = (0..<labels.samples).map {
      ClassErrors(probabilities, labels, label: label, samples: $0..<$0 + 1)
    }
    order.errors.append(ClassErrors(joining: images.map(\.signed)))
    order.slopes.append(images.flatMap { $0.jaccardSlopes() })
  }
  for sample in 0..<labels.samples {
    let present = labels.presentClasses(sample, of: classes).count { $0 }
    for label in 0..<classes { order.weights[label].append(present > 0 ? 1 / Double(present) : 0) }
  }
  return order
}

private func errorsOfBatch(_ logits: Tensor, _ labels: LabelMap, _ context: ForwardContext) throws -> ErrorOrder {
  let probabilities = softmax(logits)
  let classes = logits.channels
  let marks = (0..<labels.samples).flatMap { labels.presentClasses($0, of: classes).map { $0 ? 1.0 : 0 } }
  let present = try globalSum(
    rows: marks, samples: labels.samples, count: classes, on: context.communicator
  ).map { $0 > 0 }
  let weight = 1 / Double(max(1, present.count { $0 }))
  var order = ErrorOrder(
    errors: [], slopes: [],
    weights: [[Double]](repeating: [Double](repeating: weight, count: labels.samples), count: classes))
  for label in 0..<classes {
    let own =
      present[label]
      ? ClassErrors(probabilities, labels, label: label, samples: 0..<labels.samples) : ClassErrors()
    order.errors.append(own)
    order.slopes.append(present[label] ? try slopesInBatch(own, context.communicator) : [])
  }
  return order
}

/// Slopes of this rank's errors in the order of all ranks' errors.
private func slopesInBatch(_ own: ClassErrors, _ communicator: any Communicator) throws -> [Double] {
  guard communicator.worldSize > 1 else { return own.jaccardSlopes() }
  let parts = try communicator.gathered(own.signed)
  let first = parts[..<communicator.rank].reduce(0) { $0 + $1.count }
  return Array(ClassErrors(joining: parts).jaccardSlopes()[first..<first + own.signed.count])
}

extension LabelMap {
  /// Which classes occur in a sample.
  fileprivate func presentClasses(_ sample: Int, of classes: Int) -> [Bool] {
    var present = [Bool](repeating: false, count: classes)
    for label in values[sample * height * width..<(sample + 1) * height * width] where label < classes {
      present[Int(label)] = true
    }
    return present
  }
}
