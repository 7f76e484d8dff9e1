// Many small pictures on one sheet, with captions in a built-in bitmap font of three by five dots.

/// A picture and the line under it.
public struct SheetTile: Sendable {
  /// The picture.
  public let image: RGBImage
  /// One line; small letters are drawn as capitals, unknown signs as blanks.
  public let caption: String

  /// From picture and caption.
  public init(_ image: RGBImage, caption: String = "") {
    self.image = image
    self.caption = caption
  }
}

/// Tiles in rows of `columns`, on white, in cells of the largest tile's size.
/// - Parameters:
///   - tiles: pictures with captions.
///   - columns: tiles in a row.
///   - dot: pixels per dot of the font; captions are cut at the cell's edge.
/// - Precondition: there is at least one tile, `columns` and `dot` are positive.
public func contactSheet(_ tiles: [SheetTile], columns: Int, dot: Int = 2) -> RGBImage {
  precondition(!tiles.isEmpty && columns > 0 && dot > 0, "\(tiles.count) tiles in \(columns) columns, dot \(dot)")
  let margin = 4
  let line = tiles.contains { !$0.caption.isEmpty } ? 5 * dot + margin : 0
  let cellHeight = tiles.map(\.image.height).max()! + line + margin
  let cellWidth = tiles.map(\.image.width).max()! + margin
  let rows = (tiles.count + columns - 1) / columns
  let width = min(columns, tiles.count) * cellWidth + margin
  let height = rows * cellHeight + margin
  var sheet = RGBImage(height: height, width: width, pixels: [UInt8](repeating: 255, count: height * width * 3))
  for (index, tile) in tiles.enumerated() {
    let top = index / columns * cellHeight + margin
    let left = index % columns * cellWidth + margin
    sheet.paste(tile.image, top: top, left: left)
    let dots = max(0, (cellWidth - margin) / (4 * dot))
    sheet.write(
      String(tile.caption.prefix(dots)), top: top + tile.image.height + margin / 2, left: left, dot: dot)
  }
  return sheet
}

extension RGBImage {
  /// Copies another image over this one.
  /// - Precondition: it lies inside this one.
  public mutating func paste(_ other: RGBImage, top: Int, left: Int) {
    precondition(
      top >= 0 && left >= 0 && top + other.height <= height && left + other.width <= width,
      "\(other.height)x\(other.width) at \(top), \(left) of \(height)x\(width)")
    for row in 0..<other.height {
      let start = ((top + row) * width + left) * 3
      pixels.replaceSubrange(
        start..<start + other.width * 3, with: other.pixels[row * other.width * 3..<(row + 1) * other.width * 3])
    }
  }

  /// Writes black text in dots of `dot` pixels; each sign takes four dots by five. What lies outside is cut off.
  public mutating func write(_ text: String, top: Int, left: Int, dot: Int = 2) {
    for (index, sign) in text.uppercased().enumerated() {
      guard let glyph = glyphs[sign] else { continue }
      for row in 0..<5 {
        for column in 0..<3 where glyph >> (14 - row * 3 - column) & 1 == 1 {
          fill(top: top + row * dot, left: left + (index * 4 + column) * dot, size: dot)
        }
      }
    }
  }

  /// A black square, cut at the image's edge.
  private mutating func fill(top: Int, left: Int, size: Int) {
    for y in max(0, top)..<max(0, min(height, top + size)) {
      for x in max(0, left)..<max(0, min(width, left + size)) {
        for channel in 0..<3 { pixels[(y * width + x) * 3 + channel] = 0 }
      }
    }
  }
}

/// Five rows of three dots, one octal digit a row.
private let glyphs: [Character: Int] = [
  "0": 0o75557, "1": 0o26227, "2": 0o71747, "3": 0o71717, "4": 0o55711, "5": 0o74717, "6": 0o74757, "7": 0o71111,
  "8": 0o75757, "9": 0o75717, "A": 0o25755, "B": 0o65656, "C": 0o34443, "D": 0o65556, "E": 0o74647, "F": 0o74644,
  "G": 0o34553, "H": 0o55755, "I": 0o72227, "J": 0o11152, "K": 0o55655, "L": 0o44447, "M": 0o57755, "N": 0o65555,
  "O": 0o25552, "P": 0o65644, "Q": 0o25573, "R": 0o65655, "S": 0o34216, "T": 0o72222, "U": 0o55557, "V": 0o55552,
  "W": 0o55775, "X": 0o55255, "Y": 0o55222, "Z": 0o71247, ".": 0o00002, "-": 0o00700, ":": 0o02020, "/": 0o11244,
  "_": 0o00007, "%": 0o51245, "(": 0o12221, ")": 0o42224, ",": 0o00024, "=": 0o07070, "+": 0o02720, "#": 0o57575,
]
