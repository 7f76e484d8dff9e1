// What a pass must know of the whole micro-batch before its losses: sums, maxima and rows of all ranks, in one message a
// kind whoever asks.

import Collectives
import Tensors

/// What one objective asks of a pass. The same keys and widths on all ranks, in the same order, whatever they hold.
public struct PassStatistics {
  fileprivate var sums: [(key: String, width: Int, rows: [Double])] = []
  fileprivate var maxima: [(key: String, values: [Double])] = []
  fileprivate var rows: [(key: String, perSample: [[Float]])] = []

  /// Nothing.
  public init() {}

  /// Numbers to be added up over all samples, along the tree of all sums.
  /// - Parameters:
  ///   - key: by which the totals answer.
  ///   - rows: as many numbers for each local sample, sample by sample: `[samples · width]`.
  ///   - samples: number of local samples, at least one.
  public mutating func sum(_ key: String, _ rows: [Double], samples: Int) {
    precondition(
      samples > 0 && rows.count.isMultiple(of: samples), "\(key): \(rows.count) numbers of \(samples) samples")
    sums.append((key, rows.count / samples, rows))
  }

  /// Numbers of which the largest over all ranks is wanted, one by one; none is negative.
  public mutating func largest(_ key: String, _ values: [Double]) {
    precondition(values.allSatisfy { $0 >= 0 || $0.isNaN }, "\(key): the largest of negative numbers")
    maxima.append((key, values))
  }

  /// Numbers of any length for each local sample, wanted by all ranks.
  public mutating func rows(_ key: String, _ perSample: [[Float]]) { rows.append((key, perSample)) }

  fileprivate var names: [String] { sums.map(\.key) + maxima.map(\.key) + rows.map(\.key) }
}

/// What all ranks know of a micro-batch in a pass.
public struct PassTotals {
  private var sums: [String: [Double]] = [:]
  private var maxima: [String: [Double]] = [:]
  private var rows: [String: [[Float]]] = [:]

  /// The sums under a key.
  public func sum(_ key: String) -> [Double] { found(sums[key], key) }
  /// The largest numbers under a key.
  public func largest(_ key: String) -> [Double] { found(maxima[key], key) }
  /// The rows under a key, by sample of the micro-batch.
  public func rows(_ key: String) -> [[Float]] { found(rows[key], key) }

  private func found<Value>(_ value: Value?, _ key: String) -> Value {
    guard let value else { preconditionFailure("nobody asked for \(key)") }
    return value
  }

  /// The totals of several askers, each with its own keys: at most four messages, none that nobody needs. A collective.
  /// - Parameters:
  ///   - asked: by each asker.
  ///   - samples: number of local samples.
  ///   - communicator: ranks that share the micro-batch, in the order of their samples.
  public static func exchanged(
    _ asked: [PassStatistics], samples: Int, on communicator: any Communicator
  ) throws -> [PassTotals] {
    for one in asked { precondition(Set(one.names).count == one.names.count, "keys \(one.names)") }
    var totals = asked.map { _ in PassTotals() }
    try addSums(asked, samples, communicator, &totals)
    try addMaxima(asked, communicator, &totals)
    try addRows(asked, samples, communicator, &totals)
    return totals
  }

  private static func addSums(
    _ asked: [PassStatistics], _ samples: Int, _ communicator: any Communicator, _ totals: inout [PassTotals]
  ) throws {
    let all = asked.flatMap(\.sums)
    let width = all.reduce(0) { $0 + $1.width }
    guard width > 0 else { return }
    let joined = (0..<samples).flatMap { sample in
      all.flatMap { $0.rows[sample * $0.width..<(sample + 1) * $0.width] }
    }
    var rest = try globalSum(rows: joined, samples: samples, count: width, on: communicator)[...]
    for (index, one) in asked.enumerated() {
      for sum in one.sums {
        totals[index].sums[sum.key] = Array(rest.prefix(sum.width))
        rest = rest.dropFirst(sum.width)
      }
    }
  }

  private static func addMaxima(
    _ asked: [PassStatistics], _ communicator: any Communicator, _ totals: inout [PassTotals]
  ) throws {
    let all = asked.flatMap(\.maxima).flatMap(\.values)
    guard !all.isEmpty else { return }
    // Numbers that are not negative are ordered as their bit patterns.
    let patterns = try communicator.allMaximum(all.map { Int64(bitPattern: $0.magnitude.bitPattern) })
    var rest = patterns.map { Double(bitPattern: UInt64(bitPattern: $0)) }[...]
    for (index, one) in asked.enumerated() {
      for largest in one.maxima {
        totals[index].maxima[largest.key] = Array(rest.prefix(largest.values.count))
        rest = rest.dropFirst(largest.values.count)
      }
    }
  }

  private static func addRows(
    _ asked: [PassStatistics], _ samples: Int, _ communicator: any Communicator, _ totals: inout [PassTotals]
  ) throws {
    let all = asked.flatMap(\.rows)
    guard !all.isEmpty else { return }
    for one in all { precondition(one.perSample.count == samples, "\(one.key): \(one.perSample.count) rows") }
    let own = (0..<samples).flatMap { sample in all.map { $0.perSample[sample] } }
    let lengths = try communicator.gathered(own.map(\.count))
    let values = try communicator.gathered(own.flatMap { $0 }, lengths: lengths.map { $0.reduce(0, +) })
    var found = [[[Float]]](repeating: [], count: all.count)
    for (lengths, values) in zip(lengths, values) {
      var rest = values[...]
      for (place, length) in lengths.enumerated() {
        found[place % all.count].append(Array(rest.prefix(length)))
        rest = rest.dropFirst(length)
      }
    }
    var next = found[...]
    for (index, one) in asked.enumerated() {
      for rows in one.rows { totals[index].rows[rows.key] = next.popFirst() }
    }
  }
}
