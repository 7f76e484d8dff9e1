// Elementwise operations with broadcasting in Double.

/// Sum of every column of rows of `channels` numbers.
public func naiveColumnSums(_ values: [Double], channels: Int) -> [Double] {
  (0..<channels).map { column($0, of: values, channels).reduce(0, +) }
}

/// HRDA's fusion `gate · detail + (1 - gate) · context` with context not yet damped.
public func naiveFusion(gate: [Double], detail: [Double], context: [Double]) -> [Double] {
  gate.indices.map { gate[$0] * detail[$0] + (1 - gate[$0]) * context[$0] }
}
