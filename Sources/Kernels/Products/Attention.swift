// Scaled dot-product attention over heads that lie side by side in the channel axis.
// N samples, T queries, S keys and values, C channels in `heads` groups of d. Scores of one tile of queries stay in
// cache; soft-max probabilities are recomputed in the gradient instead of kept.

import CKernels
import Support
import Tensors

/// Where one head's numbers lie.
private struct AttentionSizes {
  let samples: Int
  let queries: Int
  let keys: Int
  let channels: Int
  let heads: Int

  init(_ queries: Shape, _ keysValues: Shape, heads: Int) {
    precondition(
      queries.rank == 3 && keysValues.rank == 3 && keysValues[2] == 2 * queries[2] && queries[0] == keysValues[0]
        && queries[2] % heads == 0, "attention of \(queries) on \(keysValues) with \(heads) heads")
    samples = queries[0]
    self.queries = queries[1]
    keys = keysValues[1]
    channels = queries[2]
    self.heads = heads
  }

  var depth: Int { channels / heads }
  var scale: Float { 1 / Float(depth).squareRoot() }
  /// Queries of one head that are scored together; fewer where there are few, so that threads can share them.
  var tiles: Tiles { Tiles(of: queries, size: queries < 1024 ? 128 : 256) }

  func query(_ base: UnsafeMutablePointer<Float>, sample: Int, row: Int, head: Int) -> UnsafeMutablePointer<Float> {
    base + (sample * queries + row) * channels + head * depth
  }

  func key(_ base: UnsafeMutablePointer<Float>, sample: Int, head: Int) -> UnsafeMutablePointer<Float> {
    base + sample * keys * 2 * channels + head * depth
  }

  func value(_ base: UnsafeMutablePointer<Float>, sample: Int, head: Int) -> UnsafeMutablePointer<Float> {
    key(base, sample: sample, head: head) + channels
  }
}

/// `softmax(q · kᵀ / √d) · v` for every head.
///
/// Shapes: `queries` [N, T, C], `keysValues` [N, S, 2C] (all keys, then all values, each split into heads); result
/// [N, T, C]. Source: Vaswani et al., NeurIPS 2017, Eq. 1.
/// - Precondition: the shapes agree and C is a multiple of `heads`.
public func attention(queries: Tensor, keysValues: Tensor, heads: Int) -> Tensor {
  let mark = KernelMeter.begin(.attention)
  defer { KernelMeter.end(mark) }
  let sizes = AttentionSizes(queries.shape, keysValues.shape, heads: heads)
  let result = Tensor(uninitialized: queries.shape)
  let tiles = sizes.tiles
  WorkerPool.shared.run(tiles: sizes.samples * heads * tiles.number) { index in
    let rows = tiles[index % tiles.number]
    let head = index / tiles.number % heads
    let sample = index / tiles.number / heads
    BufferPool.shared.withScratch(rows.count * sizes.keys) { scores in
      probabilities(queries, keysValues, sizes, sample: sample, head: head, rows: rows, into: scores)
      multiply(
        MatrixView(scores, stride: sizes.keys),
        MatrixView(sizes.value(keysValues.pointer, sample: sample, head: head), stride: 2 * sizes.channels),
        into: sizes.query(result.pointer, sample: sample, row: rows.lowerBound, head: head), stride: sizes.channels,
        rows: rows.count, columns: sizes.depth, depth: sizes.keys)
    }
  }
  return result
}

/// Soft-max probabilities [rows, S] of one tile of queries.
private func probabilities(
  _ queries: Tensor, _ keysValues: Tensor, _ sizes: AttentionSizes, sample: Int, head: Int, rows: Range<Int>,
  into scores: UnsafeMutablePointer<Float>
) {
  multiply(
    MatrixView(
      sizes.query(queries.pointer, sample: sample, row: rows.lowerBound, head: head), stride: sizes.channels),
    MatrixView(
      sizes.key(keysValues.pointer, sample: sample, head: head), stride: 2 * sizes.channels, transposed: true),
    into: scores, stride: sizes.keys, rows: rows.count, columns: sizes.keys, depth: sizes.depth)
  ck_attention_softmax(scores, rows.count, sizes.keys, sizes.scale)
}

/// Gradient of `attention` with respect to queries and to keys and values.
///
/// Shapes as in `attention`; `gradient` [N, T, C]. Keys and values sum over tiles of queries in order.
public func attentionGradient(
  queries: Tensor, keysValues: Tensor, heads: Int, gradient: Tensor
) -> (queries: Tensor, keysValues: Tensor) {
  let mark = KernelMeter.begin(.attention)
  defer { KernelMeter.end(mark) }
  let sizes = AttentionSizes(queries.shape, keysValues.shape, heads: heads)
  precondition(gradient.shape == queries.shape, "gradient \(gradient.shape) for queries \(queries.shape)")
  let queryGradient = Tensor(uninitialized: queries.shape)
  let tiles = sizes.tiles
  // One layer of [N, S, 2C] for each tile of queries, added up in order below.
  let layers = Tensor(uninitialized: [tiles.number, keysValues.count])
  WorkerPool.shared.run(tiles: sizes.samples * heads * tiles.number) { index in
    let tile = index % tiles.number
    let head = index / tiles.number % heads
    let sample = index / tiles.number / heads
    BufferPool.shared.withScratch(2 * tiles[tile].count * sizes.keys) { scratch in
      tileGradient(
        queries, keysValues, gradient, sizes, sample: sample, head: head, rows: tiles[tile], scratch,
        queryGradient: queryGradient, keyValueGradient: layers.pointer + tile * keysValues.count)
    }
  }
  guard tiles.number > 1 else { return (queryGradient, layers.reshaped(keysValues.shape)) }
  let sum = Tensor(uninitialized: keysValues.shape)
  let pieces = Tiles(of: sum.count, size: 16384)
  WorkerPool.shared.run(tiles: pieces.number) { piece in
    for position in pieces[piece] {
      var total = layers.pointer[position]
      for layer in 1..<tiles.number { total += layers.pointer[layer * sum.count + position] }
      sum.pointer[position] = total
    }
  }
  return (queryGradient, sum)
}

private func tileGradient(
  _ queries: Tensor, _ keysValues: Tensor, _ gradient: Tensor, _ sizes: AttentionSizes, sample: Int, head: Int,
  rows: Range<Int>, _ scratch: UnsafeMutablePointer<Float>, queryGradient: Tensor,
  keyValueGradient: UnsafeMutablePointer<Float>
) {
  let wide = 2 * sizes.channels
  let (weights, scores) = (scratch, scratch + rows.count * sizes.keys)
  probabilities(queries, keysValues, sizes, sample: sample, head: head, rows: rows, into: weights)
  let upstream = sizes.query(gradient.pointer, sample: sample, row: rows.lowerBound, head: head)
  let query = sizes.query(queries.pointer, sample: sample, row: rows.lowerBound, head: head)
  multiply(
    MatrixView(weights, stride: sizes.keys, transposed: true),
    MatrixView(upstream, stride: sizes.channels),
    into: sizes.value(keyValueGradient, sample: sample, head: head), stride: wide,
    rows: sizes.keys, columns: sizes.depth, depth: rows.count)
  multiply(
    MatrixView(upstream, stride: sizes.channels),
    MatrixView(sizes.value(keysValues.pointer, sample: sample, head: head), stride: wide, transposed: true),
    into: scores, stride: sizes.keys, rows: rows.count, columns: sizes.keys, depth: sizes.depth)
  ck_attention_softmax_gradient(weights, scores, rows.count, sizes.keys, sizes.scale)
  multiply(
    MatrixView(scores, stride: sizes.keys),
    MatrixView(sizes.key(keysValues.pointer, sample: sample, head: head), stride: wide),
    into: sizes.query(queryGradient.pointer, sample: sample, row: rows.lowerBound, head: head),
    stride: sizes.channels, rows: rows.count, columns: sizes.depth, depth: sizes.keys)
  multiply(
    MatrixView(scores, stride: sizes.keys, transposed: true), MatrixView(query, stride: sizes.channels),
    into: sizes.key(keyValueGradient, sample: sample, head: head), stride: wide,
    rows: sizes.keys, columns: sizes.depth, depth: rows.count)
}
