// Losses that compare features by their directions. N samples, h×w cells, C channels, K classes.

import Collectives
import Kernels
import Tensors

/// Cross-entropy of the class that a cell's direction is closest to: each labelled cell picks its own among K prototypes.
///
///     z_k = (f / ‖f‖) · prototype_k / temperature
///
/// Averaged over the labelled cells of all ranks. Prototypes are constants and used as they are; pass unit vectors where
/// a method compares by cosines (`Kernels.unitLength`). A prototype of zeros competes with similarity 0.
/// - Parameters:
///   - feature: [N, h, w, C]; the gradient passes through the division by the length.
///   - prototypes: [K, C].
///   - labels: [N, h, w], 255 ignored.
///   - temperature: above 0.
///   - globalCount: labelled cells of all ranks in the micro-batch; with 0 the term is 0, where released code gives
///     not-a-number.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: gives the number of micro-batches.
/// Source: Xie et al., SPCL, arXiv 2111.12358, 2021 (code), its contrastive loss.
public func pixelPrototypeContrast(
  _ feature: Variable, prototypes: Tensor, labels: LabelMap, temperature: Float, globalCount: Int, factor: Float,
  name: String, _ context: ForwardContext
) -> LossTerm {
  let channels = feature.value.channels
  precondition(
    prototypes.shape == [prototypes.samples, channels] && temperature > 0,
    "prototypes \(prototypes.shape) for features \(feature.value.shape), temperature \(temperature)")
  let number = denominator(globalCount, perSample: 0, context)
  let rows = unitLength(feature, context)
  let weight = transposed(prototypes, scale: 1 / temperature)
  return lossTerm(name, of: rows, factor: factor, over: number) { factor in
    let scores = linear(rows.value, weight: weight)
    guard let factor else { return (crossEntropySums(scores, labels: labels, weights: nil), nil) }
    let loss = Kernels.crossEntropy(scores, labels: labels, weights: nil, factor: factor)
    return (loss.sums, linearInputGradient(loss.gradient, weight: weight))
  }
}

/// Contrast of vectors in pairs over the micro-batch of all ranks: those of one class attract, others repel.
///
///     mean over anchors i, and partners j of i's class, of  w_i w_j (ln(exp s_ij + Σ_k exp s_ik) - s_ij)
///
/// with s the product of two vectors over the temperature and k over vectors of other classes. Gradients reach every vector
/// in both roles; each rank forms those of its own, from all vectors and, of every anchor, three gathered numbers.
/// A collective: called by all ranks that share the batch.
/// - Parameters:
///   - vectors: this rank's, [N, A, C], mostly of unit length.
///   - all: the same of all ranks, [M, C] in the order of the samples, as `PassTotals.rows` gives them.
///   - labels: M classes; 255 takes no part. With none the term is 0.
///   - weights: M numbers, or nil for 1.
///   - unpaired: classes whose vectors do not attract each other.
///   - temperature: above 0.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: names the ranks and this rank's first sample.
/// Source: Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, with negatives alone in each denominator, as
/// pixel contrast has it (Wang et al., ICCV 2021, equation 3; Vayyat et al., CLUDA, 2022).
public func pairContrast(
  _ vectors: Variable, among all: Tensor, labels: [UInt8], weights: [Float]? = nil, unpaired: Set<UInt8> = [],
  temperature: Float, factor: Float, name: String, _ context: ForwardContext
) throws -> LossTerm {
  let (samples, anchors, channels) = (vectors.value.samples, vectors.value.shape[1], vectors.value.channels)
  precondition(
    vectors.value.shape == [samples, anchors, channels] && all.shape == [context.globalBatch * anchors, channels],
    "\(vectors.value.shape) among \(all.shape) in a batch of \(context.globalBatch)")
  let contrasted = ContrastedVectors(labels: labels, weights: weights, unpaired: unpaired)
  let weight = transposed(all, scale: 1 / temperature)
  let first = context.firstSample % context.globalBatch * anchors
  let scores = (0..<samples).map { linear(vectors.value.samples($0..<$0 + 1), weight: weight) }
  let own = scores.enumerated().map { contrasted.anchors($1, first: first + $0 * anchors) }
  let numbers = Array(try context.communicator.gathered(own.flatMap(\.numbers)).joined())
  return lossTerm(name, of: vectors, factor: factor, over: denominator(contrasted.count, perSample: 0, context)) {
    guard let factor = $0 else { return (own.map { $0.losses.reduce(0, +) }, nil) }
    let gradient = Tensor(uninitialized: vectors.value.shape)
    for (sample, scores) in scores.enumerated() {
      contrasted.differentiate(scores, first: first + sample * anchors, numbers: numbers)
      let part = linear(scores, weight: all)
      gradient.samples(sample..<sample + 1).assign(Kernels.scaled(part, by: factor / temperature))
    }
    return (own.map { $0.losses.reduce(0, +) }, gradient)
  }
}

/// Vectors of two resolutions compared in pairs over the micro-batch of all ranks, half of which a learned attention shares
/// out among coarse and fine ones.
///
///     ½ · mean over anchors i, and partners j of i's class, of  w_i w_j (a_i a_j c_ij + (1 - a_i a_j) f_ij)
///
/// with c the cost of a pair of coarse vectors as in `pairContrast`, and f that of a coarse with a fine one; where the detail
/// crop lacks one of both places, coarse vectors alone count. Gradients reach vectors and attentions in both roles; each rank
/// forms those of its own, from all vectors and, of every anchor, four gathered numbers. A collective: called by all ranks
/// that share the batch.
/// - Parameters:
///   - coarse: this rank's, [N, A, C], of unit length.
///   - fine: this rank's, [N, A, C], of unit length or zero.
///   - attention: this rank's, [N, A].
///   - all: vectors of all ranks, [M, C] in the order of the samples, and what is known of their places.
///   - order: of every vector the number of the place that it is taken for; nil: its own.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: names the ranks and this rank's first sample.
/// Source: Vayyat et al., CLUDA, 2022, its released code for two resolutions.
public func resolutionContrast(
  coarse: Variable, fine: Variable, attention: Variable,
  among all: (coarse: Tensor, fine: Tensor, places: ContrastedPlaces),
  order: [Int]? = nil, factor: Float, name: String, _ context: ForwardContext
) throws -> LossTerm {
  let (samples, anchors) = (coarse.value.samples, coarse.value.shape[1])
  checkShapes(coarse.value, fine.value, attention.value, among: all.coarse, all.fine, batch: context.globalBatch)
  let (turnedCoarse, turnedFine) = (transposed(all.coarse, scale: 1), transposed(all.fine, scale: 1))
  let first = context.firstSample % context.globalBatch * anchors
  func scores(_ x: Variable, _ sample: Int, _ all: Tensor) -> Tensor { linear(x.value.sample(sample), weight: all) }
  let own = (0..<samples).map { sample in
    all.places.anchors(
      coarse: scores(coarse, sample, turnedCoarse), fine: scores(coarse, sample, turnedFine),
      first: first + sample * anchors)
  }
  let losses = own.map { $0.losses.reduce(0, +) }
  let numbers = Array(try context.communicator.gathered(own.flatMap(\.numbers)).joined())
  let count = denominator(all.places.count, perSample: 0, context)
  guard count > 0 else { return LossTerm(name: name, perSample: [Double](repeating: 0, count: samples)) }
  let scale = Double(factor) / 2 / count
  var slopes: [Double] = []
  let gradients = [coarse, fine].map { Tensor(uninitialized: $0.value.shape) }
  for sample in 0..<samples {
    let (s, t) = (scores(coarse, sample, turnedCoarse), scores(coarse, sample, turnedFine))
    let u = scores(fine, sample, turnedCoarse)
    slopes += all.places.differentiate(
      coarse: s, fine: t, turned: u, first: first + sample * anchors, numbers: numbers)
    let ofCoarse = add(linear(s, weight: all.coarse), linear(t, weight: all.fine))
    for (gradient, part) in zip(gradients, [ofCoarse, linear(u, weight: all.coarse)]) {
      gradient.sample(sample).assign(Kernels.scaled(part, by: Float(scale)))
    }
  }
  if let order {
    slopes = try Array(gathered(slopes, at: order, context)[first..<first + samples * anchors])
  }
  coarse.cell?.accumulate(gradients[0])
  fine.cell?.accumulate(gradients[1])
  attention.cell?.accumulate(Tensor(slopes.map { Float($0 * scale) }, attention.value.shape))
  return LossTerm(name: name, perSample: losses.map { $0 * scale })
}

/// Vectors [N, A, C] of two resolutions and attentions [N, A] of this rank, among vectors [M, C] of all.
private func checkShapes(
  _ coarse: Tensor, _ fine: Tensor, _ attention: Tensor, among allCoarse: Tensor, _ allFine: Tensor, batch: Int
) {
  precondition(
    coarse.shape == fine.shape && allFine.shape == allCoarse.shape
      && allCoarse.shape == [batch * coarse.shape[1], coarse.channels]
      && attention.count == coarse.samples * coarse.shape[1],
    "\(coarse.shape), \(fine.shape), \(attention.shape) among \(allCoarse.shape), \(allFine.shape)")
}

/// Numbers of all ranks, each at the place that it is taken for. A collective.
private func gathered(_ numbers: [Double], at order: [Int], _ context: ForwardContext) throws -> [Double] {
  var ofPlaces = [Double](repeating: 0, count: order.count)
  for (place, number) in zip(order, try context.communicator.gathered(numbers).joined()) { ofPlaces[place] = number }
  return ofPlaces
}

/// [K, C] as [C, K], times a factor.
func transposed(_ matrix: Tensor, scale: Float) -> Tensor {
  let (rows, columns) = (matrix.samples, matrix.channels)
  let values = matrix.values
  return Tensor(
    (0..<rows * columns).map { scale * values[$0 % rows * columns + $0 / rows] }, [columns, rows])
}
