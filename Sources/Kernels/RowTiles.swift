// Cuts a batch of maps into tiles of rows. The cut depends on one sample's shape only, so results never depend on how
// many samples or threads there are.

/// Tiles of at most `perTile` rows that never cross a sample.
struct RowTiles {
  let samples: Int
  let rows: Int
  let perTile: Int

  /// Tiles whose rows hold about `elements` values together.
  init(samples: Int, rows: Int, elementsPerRow: Int, elements: Int) {
    self.samples = samples
    self.rows = rows
    perTile = min(max(1, elements / max(1, elementsPerRow)), max(1, rows))
  }

  /// About `tiles` tiles for each sample.
  init(samples: Int, rows: Int, tiles: Int) {
    self.init(samples: samples, rows: rows, elementsPerRow: 1, elements: (rows + tiles - 1) / tiles)
  }

  /// Tiles of one sample.
  var perSample: Int { (rows + perTile - 1) / perTile }
  /// Tiles in all.
  var count: Int { samples * perSample }

  /// The sample and the rows of a tile.
  func tile(_ index: Int) -> (sample: Int, rows: Range<Int>) {
    let first = index % perSample * perTile
    return (index / perSample, first..<min(first + perTile, rows))
  }
}
