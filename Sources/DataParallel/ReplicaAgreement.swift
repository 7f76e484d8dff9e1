// Whether all ranks run the same program on the same recipe and hold the same bits, and who does not.

import Collectives
import Support
import Tensors

/// Compares replicas over ranks. Every function is called by all ranks.
///
/// Every replica applies the same update to the same bits, so a difference is a fault: another program or recipe on one
/// host at the start, a wrong bit in memory later. Where values differ, those that most ranks hold count as right, and
/// those of the lowest rank in a tie.
public struct ReplicaAgreement {
  private let communicator: any Communicator
  private let interval: Int

  /// - Parameters:
  ///   - communicator: the ranks.
  ///   - interval: steps from one comparison of tensors to the next; 0 for none.
  public init(on communicator: any Communicator, interval: Int) {
    precondition(interval >= 0, "\(interval) steps between comparisons")
    self.communicator = communicator
    self.interval = interval
  }

  /// Compares what must be equal before the first step: versions, recipe digest, layout digest, CPU level.
  /// - Parameters:
  ///   - items: the same names in the same order on all ranks.
  ///   - remedy: what to do about a difference.
  /// - Throws: on all ranks, a `Failure` (65) that names the first differing item, and the ranks and their hosts that
  ///   have the same other value.
  public func compare(
    _ items: [(name: String, value: String)],
    remedy: String = "start the same program with the same recipe on all hosts"
  ) throws {
    let separator = "\u{1f}"
    let names = try communicator.gatherStrings(items.map(\.name).joined(separator: separator))
    if let odd = oddRanks(names) {
      throw try failure(
        .badData, "compares other items than the other ranks", odd, "start the same program on all hosts")
    }
    let values = try items.map { try communicator.gatherStrings($0.value) }
    for (item, values) in zip(items, values) {
      guard let odd = oddRanks(values) else { continue }
      throw try failure(
        .badData, "\(item.name) is \(values[odd.ranks[0]]) where other ranks have \(values[odd.usual])", odd, remedy)
    }
  }

  /// Every rank's tensors become rank 0's, in the order given, which is the same on all ranks.
  public func share(_ tensors: [Tensor]) throws {
    for tensor in tensors {
      let values = UnsafeMutableBufferPointer(start: tensor.pointer, count: tensor.count)
      try withExtendedLifetime(tensor) { try communicator.broadcast(UnsafeMutableRawBufferPointer(values), from: 0) }
    }
  }

  /// Compares tensors bit for bit, by digest, where `step` is a multiple of the interval; else does nothing.
  /// - Parameters:
  ///   - step: completed steps.
  ///   - tensors: the same names in the same order on all ranks.
  ///   - parts: names of what lies where in the tensor of a name, where it is an arena of several.
  /// - Throws: on all ranks, a `Failure` (70) that names the first differing tensor, the rank and its host.
  public func check(
    step: Int, _ tensors: [(name: String, tensor: Tensor)],
    parts: (String) -> [(name: String, range: Range<Int>)] = { _ in [] }
  ) throws {
    guard interval > 0, step.isMultiple(of: interval), communicator.worldSize > 1 else { return }
    let digests = tensors.map { digest(of: $0.tensor) }
    let whole = Int64(bitPattern: digests.reduce(0, joined))
    // The bitwise complement reverses the order, so one minimum finds both ends.
    let ends = try communicator.allMinimum([whole, ~whole])
    guard ends[0] != ~ends[1] else { return }
    let gathered = try communicator.gatherBytes(digests.withUnsafeBytes { Array($0) })
    for (index, tensor) in tensors.enumerated() {
      guard let odd = oddRanks(gathered.map { Array($0.dropFirst(index * 8).prefix(8)) }) else { continue }
      let name = try firstDifference(in: tensor.tensor, parts(tensor.name)).map { "\($0) of the \(tensor.name)" }
      throw try failure(
        .internal, "\(name ?? tensor.name) differs from the other ranks' after step \(step)", odd,
        "check that host's memory and resume from the last checkpoint without it")
    }
    throw communicator.failTogether(
      Failure(.internal, "ranks compare different numbers of tensors", at: "step \(step)"))
  }

  /// The name of the first part of a tensor that differs over ranks.
  private func firstDifference(in tensor: Tensor, _ parts: [(name: String, range: Range<Int>)]) throws -> String? {
    let digests = parts.map { part in
      digest(
        of: Tensor(shape: [part.range.count], buffer: tensor.buffer, offset: tensor.offset + part.range.lowerBound))
    }
    let gathered = try communicator.gatherBytes(digests.withUnsafeBytes { Array($0) })
    return parts.indices.first { index in
      oddRanks(gathered.map { Array($0.dropFirst(index * 8).prefix(8)) }) != nil
    }.map { parts[$0].name }
  }

  /// SHA-256 over names and shapes of parameters, in their order: equal if two ranks built the same network.
  public static func layoutDigest(_ parameters: [(name: String, shape: [Int])]) -> String {
    let digest = SHA256()
    for parameter in parameters { digest.update("\(parameter.name) \(parameter.shape)\n") }
    return digest.hexadecimal()
  }

  /// The lowest rank whose value is not the usual one, with all that share its value, and the lowest rank that holds the
  /// usual one.
  private func oddRanks<Value: Hashable>(_ values: [Value]) -> (ranks: [Int], usual: Int)? {
    var holders: [Value: [Int]] = [:]
    for (rank, value) in values.enumerated() { holders[value, default: []].append(rank) }
    let usual = holders.values.max { ($0.count, -$0[0]) < ($1.count, -$1[0]) }
    guard let usual, let odd = values.first(where: { $0 != values[usual[0]] }) else { return nil }
    return (holders[odd] ?? [], usual[0])
  }

  private func failure(
    _ status: ExitStatus, _ what: String, _ odd: (ranks: [Int], usual: Int), _ remedy: String
  ) throws -> Failure {
    let hosts = try communicator.gatherStrings(communicator.hostName)
    // A line stays one that can be read, however many hosts have the other library.
    let shown = odd.ranks.prefix(4).map { "rank \($0) on \(hosts[$0])" }.joined(separator: ", ")
    let rest = odd.ranks.count > 4 ? " and \(odd.ranks.count - 4) more" : ""
    return communicator.failTogether(Failure(status, what, at: shown + rest, remedy: remedy))
  }
}

/// A 64-bit digest of a tensor's bits. Tensors of one length that differ within one pair of values alone never share one:
/// pairs begin at even positions. Others may by chance.
///
/// It guards against faults, not against intent. The same for every thread count.
public func digest(of tensor: Tensor) -> UInt64 {
  let size = 1 << 16
  let tiles = (tensor.count + size - 1) / size
  let parts = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: tiles)
  defer { parts.deallocate() }
  WorkerPool.shared.run(tiles: tiles) { tile in
    let begin = tile * size
    let values = UnsafeRawBufferPointer(
      UnsafeBufferPointer(start: tensor.pointer + begin, count: min(size, tensor.count - begin)))
    let pairs = values.count / 8
    var hash = UInt64(values.count)
    for index in 0..<pairs { hash = joined(hash, values.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)) }
    if values.count % 8 != 0 {
      hash = joined(hash, UInt64(values.loadUnaligned(fromByteOffset: pairs * 8, as: UInt32.self)))
    }
    parts.initializeElement(at: tile, to: hash)
  }
  return parts.reduce(0, joined)
}

/// One step of the digest: for a fixed word it is a bijection of the hash, and for a fixed hash one of the word.
@inline(__always)
private func joined(_ hash: UInt64, _ word: UInt64) -> UInt64 {
  let product = (hash ^ word) &* 0x9e37_79b9_7f4a_7c15
  return product ^ (product >> 32)
}
