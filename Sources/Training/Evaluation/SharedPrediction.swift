// Prediction of many images by all ranks. As long as every rank gets an image, it does the whole of it; of the images that
// are left over, ranks share the windows.

import Collectives
import Imagery
import Support
import Tensors

/// A window of an image that ranks share.
private struct SharedWindow {
  /// Index of the image.
  let image: Int
  /// Where it lies.
  let box: Box
}

extension Predictor {
  /// What is done with a prediction: the image's index, the image, the class of every pixel and its probability.
  public typealias Consumer = (_ index: Int, _ image: RGBImage, _ labels: LabelMap, _ confidence: Tensor) throws -> Void

  /// Predicts images 0 ..< count and hands image i's prediction to `consume` on rank i modulo the world size. A
  /// collective.
  ///
  /// A window's logits are computed by one rank as they would be alone, and put together in the order of the windows, so
  /// the prediction is that of one rank.
  /// - Parameters:
  ///   - count: number of images.
  ///   - communicator: the ranks.
  ///   - size: the size that `image` will have.
  ///   - image: reads an image.
  ///   - mayGoOn: asked before each image that a rank predicts alone.
  ///   - consume: what is done with a prediction.
  /// - Returns: false if one rank could not go on: then some images were left out.
  /// - Throws: what the closures throw, on all ranks.
  @discardableResult
  public func predictAll(
    _ count: Int, on communicator: any Communicator, size: (Int) throws -> PixelSize,
    image: (Int) throws -> RGBImage, while mayGoOn: () -> Bool = { true }, _ consume: Consumer
  ) throws -> Bool {
    let (rank, ranks) = (communicator.rank, communicator.worldSize)
    let whole = count / ranks * ranks
    try communicator.together {
      for index in stride(from: rank, to: whole, by: ranks) where mayGoOn() {
        let pixels = try image(index)
        let (labels, confidence) = try predict(pixels)
        try consume(index, pixels, labels, confidence)
      }
    }
    guard try communicator.allMinimum(mayGoOn() ? 1 : 0) == 1 else { return false }
    guard whole < count else { return true }
    let shared = try communicator.together { try sharedWindows(of: whole..<count, size) }
    let parts = (0...ranks).map { $0 * shared.count / ranks }
    var tiles = try communicator.together { try logits(of: shared[parts[rank]..<parts[rank + 1]], image) }
    for (place, window) in shared.enumerated() {
      let source = parts.lastIndex { $0 <= place } ?? 0
      let own = rank == source ? tiles[place]?.values ?? [] : []
      let area = window.box.height * window.box.width
      let received = try communicator.transfer(
        own, count: area * classCount, from: source, to: window.image % ranks)
      tiles[place] = received.map { Tensor($0, [1, window.box.height, window.box.width, classCount]) }
    }
    try communicator.together {
      for index in whole..<count where index % ranks == rank {
        let places = shared.indices.filter { shared[$0].image == index }
        let pixels = try image(index)
        let (labels, confidence) = prediction(
          places.compactMap { tiles[$0] }, places.map { shared[$0].box },
          PixelSize(height: pixels.height, width: pixels.width))
        try consume(index, pixels, labels, confidence)
      }
    }
    return true
  }

  private func sharedWindows(of images: Range<Int>, _ size: (Int) throws -> PixelSize) throws -> [SharedWindow] {
    try images.flatMap { image in
      windows(of: try size(image)).map { SharedWindow(image: image, box: $0) }
    }
  }

  /// Logits of some of the shared windows, by place.
  private func logits(
    of part: ArraySlice<SharedWindow>, _ image: (Int) throws -> RGBImage
  ) throws -> [Int: Tensor] {
    var tiles: [Int: Tensor] = [:]
    for (index, places) in Dictionary(grouping: part.indices, by: { part[$0].image }).sorted(by: { $0.key < $1.key }) {
      let results = try logits(try image(index), places.map { part[$0].box })
      for (place, result) in zip(places, results) { tiles[place] = result }
    }
    return tiles
  }
}
