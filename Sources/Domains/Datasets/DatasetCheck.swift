// What the headers of a data set's files tell before any picture is decoded: kinds, sizes, whether label and image fit.

import Imagery
import Support
import Tensors

/// What is wrong with one image or its label, in a form that ranks can send each other.
public struct FileFault: Sendable, Equatable, Codable {
  /// The image's index in its set.
  public let index: Int
  /// The image's name in its set.
  public let name: String
  private let status: Int32
  private let what: String
  private let place: String?
  private let remedy: String?

  /// A failure that an image of a set met.
  init(_ failure: Failure, index: Int, name: String) {
    self.index = index
    self.name = name
    status = failure.status.rawValue
    what = failure.what
    place = failure.place
    remedy = failure.remedy
  }

  /// What reading the file would throw.
  public var failure: Failure {
    Failure(ExitStatus(rawValue: status) ?? .internal, what, at: place, remedy: remedy)
  }
}

/// What is asked of every file of a data set besides being readable.
public struct FileDemands: Sendable, Equatable {
  /// Crops of this size are cut out of its images; nil if none are.
  public var crop: PixelSize?
  /// All images must have the size of the first one, as pseudo-labels are kept for one size.
  public var oneSize: Bool
  /// Most pixels that a file may have, as the set itself demands; what was found good under one limit may not be under
  /// another.
  public var pixelLimit: Int

  /// Demands; by default none.
  public init(crop: PixelSize? = nil, oneSize: Bool = false, pixelLimit: Int = standardPixelLimit) {
    self.crop = crop
    self.oneSize = oneSize
    self.pixelLimit = pixelLimit
  }
}

extension Dataset {
  /// Reads the headers of some images and their labels on the worker pool. Nothing is decoded.
  /// - Parameters:
  ///   - indices: the images.
  ///   - demands: what is asked of them.
  /// - Returns: all faults, in the order of `indices`.
  public func faults(_ indices: [Int], _ demands: FileDemands = FileDemands()) -> [FileFault] {
    let first = demands.oneSize ? try? size(0) : nil
    let found = try? parallelMap(indices.count) { place -> FileFault? in
      let index = indices[place]
      defer { Activity.tick() }
      do {
        let size = try checkFiles(index)
        if let crop = demands.crop { try CropRules(crop: crop).checkFits(size, place: self.place(index)) }
        if let first { try requireSize(first, size, index) }
        return nil
      } catch {
        return FileFault(error as? Failure ?? Failure(.internal, "\(error)"), index: index, name: name(index))
      }
    }
    return (found ?? []).compactMap { $0 }
  }

  /// Makes sure that the pseudo-label cache, which has one size for all images, can hold those of this set.
  /// - Throws: `Failure` 65 that names the first image of another size than the first one.
  public func requireOneSize() throws {
    guard count > 0 else { return }
    let first = try size(0)
    for index in 1..<max(count, 1) { try requireSize(first, try size(index), index) }
  }

  private func requireSize(_ first: PixelSize, _ size: PixelSize, _ index: Int) throws {
    guard size != first else { return }
    throw Failure(
      .badData, "image is \(size), \(place(0)) is \(first); pseudo-labels are kept for images of one size",
      at: place(index), remedy: "resize the images (data.target.resize), or set teacher.cache to false")
  }
}

/// One failure for all faults of data sets: the first of them, the number, and the names of some more.
/// - Parameters:
///   - faults: by the name of their set, such as `data.source`, in order; empty where there is one set only.
///   - files: images that were looked at.
///   - named: most images that the line names.
///   - list: the file that names all of them; nil if there is none.
/// - Returns: nil without faults.
public func failure(
  of faults: [(set: String, fault: FileFault)], among files: Int, named: Int, list: String?
) -> Failure? {
  guard let first = faults.first else { return nil }
  let failure = first.fault.failure
  guard faults.count > 1 else { return failure }
  let more = faults.dropFirst().prefix(max(0, named - 1)).map {
    $0.set.isEmpty ? $0.fault.name : "\($0.set) \($0.fault.name)"
  }
  let rest = faults.count - 1 - more.count
  let names = more.joined(separator: ", ") + (rest > 0 ? " and \(rest) more" : "")
  return Failure(
    failure.status, "\(failure.what); \(faults.count) of \(files) images or their labels are wrong, also \(names)",
    at: failure.place,
    remedy: (failure.remedy ?? "mend them") + (list.map { "; all are listed in \($0)" } ?? ""))
}
