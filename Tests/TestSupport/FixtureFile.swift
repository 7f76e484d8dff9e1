// Reference numbers of the peer implementation, read from ../shared/fixtures beside the package.

import Foundation
import StorageHDF5
import Tensors
import Verification

/// The folder `../shared` beside the package root, which holds the reference numbers.
public let sharedFolder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().appending(path: "shared").path

/// Whether `../shared` is there; tests that need it are skipped by name without it.
public let hasSharedFolder = FileManager.default.fileExists(atPath: sharedFolder + "/fixtures")

/// One fixture file, such as `ops`.
public typealias FixtureFile = Fixture

extension Fixture {
  /// Opens `../shared/fixtures/NAME.h5`; nil if there is none.
  public init?(_ name: String) throws {
    let path = "\(sharedFolder)/fixtures/\(name).h5"
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    try self.init(path) { try HDF5File(reading: $0) }
  }

  /// Largest |actual - stored| divided by the allowed error: at most 1 is a pass. Layouts are converted as in
  /// `tensor`; another element count or a value that is not finite gives infinity.
  public func timesAllowed(_ actual: Tensor, _ path: String) throws -> Double {
    var verifier = Verifier(self)
    try verifier.element(path, actual)
    return verifier.items[0].timesAllowed
  }

  /// As above, for values in the order of the file.
  public func timesAllowed(_ actual: [Float], _ path: String) throws -> Double {
    var verifier = Verifier(self)
    try verifier.element(path, actual: actual)
    return verifier.items[0].timesAllowed
  }
}

/// `[N, C, H, W]` values as a `[N, H, W, C]` tensor.
public func nchwToNHWC(_ values: [Float], _ shape: [Int]) -> Tensor { permuted(values, shape, [0, 2, 3, 1]) }

/// A `[N, H, W, C]` tensor as `[N, C, H, W]` values.
public func nhwcToNCHW(_ tensor: Tensor) -> [Float] {
  permuted(tensor.values, tensor.shape.array, [0, 3, 1, 2]).values
}

/// Convolution weights `[O, I, kh, kw]` as `[kh, kw, I, O]`.
public func oihwToHWIO(_ values: [Float], _ shape: [Int]) -> Tensor { permuted(values, shape, [2, 3, 1, 0]) }

/// Row-major values with their axes in another order: result axis k is axis `order[k]` of the input.
public func permuted(_ values: [Float], _ shape: [Int], _ order: [Int]) -> Tensor {
  FileLayout.permuted(values, shape, order)
}
