// What a JPEG file says before its pixels (ITU-T T.81, annex B), read without decoding: from the first bytes of a file,
// so that thousands of files can be checked before a run starts, and from memory, before pixels are made room for.

import Support

/// The frame header of a JPEG file and what stands before it.
struct JPEGHeader {
  /// Rows and columns as they are stored.
  let stored: PixelSize
  /// How the picture is turned upright, by its Exif block.
  let orientation: Orientation
  /// Bits of a sample.
  let precision: Int
  /// Channels: 1 grey, 3 colours, 4 inks.
  let channels: Int
  /// The marker of the frame, which tells the process: C0 baseline, C2 progressive, C9 arithmetic and so on.
  let process: UInt8
  /// Where the segment of the frame ends.
  let end: Int
  /// The byte that names a revision of JFIF which libjpeg does not know, though what it reads has not changed.
  let revision: Int?
  /// Bytes between segments that belong to none.
  let strays: [Range<Int>]

  /// Walks the segments up to the frame.
  /// - Throws: `Failure` 65 if there is none.
  init(_ bytes: HeaderBytes) throws {
    var walk = SegmentWalk(bytes, position: 2)
    var orientation: Orientation?
    var revision: Int?
    while let segment = try walk.next(), ![0xd8, 0xd9, 0xda].contains(segment.marker) {
      let data = segment.data
      switch segment.marker {
      // Markers C0...CF are frames but for tables (C4, CC) and a reserved one (C8).
      case 0xc0...0xc3, 0xc5...0xc7, 0xc9...0xcb, 0xcd...0xcf, 0xf7:
        guard let frame = try bytes.bytes(data.lowerBound, 6)?.map(Int.init), data.count >= 6 else { break }
        stored = PixelSize(height: frame[1] << 8 | frame[2], width: frame[3] << 8 | frame[4])
        precision = frame[0]
        channels = frame[5]
        process = segment.marker
        end = data.upperBound
        strays = walk.strays
        self.orientation = orientation ?? .upright
        self.revision = revision
        return
      case 0xe0 where data.count >= 7:
        if let block = try bytes.bytes(data.lowerBound, 7), block.starts(with: "JFIF\0".utf8),
          block.dropFirst(5).first != 1
        {
          revision = data.lowerBound + 5
        }
      case 0xe1 where orientation == nil:
        if let block = try bytes.bytes(data.lowerBound, data.count), block.starts(with: "Exif\0\0".utf8) {
          orientation = Orientation(exif: block.dropFirst(6))
        }
      default: break
      }
    }
    throw Failure(
      .badData, "damaged JPEG: it ends before it says the size of its picture", at: bytes.name,
      remedy: "restore the file")
  }

  /// Why a picture of this kind is not read, or nil.
  var refusal: String? {
    if process == 0xf7 { return "JPEG-LS" }
    if precision != 8 { return "a JPEG of \(precision)-bit samples" }
    if [0xc3, 0xcb].contains(process) { return "a lossless JPEG" }
    if [0xc5, 0xc6, 0xc7, 0xcd, 0xce, 0xcf].contains(process) { return "a hierarchical JPEG" }
    if ![1, 3, 4].contains(channels) { return "a JPEG of \(channels) channels" }
    if stored.height == 0 { return "a JPEG that says its height behind its pixels (DNL)" }
    return nil
  }
}

/// Goes from marker to marker, over bytes that belong to no segment, as libjpeg does.
struct SegmentWalk {
  /// A marker and the bytes that belong to it, its length left out.
  struct Segment {
    let marker: UInt8
    let data: Range<Int>
  }

  /// Bytes before a marker that belong to no segment.
  private(set) var strays: [Range<Int>] = []
  private let bytes: HeaderBytes
  private var position: Int
  private var straysLeft = 4096

  /// From a position where a marker should be.
  init(_ bytes: HeaderBytes, position: Int) {
    self.bytes = bytes
    self.position = position
  }

  /// The next segment; nil where the file ends before its length, or nothing but other bytes follow.
  mutating func next() throws -> Segment? {
    let start = position
    var markerStart = position
    var marker: UInt8 = 0
    repeat {
      while let byte = try bytes.byte(position), byte != 0xff, straysLeft > 0 { step() }
      markerStart = position
      // Any marker may have fill bytes before it; FF 00 is none.
      while try bytes.byte(position) == 0xff { position += 1 }
      guard straysLeft > 0, let byte = try bytes.byte(position) else { return nil }
      step()
      marker = byte
    } while marker == 0
    if markerStart > start { strays.append(start..<markerStart) }
    // These stand alone: end, start, restarts.
    if marker == 1 || (0xd0...0xd9).contains(marker) { return Segment(marker: marker, data: position..<position) }
    guard let length = try bytes.number(position, 2), length >= 2 else { return nil }
    defer { position += length }
    return Segment(marker: marker, data: position + 2..<position + length)
  }

  /// Goes on behind the compressed data that follow a scan's header, to the marker after them.
  mutating func skipScan(in file: [UInt8]) {
    while position + 1 < file.count {
      let next = file[position + 1]
      if file[position] == 0xff, next != 0, !(0xd0...0xd7).contains(next) { return }
      position += 1
    }
    position = file.count
  }

  private mutating func step() {
    position += 1
    straysLeft -= 1
  }
}
