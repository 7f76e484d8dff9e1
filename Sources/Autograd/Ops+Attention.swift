// Multi-head attention core as one operation.

import Kernels
import Tensors

/// Scaled dot-product attention of every head; see `Kernels.attention`.
///
/// Shapes: `queries` [N, T, C], `keysValues` [N, S, 2C] (all keys, then all values); result [N, T, C].
public func attention(
  queries: Variable, keysValues: Variable, heads: Int, _ context: ForwardContext
) -> Variable {
  let value = Kernels.attention(queries: queries.value, keysValues: keysValues.value, heads: heads)
  let (q, kv) = (queries, keysValues)
  return context.record(value, tracked: q.cell != nil || kv.cell != nil) { gradient in
    let result = attentionGradient(queries: q.value, keysValues: kv.value, heads: heads, gradient: gradient)
    q.cell?.accumulate(result.queries)
    kv.cell?.accumulate(result.keysValues)
  }
}
