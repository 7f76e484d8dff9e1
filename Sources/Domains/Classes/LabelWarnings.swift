// What counts of class pixels tell about labels that cannot be meant.

import Support

extension ClassStatistics {
  /// Lines about labels that are allowed but hardly meant: classes without a pixel, and black-and-white masks.
  /// - Parameters:
  ///   - set: what the lines call the set, such as `data.source`.
  ///   - classes: names by train id.
  ///   - expected: classes that may occur in this set; those that count as another one do not.
  /// - Returns: lines without "warning:", none if all is well.
  public func warnings(of set: String, classes: [String], expected: (Int) -> Bool = { _ in true }) -> [String] {
    let totals = totals
    let present = totals.indices.filter { totals[$0] > 0 }
    guard !present.isEmpty else {
      return ["\(set): no pixel is labelled with a class, all are ignored; check map and classes"]
    }
    let ignoredPixels = ignored.reduce(0, +)
    if present == [0], classCount > 1, ignoredPixels > 0 {
      return [
        "\(set): labels hold only 0 (\(classes[0])) and 255 (ignored), as black-and-white masks do; "
          + "if 255 is a class, map it: map: {0: 0, 255: 1}"
      ]
    }
    let absent = totals.indices.filter { totals[$0] == 0 && expected($0) }
    guard !absent.isEmpty else { return [] }
    return [
      "\(set): no pixel of \(absent.count) of \(classCount) classes: \(absent.map { classes[$0] }.joined(separator: ", "))"
    ]
  }
}
