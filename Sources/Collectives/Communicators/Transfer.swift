// Values from one rank to another.

extension Communicator {
  /// Brings values from one rank to another. Called by both, in the same order among all transfers of the two; other
  /// ranks may call it too and do nothing.
  ///
  /// - Parameters:
  ///   - values: what `source` sends; not looked at elsewhere.
  ///   - count: number of values, known to both.
  ///   - source: the rank that sends.
  ///   - destination: the rank that receives; it may be the same.
  /// - Returns: the values on `destination`, nil elsewhere.
  public func transfer<Element: BitwiseCopyable>(
    _ values: [Element], count: Int, from source: Int, to destination: Int
  ) throws -> [Element]? {
    precondition(rank != source || values.count == count, "\(values.count) values announced as \(count)")
    if rank == source, rank == destination { return values }
    if rank == source { try values.withUnsafeBytes { try send($0, to: destination) } }
    guard rank == destination else { return nil }
    return try [Element](unsafeUninitializedCapacity: count) { buffer, filled in
      let places = UnsafeMutableBufferPointer(rebasing: buffer[..<count])
      try receive(UnsafeMutableRawBufferPointer(places), from: source)
      filled = count
    }
  }
}
