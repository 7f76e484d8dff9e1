// What controls leave behind, as tables: K sizes, D distances, R repetitions.
//
// `links/bytes` [K], `links/distances` [D], `links/exchange` [D, K, R], `links/sum` and `links/native` [K, R], seconds;
// figures of storage are attributes of the group `storage`.

import Collectives
import Storage
import Support

enum ControlTables {
  static func put(_ links: LinkTimes?, _ storage: [String: Double], into file: inout TableFile) {
    if !storage.isEmpty { file.attributes["storage"] = storage.mapValues { .number($0) } }
    guard let links else { return }
    let (sizes, distances) = (links.bytes.count, links.distances.count)
    file.tables["links/bytes"] = NumberTable(links.bytes, [sizes])
    file.tables["links/distances"] = NumberTable(links.distances, [distances])
    file.tables["links/exchange"] = NumberTable(links.exchange, [distances, sizes, links.repeats])
    file.tables["links/sum"] = NumberTable(links.sum, [sizes, links.repeats])
    file.tables["links/native"] = NumberTable(links.native, [sizes, links.repeats])
  }

  /// Nil where the launch had none.
  static func links(_ reader: TableReader) throws -> LinkTimes? {
    guard let shape = reader.file.tables["links/exchange"]?.shape, shape.count == 3 else { return nil }
    let (distances, sizes, repeats) = (shape[0], shape[1], shape[2])
    return LinkTimes(
      bytes: try reader.table("links/bytes", integers: [sizes]),
      distances: try reader.table("links/distances", integers: [distances]),
      exchange: try reader.table("links/exchange", numbers: shape),
      sum: try reader.table("links/sum", numbers: [sizes, repeats]),
      native: try reader.table("links/native", numbers: [sizes, repeats]), repeats: repeats)
  }
}
