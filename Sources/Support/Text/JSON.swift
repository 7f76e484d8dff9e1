// Values as JSON, with numbers that JSON cannot hold.

import Foundation

/// A value as JSON on one line, keys in byte order; numbers that JSON cannot hold become "nan", "inf" and "-inf".
public func jsonLine(_ value: some Encodable) throws -> String { try json(value, []) }

/// A value as JSON over several lines, otherwise as `jsonLine`.
public func jsonText(_ value: some Encodable) throws -> String { try json(value, .prettyPrinted) + "\n" }

private func json(_ value: some Encodable, _ formatting: JSONEncoder.OutputFormatting) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = formatting.union([.sortedKeys, .withoutEscapingSlashes])
  encoder.nonConformingFloatEncodingStrategy = .convertToString(
    positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
  return String(decoding: try encoder.encode(value), as: UTF8.self)
}
