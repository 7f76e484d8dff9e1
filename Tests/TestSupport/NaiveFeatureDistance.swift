// Distance of feature vectors in Double.

/// Sum over the chosen cells of the Euclidean distance over channels, per sample.
public func naiveFeatureDistanceSums(
  _ feature: [Double], reference: [Double], cells: [UInt8], samples: Int, channels: Int
) -> [Double] {
  var sums = [Double](repeating: 0, count: samples)
  for cell in 0..<cells.count where cells[cell] != 0 {
    var squares = 0.0
    for index in cell * channels..<(cell + 1) * channels {
      squares += (feature[index] - reference[index]) * (feature[index] - reference[index])
    }
    sums[cell * samples / cells.count] += squares.squareRoot()
  }
  return sums
}

/// The most frequent label of a cell (first of equals; classes before 255), or 255 below the minimum share.
public func naiveDominantLabel(_ labels: [UInt8], minimumShare: Double, classCount: Int) -> UInt8 {
  let candidates = (0..<classCount).map(UInt8.init) + [255]
  let counts = candidates.map { candidate in labels.filter { $0 == candidate }.count }
  let most = counts.max() ?? 0
  guard Double(most) >= minimumShare * Double(labels.count), let first = counts.firstIndex(of: most) else { return 255 }
  return candidates[first]
}
