// What a data set is, wherever it lies: two folders with the same files are the same data, a changed folder is not.

import Support
import Tensors

/// What a data set is, apart from its place: the names of its images, their order, and how many bytes their files have.
///
/// No file is read, so that an image that another of equal name and size replaced is not noticed. Labels that are
/// counted are known better: `ClassStatistics.digest` tells of their content.
public struct DatasetIdentity: Sendable, Equatable, Codable {
  /// What is known of an image before its files are opened.
  public struct Image: Sendable, Equatable, Codable {
    /// Its name in the set, such as `aachen/aachen_000000`.
    public let name: String
    /// Bytes of the image's file; 0 for sets without files.
    public let bytes: Int
    /// Bytes of the label's file; nil for sets without labels.
    public let labelBytes: Int?
    /// Bytes of the file of depth; nil for sets without depth.
    public let depthBytes: Int?

    /// From its parts.
    public init(name: String, bytes: Int, labelBytes: Int? = nil, depthBytes: Int? = nil) {
      self.name = name
      self.bytes = bytes
      self.labelBytes = labelBytes
      self.depthBytes = depthBytes
    }
  }

  /// The images in the set's order; none for sets that are drawn.
  public let images: [Image]
  /// What draws the set, with its seed and sizes; nil for sets of files.
  public let drawing: String?
  /// SHA-256 of the table from the ids in labels to train ids; empty where labels hold train ids. The recipe names
  /// the table, so that `digest` leaves it out, and it is not stored.
  public let labelling: String
  /// SHA-256 over names, bytes and order, in hexadecimal: equal for the same data in another place.
  public let digest: String

  private enum CodingKeys: CodingKey { case images, drawing }

  /// A set of files.
  /// - Parameters:
  ///   - images: its images, in order.
  ///   - map: from the ids in label files to train ids; nil takes them as they are.
  public init(images: [Image], map: LabelIdMap? = nil) { self.init(images, nil, map) }

  /// A set that is drawn.
  /// - Parameters:
  ///   - drawing: all that decides its images, in words.
  ///   - map: from the ids that it is drawn in to train ids; nil takes them as they are.
  public init(drawing: String, map: LabelIdMap? = nil) { self.init([], drawing, map) }

  /// From what `encode` wrote, without a labelling.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      try values.decode([Image].self, forKey: .images), try values.decodeIfPresent(String.self, forKey: .drawing), nil)
  }

  private init(_ images: [Image], _ drawing: String?, _ map: LabelIdMap?) {
    self.images = images
    self.drawing = drawing
    labelling = map.map { DatasetIdentity.digest($0.trainIds.map { $0.map(String.init) ?? "-" }) } ?? ""
    // A name may hold any byte but zero.
    digest = DatasetIdentity.digest(
      [drawing ?? "files"]
        + images.map { image in
          "\(image.name)\u{0}\(image.bytes)\u{0}\(image.labelBytes.map(String.init) ?? "-")"
            + (image.depthBytes.map { "\u{0}\($0)" } ?? "")
        })
  }

  private static func digest(_ lines: [String]) -> String {
    let hash = SHA256()
    for line in lines { hash.update(line + "\n") }
    return hash.hexadecimal()
  }

  /// Names the counts of a set's class pixels: they depend on the data, on the meaning of ids, and on the classes told
  /// apart.
  public func countsDigest(classCount: Int) -> String {
    DatasetIdentity.digest([digest, labelling, String(classCount)])
  }

  /// What became of this set in `other`, such as `s0 is gone, t0 is new`; nil if both are the same.
  ///
  /// - Parameters:
  ///   - other: the set as it is now.
  ///   - shown: images named of each kind of change; the others are counted.
  public func changes(in other: DatasetIdentity, shown: Int = 3) -> String? {
    guard digest != other.digest else { return nil }
    guard drawing == nil, other.drawing == nil else {
      return "\(drawing ?? "\(images.count) files") became \(other.drawing ?? "\(other.images.count) files")"
    }
    let former = Dictionary(images.map { ($0.name, $0) }) { first, _ in first }
    let present = Dictionary(other.images.map { ($0.name, $0) }) { first, _ in first }
    func named(_ names: [String], _ one: String, _ several: String) -> String? {
      guard !names.isEmpty else { return nil }
      let more = names.count > shown ? " and \(names.count - shown) more" : ""
      return "\(names.prefix(shown).joined(separator: ", "))\(more) \(names.count == 1 ? one : several)"
    }
    let parts = [
      named(images.map(\.name).filter { present[$0] == nil }, "is gone", "are gone"),
      named(other.images.map(\.name).filter { former[$0] == nil }, "is new", "are new"),
      named(
        images.filter { image in present[image.name].map { $0.bytes != image.bytes } ?? false }.map(\.name),
        "has another size", "have other sizes"),
      named(
        images.filter { image in present[image.name].map { $0.labelBytes != image.labelBytes } ?? false }.map(\.name),
        "has labels of another size", "have labels of other sizes"),
      named(
        images.filter { image in present[image.name].map { $0.depthBytes != image.depthBytes } ?? false }.map(\.name),
        "has depth of another size", "have depth of other sizes"),
    ].compactMap { $0 }
    return parts.isEmpty ? "the order is another" : parts.joined(separator: ", ")
  }
}

/// How many files a data set has, and what lies beside them.
public struct DatasetInventory: Sendable, Equatable, CustomStringConvertible {
  /// Images.
  public let images: Int
  /// Label files; nil for sets without labels.
  public let labels: Int?
  /// Files that are not used, by what they are, such as `.webp` or `label without an image`.
  public let leftOut: [String: Int]

  /// From its parts.
  public init(images: Int, labels: Int?, leftOut: [String: Int]) {
    self.images = images
    self.labels = labels
    self.leftOut = leftOut
  }

  /// Such as `6 images, 6 labels, 6 pairs; left out: 3 .webp files`. Every image of a labelled set has a label.
  public var description: String {
    func counted(_ count: Int, _ word: String) -> String { "\(count) \(word)\(count == 1 ? "" : "s")" }
    let used = [counted(images, "image")] + (labels.map { [counted($0, "label"), counted(images, "pair")] } ?? [])
    let rest = leftOut.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
    return used.joined(separator: ", ") + (rest.isEmpty ? "" : "; left out: " + rest.joined(separator: ", "))
  }
}
