// Stretches of free memory, kept apart by address, that grow together with their neighbours.

/// Free stretches in the order of their addresses; no two touch.
struct FreeMemory {
  private struct Stretch {
    var address: UInt
    var bytes: Int
    var end: UInt { address + UInt(bytes) }
  }

  private var stretches: [Stretch] = []

  /// Takes `bytes` from the smallest stretch that has them; nil if none has.
  /// - Complexity: O(stretches).
  mutating func take(_ bytes: Int) -> UInt? {
    var best: Int?
    for index in stretches.indices where stretches[index].bytes >= bytes {
      if let found = best, stretches[found].bytes <= stretches[index].bytes { continue }
      best = index
    }
    guard let best else { return nil }
    let address = stretches[best].address
    if stretches[best].bytes == bytes {
      stretches.remove(at: best)
    } else {
      stretches[best].address += UInt(bytes)
      stretches[best].bytes -= bytes
    }
    return address
  }

  /// Adds a stretch that is not free yet.
  /// - Complexity: O(stretches).
  mutating func give(_ address: UInt, _ bytes: Int) {
    var low = 0
    var high = stretches.count
    while low < high {
      let middle = (low + high) / 2
      if stretches[middle].address < address { low = middle + 1 } else { high = middle }
    }
    let touchesNext = low < stretches.count && stretches[low].address == address + UInt(bytes)
    if low > 0, stretches[low - 1].end == address {
      stretches[low - 1].bytes += bytes + (touchesNext ? stretches[low].bytes : 0)
      if touchesNext { stretches.remove(at: low) }
    } else if touchesNext {
      stretches[low].address = address
      stretches[low].bytes += bytes
    } else {
      stretches.insert(Stretch(address: address, bytes: bytes), at: low)
    }
  }
}
