// Bytes from one rank to another.

extension Communicator {
  /// Brings bytes from one rank to another. Called by both, in the same order among all transfers of the two; other
  /// ranks may call it too and do nothing.
  ///
  /// - Parameters:
  ///   - bytes: what `source` sends; not looked at elsewhere.
  ///   - count: length of the message, known to both.
  /// - Returns: the bytes on `destination`, nil elsewhere.
  public func transfer(_ bytes: [UInt8], count: Int, from source: Int, to destination: Int) throws -> [UInt8]? {
    precondition(rank != source || bytes.count == count, "\(bytes.count) bytes announced as \(count)")
    if rank == source, rank == destination { return bytes }
    if rank == source { try bytes.withUnsafeBytes { try send($0, to: destination) } }
    guard rank == destination else { return nil }
    var received = [UInt8](repeating: 0, count: count)
    try received.withUnsafeMutableBytes { try receive($0, from: source) }
    return received
  }
}
